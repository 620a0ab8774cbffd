#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 16384 };

RS_INLINE void terms_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_lincomb_args *a = args;
    float *y = rs_f32(a->y);
    const float *x0 = rs_f32(a->x[0]);
    const float *x1 = a->n > 1 ? rs_f32(a->x[1]) : x0;
    const float *x2 = a->n > 2 ? rs_f32(a->x[2]) : x0;
    const float *x3 = a->n > 3 ? rs_f32(a->x[3]) : x0;
    float c0 = a->coef[0], c1 = a->coef[1], c2 = a->coef[2], c3 = a->coef[3];
    if (a->n == 1) {
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = c0 * x0[i];
    } else if (a->n == 2) {
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = c0 * x0[i] + c1 * x1[i];
    } else if (a->n == 3) {
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = c0 * x0[i] + c1 * x1[i] + c2 * x2[i];
    } else {
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = c0 * x0[i] + c1 * x1[i] + c2 * x2[i] + c3 * x3[i];
    }
}
RS_RANGE_VERSIONS(terms)

void rs_cpu_lincomb(rs_kctx *k, const rs_lincomb_args *a)
{
    RS_ASSERT(a->n >= 1 && a->n <= RS_LINCOMB_MAX);
    rs_for_range(k, rs_tensor_count(a->y), BLOCK, terms(), a);
}
