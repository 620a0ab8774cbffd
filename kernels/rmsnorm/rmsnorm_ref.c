#include <math.h>

#include "kernels/opcase.h"

static double sum_of_squares(const double *x, int64_t c)
{
    double s = 0;
    for (int64_t i = 0; i < c; i++)
        s += x[i] * x[i];
    return s;
}

void rs_ref_rmsnorm_fwd(const rs_rmsnorm_fwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t row = 0; row < rs_tensor_rows(a->x); row++) {
        const double *x = rs_f64(a->x) + row * a->x.ld;
        double *y = rs_f64(a->y) + row * a->y.ld, s = sum_of_squares(x, c), r;
        if (a->floor > 0)
            r = sqrt((double)c) / fmax(sqrt(s), (double)a->floor);
        else
            r = 1 / sqrt(s / (double)c + (double)a->eps);
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i] * r * rs_f64(a->weight)[i];
        rs_tensor t = rs_tensor_of(y, RS_DTYPE_F64, RS_SHAPE(c));
        rs_ref_act_fwd(&(rs_act_fwd_args){.y = t, .x = t, .act = a->act});
    }
    if (rs_has(a->table_f))
        rs_ref_rope_fwd(&(rs_rope_fwd_args){.y = a->y,
                                            .x = a->y,
                                            .table_f = a->table_f,
                                            .table_h = a->table_h,
                                            .table_w = a->table_w,
                                            .heads = a->heads,
                                            .first = a->first});
}

void rs_ref_rmsnorm_bwd(const rs_rmsnorm_bwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    rs_tensor g = a->dy;
    if (rs_has(a->table_f)) {
        g = a->dx;
        rs_ref_rope_bwd(&(rs_rope_bwd_args){.y = g,
                                            .x = a->dy,
                                            .table_f = a->table_f,
                                            .table_h = a->table_h,
                                            .table_w = a->table_w,
                                            .heads = a->heads,
                                            .first = a->first});
    }
    for (int64_t row = 0; row < rs_tensor_rows(a->x); row++) {
        const double *x = rs_f64(a->x) + row * a->x.ld;
        const double *dy = rs_f64(g) + row * g.ld, *w = rs_f64(a->weight);
        double *dx = rs_f64(a->dx) + row * a->dx.ld, mean = 0;
        double r = 1 / sqrt(sum_of_squares(x, c) / (double)c + (double)a->eps);
        for (int64_t i = 0; i < c; i++)
            mean += dy[i] * w[i] * x[i] / (double)c;
        for (int64_t i = 0; i < c; i++)
            dx[i] = r * (dy[i] * w[i] - x[i] * r * r * mean);
    }
}
