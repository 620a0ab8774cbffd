/* One row at a time, the row stays in L1: mean, centred sums, then the result.
 *
 * The variance comes from x - m with m the mean rounded to fp32 (exact differences where it
 * matters), and the mean of those differences corrects both m and the variance: a mean of 1000
 * standard deviations costs no accuracy. */
#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/stream.h"
#include "kernels/vec/vmath.h"

typedef struct row_stats {
    float mean;
    float rest; /* (mean - exact mean) * rstd: xh = (x - mean)*rstd + rest */
    float rstd;
} row_stats;

RS_INLINE row_stats stats_of(const float *x, int64_t c, float eps)
{
    double n = (double)c;
    float mean = (float)(rs_v_sum(RS_TERM_A, x, NULL, NULL, 0.0f, c) / n);
    double sum[2];
    rs_v_sums(sum, RS_TERM_CENTERED, RS_TERM_CENTERED_SQ, x, NULL, NULL, mean, c);
    double delta = sum[0] / n, var = sum[1] / n - delta * delta;
    double rstd = 1.0 / sqrt((var > 0 ? var : 0) + (double)eps);
    return (row_stats){mean, (float)(-delta * rstd), (float)rstd};
}

/* How a row is scaled after normalisation. */
typedef enum scaling { PLAIN, WEIGHT, ONE_PLUS } scaling;

RS_INLINE void finish_row(float *y, const float *x, row_stats s, scaling how, const float *m,
                          const float *b, int64_t c)
{
    if (b) {
        RS_IVDEP
        for (int64_t i = 0; i < c; i++) {
            float xh = (x[i] - s.mean) * s.rstd + s.rest;
            y[i] = (how == PLAIN ? xh : how == WEIGHT ? xh * m[i] : xh * (1.0f + m[i])) + b[i];
        }
    } else {
        RS_IVDEP
        for (int64_t i = 0; i < c; i++) {
            float xh = (x[i] - s.mean) * s.rstd + s.rest;
            y[i] = how == PLAIN ? xh : how == WEIGHT ? xh * m[i] : xh * (1.0f + m[i]);
        }
    }
}

static const float *maybe(rs_tensor t)
{
    return rs_has(t) ? rs_f32(t) : NULL;
}

/* y = x + g*o, g may be NULL. */
RS_INLINE void add_row(float *y, const float *x, const float *g, const float *o, int64_t c)
{
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

/* The row that is normalised. */
RS_INLINE const float *row_of(const rs_layernorm_fwd_args *a, int64_t r, int64_t c)
{
    const float *x = rs_f32(a->x) + r * c;
    if (!rs_has(a->o))
        return x;
    float *sum = rs_f32(a->sum) + r * c;
    add_row(sum, x, maybe(a->gate), rs_f32(a->o) + r * c, c);
    return sum;
}

/* Columns [i, i+n) of a row. */
RS_INLINE void fwd_part(float *y, const rs_layernorm_fwd_args *a, const float *x, row_stats s,
                        int64_t i, int64_t n)
{
    const float *w = maybe(a->weight), *scale = maybe(a->scale);
    const float *bias = maybe(a->bias), *shift = maybe(a->shift), *b = bias ? bias : shift;
    b = b ? b + i : NULL;
    if (w)
        finish_row(y, x + i, s, WEIGHT, w + i, b, n);
    else if (scale)
        finish_row(y, x + i, s, ONE_PLUS, scale + i, b, n);
    else
        finish_row(y, x + i, s, PLAIN, NULL, b, n);
    if (bias && shift)
        for (int64_t k = 0; k < n; k++)
            y[k] += shift[i + k];
}

RS_INLINE void fwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_layernorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    for (int64_t r = lo; r < hi; r++) {
        const float *x = row_of(a, r, c);
        fwd_part(rs_f32(a->y) + r * c, a, x, stats_of(x, c, a->eps), 0, c);
    }
}
RS_RANGE_VERSIONS(fwd)

/* The same with y past the caches. */
RS_INLINE void fwd_far_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_layernorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    float room[RS_PIECE];
    for (int64_t r = lo; r < hi; r++) {
        const float *x = row_of(a, r, c);
        row_stats s = stats_of(x, c, a->eps);
        for (int64_t i = 0; i < c; i += RS_PIECE) {
            int64_t n = c - i < RS_PIECE ? c - i : RS_PIECE;
            if (r + 1 < hi)
                rs_v_fetch(rs_f32(a->x) + (r + 1) * c + i, n);
            fwd_part(room, a, x, s, i, n);
            rs_v_store(rs_f32(a->y) + r * c + i, room, n);
        }
    }
    rs_v_stored();
}
RS_RANGE_VERSIONS(fwd_far)

