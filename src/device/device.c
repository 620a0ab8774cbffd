#include "device/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "device/device_priv.h"

static const rs_backend *const BACKENDS[] = {
    &rs_backend_cpu,
#ifdef RS_HAVE_CUDA
    &rs_backend_cuda,
#endif
};

const rs_backend *rs_backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof BACKENDS / sizeof BACKENDS[0]; i++)
        if (strcmp(BACKENDS[i]->name, name) == 0)
            return BACKENDS[i];
    return NULL;
}

rs_status rs_device_open(rs_device **out, const rs_device_opts *opts)
{
    const rs_device_opts none = {0};
    if (!opts)
        opts = &none;
    const char *name = opts->backend ? opts->backend : "cpu";
    const rs_backend *b = rs_backend_find(name);
    if (!b)
        return RS_FAIL(DEVICE, "backend '%s' is not built in", name);
    if (opts->threads < 0)
        return RS_FAIL(DEVICE, "backend '%s': %d threads", name, opts->threads);
    if (opts->fp8 && opts->precision != RS_PRECISION_BF16)
        return RS_FAIL(CONFIG, "model.fp8 needs model.precision: bf16");
    if (opts->fp8 && b == &rs_backend_cpu && !opts->plan_gpu)
        return RS_FAIL(CONFIG, "model.fp8 needs a GPU (cluster.backend cuda): the CPU backend has "
                               "no products of 8-bit operands");
    rs_device *d = rs_alloc(1, sizeof *d);
    d->backend = b;
    d->fp8 = opts->fp8;
    d->precision = opts->precision;
    d->activation = RS_DTYPE_F32;
    pthread_mutex_init(&d->failing, NULL);
    rs_status st = b->open(d, opts);
    if (st != RS_OK) {
        pthread_mutex_destroy(&d->failing);
        rs_dealloc(d);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = d;
    return RS_OK;
}

void rs_device_destroy(rs_device **d)
{
    if (!d || !*d)
        return;
    while ((*d)->blocks)
        rs_device_free(*d, (*d)->blocks->memory);
    (*d)->backend->close(*d);
    pthread_mutex_destroy(&(*d)->failing);
    rs_dealloc(*d);
    *d = NULL;
}

const char *rs_precision_name(rs_precision p)
{
    return p == RS_PRECISION_BF16 ? "bf16" : "fp32";
}

bool rs_precision_find(rs_precision *out, const char *name)
{
    for (*out = RS_PRECISION_FP32; *out <= RS_PRECISION_BF16; ++*out)
        if (strcmp(rs_precision_name(*out), name) == 0)
            return true;
    return false;
}

rs_precision rs_device_precision(const rs_device *d)
{
    return d->precision;
}

rs_dtype rs_device_activation_dtype(const rs_device *d)
{
    return d->activation;
}

bool rs_device_gemm_terms(const rs_device *d)
{
    return d->gemm_terms;
}

bool rs_device_fp8(const rs_device *d)
{
    return d->fp8;
}

bool rs_device_gemm_residual(const rs_device *d)
{
    return d->gemm_residual;
}

rs_dtype rs_device_matrix_dtype(const rs_device *d, rs_dtype stored)
{
    if (stored == RS_DTYPE_BF16)
        return RS_DTYPE_BF16;
    if (d->precision == RS_PRECISION_FP32 || (stored == RS_DTYPE_F32 && d->host_memory))
        return RS_DTYPE_F32;
    return RS_DTYPE_BF16;
}

bool rs_device_host_memory(const rs_device *d)
{
    return d->host_memory;
}

const char *rs_device_backend(const rs_device *d)
{
    return d->backend->name;
}

int rs_device_threads(const rs_device *d)
{
    return d->threads;
}

const char *rs_device_fingerprint(const rs_device *d)
{
    return d->fingerprint;
}

rs_status rs_device_alloc(rs_device *d, void **out, size_t bytes)
{
    void *p = d->backend->alloc(d, bytes);
    if (!p)
        return RS_FAIL(NOMEM, "%s device: no room for %.1f MiB (%zu bytes; %.1f MiB held)",
                       d->backend->name, (double)bytes / 0x1p20, bytes, (double)d->bytes / 0x1p20);
    rs_device_block *b = rs_alloc(1, sizeof *b);
    *b = (rs_device_block){.next = d->blocks, .memory = p, .bytes = bytes};
    d->blocks = b;
    d->bytes += bytes;
    if (d->bytes > d->peak)
        d->peak = d->bytes;
    *out = p;
    return RS_OK;
}

void rs_device_free(rs_device *d, void *p)
{
    if (!p)
        return;
    rs_device_block **at = &d->blocks;
    while (*at && (*at)->memory != p)
        at = &(*at)->next;
    rs_device_block *b = *at;
    RS_ASSERTF(b, "%p is not memory of this device", p);
    *at = b->next;
    d->bytes -= b->bytes;
    d->backend->release(d, p);
    rs_dealloc(b);
}

size_t rs_device_bytes(const rs_device *d)
{
    return d->bytes;
}

size_t rs_device_peak_bytes(const rs_device *d)
{
    return d->peak;
}

void rs_device_put(rs_device *d, void *dst_device, const void *src_host, size_t bytes)
{
    d->backend->put(d, dst_device, src_host, bytes);
}

void rs_device_get(rs_device *d, void *dst_host, const void *src_device, size_t bytes)
{
    d->backend->get(d, dst_host, src_device, bytes);
}

void rs_device_copy(rs_device *d, void *dst, const void *src, size_t bytes)
{
    d->backend->copy(d, dst, src, bytes);
}

void rs_device_zero(rs_device *d, void *p, size_t bytes)
{
    d->backend->zero(d, p, bytes);
}

size_t rs_device_attention_workspace(rs_device *d, const rs_attention_shape *s)
{
    return d->backend->attention_workspace ? d->backend->attention_workspace(d, s) : 0;
}

rs_status rs_device_reserve(rs_device *d, size_t bytes)
{
    if (d->backend->reserve && !d->backend->reserve(d, bytes))
        return RS_FAIL(NOMEM, "%s device: no room for a workspace of %.1f MiB", d->backend->name,
                       (double)bytes / 0x1p20);
    return RS_OK;
}

void rs_device_fail(rs_device *d, rs_status st, const char *fmt, ...)
{
    va_list ap;
    pthread_mutex_lock(&d->failing);
    va_start(ap, fmt);
    if (d->failed == RS_OK) {
        vsnprintf(d->failure, sizeof d->failure, fmt, ap);
        d->failed = st;
    }
    va_end(ap);
    pthread_mutex_unlock(&d->failing);
}

rs_status rs_device_check(rs_device *d)
{
    if (d->backend->queues)
        d->backend->queues->check(d);
    if (d->failed == RS_OK)
        return RS_OK;
    return rs_fail_at(d->failed, __FILE__, __LINE__, __func__, "%s", d->failure);
}

#define OP(name, folder)                                                                           \
    void rs_op_##name(rs_device *d, const rs_##name##_args *args)                                  \
    {                                                                                              \
        rs_check_##name(args);                                                                     \
        if (d->failed == RS_OK)                                                                    \
            d->backend->op_##name(d, args);                                                        \
    }
#include "kernels/OPS.def"
#undef OP

rs_status rs_pool_bind(rs_pool *p, rs_device *dev, rs_bind_fn *bind, void *object)
{
    rs_carver plan = {0};
    bind(object, &plan);
    void *memory = NULL;
    if (plan.used > 0)
        RS_TRY(rs_device_alloc(dev, &memory, plan.used));
    rs_carver c = {.base = memory, .cap = plan.used};
    if (memory)
        bind(object, &c);
    RS_ASSERTF(c.used == plan.used || !memory, "pool planned %zu bytes, bound %zu", plan.used,
               c.used);
    *p = (rs_pool){.dev = dev, .memory = memory, .bytes = plan.used};
    return RS_OK;
}

rs_status rs_pool_rebind(rs_pool *p, rs_device *dev, rs_bind_fn *bind, void *object)
{
    rs_carver plan = {0};
    bind(object, &plan);
    if (!p->memory || dev->host_memory || plan.used > p->bytes) {
        rs_pool_release(p);
        return rs_pool_bind(p, dev, bind, object);
    }
    rs_carver c = {.base = p->memory, .cap = p->bytes};
    bind(object, &c);
    return RS_OK;
}

void rs_pool_release(rs_pool *p)
{
    if (p->dev)
        rs_device_free(p->dev, p->memory);
    *p = (rs_pool){0};
}
