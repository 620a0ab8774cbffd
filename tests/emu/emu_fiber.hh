/* Fibers: a switch saves six registers and changes stacks. */
#ifndef RS_TESTS_EMU_EMU_FIBER_HH
#define RS_TESTS_EMU_EMU_FIBER_HH

#include <cstddef>

namespace emu
{
struct stack {
    char *low;
    size_t bytes;
    stack *next;
};
/* From a pool; a page that faults lies below each. */
stack *stack_get();
void stack_put(stack *s);
/* Forget the pool (thread sanitizer: a new block has new stacks). */
void stack_drop_all();

struct context {
    void *sp = nullptr;
    void *fake = nullptr; /* address sanitizer */
    const char *low = nullptr;
    size_t bytes = 0;
    void *tsan = nullptr;
};
/* `c` will start in entry(arg) on the stack; entry must not return. */
void context_make(context *c, stack *s, void (*entry)(void *), void *arg);
/* Leave `from` (which ends for good if `dies`) for `to`. */
void context_switch(context *from, context *to, bool dies);
/* First thing on a new stack. */
void context_arrived(context *self);

/* Thread sanitizer; nothing elsewhere. */
void *tsan_fiber_create(const char *name);
void tsan_fiber_destroy(void *fiber);
void *tsan_fiber_current();
void tsan_fiber_switch(void *fiber); /* adds no order */
void tsan_release(void *object);
void tsan_acquire(void *object);
void tsan_ignore(bool on); /* accesses of this thread from here on are not looked at */
} // namespace emu

#endif
