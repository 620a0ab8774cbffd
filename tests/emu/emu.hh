/* Inside of the emulated CUDA runtime: what its files tell one another.
 *
 *   emu_memory.cc   device memory (one arena), pinned memory, poison, checks of ranges
 *   emu_stream.cc   streams and events as queues; who runs next
 *   emu_sched.cc    a grid: blocks in some order, threads as fibers, barriers
 *   emu_warp.cc     warp operations
 *   emu_api.cc      the rest of the cuda* functions
 *
 * One lock guards all of it. Settings come from the environment (EMU_*), see README.md. */
#ifndef RS_TESTS_EMU_EMU_HH
#define RS_TESTS_EMU_EMU_HH

#include <cuda_runtime_api.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "tests/emu/emu_count.h"
#include "tests/emu/emu_launch.hh"
#include "tests/emu/emu_warp.hh"

namespace emu
{
struct lock {
    std::recursive_mutex mutex;
    int depth = 0;
};
extern lock g_lock;
extern emu_counts g_counts; /* under the lock */
struct guard {
    lock &l;
    explicit guard(lock &which) : l(which)
    {
        l.mutex.lock();
        l.depth++;
    }
    ~guard()
    {
        l.depth--;
        l.mutex.unlock();
    }
    guard(const guard &) = delete;
};
/* Let other threads in for a moment, whatever is held: waiting for other ranks must not keep a
 * watchdog out. Not from within an item. */
void breathe();
/* From now on items also run when no thread of the host asks, as collectives of other ranks wait
 * for this one's. */
void engine_start();

/* Print "emu: ..." and abort: a defect of the program under test. */
[[noreturn]] void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void vfail(const char *fmt, va_list ap);
/* "softmax_kernel(float*, ...)" of a function in this program, demangled; static storage. */
const char *function_name(const void *function);

enum order { ORDER_RR, ORDER_REV, ORDER_RAND };
enum stream_mode { STREAM_EAGER, STREAM_LAZY, STREAM_RAND };
order order_of_environment();
stream_mode stream_mode_of_environment();
/* EMU_NAME as a number, `otherwise` where it is not set. */
long long setting(const char *name, long long otherwise);

/* Counter-free generator (splitmix64): seeded orders are reproducible. */
struct rng {
    uint64_t s;
    uint64_t next();
    uint32_t below(uint32_t n); /* [0, n) */
};

/* Memory. */
enum { POISON = 0xff };
/* Where the range lies. */
enum where { OF_HOST, OF_PINNED, OF_DEVICE };
where where_is(const void *p);
/* A range of device memory must lie in one live allocation; `what` names the operation. */
void check_device_range(const char *what, const void *p, size_t bytes);
/* Device memory may be touched by this process between open and close (counted). */
void arena_open();
void arena_close();
void check_redzones(const char *when);
/* Device memory that a library takes (or gives back, negative) and nobody sees; false: no room. */
bool device_reserve(long long bytes);
/* The address sanitizer's shadow, nothing elsewhere. */
void asan_poison(const void *p, size_t bytes);
void asan_unpoison(const void *p, size_t bytes);

/* The grid that runs. */
struct grid_job {
    const void *function;
    const bound_kernel *kernel;
    dim3 grid, block;
    size_t smem;
    order ord;
    rng random;
};
void run_grid(grid_job *job);
/* True on a CUDA thread. */
bool in_kernel();

/* Device facts. */
int sm_of_device();
size_t smem_optin_of_device();
/* Dynamic shared memory that the function was allowed. */
size_t smem_limit(const void *function);
cudaError_t set_error(cudaError_t e);

/* Streams. */
struct item {
    virtual ~item() = default;
    /* Returns false while it must wait for others (a collective): it is asked again. */
    virtual bool run() = 0;
    uint64_t seq = 0;
};
struct stream;
/* Takes the item. */
cudaError_t enqueue(cudaStream_t s, item *i);
cudaError_t synchronize(cudaStream_t s);
order order_of_stream(cudaStream_t s);
uint64_t seed_of_stream(cudaStream_t s);
} // namespace emu

#endif
