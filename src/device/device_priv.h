/* Inside of a device: a backend is two tables, memory and ops. */
#ifndef RS_DEVICE_DEVICE_PRIV_H
#define RS_DEVICE_DEVICE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "device/device.h"
#include "device/peak.h"
#include "device/queue.h"
#include "device/select.h"

/* What a backend has that works beside the host; NULL: all is done when a call returns. */
typedef struct rs_backend_queues {
    rs_status (*event_create)(rs_device *d, void **out);
    void (*event_destroy)(rs_device *d, void *e);
    void (*event_record)(rs_device *d, void *e, rs_queue q);
    void (*event_wait)(rs_device *d, void *e, rs_queue q);
    bool (*event_done)(rs_device *d, void *e);
    void *(*pin)(rs_device *d, size_t bytes); /* NULL when there is no room */
    void (*unpin)(rs_device *d, void *p);
    rs_status (*enlist)(rs_device *d, void *p, size_t bytes);
    void (*delist)(rs_device *d, void *p);
    void (*send)(rs_device *d, void *dst, const void *src, size_t bytes, rs_queue q);
    void (*fetch)(rs_device *d, void *dst, const void *src, size_t bytes, rs_queue q);
    void (*sync)(rs_device *d);
    void (*check)(rs_device *d); /* wait, and record what has failed meanwhile */
    void (*room)(rs_device *d, size_t *free_bytes, size_t *all_bytes);
    void *(*handle)(rs_device *d, rs_queue q);
    rs_status (*record)(rs_device *d);
    rs_status (*save)(rs_device *d, const char *path);
} rs_backend_queues;

typedef struct rs_backend {
    const char *name;
    rs_status (*open)(rs_device *d, const rs_device_opts *opts);
    void (*close)(rs_device *d);
    void *(*alloc)(rs_device *d, size_t bytes); /* NULL when there is no room */
    void (*release)(rs_device *d, void *p);
    void (*put)(rs_device *d, void *dst, const void *src, size_t bytes);
    void (*get)(rs_device *d, void *dst, const void *src, size_t bytes);
    void (*copy)(rs_device *d, void *dst, const void *src, size_t bytes);
    void (*zero)(rs_device *d, void *p, size_t bytes);
    rs_status (*peak)(rs_device *d, rs_peak *out);                            /* one sample */
    size_t (*attention_workspace)(rs_device *d, const rs_attention_shape *s); /* NULL: none */
    bool (*reserve)(rs_device *d, size_t bytes);                              /* NULL: no need */
    const rs_backend_queues *queues;
    void (*look)(rs_arena *a, rs_device_info *out);
#define OP(name, folder) void (*op_##name)(rs_device * d, const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP
} rs_backend;

extern const rs_backend rs_backend_cpu;
extern const rs_backend rs_backend_cuda; /* where RS_HAVE_CUDA is defined */

/* NULL: not built in. */
const rs_backend *rs_backend_find(const char *name);

/* One block of device memory; blocks form a list so that sizes are known when they are freed. */
typedef struct rs_device_block {
    struct rs_device_block *next;
    void *memory;
    size_t bytes;
} rs_device_block;

struct rs_event {
    rs_device *dev;
    void *handle; /* the backend's; NULL without queues */
};

struct rs_device {
    const rs_backend *backend;
    void *state; /* the backend's own */
    int threads;
    rs_precision precision;
    rs_dtype activation; /* F32 unless the backend's open says otherwise */
    bool gemm_terms, gemm_residual, fp8;
    bool host_memory; /* device memory is host memory: files are used in place */
    char fingerprint[256];
    rs_device_block *blocks;
    size_t bytes;
    size_t peak;
    _Atomic rs_status failed; /* sticky: the first failure of an op, on any thread */
    char failure[256];        /* complete before failed is set */
    pthread_mutex_t failing;
};

/* Record a failure of a launch or a library; only the first one is kept. */
void rs_device_fail(rs_device *d, rs_status st, const char *fmt, ...) RS_PRINTF(3, 4);

/* Contract of each op (ops_check.c): asserts with the op's name and the shapes. */
#define OP(name, folder) void rs_check_##name(const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP

#endif
