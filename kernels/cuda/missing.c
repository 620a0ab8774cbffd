/* Ops whose CUDA kernel is not written: a clear failure of the step that calls one, never another
 * backend's result. Whoever writes a kernel deletes its line. */
#include "kernels/cuda/ops.h"

#define MISSING(name)                                                                              \
    void rs_cuda_##name(rs_cuctx *c, const rs_##name##_args *args)                                 \
    {                                                                                              \
        (void)args;                                                                                \
        rs_cuda_failed(c, #name, "this op has no CUDA kernel yet");                                \
    }
MISSING(gemm)
