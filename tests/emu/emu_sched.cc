#include "tests/emu/emu_sched.hh"

#include <link.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu
{
block g_block;

namespace
{
enum { SMEM = 256 * 1024, PAGE = 4096 };
char *g_smem_area; /* SMEM bytes and a page that faults */
char *g_smem;      /* of this block: ends at the page */

void poison(void *p, size_t bytes)
{
    /* Not memset: the thread sanitizer would take it for an access of whoever runs. */
#if defined(__x86_64__)
    asm volatile("rep stosb" : "+D"(p), "+c"(bytes) : "a"(POISON) : "memory");
#else
    for (size_t i = 0; i < bytes; i++)
        ((volatile unsigned char *)p)[i] = POISON;
#endif
}

void push(int id)
{
    block &b = g_block;
    b.queue[(b.head + b.queued++) % THREADS] = (short)id;
}

thread *pick()
{
    block &b = g_block;
    if (b.queued == 0)
        return nullptr;
    if (b.job->ord == ORDER_RAND) {
        int at = (b.head + (int)b.job->random.below((uint32_t)b.queued)) % THREADS;
        short x = b.queue[at];
        b.queue[at] = b.queue[b.head];
        b.queue[b.head] = x;
    }
    thread *t = &b.t[b.queue[b.head]];
    b.head = (b.head + 1) % THREADS;
    b.queued--;
    return t;
}

void on_stage(thread *t)
{
    g_block.current = t;
    t->state = T_READY;
    threadIdx = t->id;
}

void thread_ends(thread *t)
{
    block &b = g_block;
    if (t->async.n > 0)
        kernel_error(t->at, "the thread returns with %d cp.async in flight", t->async.n);
    if (b.bar[0].waiting > 0 && b.bar[0].need == b.threads)
        kernel_error(b.bar[0].at, "the thread returns while %d threads wait in __syncthreads",
                     b.bar[0].waiting);
    t->state = T_DONE;
    b.done++;
    tsan_release(b.job);
}

void entry(void *arg);

void stand_up(thread *t)
{
    t->stk = stack_get();
    context_make(&t->ctx, t->stk, entry, t);
}

void entry(void *arg)
{
    thread *t = (thread *)arg;
    context_arrived(&t->ctx);
    for (;;) {
        on_stage(t);
        g_block.job->kernel->run();
        thread_ends(t);
        thread *n = pick();
#ifndef EMU_TSAN
        if (n && n->state == T_NEW) { /* on this stack, without a switch */
            n->stk = t->stk;
            n->ctx.low = t->ctx.low;
            n->ctx.bytes = t->ctx.bytes;
            t = n;
            continue;
        }
        stack_put(t->stk);
#else
        if (n && n->state == T_NEW)
            stand_up(n);
#endif
        context_switch(&t->ctx, n ? &n->ctx : &g_block.main, true);
    }
}

/* Leave the thread that runs for the next one; returns when it is its turn again. */
void leave()
{
    thread *me = g_block.current, *n = pick();
    if (n == me) {
        on_stage(me);
        return;
    }
    if (n && n->state == T_NEW)
        stand_up(n);
    context_switch(&me->ctx, n ? &n->ctx : &g_block.main, false);
    on_stage(me);
}

[[noreturn]] void deadlock()
{
    block &b = g_block;
    fprintf(stderr, "emu: %s: block (%u,%u,%u) hangs:", function_name(b.job->function), blockIdx.x,
            blockIdx.y, blockIdx.z);
    int said = 0;
    for (int i = 0; i < b.threads && said < 4; i++) {
        thread &t = b.t[i];
        if (t.state == T_BLOCKED && (i == 0 || b.t[i - 1].at.line != t.at.line || !said)) {
            fprintf(stderr, " thread %d waits in %s at %s:%d;", i, t.why, t.at.file, t.at.line);
            said++;
        }
    }
    fail("%d of %d threads have returned", b.done, b.threads);
}

void threads_reset(grid_job *j)
{
    block &b = g_block;
    b.job = j;
    b.threads = (int)(j->block.x * j->block.y * j->block.z);
    b.done = b.head = b.queued = 0;
    b.current = nullptr;
    for (int i = 0; i < BARRIERS; i++) {
        block_barrier &r = b.bar[i];
        r.need = r.arrived = r.waiting = 0;
    }
    for (int i = 0; i < b.threads; i++) {
        thread &t = b.t[i];
        unsigned u = (unsigned)i;
        t.id = {u % j->block.x, u / j->block.x % j->block.y, u / j->block.x / j->block.y};
        t.linear = i;
        t.state = T_NEW;
        t.at = {"start", 0};
        t.meet.mask = 0;
        t.async.n = 0;
        t.async.group = 0;
        push(j->ord == ORDER_REV ? b.threads - 1 - i : i);
    }
}

/* The TLS segment of this program on this thread: static shared memory, and the host's own. */
struct tls_segment {
    char *memory;
    size_t initialised, bytes;
};

int find_tls(dl_phdr_info *info, size_t, void *out)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS)
            *(tls_segment *)out = {(char *)info->dlpi_tls_data, info->dlpi_phdr[i].p_filesz,
                                   info->dlpi_phdr[i].p_memsz};
    return 1; /* the program comes first */
}