typedef struct bwd_job {
    const rs_layernorm_bwd_args *a;
    rs_kctx *k;
} bwd_job;

/* dy times the row's factor: dy itself, or `room`. */
RS_INLINE const float *scaled_gradient(const rs_layernorm_bwd_args *a, const float *dy, float *room,
                                       int64_t c)
{
    const float *w = maybe(a->weight), *scale = maybe(a->scale);
    if (w)
        for (int64_t i = 0; i < c; i++)
            room[i] = dy[i] * w[i];
    else if (scale)
        for (int64_t i = 0; i < c; i++)
            room[i] = dy[i] * (1.0f + scale[i]);
    return w || scale ? room : dy;
}

/* y = x*g, g may be NULL. */
RS_INLINE void scale_row(float *y, const float *x, const float *g, int64_t c)
{
    if (g) {
        RS_IVDEP
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i] * g[i];
    } else {
        RS_IVDEP
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i];
    }
}

/* Means of the gradient and of its product with xh, over a row. */
typedef struct row_means {
    float g, gx;
} row_means;

RS_INLINE row_means means_of(const float *g, const float *x, row_stats s, int64_t c)
{
    double sum[2], n = (double)c;
    rs_v_sums(sum, RS_TERM_A, RS_TERM_AB_CENTERED, g, x, NULL, s.mean, c);
    return (row_means){(float)(sum[0] / n),
                       (float)((sum[1] * (double)s.rstd + sum[0] * (double)s.rest) / n)};
}

RS_INLINE void bwd_part(float *dx, const float *g, const float *x, row_stats s, row_means m,
                        bool accumulate, int64_t n)
{
    if (accumulate) {
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] += s.rstd * (g[i] - m.g - ((x[i] - s.mean) * s.rstd + s.rest) * m.gx);
    } else {
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] = s.rstd * (g[i] - m.g - ((x[i] - s.mean) * s.rstd + s.rest) * m.gx);
    }
}

/* While a row is finished from the caches, the next one is fetched. */
RS_INLINE void bwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const bwd_job *j = args;
    const rs_layernorm_bwd_args *a = j->a;
    int64_t c = rs_tensor_cols(a->x);
    const float *gate = maybe(a->gate);
    float *room = rs_scratch(j->k, thread, (size_t)c * sizeof(float));
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c, *dy = rs_f32(a->dy) + r * c;
        float *dx = rs_f32(a->dx) + r * c;
        row_stats s = stats_of(x, c, a->eps);
        const float *g = scaled_gradient(a, dy, room, c);
        row_means m = means_of(g, x, s, c);
        for (int64_t i = 0; i < c; i += RS_PIECE) {
            int64_t n = c - i < RS_PIECE ? c - i : RS_PIECE;
            if (r + 1 < hi) {
                rs_v_fetch(x + c + i, n);
                rs_v_fetch(dy + c + i, n);
                rs_v_fetch(dx + c + i, n);
            }
            bwd_part(dx + i, g + i, x + i, s, m, a->accumulate, n);
            if (rs_has(a->next))
                scale_row(rs_f32(a->next) + r * c + i, dx + i, gate ? gate + i : NULL, n);
        }
    }
}
RS_RANGE_VERSIONS(bwd)

void rs_cpu_layernorm_fwd(rs_kctx *k, const rs_layernorm_fwd_args *a)
{
    bool in_place = a->y.data == a->x.data || (rs_has(a->o) && a->y.data == a->o.data);
    int64_t rows = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    if (!in_place && rs_streams(a->y))
        rs_for_range(k, rows, rs_row_block_ahead(rows, c), fwd_far(), a);
    else
        rs_for_range(k, rows, rs_row_block(c), fwd(), a);
}

void rs_cpu_layernorm_bwd(rs_kctx *k, const rs_layernorm_bwd_args *a)
{
    bwd_job j = {a, k};
    int64_t rows = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    rs_for_range(k, rows, rs_row_block_ahead(rows, c), bwd(), &j);
}
