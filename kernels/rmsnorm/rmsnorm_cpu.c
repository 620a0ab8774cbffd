#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

static double sum_squares(const float *x, int64_t c)
{
    double s = 0;
    for (int64_t i = 0; i < c; i++)
        s += (double)x[i] * (double)x[i];
    return s;
}

static void fwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_rmsnorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld;
        float *y = rs_f32(a->y) + row * a->y.ld;
        double ss = sum_squares(x, c);
        double r = a->floor > 0 ? sqrt((double)c) / fmax(sqrt(ss), (double)a->floor)
                                : 1.0 / sqrt(ss / (double)c + (double)a->eps);
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i] * (float)r * rs_f32(a->weight)[i];
        if (a->act == RS_ACT_SILU)
            for (int64_t i = 0; i < c; i++)
                y[i] = y[i] / (1.0f + expf(-y[i]));
    }
}

static void bwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_rmsnorm_bwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_f32(a->weight);
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld;
        const float *dy = rs_f32(a->dy) + row * a->dy.ld;
        float *dx = rs_f32(a->dx) + row * a->dx.ld;
        double r = 1.0 / sqrt(sum_squares(x, c) / (double)c + (double)a->eps);
        double mgx = 0;
        for (int64_t i = 0; i < c; i++)
            mgx += (double)dy[i] * (double)w[i] * (double)x[i];
        double k = r * r * mgx / (double)c;
        for (int64_t i = 0; i < c; i++)
            dx[i] = (float)(r * ((double)dy[i] * (double)w[i] - (double)x[i] * k));
    }
}

void rs_cpu_rmsnorm_fwd(rs_kctx *k, const rs_rmsnorm_fwd_args *a)
{
    RS_ASSERT(a->act == RS_ACT_NONE || a->act == RS_ACT_SILU);
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), fwd, a);
}

void rs_cpu_rmsnorm_bwd(rs_kctx *k, const rs_rmsnorm_bwd_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), bwd, a);
}
