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
MISSING(layernorm_fwd)
MISSING(layernorm_bwd)
MISSING(rmsnorm_fwd)
MISSING(rmsnorm_bwd)
MISSING(rope_fwd)
MISSING(rope_bwd)
MISSING(gate_add)
MISSING(gate_mul)
MISSING(act_fwd)
MISSING(act_bwd)
MISSING(glu_fwd)
MISSING(patchify)
MISSING(unpatchify)
MISSING(conv3d)
MISSING(lincomb)
MISSING(affine)
MISSING(mse)
MISSING(sumsq)
MISSING(adamw)
MISSING(noise)
MISSING(embed)
MISSING(transpose)
