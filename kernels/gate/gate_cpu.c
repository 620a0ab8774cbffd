#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

RS_INLINE void add_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_gate_add_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *g = rs_has(a->gate) ? rs_f32(a->gate) : NULL;
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c;
        const float *o = rs_f32(a->o) + r * c;
        float *y = rs_f32(a->y) + r * c;
        if (g) {
            RS_IVDEP
            for (int64_t i = 0; i < c; i++)
                y[i] = x[i] + g[i] * o[i];
        } else {
            RS_IVDEP
            for (int64_t i = 0; i < c; i++)
                y[i] = x[i] + o[i];
        }
    }
}
RS_RANGE_VERSIONS(add)

RS_INLINE void mul_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_gate_mul_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *g = rs_f32(a->gate);
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c;
        float *y = rs_f32(a->y) + r * c;
        RS_IVDEP
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i] * g[i];
    }
}
RS_RANGE_VERSIONS(mul)

void rs_cpu_gate_add(rs_kctx *k, const rs_gate_add_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), add(), a);
}

void rs_cpu_gate_mul(rs_kctx *k, const rs_gate_mul_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), mul(), a);
}
