#include "tests/emu/emu_fiber.hh"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#ifdef EMU_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
}
#endif
#ifdef EMU_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_set_fiber_name(void *fiber, const char *name);
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
}
#endif

namespace emu
{
namespace
{
#if defined(EMU_ASAN) || defined(EMU_TSAN)
enum { STACK = 256 * 1024, PAGE = 4096, CHUNK = 64 };
#else
enum { STACK = 64 * 1024, PAGE = 4096, CHUNK = 64 };
#endif
struct chunk {
    char *memory;
    stack s[CHUNK];
    chunk *next;
};
stack *g_free;
chunk *g_chunks;

void chunk_add()
{
    chunk *c = (chunk *)malloc(sizeof *c);
    void *m = mmap(nullptr, (size_t)CHUNK * (STACK + PAGE), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED || !c) {
        perror("emu: stacks");
        abort();
    }
    c->memory = (char *)m;
    c->next = g_chunks;
    g_chunks = c;
    for (int i = CHUNK - 1; i >= 0; i--) {
        char *page = c->memory + (size_t)i * (STACK + PAGE);
        mprotect(page, PAGE, PROT_NONE);
        c->s[i] = {page + PAGE, STACK, g_free};
        g_free = &c->s[i];
    }
}
} // namespace

stack *stack_get()
{
    if (!g_free)
        chunk_add();
    stack *s = g_free;
    g_free = s->next;
    return s;
}

void stack_put(stack *s)
{
    s->next = g_free;
    g_free = s;
}

void stack_drop_all()
{
    g_free = nullptr;
    while (g_chunks) {
        chunk *c = g_chunks;
        g_chunks = c->next;
        munmap(c->memory, (size_t)CHUNK * (STACK + PAGE));
        free(c);
    }
}

#if defined(__x86_64__)
extern "C" void emu_switch_stack(void **save, void *to);
extern "C" void emu_first_stack(void);
asm(R"(
.text
.type emu_switch_stack, @function
emu_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emu_switch_stack, .-emu_switch_stack
.type emu_first_stack, @function
emu_first_stack:
    movq %rbx, %rdi
    xorl %ebp, %ebp
    callq *%r12
    ud2
.size emu_first_stack, .-emu_first_stack
)");

void context_make(context *c, stack *s, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)s->low + s->bytes) & ~(uintptr_t)63;
    void **sp = (void **)(top - 64);
    *--sp = (void *)emu_first_stack;
    *--sp = nullptr;       /* rbp */
    *--sp = arg;           /* rbx */
    *--sp = (void *)entry; /* r12 */
    for (int i = 0; i < 3; i++)
        *--sp = nullptr;
    c->sp = sp;
    c->fake = nullptr;
    c->low = s->low;
    c->bytes = s->bytes;
}

static void switch_stack(context *from, context *to)
{
    emu_switch_stack(&from->sp, to->sp);
}
#else
/* Other processors: ten times slower, as each switch asks the kernel for the signal mask. */
static void ucontext_first(unsigned lo, unsigned hi, unsigned alo, unsigned ahi)
{
    ((void (*)(void *))((uintptr_t)hi << 32 | lo))((void *)((uintptr_t)ahi << 32 | alo));
}

static ucontext_t *ucontext_of(context *c)
{
    if (!c->sp)
        c->sp = calloc(1, sizeof(ucontext_t));
    return (ucontext_t *)c->sp;
}

void context_make(context *c, stack *s, void (*entry)(void *), void *arg)
{
    ucontext_t *u = ucontext_of(c);
    uintptr_t e = (uintptr_t)entry, a = (uintptr_t)arg;
    getcontext(u);
    u->uc_stack.ss_sp = s->low;
    u->uc_stack.ss_size = s->bytes;
    u->uc_link = nullptr;
    makecontext(u, (void (*)())ucontext_first, 4, (unsigned)e, (unsigned)(e >> 32), (unsigned)a,
                (unsigned)(a >> 32));
    c->fake = nullptr;
    c->low = s->low;
    c->bytes = s->bytes;
}

static void switch_stack(context *from, context *to)
{
    swapcontext(ucontext_of(from), ucontext_of(to));
}
#endif

void context_switch(context *from, context *to, bool dies)
{
    tsan_fiber_switch(to->tsan);
#ifdef EMU_ASAN
    __sanitizer_start_switch_fiber(dies ? nullptr : &from->fake, to->low, to->bytes);
#endif
    (void)dies;
    switch_stack(from, to);
    context_arrived(from);
}

void context_arrived(context *self)
{
#ifdef EMU_ASAN
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->fake, &low, &bytes);
#endif
    (void)self;
}

#ifdef EMU_TSAN
void *tsan_fiber_create(const char *name)
{
    void *f = __tsan_create_fiber(0);
    if (name)
        __tsan_set_fiber_name(f, name);
    return f;
}
void tsan_fiber_destroy(void *fiber)
{
    __tsan_destroy_fiber(fiber);
}
void *tsan_fiber_current()
{
    return __tsan_get_current_fiber();
}
void tsan_fiber_switch(void *fiber)
{
    if (fiber)
        __tsan_switch_to_fiber(fiber, 1);
}
void tsan_release(void *object)
{
    __tsan_release(object);
}
void tsan_acquire(void *object)
{
    __tsan_acquire(object);
}
void tsan_ignore(bool on)
{
    if (on) {
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    } else {
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    }
}
#else
void *tsan_fiber_create(const char *)
{
    return nullptr;
}
void tsan_fiber_destroy(void *)
{
}
void *tsan_fiber_current()
{
    return nullptr;
}
void tsan_fiber_switch(void *)
{
}
void tsan_release(void *)
{
}
void tsan_acquire(void *)
{
}
void tsan_ignore(bool)
{
}
#endif
} // namespace emu
