/* The sum of squares of a row, then the result in pieces while the row is near: scaled, rotated by
 * heads or through the activation, and stored, with what the next row needs fetched meanwhile.
 * Short rows without gaps (the VAE's) are scaled in groups, and pieces go over the group. */
#include <math.h>

#include "base/num.h"
#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/rope/rope_cpu.h"
#include "kernels/vec/stream.h"

enum { GROUP_FLOATS = 2048, GROUP_ROWS = 32 };

/* What both directions know of a call. */
typedef struct norm_job {
    const void *args; /* rs_rmsnorm_fwd_args, or rs_rmsnorm_bwd_args */
    rs_kctx *k;
    rs_rope_fwd_args rope; /* its tables */
    bool rotate;
    bool stream; /* the result goes past the caches */
} norm_job;

/* What n rows of c are multiplied by, from the sums of their squares. */
RS_INLINE void factors_of(float *f, const rs_rmsnorm_fwd_args *a, const double *ss, int64_t n,
                          int64_t c)
{
    const double count = (double)c, root = sqrt(count), floor = (double)a->floor;
    const double eps = (double)a->eps;
    if (floor > 0)
        for (int64_t i = 0; i < n; i++) {
            double norm = sqrt(ss[i]);
            f[i] = (float)(root / (norm > floor ? norm : floor));
        }
    else
        for (int64_t i = 0; i < n; i++)
            f[i] = (float)(1.0 / sqrt(ss[i] / count + eps));
}

RS_INLINE double squares_of(const float *x, int64_t c)
{
    return rs_v_sum(RS_TERM_AB, x, x, NULL, 0.0f, c);
}

RS_INLINE void scale(float *y, const float *x, float r, const float *w, int64_t n)
{
    RS_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * r * w[i];
}

/* One row. room: a piece; factors: of a head, cosines then sines. */
RS_INLINE void fwd_row(const norm_job *j, int64_t row, float *room, const float *factors, int64_t d,
                       bool last)
{
    const rs_rmsnorm_fwd_args *a = j->args;
    int64_t c = rs_tensor_cols(a->x), piece = j->rotate ? d : j->stream ? RS_PIECE : c;
    const float *x = rs_f32(a->x) + row * a->x.ld, *w = rs_f32(a->weight);
    float *y = rs_f32(a->y) + row * a->y.ld;
    double ss = squares_of(x, c);
    float r;
    factors_of(&r, a, &ss, 1, c);
    for (int64_t i = 0; i < c; i += piece) {
        int64_t n = c - i < piece ? c - i : piece;
        float *t = j->stream ? room : y + i;
        if (j->stream && !last)
            rs_v_fetch(x + a->x.ld + i, n);
        scale(t, x + i, r, w + i, n);
        if (j->rotate)
            rs_v_rotate(t, t, factors, factors + d, d);
        if (a->act != RS_ACT_NONE)
            rs_v_act(a->act, t, t, n);
        if (j->stream)
            rs_v_store(y + i, t, n);
    }
}

/* Rows [lo,hi) without gaps between those of y; `room` takes them all. */
RS_INLINE void fwd_group(const norm_job *j, int64_t lo, int64_t hi, float *room, bool last)
{
    const rs_rmsnorm_fwd_args *a = j->args;
    int64_t c = rs_tensor_cols(a->x), floats = (hi - lo) * c;
    float *y = rs_f32(a->y) + lo * c, *t = j->stream ? room : y;
    const float *x = rs_f32(a->x) + lo * a->x.ld, *next = rs_f32(a->x) + hi * a->x.ld;
    double ss[GROUP_ROWS];
    float r[GROUP_ROWS];
    for (int64_t i = 0; i < hi - lo; i++)
        ss[i] = squares_of(x + i * a->x.ld, c);
    factors_of(r, a, ss, hi - lo, c); /* a root and a division each: those of all rows together */
    for (int64_t i = 0; i < hi - lo; i++)
        scale(t + i * c, x + i * a->x.ld, r[i], rs_f32(a->weight), c);
    for (int64_t i = 0; i < floats; i += RS_PIECE) {
        int64_t n = floats - i < RS_PIECE ? floats - i : RS_PIECE;
        if (j->stream && !last)
            rs_v_fetch(next + i, n);
        if (a->act != RS_ACT_NONE)
            rs_v_act(a->act, t + i, t + i, n);
        if (j->stream)
            rs_v_store(y + i, t + i, n);
    }
}

