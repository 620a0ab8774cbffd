/* CPU backend: device memory is host memory, ops run in the caller with the workers' help. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "device/device_priv.h"
#include "kernels/cpu/cpu_info.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_peak.h"

enum { HUGE_PAGE = 2 << 20 };

static int usable_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

static rs_status cpu_open(rs_device *d, const rs_device_opts *opts)
{
    d->threads = opts->threads > 0 ? opts->threads : usable_cores();
    d->host_memory = !opts->plan_gpu;
    d->gemm_terms = d->gemm_residual = true;
    if (opts->plan_gpu && opts->precision == RS_PRECISION_BF16)
        d->activation = RS_DTYPE_BF16;
    d->state = rs_kctx_create(d->threads);
    rs_cpu_describe(d->fingerprint, sizeof d->fingerprint, d->precision == RS_PRECISION_BF16);
    return RS_OK;
}

static void cpu_close(rs_device *d)
{
    rs_kctx *k = d->state;
    rs_kctx_destroy(&k);
    d->state = NULL;
}

/* Large blocks ask for huge pages: matrices are walked in tiles, one page per row. */
static void *cpu_alloc(rs_device *d, size_t bytes)
{
    (void)d;
    char *p = rs_alloc_large(bytes);
    uintptr_t lo = ((uintptr_t)p + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t hi = ((uintptr_t)p + bytes) / HUGE_PAGE * HUGE_PAGE;
    if (p && hi > lo)
        madvise(p + (lo - (uintptr_t)p), hi - lo, MADV_HUGEPAGE);
    return p;
}

static void cpu_release(rs_device *d, void *p)
{
    (void)d;
    rs_dealloc(p);
}

static void cpu_copy(rs_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    if (bytes)
        memmove(dst, src, bytes);
}

static void cpu_zero(rs_device *d, void *p, size_t bytes)
{
    (void)d;
    if (bytes)
        memset(p, 0, bytes);
}

/* Arrays well above the inner caches. */
static rs_status cpu_peak(rs_device *d, rs_peak *out)
{
    enum { FLOATS = 32 << 20 };
    void *memory = NULL;
    RS_TRY(rs_device_alloc(d, &memory, (size_t)3 * FLOATS * sizeof(float)));
    float *a = memory, *b = a + FLOATS, *c = b + FLOATS;
    cpu_zero(d, memory, (size_t)3 * FLOATS * sizeof(float));
    out->gflops = rs_cpu_peak_fma(d->state);
    out->gflops_bf16 = rs_cpu_peak_bf16(d->state);
    out->gbs = rs_cpu_peak_triad(d->state, a, b, c, FLOATS);
    rs_device_free(d, memory);
    return RS_OK;
}

#define OP(name, folder)                                                                           \
    static void cpu_op_##name(rs_device *d, const rs_##name##_args *args)                          \
    {                                                                                              \
        rs_cpu_##name(d->state, args);                                                             \
    }
#include "kernels/OPS.def"
#undef OP

const rs_backend rs_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .put = cpu_copy,
    .get = cpu_copy,
    .copy = cpu_copy,
    .zero = cpu_zero,
    .peak = cpu_peak,
#define OP(name, folder) .op_##name = cpu_op_##name,
#include "kernels/OPS.def"
#undef OP
};
