/* Between the CUDA attention files: one call with plain pointers, and its implementations.
 *   cudnn   where the library is found (attention_cudnn.h), bf16, head dims 64 and 128
 *   tensor  bf16 on tensor cores, head dims 32, 64, 80, 96, 128, rows 16 bytes aligned
 *   any     fp32 or bf16 storage, any head dim up to 256, on CUDA cores */
#ifndef RS_KERNELS_ATTENTION_CUDA_H
#define RS_KERNELS_ATTENTION_CUDA_H

#include "kernels/cuda/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rs_att_call {
    void *o, *dq, *dk, *dv;
    float *lse; /* (N, Sq), may be NULL in the forward */
    const void *q, *k, *v, *d_o;
    const void *o_read; /* backward: this softmax's own output */
    const float *bias;  /* bias_rel or NULL */
    float *dot;         /* backward: rowsum(dO * O), (N, Sq), in the workspace */
    int64_t ldo, lddq, lddk, lddv, ldl, ldq, ldk, ldv, lddo, ldb;
    int64_t sq, sk, heads;
    float scale, last_log2; /* log2 of last_key_count */
    bool accumulate;        /* into o, or into dq */
    bool round;             /* fp32 storage: products of values rounded to bf16 */
} rs_att_call;

#ifdef __cplusplus
}

/* Enqueue; false: not for this head dim, nothing was done. */
bool rs_att_fwd_tensor(rs_cuctx *c, const rs_att_call &p, int64_t d);
bool rs_att_bwd_tensor(rs_cuctx *c, const rs_att_call &p, int64_t d);
void rs_att_fwd_any(rs_cuctx *c, const rs_att_call &p, int64_t d, bool bf16);
void rs_att_bwd_any(rs_cuctx *c, const rs_att_call &p, int64_t d, bool bf16);
#endif

#endif
