/* The block that runs: shared by the scheduler and the warp operations. */
#ifndef RS_TESTS_EMU_EMU_SCHED_HH
#define RS_TESTS_EMU_EMU_SCHED_HH

#include "tests/emu/emu.hh"
#include "tests/emu/emu_async.hh"
#include "tests/emu/emu_fiber.hh"

namespace emu
{
enum { THREADS = 1024, BARRIERS = 16 };
enum thread_state { T_NEW, T_READY, T_BLOCKED, T_DONE };

/* What a lane waits for. */
struct meeting {
    unsigned mask;
    const char *what;
    combine_fn *combine;
    void *operand;
    char *sync; /* the object of the order among them, or NULL */
    place at;
};

struct thread {
    context ctx;
    stack *stk;
    uint3 id;
    int linear;
    thread_state state;
    const char *why; /* while it is blocked */
    place at;
    int barrier_result;
    meeting meet;
    async_queue async;
};

struct block_barrier {
    int need, arrived, waiting, value;
    barrier_op op;
    unsigned phase;
    place at;
    char sync[2];
    short waiter[THREADS];
};

struct block {
    grid_job *job;
    int threads, done;
    thread t[THREADS];
    thread *current;
    context main;
    block_barrier bar[BARRIERS];
    short queue[THREADS];
    int head, queued;
    char meeting_sync[4096]; /* fresh bytes for __syncwarp */
    unsigned meetings;
};
extern block g_block;

/* Block the thread that runs until someone calls wake. */
void wait_for(const char *why, place p);
void wake(thread *t);
/* Static or dynamic shared memory of the block that runs. */
bool is_shared(const void *p, size_t bytes);
} // namespace emu

#endif
