/* Inside of the CUDA device. Every thread that calls the runtime sets its device first: the current
 * device is a thread's own. */
#ifndef RS_DEVICE_CUDA_PRIV_H
#define RS_DEVICE_CUDA_PRIV_H

#include <cuda_runtime_api.h>

#include "device/device_priv.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/ops.h"

typedef struct cuda_state {
    rs_cuctx ctx; /* first: what the ops get */
    int device;   /* the runtime's number */
    char name[128];
} cuda_state;

/* RS_DEVICE: "cuda: <what>: <the runtime's text>". */
rs_status rs_cuda_try(cudaError_t e, const char *what) RS_NODISCARD;
/* Record a failure, if it is one (any thread). */
void rs_cuda_note(rs_device *d, const char *what, cudaError_t e);
/* The device's state; makes it this thread's current device. */
cuda_state *rs_cuda_use(rs_device *d);

extern const rs_backend_queues rs_cuda_queues; /* queue_cuda.c */
void rs_cuda_look(rs_arena *a, rs_device_info *out);
rs_status rs_cuda_peak(rs_device *d, rs_peak *out); /* peak_cuda.c */

#endif
