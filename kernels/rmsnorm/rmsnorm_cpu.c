/* One row at a time: sum of squares, then the result with the activation while the row is in L1. */
#include <math.h>

#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"

RS_INLINE void fwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_rmsnorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_f32(a->weight);
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld;
        float *y = rs_f32(a->y) + row * a->y.ld;
        double ss = rs_v_sum(RS_TERM_AB, x, x, NULL, 0.0f, c);
        float r = (float)(a->floor > 0 ? sqrt((double)c) / fmax(sqrt(ss), (double)a->floor)
                                       : 1.0 / sqrt(ss / (double)c + (double)a->eps));
        if (a->act == RS_ACT_SILU) {
            RS_IVDEP
            for (int64_t i = 0; i < c; i++)
                y[i] = rs_v_silu(x[i] * r * w[i]);
        } else {
            RS_IVDEP
            for (int64_t i = 0; i < c; i++)
                y[i] = x[i] * r * w[i];
            if (a->act != RS_ACT_NONE)
                rs_v_act(a->act, y, y, c);
        }
    }
}
RS_RANGE_VERSIONS(fwd)

RS_INLINE void bwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_rmsnorm_bwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_f32(a->weight);
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld;
        const float *dy = rs_f32(a->dy) + row * a->dy.ld;
        float *dx = rs_f32(a->dx) + row * a->dx.ld;
        double ss = rs_v_sum(RS_TERM_AB, x, x, NULL, 0.0f, c);
        double r = 1.0 / sqrt(ss / (double)c + (double)a->eps);
        double sgx = rs_v_sum(RS_TERM_ABC, dy, x, w, 0.0f, c);
        float rf = (float)r, kx = (float)(r * r * r * sgx / (double)c);
        RS_IVDEP
        for (int64_t i = 0; i < c; i++)
            dx[i] = dy[i] * w[i] * rf - x[i] * kx;
    }
}
RS_RANGE_VERSIONS(bwd)

void rs_cpu_rmsnorm_fwd(rs_kctx *k, const rs_rmsnorm_fwd_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), fwd(), a);
}

void rs_cpu_rmsnorm_bwd(rs_kctx *k, const rs_rmsnorm_bwd_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), bwd(), a);
}