RS_INLINE void fwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const norm_job *j = args;
    const rs_rmsnorm_fwd_args *a = j->args;
    int64_t c = rs_tensor_cols(a->x), d = j->rotate ? rs_v_rope_head(&j->rope) : 0;
    int64_t step = a->y.ld == c && !j->rotate ? rs_min_i64(GROUP_FLOATS / c, GROUP_ROWS) : 1;
    int64_t floats = d > GROUP_FLOATS ? d : GROUP_FLOATS;
    float *room = rs_scratch(j->k, thread, (size_t)(floats + 2 * d) * sizeof(float));
    float *factors = room + floats;
    if (step > 1) {
        for (; lo < hi; lo += step)
            fwd_group(j, lo, hi - lo < step ? hi : lo + step, room, hi - lo <= step);
    } else {
        for (; lo < hi; lo++) {
            if (j->rotate)
                rs_v_rope_factors(factors, factors + d, &j->rope, lo, 1.0f);
            fwd_row(j, lo, room, factors, d, lo + 1 == hi);
        }
    }
    if (j->stream)
        rs_v_stored();
}
RS_RANGE_VERSIONS(fwd)

/* dx = dy*w*rf - x*kx, in pieces. */
RS_INLINE void bwd_row(const norm_job *j, int64_t row, const float *dy, float rf, float kx,
                       bool last)
{
    const rs_rmsnorm_bwd_args *a = j->args;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_f32(a->weight), *x = rs_f32(a->x) + row * a->x.ld;
    float *dx = rs_f32(a->dx) + row * a->dx.ld, room[RS_PIECE];
    const float *next = rs_f32(a->dy) + (row + 1) * a->dy.ld;
    const int64_t piece = j->stream ? RS_PIECE : c;
    for (int64_t i = 0; i < c; i += piece) {
        int64_t n = c - i < piece ? c - i : piece;
        float *t = j->stream ? room : dx + i;
        if (j->stream && !last) {
            rs_v_fetch(x + a->x.ld + i, n);
            rs_v_fetch(next + i, n);
        }
        RS_IVDEP
        for (int64_t m = 0; m < n; m++)
            t[m] = dy[i + m] * w[i + m] * rf - x[i + m] * kx;
        if (j->stream)
            rs_v_store(dx + i, t, n);
    }
}

RS_INLINE void bwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const norm_job *j = args;
    const rs_rmsnorm_bwd_args *a = j->args;
    int64_t c = rs_tensor_cols(a->x), d = j->rotate ? rs_v_rope_head(&j->rope) : 0;
    float *room = rs_scratch(j->k, thread, (size_t)(c + 2 * d) * sizeof(float));
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld, *dy = rs_f32(a->dy) + row * a->dy.ld;
        if (j->rotate) {
            float *cc = room + c, *ss = cc + d;
            rs_v_rope_factors(cc, ss, &j->rope, row, -1.0f);
            float *t = j->stream ? room : rs_f32(a->dx) + row * a->dx.ld;
            for (int64_t i = 0; i < c; i += d)
                rs_v_rotate(t + i, dy + i, cc, ss, d);
            dy = t;
        }
        double ss = rs_v_sum(RS_TERM_AB, x, x, NULL, 0.0f, c);
        double r = 1.0 / sqrt(ss / (double)c + (double)a->eps);
        double sgx = rs_v_sum(RS_TERM_ABC, dy, x, rs_f32(a->weight), 0.0f, c);
        bwd_row(j, row, dy, (float)r, (float)(r * r * r * sgx / (double)c), row + 1 == hi);
    }
    if (j->stream)
        rs_v_stored();
}
RS_RANGE_VERSIONS(bwd)

static rs_rope_fwd_args tables(rs_tensor f, rs_tensor h, rs_tensor w, int64_t first)
{
    return (rs_rope_fwd_args){.table_f = f, .table_h = h, .table_w = w, .first = first};
}

static void run(norm_job j, rs_tensor x, rs_range_fn *body)
{
    int64_t rows = rs_tensor_rows(x), c = rs_tensor_cols(x);
    j.rotate = rs_has(j.rope.table_f);
    rs_for_range(j.k, rows, j.stream ? rs_row_block_ahead(rows, c) : rs_row_block(c), body, &j);
}

void rs_cpu_rmsnorm_fwd(rs_kctx *k, const rs_rmsnorm_fwd_args *a)
{
    norm_job j = {.args = a, .k = k, .rope = tables(a->table_f, a->table_h, a->table_w, a->first)};
    j.stream = a->y.data != a->x.data && rs_streams(a->y);
    run(j, a->x, fwd());
}

void rs_cpu_rmsnorm_bwd(rs_kctx *k, const rs_rmsnorm_bwd_args *a)
{
    norm_job j = {.args = a, .k = k, .rope = tables(a->table_f, a->table_h, a->table_w, a->first)};
    j.stream = a->dx.data != a->dy.data && a->dx.data != a->x.data && rs_streams(a->dx);
    run(j, a->x, bwd());
}