bool inside(const void *p, size_t bytes, const char *low, size_t room)
{
    return (const char *)p >= low && (const char *)p + bytes <= low + room;
}

#if !defined(EMU_ASAN) && !defined(EMU_TSAN)
/* Between these the host's thread-local variables are put away. */
std::vector<char> g_tls_saved;
tls_segment g_tls;

void tls_take()
{
    g_tls = {};
    dl_iterate_phdr(find_tls, &g_tls);
    g_tls_saved.assign(g_tls.memory, g_tls.memory + g_tls.bytes);
}

void tls_poison()
{
    poison(g_tls.memory + g_tls.initialised, g_tls.bytes - g_tls.initialised);
}

void tls_give_back()
{
    std::copy(g_tls_saved.begin(), g_tls_saved.end(), g_tls.memory);
}
#else
void tls_take()
{
    (void)find_tls;
}
void tls_poison()
{
}
void tls_give_back()
{
}
#endif

void smem_ready(size_t bytes)
{
    if (!g_smem_area) {
        void *m =
            mmap(nullptr, SMEM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (m == MAP_FAILED)
            fail("no room for shared memory");
        g_smem_area = (char *)m;
        mprotect(g_smem_area + SMEM, PAGE, PROT_NONE);
    }
    asan_unpoison(g_smem_area, SMEM);
    g_smem = g_smem_area + SMEM - ((bytes + 127) & ~(size_t)127);
    poison(g_smem, bytes);
    asan_poison(g_smem_area, (size_t)(g_smem - g_smem_area));
    asan_poison(g_smem + bytes, (size_t)(g_smem_area + SMEM - g_smem) - bytes);
}

/* Only that sanitizer asks where the stacks are. */
void stack_of_caller(context *c)
{
#ifdef EMU_ASAN
    pthread_attr_t a;
    void *low = nullptr;
    size_t bytes = 0;
    pthread_getattr_np(pthread_self(), &a);
    pthread_attr_getstack(&a, &low, &bytes);
    pthread_attr_destroy(&a);
    c->low = (const char *)low;
    c->bytes = bytes;
#endif
    (void)c;
}

void block_runs()
{
    block &b = g_block;
    tls_poison();
    smem_ready(b.job->smem);
    thread *first = pick();
    stand_up(first);
    context_switch(&b.main, &first->ctx, false);
    if (b.done != b.threads)
        deadlock();
}

#ifdef EMU_TSAN
enum { TSAN_KEPT = 4096 };
std::vector<void *> g_tsan_kept;

void *block_thread(void *)
{
    block &b = g_block;
    b.main.tsan = tsan_fiber_current();
    for (int i = 0; i < b.threads; i++) { /* here: after this thread's TLS was set up */
        b.t[i].ctx.tsan = tsan_fiber_create(nullptr);
        g_tsan_kept.push_back(b.t[i].ctx.tsan);
    }
    block_runs();
    stack_drop_all();
    return nullptr;
}

/* A block is a new OS thread: new thread-local (shared) memory, stacks and dynamic memory, and
 * nothing orders it with other blocks. The fibers live until the grid ends, as the sanitizer
 * forgets finished threads and their accesses. */
void block_on_thread()
{
    if (g_smem_area)
        munmap(g_smem_area, SMEM + PAGE);
    g_smem_area = nullptr;
    pthread_t os;
    if (pthread_create(&os, nullptr, block_thread, nullptr) != 0)
        fail("no thread for a block");
    pthread_join(os, nullptr);
    if (g_tsan_kept.size() > TSAN_KEPT) {
        for (void *f : g_tsan_kept)
            tsan_fiber_destroy(f);
        g_tsan_kept.clear();
    }
}

void grid_ends(grid_job *j)
{
    tsan_acquire(j);
    for (void *f : g_tsan_kept)
        tsan_fiber_destroy(f);
    g_tsan_kept.clear();
}
#else
void block_on_thread()
{
    block_runs();
}

void grid_ends(grid_job *)
{
}
#endif

/* Block `i` of `n` in the order of the job. */
std::vector<uint32_t> block_order(grid_job *j, uint32_t n)
{
    std::vector<uint32_t> o(n);
    for (uint32_t i = 0; i < n; i++)
        o[i] = j->ord == ORDER_REV ? n - 1 - i : i;
    if (j->ord == ORDER_RAND)
        for (uint32_t i = n; i > 1; i--)
            std::swap(o[i - 1], o[j->random.below(i)]);
    return o;
}
} // namespace

