/* Inside of a device: a backend is two tables, memory and ops. */
#ifndef RS_DEVICE_DEVICE_PRIV_H
#define RS_DEVICE_DEVICE_PRIV_H

#include "device/device.h"
#include "device/peak.h"

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
    rs_status (*peak)(rs_device *d, rs_peak *out); /* one sample */
#define OP(name, folder) void (*op_##name)(rs_device * d, const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP
} rs_backend;

extern const rs_backend rs_backend_cpu;

/* One block of device memory; blocks form a list so that sizes are known when they are freed. */
typedef struct rs_device_block {
    struct rs_device_block *next;
    void *memory;
    size_t bytes;
} rs_device_block;

struct rs_device {
    const rs_backend *backend;
    void *state; /* the backend's own */
    int threads;
    rs_precision precision;
    rs_dtype activation; /* F32 unless the backend's open says otherwise */
    bool gemm_terms;
    bool host_memory; /* device memory is host memory: files are used in place */
    char fingerprint[256];
    rs_device_block *blocks;
    size_t bytes;
    size_t peak;
    rs_status failed; /* sticky: the first failure of an op */
    char failure[256];
};

/* Record a failure of a launch or a library; only the first one is kept. */
void rs_device_fail(rs_device *d, rs_status st, const char *fmt, ...) RS_PRINTF(3, 4);

/* Contract of each op (ops_check.c): asserts with the op's name and the shapes. */
#define OP(name, folder) void rs_check_##name(const rs_##name##_args *args);
#include "kernels/OPS.def"
#undef OP

#endif
