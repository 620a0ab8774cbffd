/* Streams, events and page-locked memory of the CUDA backend; what the machine has. */
#include <stdint.h>

#include "device/cuda_priv.h"
#include "kernels/cuda/dnn.h"

static cudaStream_t stream_of(const rs_cuctx *c, rs_queue q)
{
    switch (q) {
    case RS_QUEUE_GATHER:
        return c->gather;
    case RS_QUEUE_COPY:
        return c->copy;
    case RS_QUEUE_BACK:
        return c->back;
    default:
        return c->compute;
    }
}

static rs_status event_create(rs_device *d, void **out)
{
    cudaEvent_t e = NULL;
    rs_cuda_use(d);
    RS_TRY(rs_cuda_try(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "event"));
    *out = e;
    return RS_OK;
}

static void event_destroy(rs_device *d, void *e)
{
    rs_cuda_use(d);
    rs_cuda_note(d, "event", cudaEventDestroy(e));
}

static void event_record(rs_device *d, void *e, rs_queue q)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "event", cudaEventRecord(e, stream_of(c, q)));
}

static void event_wait(rs_device *d, void *e, rs_queue q)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "event", cudaStreamWaitEvent(stream_of(c, q), e, 0));
}

/* A failure is over, too; the check says which. */
static bool event_done(rs_device *d, void *e)
{
    rs_cuda_use(d);
    cudaError_t r = cudaEventQuery(e);
    if (r == cudaErrorNotReady)
        return false;
    rs_cuda_note(d, "event", r);
    return true;
}

static void *pin(rs_device *d, size_t bytes)
{
    void *p = NULL;
    rs_cuda_use(d);
    if (cudaHostAlloc(&p, bytes ? bytes : 1, cudaHostAllocPortable) == cudaSuccess)
        return p;
    (void)cudaGetLastError(); /* the caller says it */
    return NULL;
}

static void unpin(rs_device *d, void *p)
{
    rs_cuda_queues.sync(d);
    rs_cuda_note(d, "free page-locked memory", cudaFreeHost(p));
}

static rs_status enlist(rs_device *d, void *p, size_t bytes)
{
    rs_cuda_use(d);
    return rs_cuda_try(cudaHostRegister(p, bytes, cudaHostRegisterPortable), "page-lock memory");
}

static void delist(rs_device *d, void *p)
{
    rs_cuda_queues.sync(d);
    rs_cuda_note(d, "unlock memory", cudaHostUnregister(p));
}

static void send(rs_device *d, void *dst, const void *src, size_t bytes, rs_queue q)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "copy",
                 cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, stream_of(c, q)));
}

static void fetch(rs_device *d, void *dst, const void *src, size_t bytes, rs_queue q)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "copy",
                 cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, stream_of(c, q)));
}

static void sync(rs_device *d)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "compute stream", cudaStreamSynchronize(c->compute));
    rs_cuda_note(d, "gather stream", cudaStreamSynchronize(c->gather));
    rs_cuda_note(d, "copy stream", cudaStreamSynchronize(c->copy));
    rs_cuda_note(d, "copy stream", cudaStreamSynchronize(c->back));
}

/* Waits for what the host is about to read, which is computed. Errors of the other streams, too,
 * are the context's and show here. */
static void check(rs_device *d)
{
    const rs_cuctx *c = &rs_cuda_use(d)->ctx;
    rs_cuda_note(d, "compute stream", cudaStreamSynchronize(c->compute));
    rs_cuda_note(d, "an earlier call", cudaGetLastError());
}

static void room(rs_device *d, size_t *free_bytes, size_t *all_bytes)
{
    rs_cuda_use(d);
    *free_bytes = *all_bytes = 0;
    rs_cuda_note(d, "memory info", cudaMemGetInfo(free_bytes, all_bytes));
}

static void *handle(rs_device *d, rs_queue q)
{
    return stream_of(&((cuda_state *)d->state)->ctx, q);
}

static rs_status record(rs_device *d)
{
    rs_blas_record(((cuda_state *)d->state)->ctx.blas);
    return RS_OK;
}

static rs_status save(rs_device *d, const char *path)
{
    return rs_blas_save(((cuda_state *)d->state)->ctx.blas, path);
}

const rs_backend_queues rs_cuda_queues = {
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
    .event_done = event_done,
    .pin = pin,
    .unpin = unpin,
    .enlist = enlist,
    .delist = delist,
    .send = send,
    .fetch = fetch,
    .sync = sync,
    .check = check,
    .room = room,
    .handle = handle,
    .record = record,
    .save = save,
};

static const char *device_text(rs_arena *a, int i)
{
    struct cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess)
        return "unreadable";
    return rs_arena_printf(a, "%s, sm_%d, %.1f GiB, %d SMs", p.name, p.major * 10 + p.minor,
                           (double)p.totalGlobalMem / 0x1p30, p.multiProcessorCount);
}

static const char *dnn_text(rs_arena *a)
{
    char why[RS_DNN_WHY];
    rs_dnn *d = rs_dnn_open(true, why);
    size_t v = d ? rs_dnn_version(d) : 0;
    const char *text =
        d ? rs_arena_printf(a, "cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100)
          : rs_arena_printf(a, "no cuDNN (%s)", why);
    rs_dnn_close(&d);
    return text;
}

void rs_cuda_look(rs_arena *a, rs_device_info *out)
{
    int n = 0, runtime = 0, driver = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    (void)cudaGetLastError();
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    const char *of =
        driver ? rs_arena_printf(a, "for CUDA %d.%d", driver / 1000, driver % 1000 / 10) : "none";
    out->libraries = rs_arena_printf(a, "CUDA runtime %d.%d, driver %s, %s, %s", runtime / 1000,
                                     runtime % 1000 / 10, of, rs_blas_library(a), dnn_text(a));
    if (e != cudaSuccess || n == 0) {
        out->why_none = e ? cudaGetErrorString(e) : "no device found";
        return;
    }
    out->devices = n;
    out->device = RS_NEW(a, const char *, n);
    for (int i = 0; i < n; i++)
        out->device[i] = device_text(a, i);
}
