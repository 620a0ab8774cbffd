#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

typedef struct row_stats {
    double mean;
    double rstd;
} row_stats;

static row_stats stats_of(const float *x, int64_t c, float eps)
{
    double sum = 0, var = 0;
    for (int64_t i = 0; i < c; i++)
        sum += (double)x[i];
    double mean = sum / (double)c;
    for (int64_t i = 0; i < c; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (row_stats){mean, 1.0 / sqrt(var / (double)c + (double)eps)};
}

static void fwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_layernorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_has(a->weight) ? rs_f32(a->weight) : NULL;
    const float *b = rs_has(a->bias) ? rs_f32(a->bias) : NULL;
    const float *scale = rs_has(a->scale) ? rs_f32(a->scale) : NULL;
    const float *shift = rs_has(a->shift) ? rs_f32(a->shift) : NULL;
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c;
        float *y = rs_f32(a->y) + r * c;
        row_stats s = stats_of(x, c, a->eps);
        for (int64_t i = 0; i < c; i++) {
            float xh = (float)(((double)x[i] - s.mean) * s.rstd);
            float m = w ? w[i] : scale ? 1.0f + scale[i] : 1.0f;
            y[i] = xh * m + (b ? b[i] : 0.0f) + (shift ? shift[i] : 0.0f);
        }
    }
}

static void bwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_layernorm_bwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_has(a->weight) ? rs_f32(a->weight) : NULL;
    const float *scale = rs_has(a->scale) ? rs_f32(a->scale) : NULL;
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c;
        const float *dy = rs_f32(a->dy) + r * c;
        float *dx = rs_f32(a->dx) + r * c;
        row_stats s = stats_of(x, c, a->eps);
        double mg = 0, mgx = 0;
        for (int64_t i = 0; i < c; i++) {
            double g = (double)dy[i] * (double)(w ? w[i] : scale ? 1.0f + scale[i] : 1.0f);
            mg += g;
            mgx += g * ((double)x[i] - s.mean) * s.rstd;
        }
        mg /= (double)c;
        mgx /= (double)c;
        for (int64_t i = 0; i < c; i++) {
            double g = (double)dy[i] * (double)(w ? w[i] : scale ? 1.0f + scale[i] : 1.0f);
            double xh = ((double)x[i] - s.mean) * s.rstd;
            float d = (float)(s.rstd * (g - mg - xh * mgx));
            dx[i] = a->accumulate ? dx[i] + d : d;
        }
    }
}

void rs_cpu_layernorm_fwd(rs_kctx *k, const rs_layernorm_fwd_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), fwd, a);
}

void rs_cpu_layernorm_bwd(rs_kctx *k, const rs_layernorm_bwd_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), bwd, a);
}
