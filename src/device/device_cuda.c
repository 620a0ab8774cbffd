/* CUDA backend: device memory, streams, the op table. Host code in plain C against the CUDA
 * runtime; the same objects run on a GPU and on the emulated runtime of tests/emu. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/cuda_priv.h"
#include "kernels/cuda/dnn.h"

static void op_failed(void *owner, const char *what, const char *why)
{
    rs_device_fail(owner, RS_DEVICE, "cuda: %s: %s", what, why);
}

rs_status rs_cuda_try(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return RS_OK;
    (void)cudaGetLastError(); /* said here, not again by the next check */
    return RS_FAIL(DEVICE, "cuda: %s: %s", what, cudaGetErrorString(e));
}

void rs_cuda_note(rs_device *d, const char *what, cudaError_t e)
{
    if (e != cudaSuccess)
        op_failed(d, what, cudaGetErrorString(e));
}

cuda_state *rs_cuda_use(rs_device *d)
{
    cuda_state *s = d->state;
    rs_cuda_note(d, "current device", cudaSetDevice(s->device));
    return s;
}

static rs_status device_facts(cuda_state *s)
{
    struct cudaDeviceProp p;
    rs_cuctx *c = &s->ctx;
    RS_TRY(rs_cuda_try(cudaSetDevice(s->device), "current device"));
    RS_TRY(rs_cuda_try(cudaGetDeviceProperties(&p, s->device), "device properties"));
    c->sm = p.major * 10 + p.minor;
    c->sm_count = p.multiProcessorCount;
    c->memory = p.totalGlobalMem;
    c->smem_optin = p.sharedMemPerBlockOptin;
    snprintf(s->name, sizeof s->name, "%.*s", (int)sizeof s->name - 1, p.name);
    if (c->sm < 80)
        return RS_FAIL(DEVICE, "cuda: %s has compute capability %d.%d; 8.0 is needed", p.name,
                       p.major, p.minor);
    return RS_OK;
}

/* Products with a scale per row of 8-bit operands: cuBLASLt has them since 12.9, for Hopper. */
static rs_status has_fp8(const cuda_state *s)
{
    if (s->ctx.sm != 90)
        return RS_FAIL(CONFIG,
                       "model.fp8: cuBLASLt scales 8-bit rows on compute capability 9.0 (Hopper) "
                       "only; %s has %d.%d",
                       s->name, s->ctx.sm / 10, s->ctx.sm % 10);
    if (rs_blas_version() < RS_BLAS_FP8)
        return RS_FAIL(CONFIG, "model.fp8 needs cuBLASLt 12.9; this is %zu", rs_blas_version());
    return RS_OK;
}

static bool grow_workspace(void *owner, size_t bytes)
{
    rs_device *d = owner;
    rs_cuctx *c = &rs_cuda_use(d)->ctx;
    cudaStreamSynchronize(c->compute);
    cudaFree(c->workspace);
    d->bytes -= c->workspace_bytes;
    c->workspace = NULL;
    c->workspace_bytes = 0;
    if (cudaMalloc(&c->workspace, bytes) != cudaSuccess) {
        (void)cudaGetLastError(); /* the caller says it */
        return false;
    }
    c->workspace_bytes = bytes;
    d->bytes += bytes;
    d->peak = d->bytes > d->peak ? d->bytes : d->peak;
    return true;
}

static size_t attention_workspace(rs_device *d, const rs_attention_shape *s)
{
    return rs_cuda_attention_workspace(&rs_cuda_use(d)->ctx, s, d->activation == RS_DTYPE_BF16);
}

static bool reserve(rs_device *d, size_t bytes)
{
    rs_cuctx *c = &rs_cuda_use(d)->ctx;
    return bytes <= c->workspace_bytes || grow_workspace(d, bytes);
}

/* RS_CUDNN=0 keeps to the own attention kernels; fast takes the backward of cuDNN whose bits vary
 * from run to run. */
static void open_dnn(rs_cuctx *c)
{
    const char *wanted = getenv("RS_CUDNN");
    char why[RS_DNN_WHY];
    if (!wanted || strcmp(wanted, "0") != 0)
        c->dnn = rs_dnn_open(false, why);
    c->fast = c->dnn && wanted && strcmp(wanted, "fast") == 0;
}

static rs_status open_streams(cuda_state *s, const char *gemm_table)
{
    rs_cuctx *c = &s->ctx;
    RS_TRY(rs_cuda_try(cudaStreamCreateWithFlags(&c->compute, cudaStreamNonBlocking), "stream"));
    RS_TRY(rs_cuda_try(cudaStreamCreateWithFlags(&c->gather, cudaStreamNonBlocking), "stream"));
    RS_TRY(rs_cuda_try(cudaStreamCreateWithFlags(&c->copy, cudaStreamNonBlocking), "stream"));
    RS_TRY(rs_cuda_try(cudaStreamCreateWithFlags(&c->back, cudaStreamNonBlocking), "stream"));
    if (!grow_workspace(c->owner, RS_BLAS_WORKSPACE))
        return RS_FAIL(NOMEM, "cuda: no room for a workspace of %d MiB", RS_BLAS_WORKSPACE >> 20);
    return rs_blas_open(&c->blas, c, s->name, gemm_table);
}

