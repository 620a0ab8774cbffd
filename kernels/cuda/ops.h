/* The CUDA backend's functions, one per row of OPS.def. */
#ifndef RS_KERNELS_CUDA_OPS_H
#define RS_KERNELS_CUDA_OPS_H

#include "kernels/cuda/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops_all.h"

#define OP(name, folder) void rs_cuda_##name(rs_cuctx *c, const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP

/* Bytes of workspace that an attention of bf16 (or fp32) tensors needs; what the first call of the
 * shape would make (a plan of cuDNN's) is made. */
size_t rs_cuda_attention_workspace(rs_cuctx *c, const rs_attention_shape *s, bool bf16);
#ifdef __cplusplus
}
#endif
#endif
