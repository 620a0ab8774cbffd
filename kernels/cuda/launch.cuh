/* How kernels are launched and how they name their dynamic shared memory: the same text for nvcc
 * and for the emulated build (tests/emu), which brings its own cudaLaunchKernelEx. No kernel uses
 * chevrons or `extern __shared__`. */
#ifndef RS_KERNELS_CUDA_LAUNCH_CUH
#define RS_KERNELS_CUDA_LAUNCH_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#include "kernels/cuda/ctx.h"

/* One dynamic array per kernel, carved by hand: RS_DYN_SMEM(float, s); */
#ifndef RS_DYN_SMEM
#define RS_DYN_SMEM(T, name)                                                                       \
    extern __shared__ __align__(128) unsigned char rs_dyn_smem_raw[];                              \
    T *name = reinterpret_cast<T *>(rs_dyn_smem_raw)
#endif

/* Enqueue kernel(args...) on the compute stream with `smem` bytes of dynamic shared memory. */
template <typename... Params, typename... Args>
static inline void rs_launch(rs_cuctx *c, const char *what, void (*kernel)(Params...), dim3 grid,
                             dim3 block, size_t smem, Args... args)
{
    if (smem > 48 * 1024) {
        cudaError_t e = cudaFuncSetAttribute(
            (const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)smem);
        if (e != cudaSuccess) {
            rs_cuda_launched(c, what, e);
            return;
        }
    }
    cudaLaunchConfig_t cfg = {};
    cfg.gridDim = grid;
    cfg.blockDim = block;
    cfg.dynamicSmemBytes = smem;
    cfg.stream = c->compute;
    rs_cuda_launched(c, what, cudaLaunchKernelEx(&cfg, kernel, static_cast<Params>(args)...));
}

/* Blocks for n elements at `per` a block, at least 1. */
static inline unsigned rs_blocks(int64_t n, int64_t per)
{
    int64_t b = (n + per - 1) / per;
    return (unsigned)(b > 0 ? b : 1);
}

#endif