void run_grid(grid_job *j)
{
    uint32_t n = j->grid.x * j->grid.y * j->grid.z;
    gridDim = j->grid;
    blockDim = j->block;
    tls_take();
    stack_of_caller(&g_block.main);
    for (uint32_t i : block_order(j, n)) {
        blockIdx = {i % j->grid.x, i / j->grid.x % j->grid.y, i / j->grid.x / j->grid.y};
        threads_reset(j);
        block_on_thread();
    }
    g_block.current = nullptr;
    tls_give_back();
    grid_ends(j);
}

bool in_kernel()
{
    return g_block.current != nullptr;
}

void wait_for(const char *why, place p)
{
    thread *t = g_block.current;
    t->state = T_BLOCKED;
    t->why = why;
    t->at = p;
    leave();
}

void wake(thread *t)
{
    t->state = T_READY;
    push(t->linear);
}

void nap()
{
    push(g_block.current->linear);
    leave();
}

bool is_shared(const void *p, size_t bytes)
{
    if (inside(p, bytes, g_smem, g_block.job->smem))
        return true;
#ifdef EMU_ASAN
    return where_is(p) != OF_DEVICE; /* static objects have no place of their own */
#else
    tls_segment tls = {};
    dl_iterate_phdr(find_tls, &tls);
    return inside(p, bytes, tls.memory, tls.bytes);
#endif
}

void *dyn_smem()
{
    return g_smem;
}

async_queue *async_of_thread()
{
    return &g_block.current->async;
}

void kernel_error(place p, const char *fmt, ...)
{
    block &b = g_block;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "emu: %s: block (%u,%u,%u) thread (%u,%u,%u): %s:%d:\n",
            function_name(b.job->function), blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x,
            threadIdx.y, threadIdx.z, p.file, p.line);
    vfail(fmt, ap);
}

namespace
{
void barrier_check(block_barrier &r, int threads, place p)
{
    block &b = g_block;
    int need = threads ? threads : b.threads;
    if (threads % WARP != 0 || need > b.threads)
        kernel_error(p, "barrier of %d threads in a block of %d", need, b.threads);
    if (threads == 0 && b.done > 0)
        kernel_error(p, "__syncthreads after %d threads of the block have returned", b.done);
    if (r.arrived == 0) {
        r.need = need;
        r.at = p;
        r.value = 0;
    } else if (r.need != need) {
        kernel_error(p, "barrier of %d threads, others came for %d at %s:%d", need, r.need,
                     r.at.file, r.at.line);
    } else if (threads == 0 && (r.at.line != p.line || __builtin_strcmp(r.at.file, p.file) != 0)) {
        kernel_error(p, "__syncthreads in a divergent branch: others wait at %s:%d", r.at.file,
                     r.at.line);
    }
}

int fold(barrier_op op, int have, int value, bool first)
{
    int v = op == BARRIER_COUNT ? value != 0 : value != 0 ? 1 : 0;
    if (first)
        return v;
    return op == BARRIER_AND ? have & v : op == BARRIER_OR ? have | v : have + v;
}

/* One more; true if it was the last. */
bool barrier_counts(block_barrier &r, barrier_op op, int value)
{
    r.value = fold(op, r.value, value, r.arrived == 0);
    if (++r.arrived < r.need)
        return false;
    for (int i = 0; i < r.waiting; i++) {
        thread *t = &g_block.t[r.waiter[i]];
        t->barrier_result = r.value;
        wake(t);
    }
    r.arrived = r.waiting = 0;
    r.phase++;
    return true;
}
} // namespace

int barrier(int id, int threads, barrier_op op, int value, place p)
{
    thread *t = g_block.current;
    if (id < 0 || id >= BARRIERS)
        kernel_error(p, "barrier %d", id);
    block_barrier &r = g_block.bar[id];
    barrier_check(r, threads, p);
    /* Two objects by turns: with one, the next phase of a fast thread would be seen by a slow one.
     */
    char *sync = &r.sync[r.phase & 1];
    tsan_release(sync);
    if (barrier_counts(r, op, value)) {
        t->barrier_result = r.value;
    } else {
        r.waiter[r.waiting++] = (short)t->linear;
        wait_for("a barrier", p);
    }
    tsan_acquire(sync);
    return t->barrier_result;
}

void barrier_arrive(int id, int threads, place p)
{
    if (id < 0 || id >= BARRIERS || threads <= 0)
        kernel_error(p, "bar.arrive %d, %d", id, threads);
    block_barrier &r = g_block.bar[id];
    barrier_check(r, threads, p);
    tsan_release(&r.sync[r.phase & 1]);
    barrier_counts(r, BARRIER_WAIT, 0);
}
} // namespace emu
