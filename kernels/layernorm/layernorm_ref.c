#include <math.h>

#include "kernels/opcase.h"

typedef struct moments {
    double mean;
    double rstd;
} moments;

static moments moments_of(const double *x, int64_t c, double eps)
{
    double mean = 0, var = 0;
    for (int64_t i = 0; i < c; i++)
        mean += x[i] / (double)c;
    for (int64_t i = 0; i < c; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)c;
    return (moments){mean, 1 / sqrt(var + eps)};
}

/* weight, or 1 + scale, or 1 */
static double factor(rs_tensor weight, rs_tensor scale, int64_t i)
{
    return rs_has(weight) ? rs_f64(weight)[i] : rs_has(scale) ? 1 + rs_f64(scale)[i] : 1;
}

void rs_ref_layernorm_fwd(const rs_layernorm_fwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t r = 0; r < rs_tensor_rows(a->x); r++) {
        const double *x = rs_f64(a->x) + r * c;
        if (rs_has(a->o)) {
            double *sum = rs_f64(a->sum) + r * c;
            for (int64_t i = 0; i < c; i++)
                sum[i] =
                    x[i] + (rs_has(a->gate) ? rs_f64(a->gate)[i] : 1) * rs_f64(a->o)[r * c + i];
            x = sum;
        }
        moments m = moments_of(x, c, (double)a->eps);
        for (int64_t i = 0; i < c; i++)
            rs_f64(a->y)[r * c + i] = (x[i] - m.mean) * m.rstd * factor(a->weight, a->scale, i) +
                                      (rs_has(a->bias) ? rs_f64(a->bias)[i] : 0) +
                                      (rs_has(a->shift) ? rs_f64(a->shift)[i] : 0);
    }
}

void rs_ref_layernorm_bwd(const rs_layernorm_bwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t r = 0; r < rs_tensor_rows(a->x); r++) {
        const double *x = rs_f64(a->x) + r * c, *dy = rs_f64(a->dy) + r * c;
        double *dx = rs_f64(a->dx) + r * c, g_mean = 0, gx_mean = 0;
        moments m = moments_of(x, c, (double)a->eps);
        for (int64_t i = 0; i < c; i++) {
            double g = dy[i] * factor(a->weight, a->scale, i);
            g_mean += g / (double)c;
            gx_mean += g * (x[i] - m.mean) * m.rstd / (double)c;
        }
        for (int64_t i = 0; i < c; i++) {
            double g = dy[i] * factor(a->weight, a->scale, i), xh = (x[i] - m.mean) * m.rstd;
            double d = m.rstd * (g - g_mean - xh * gx_mean);
            dx[i] = a->accumulate ? dx[i] + d : d;
            if (rs_has(a->next))
                rs_f64(a->next)[r * c + i] = dx[i] * (rs_has(a->gate) ? rs_f64(a->gate)[i] : 1);
        }
    }
}