static void cuda_close(rs_device *d)
{
    cuda_state *s = d->state;
    rs_cuctx *c = &s->ctx;
    (void)cudaSetDevice(s->device);
    rs_blas_close(&c->blas);
    if (c->compute)
        cudaStreamDestroy(c->compute);
    if (c->gather)
        cudaStreamDestroy(c->gather);
    if (c->copy)
        cudaStreamDestroy(c->copy);
    if (c->back)
        cudaStreamDestroy(c->back);
    cudaFree(c->workspace);
    rs_att_plans_free(&c->att_plans);
    rs_dnn_close(&c->dnn);
    rs_dealloc(s);
    d->state = NULL;
}

static void describe(rs_device *d, const cuda_state *s)
{
    int runtime = 0, driver = 0;
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    const rs_cuctx *c = &s->ctx;
    const char *attention = c->fast ? "cudnn-fast-" : c->dnn ? "cudnn-" : "own-";
    snprintf(d->fingerprint, sizeof d->fingerprint,
             "cuda sm_%d (%.80s) %s%s, runtime %d.%d, %s, attention=%s%zu", c->sm, s->name,
             rs_precision_name(d->precision), d->fp8 ? " fp8" : "", runtime / 1000,
             runtime % 1000 / 10, rs_blas_describe(c->blas), attention,
             c->dnn ? rs_dnn_version(c->dnn) : (size_t)80);
    RS_LOG(DETAIL, "%s; driver for CUDA %d.%d", d->fingerprint, driver / 1000, driver % 1000 / 10);
}

static rs_status cuda_open(rs_device *d, const rs_device_opts *opts)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess || n == 0)
        return RS_FAIL(DEVICE, "cuda: no device: %s", e ? cudaGetErrorString(e) : "none found");
    cuda_state *s = rs_alloc(1, sizeof *s);
    s->ctx.failed = op_failed;
    s->ctx.grow = grow_workspace;
    s->ctx.owner = d;
    s->device = opts->local_rank % n;
    d->activation = opts->precision == RS_PRECISION_BF16 ? RS_DTYPE_BF16 : RS_DTYPE_F32;
    d->state = s;
    d->threads = opts->threads > 0 ? opts->threads : 1;
    if (opts->local_rank == n)
        RS_LOG(WARN, "this host has %d CUDA devices for more ranks: they share them", n);
    rs_status st = device_facts(s);
    if (st == RS_OK && opts->fp8)
        st = has_fp8(s);
    if (st == RS_OK)
        st = open_streams(s, opts->gemm_table);
    if (st != RS_OK) {
        cuda_close(d);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    open_dnn(&s->ctx);
    describe(d, s);
    return RS_OK;
}

static void *cuda_alloc(rs_device *d, size_t bytes)
{
    void *p = NULL;
    rs_cuda_use(d);
    if (cudaMalloc(&p, bytes ? bytes : 1) == cudaSuccess)
        return p;
    (void)cudaGetLastError(); /* the caller says it */
    return NULL;
}

/* Whatever still uses it is done first. */
static void cuda_release(rs_device *d, void *p)
{
    rs_cuda_queues.sync(d);
    rs_cuda_note(d, "free", cudaFree(p));
}

static void moved(rs_device *d, const rs_cuctx *c, cudaError_t e, bool wait)
{
    if (e == cudaSuccess && wait)
        e = cudaStreamSynchronize(c->compute);
    rs_cuda_note(d, "copy", e);
}

static void cuda_put(rs_device *d, void *dst, const void *src, size_t bytes)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    if (bytes)
        moved(d, c, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, c->compute), true);
}

static void cuda_get(rs_device *d, void *dst, const void *src, size_t bytes)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    if (bytes)
        moved(d, c, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c->compute), true);
}

static void cuda_copy(rs_device *d, void *dst, const void *src, size_t bytes)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    if (bytes && dst != src)
        moved(d, c, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, c->compute), false);
}

static void cuda_zero(rs_device *d, void *p, size_t bytes)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    if (bytes)
        moved(d, c, cudaMemsetAsync(p, 0, bytes, c->compute), false);
}

#define OP(name, folder)                                                                           \
    static void cuda_op_##name(rs_device *d, const rs_##name##_args *args)                         \
    {                                                                                              \
        rs_cuda_##name(d->state, args);                                                            \
    }
#include "kernels/OPS.def"
#undef OP

const rs_backend rs_backend_cuda = {
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .put = cuda_put,
    .get = cuda_get,
    .copy = cuda_copy,
    .zero = cuda_zero,
    .peak = rs_cuda_peak,
    .attention_workspace = attention_workspace,
    .reserve = reserve,
    .queues = &rs_cuda_queues,
    .look = rs_cuda_look,
#define OP(name, folder) .op_##name = cuda_op_##name,
#include "kernels/OPS.def"
#undef OP
};
