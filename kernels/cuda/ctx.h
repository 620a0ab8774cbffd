/* What every CUDA op shares: streams, device facts, workspace and how it fails. Created by the
 * device (device/device_cuda.c); C and CUDA C++ include this.
 *
 * rs_cuda_<op>(ctx, args) enqueues on ctx->compute and returns; it neither allocates nor
 * synchronises. Tensors point to device memory. Arguments were checked by the device layer.
 *
 * Storage types. Tensors of parameters (weight, bias, scale, shift, gate), statistics (lse, loss),
 * latents, adapters, their gradients and AdamW's state are F32. Activations and frozen matrices are
 * F32 or BF16, each tensor its own type where an op's header allows it; arithmetic is fp32, and a
 * value is rounded to its storage type (nearest even) once, when written. With all tensors F32 an
 * op matches the CPU's within the case table's tolerances.
 *
 * A launch that fails calls rs_cuda_failed, which records the first failure; the device layer skips
 * later ops and reports it once per step. */
#ifndef RS_KERNELS_CUDA_CTX_H
#define RS_KERNELS_CUDA_CTX_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rs_cuctx {
    cudaStream_t compute; /* ops */
    cudaStream_t gather;  /* NCCL */
    cudaStream_t copy;    /* host to device: weights, activations that were offloaded */
    cudaStream_t back;    /* device to host */
    int sm;               /* compute capability: 80, 90, 100 */
    int sm_count;
    size_t memory;                  /* of the device, bytes */
    size_t smem_optin;              /* most dynamic shared memory of a block, bytes */
    struct rs_blas *blas;           /* cuBLASLt and its algorithms (kernels/cuda/blas.h) */
    void *workspace;                /* device memory for the op that runs now, on compute */
    size_t workspace_bytes;         /* counted in the plan; see rs_cuda_workspace */
    struct rs_dnn *dnn;             /* cuDNN, or NULL: not here or not wanted */
    bool fast;                      /* sums may be in any order: bits may differ from run to run */
    struct rs_att_plans *att_plans; /* cuDNN's plans of attention, by shape */
    bool (*grow)(void *owner, size_t bytes); /* the device's: a workspace of that size */
    void (*failed)(void *owner, const char *what, const char *why);
    void *owner;
} rs_cuctx;

/* `what` is the op; `why` the library's text. */
void rs_cuda_failed(rs_cuctx *c, const char *what, const char *why);
/* At least `bytes` of workspace; its contents are lost when it grows, which happens only the first
 * time that a larger shape comes by. false, after rs_cuda_failed: no room. */
bool rs_cuda_workspace(rs_cuctx *c, size_t bytes);
void rs_att_plans_free(struct rs_att_plans **p);
/* The error of a launch just made, if any. */
void rs_cuda_launched(rs_cuctx *c, const char *what, cudaError_t e);

#ifdef __cplusplus
}
#endif
#endif
