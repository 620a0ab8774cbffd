/* Measured rates of a CUDA device: a copy within its memory, and large matrix products. */
#include "base/num.h"
#include "device/cuda_priv.h"

/* 32 GFLOP and 134 MB: some milliseconds even on the slowest device that counts. */
enum { COPY_BYTES = 256 << 20, N = 4096, RUNS = 4 };

typedef struct stopwatch {
    cudaEvent_t from, to;
} stopwatch;

static rs_status elapsed(double *seconds, rs_device *d, const stopwatch *w)
{
    float ms = 0;
    RS_TRY(rs_cuda_try(cudaEventSynchronize(w->to), "event"));
    RS_TRY(rs_cuda_try(cudaEventElapsedTime(&ms, w->from, w->to), "elapsed time"));
    *seconds = (double)ms * 1e-3;
    return rs_device_check(d);
}

static rs_status copy_rate(double *gbs, rs_device *d, const stopwatch *w, char *memory)
{
    cudaStream_t s = ((cuda_state *)d->state)->ctx.compute;
    double t;
    rs_device_copy(d, memory + COPY_BYTES / 2, memory, COPY_BYTES / 2);
    RS_TRY(rs_cuda_try(cudaEventRecord(w->from, s), "event"));
    for (int i = 0; i < RUNS; i++)
        rs_device_copy(d, memory + COPY_BYTES / 2, memory, COPY_BYTES / 2);
    RS_TRY(rs_cuda_try(cudaEventRecord(w->to, s), "event"));
    RS_TRY(elapsed(&t, d, w));
    *gbs = RUNS * (double)COPY_BYTES / t * 1e-9; /* read and written */
    return RS_OK;
}

static rs_status gemm_rate(double *gflops, rs_device *d, const stopwatch *w, char *memory,
                           rs_dtype type)
{
    cudaStream_t s = ((cuda_state *)d->state)->ctx.compute;
    double t;
    size_t bytes = (size_t)N * N * rs_dtype_size(type);
    rs_tensor a = rs_tensor_of(memory, type, RS_SHAPE(N, N)), b = a, y = a;
    b.data = memory + bytes;
    y.data = memory + 2 * bytes;
    rs_gemm_args g = {.y = y, .a = a, .b = b, .trans_b = true};
    rs_cuda_gemm(d->state, &g);
    RS_TRY(rs_cuda_try(cudaEventRecord(w->from, s), "event"));
    for (int i = 0; i < RUNS; i++)
        rs_cuda_gemm(d->state, &g);
    RS_TRY(rs_cuda_try(cudaEventRecord(w->to, s), "event"));
    RS_TRY(elapsed(&t, d, w));
    *gflops = RUNS * 2.0 * N * N * N / t * 1e-9;
    return RS_OK;
}

rs_status rs_cuda_peak(rs_device *d, rs_peak *out)
{
    rs_status st = RS_OK;
    stopwatch w = {0};
    void *memory = NULL;
    RS_TRY(rs_device_alloc(d, &memory, COPY_BYTES));
    rs_device_zero(d, memory, COPY_BYTES);
    RS_TRY_OUT(rs_cuda_try(cudaEventCreate(&w.from), "event"));
    RS_TRY_OUT(rs_cuda_try(cudaEventCreate(&w.to), "event"));
    RS_TRY_OUT(copy_rate(&out->gbs, d, &w, memory));
    RS_TRY_OUT(gemm_rate(&out->gflops, d, &w, memory, RS_DTYPE_F32));
    RS_TRY_OUT(gemm_rate(&out->gflops_bf16, d, &w, memory, RS_DTYPE_BF16));
out:
    if (w.from)
        cudaEventDestroy(w.from);
    if (w.to)
        cudaEventDestroy(w.to);
    rs_device_free(d, memory);
    return st;
}
