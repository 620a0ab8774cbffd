/* Launches and what a kernel sees of its block: built-in variables, barriers, dynamic memory. */
#ifndef RS_TESTS_EMU_EMU_LAUNCH_HH
#define RS_TESTS_EMU_EMU_LAUNCH_HH

#include <cuda_runtime_api.h>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

/* Rewritten by the scheduler at each switch. Not macros: cudaLaunchConfig_t has members with these
 * names. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

namespace emu
{
/* A kernel with its arguments, as it waits in a stream. */
struct bound_kernel {
    virtual ~bound_kernel() = default;
    virtual void run() const = 0; /* one thread */
};

template <typename... P> struct bound final : bound_kernel {
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> args;
    template <typename... A>
    explicit bound(void (*k)(P...), A &&...a) : kernel(k), args(std::forward<A>(a)...)
    {
    }
    void run() const override
    {
        std::apply(kernel, args);
    }
};

/* Takes the kernel. */
cudaError_t launch(const cudaLaunchConfig_t *cfg, const void *function, bound_kernel *kernel);
/* Argument `index` of the kernel about to be launched must be device memory (or null). */
void check_pointer(const void *function, int index, const void *p);

template <typename T> void check_arg(const void *function, int index, const T &value)
{
    if constexpr (std::is_pointer_v<T>)
        check_pointer(function, index, (const void *)value);
    (void)function, (void)index, (void)value;
}

void *dyn_smem();

struct place {
    const char *file;
    int line;
};
#define EMU_HERE emu::place p = {__builtin_FILE(), __builtin_LINE()}

enum barrier_op { BARRIER_WAIT, BARRIER_COUNT, BARRIER_AND, BARRIER_OR };
/* Barrier `id` of the block; `threads` 0: all of them. The result is the op's over `value`. */
int barrier(int id, int threads, barrier_op op, int value, place p);
void barrier_arrive(int id, int threads, place p);
[[noreturn]] void kernel_error(place p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void nap();
} // namespace emu

template <typename... P, typename... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *cfg, void (*kernel)(P...), A &&...args)
{
    int index = 0;
    (emu::check_arg<std::decay_t<P>>((const void *)kernel, index++, args), ...);
    (void)index;
    return emu::launch(cfg, (const void *)kernel,
                       new emu::bound<P...>(kernel, std::forward<A>(args)...));
}

static inline void __syncthreads(EMU_HERE)
{
    emu::barrier(0, 0, emu::BARRIER_WAIT, 0, p);
}
static inline int __syncthreads_count(int value, EMU_HERE)
{
    return emu::barrier(0, 0, emu::BARRIER_COUNT, value, p);
}
static inline int __syncthreads_and(int value, EMU_HERE)
{
    return emu::barrier(0, 0, emu::BARRIER_AND, value, p);
}
static inline int __syncthreads_or(int value, EMU_HERE)
{
    return emu::barrier(0, 0, emu::BARRIER_OR, value, p);
}
static inline void __nanosleep(unsigned)
{
    emu::nap();
}
static inline void __threadfence()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void __threadfence_block()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void __threadfence_system()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
[[noreturn]] static inline void __trap(EMU_HERE)
{
    emu::kernel_error(p, "__trap");
}

#endif
