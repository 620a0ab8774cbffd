#include <math.h>

#include "kernels/opcase.h"

void rs_ref_rope_table(rs_tensor t)
{
    int64_t n = t.shape[0], pairs = t.shape[1];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < pairs; j++) {
            double angle = (double)i / pow(10000, 2 * (double)j / (double)(2 * pairs));
            rs_f64(t)[(i * pairs + j) * 2] = cos(angle);
            rs_f64(t)[(i * pairs + j) * 2 + 1] = sin(angle);
        }
}

/* Pair j of a head at a token: its axis, and the (cos, sin) there. */
static const double *entry(const rs_rope_fwd_args *a, int64_t s, int64_t j)
{
    int64_t pf = a->table_f.shape[1], ph = a->table_h.shape[1], pw = a->table_w.shape[1];
    int64_t hp = a->table_h.shape[0], wp = a->table_w.shape[0];
    if (j < pf)
        return rs_f64(a->table_f) + (s / (hp * wp) * pf + j) * 2;
    if (j < pf + ph)
        return rs_f64(a->table_h) + (s / wp % hp * ph + j - pf) * 2;
    return rs_f64(a->table_w) + (s % wp * pw + j - pf - ph) * 2;
}

static void rotate(const rs_rope_fwd_args *a, double direction)
{
    int64_t pairs = a->table_f.shape[1] + a->table_h.shape[1] + a->table_w.shape[1];
    for (int64_t s = 0; s < rs_tensor_rows(a->x); s++)
        for (int64_t n = 0; n < a->heads; n++)
            for (int64_t j = 0; j < pairs; j++) {
                const double *e = entry(a, a->first + s, j);
                const double *x = rs_f64(a->x) + s * a->x.ld + (n * pairs + j) * 2;
                double *y = rs_f64(a->y) + s * a->y.ld + (n * pairs + j) * 2;
                double re = x[0] * e[0] - x[1] * direction * e[1];
                double im = x[0] * direction * e[1] + x[1] * e[0];
                y[0] = re;
                y[1] = im;
            }
}

void rs_ref_rope_fwd(const rs_rope_fwd_args *a)
{
    rotate(a, 1);
}

void rs_ref_rope_bwd(const rs_rope_bwd_args *a)
{
    rotate(a, -1);
}
