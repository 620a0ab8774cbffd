/* Measured rates of a CUDA device: a copy within its memory, and large matrix products. */
#include "base/log.h"
#include "base/num.h"
#include "device/cuda_priv.h"

/* Products grow from LEAST to MOST rows until one takes ENOUGH seconds: only devices that are far
 * too slow (an emulated one) stop early. */
enum { COPY_BYTES = 256 << 20, LEAST = 256, MOST = 4096, RUNS = 4 };
static const double ENOUGH = 5e-3;

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

/* Seconds of `runs` products of n x n matrices. */
static rs_status gemm_time(double *seconds, rs_device *d, const stopwatch *w, char *memory,
                           rs_dtype type, int64_t n, int runs)
{
    cudaStream_t s = ((cuda_state *)d->state)->ctx.compute;
    size_t bytes = (size_t)(n * n) * rs_dtype_size(type);
    rs_tensor a = rs_tensor_of(memory, type, RS_SHAPE(n, n)), b = a, y = a;
    b.data = memory + bytes;
    y.data = memory + 2 * bytes;
    rs_gemm_args g = {.y = y, .a = a, .b = b, .trans_b = true};
    RS_TRY(rs_cuda_try(cudaEventRecord(w->from, s), "event"));
    for (int i = 0; i < runs; i++)
        rs_cuda_gemm(d->state, &g);
    RS_TRY(rs_cuda_try(cudaEventRecord(w->to, s), "event"));
    return elapsed(seconds, d, w);
}

static rs_status gemm_rate(double *gflops, rs_device *d, const stopwatch *w, char *memory,
                           rs_dtype type)
{
    double t = 0;
    int64_t n = LEAST;
    RS_TRY(gemm_time(&t, d, w, memory, type, n, 1)); /* the first one also loads code */
    for (;; n *= 2) { /* by the host's clock: an emulated device has none */
        double start = rs_now();
        RS_TRY(gemm_time(&t, d, w, memory, type, n, 1));
        if (n == MOST || rs_now() - start > ENOUGH)
            break;
    }
    RS_TRY(gemm_time(&t, d, w, memory, type, n, RUNS));
    *gflops = RUNS * 2.0 * (double)(n * n * n) / t * 1e-9;
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
