/* CUDA backend: device memory, streams, the op table. Host code in plain C against the CUDA
 * runtime; the same objects run on a GPU and on the emulated runtime of tests/emu. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device_priv.h"
#include "kernels/cuda/dnn.h"
#include "kernels/cuda/ops.h"

enum { WORKSPACE = 32 << 20 }; /* cuBLASLt's recommendation for Hopper */

static void op_failed(void *owner, const char *what, const char *why)
{
    rs_device_fail(owner, RS_DEVICE, "cuda: %s: %s", what, why);
}

static rs_status cuda_try(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return RS_OK;
    return RS_FAIL(DEVICE, "cuda: %s: %s", what, cudaGetErrorString(e));
}

static rs_status device_facts(rs_cuctx *c, char *name, size_t size)
{
    int dev = 0;
    struct cudaDeviceProp p;
    RS_TRY(cuda_try(cudaGetDevice(&dev), "current device"));
    RS_TRY(cuda_try(cudaGetDeviceProperties(&p, dev), "device properties"));
    c->sm = p.major * 10 + p.minor;
    c->sm_count = p.multiProcessorCount;
    c->smem_optin = p.sharedMemPerBlockOptin;
    snprintf(name, size, "%.*s", (int)size - 1, p.name);
    if (c->sm < 80)
        return RS_FAIL(DEVICE, "cuda: %s has compute capability %d.%d; 8.0 is needed", p.name,
                       p.major, p.minor);
    return RS_OK;
}

static bool grow_workspace(void *owner, size_t bytes)
{
    rs_device *d = owner;
    rs_cuctx *c = d->state;
    cudaStreamSynchronize(c->compute);
    cudaFree(c->workspace);
    d->bytes -= c->workspace_bytes;
    c->workspace = NULL;
    c->workspace_bytes = 0;
    if (cudaMalloc(&c->workspace, bytes) != cudaSuccess)
        return false;
    c->workspace_bytes = bytes;
    d->bytes += bytes;
    d->peak = d->bytes > d->peak ? d->bytes : d->peak;
    return true;
}

/* RS_CUDNN=0 keeps to the own attention kernels; fast takes cuDNN's backward, too, whose bits vary
 * from run to run. */
static void open_dnn(rs_cuctx *c)
{
    const char *wanted = getenv("RS_CUDNN");
    char why[RS_DNN_WHY];
    if (!wanted || strcmp(wanted, "0") != 0)
        c->dnn = rs_dnn_open(false, why);
    c->fast = c->dnn && wanted && strcmp(wanted, "fast") == 0;
}

static rs_status open_streams(rs_cuctx *c)
{
    RS_TRY(cuda_try(cudaStreamCreateWithFlags(&c->compute, cudaStreamNonBlocking), "stream"));
    RS_TRY(cuda_try(cudaStreamCreateWithFlags(&c->gather, cudaStreamNonBlocking), "stream"));
    RS_TRY(cuda_try(cudaStreamCreateWithFlags(&c->copy, cudaStreamNonBlocking), "stream"));
    if (!grow_workspace(c->owner, WORKSPACE))
        return RS_FAIL(NOMEM, "cuda: no room for a workspace of %d MiB", WORKSPACE >> 20);
    return RS_OK;
}

static void cuda_close(rs_device *d)
{
    rs_cuctx *c = d->state;
    if (c->compute)
        cudaStreamDestroy(c->compute);
    if (c->gather)
        cudaStreamDestroy(c->gather);
    if (c->copy)
        cudaStreamDestroy(c->copy);
    cudaFree(c->workspace);
    rs_att_plans_free(&c->att_plans);
    rs_dnn_close(&c->dnn);
    rs_dealloc(c);
    d->state = NULL;
}

static rs_status cuda_open(rs_device *d, const rs_device_opts *opts)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess || n == 0)
        return RS_FAIL(DEVICE, "cuda: no device: %s", e ? cudaGetErrorString(e) : "none found");
    rs_cuctx *c = rs_alloc(1, sizeof *c);
    c->failed = op_failed;
    c->grow = grow_workspace;
    c->owner = d;
    d->state = c;
    d->threads = opts->threads > 0 ? opts->threads : 1;
    char name[128]; /* what fits into a fingerprint */
    rs_status st = device_facts(c, name, sizeof name);
    if (st == RS_OK)
        st = open_streams(c);
    if (st != RS_OK) {
        cuda_close(d);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    open_dnn(c);
    int version = 0;
    cudaRuntimeGetVersion(&version);
    snprintf(d->fingerprint, sizeof d->fingerprint,
             "cuda sm_%d (%s), runtime %d.%d, attention=%s%zu", c->sm, name, version / 1000,
             version % 1000 / 10,
             c->fast  ? "cudnn-fast-"
             : c->dnn ? "cudnn-"
                      : "own-",
             c->dnn ? rs_dnn_version(c->dnn) : (size_t)80);
    return RS_OK;
}

static void *cuda_alloc(rs_device *d, size_t bytes)
{
    (void)d;
    void *p = NULL;
    return cudaMalloc(&p, bytes ? bytes : 1) == cudaSuccess ? p : NULL;
}

static void cuda_release(rs_device *d, void *p)
{
    rs_cuctx *c = d->state;
    cudaStreamSynchronize(c->compute);
    cudaFree(p);
}

static void moved(rs_device *d, cudaError_t e, bool wait)
{
    rs_cuctx *c = d->state;
    if (e == cudaSuccess && wait)
        e = cudaStreamSynchronize(c->compute);
    if (e != cudaSuccess)
        op_failed(d, "copy", cudaGetErrorString(e));
}

static void cuda_put(rs_device *d, void *dst, const void *src, size_t bytes)
{
    rs_cuctx *c = d->state;
    moved(d, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, c->compute), true);
}

static void cuda_get(rs_device *d, void *dst, const void *src, size_t bytes)
{
    rs_cuctx *c = d->state;
    moved(d, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, c->compute), true);
}

static void cuda_copy(rs_device *d, void *dst, const void *src, size_t bytes)
{
    rs_cuctx *c = d->state;
    moved(d, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, c->compute), false);
}

static void cuda_zero(rs_device *d, void *p, size_t bytes)
{
    rs_cuctx *c = d->state;
    moved(d, cudaMemsetAsync(p, 0, bytes, c->compute), false);
}

static rs_status cuda_peak(rs_device *d, rs_peak *out)
{
    (void)d;
    (void)out;
    return RS_FAIL(DEVICE, "cuda: peaks are not measured yet");
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
    .peak = cuda_peak,
#define OP(name, folder) .op_##name = cuda_op_##name,
#include "kernels/OPS.def"
#undef OP
};
