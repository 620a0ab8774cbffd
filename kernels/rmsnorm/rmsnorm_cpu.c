/* One row at a time: sum of squares, then the result while the row is in L1; a gradient is rotated
 * back there too (forward a second pass is faster). Activations go over several contiguous rows at
 * once: rows of the VAE's small layers are shorter than a vector. */
#include <math.h>

#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/rope/rope_cpu.h"

enum { ACT_FLOATS = 4096 };

RS_INLINE void scale_row(const rs_rmsnorm_fwd_args *a, int64_t row, int64_t c)
{
    const float *x = rs_f32(a->x) + row * a->x.ld, *w = rs_f32(a->weight);
    float *y = rs_f32(a->y) + row * a->y.ld;
    double ss = rs_v_sum(RS_TERM_AB, x, x, NULL, 0.0f, c);
    float r = (float)(a->floor > 0 ? sqrt((double)c) / fmax(sqrt(ss), (double)a->floor)
                                   : 1.0 / sqrt(ss / (double)c + (double)a->eps));
    RS_IVDEP
    for (int64_t i = 0; i < c; i++)
        y[i] = x[i] * r * w[i];
}

RS_INLINE void fwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_rmsnorm_fwd_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    int64_t step = a->y.ld == c && c < ACT_FLOATS ? ACT_FLOATS / c : 1;
    for (; lo < hi; lo += step) {
        int64_t end = hi - lo < step ? hi : lo + step;
        for (int64_t row = lo; row < end; row++)
            scale_row(a, row, c);
        float *y = rs_f32(a->y) + lo * a->y.ld;
        if (a->act != RS_ACT_NONE)
            rs_v_act(a->act, y, y, (end - lo) * c);
    }
}
RS_RANGE_VERSIONS(fwd)

typedef struct bwd_job {
    const rs_rmsnorm_bwd_args *a;
    rs_rope_job rope;
    rs_range_fn *rotate; /* NULL: not */
} bwd_job;

RS_INLINE void bwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const bwd_job *j = args;
    const rs_rmsnorm_bwd_args *a = j->a;
    int64_t c = rs_tensor_cols(a->x);
    const float *w = rs_f32(a->weight);
    for (int64_t row = lo; row < hi; row++) {
        const float *x = rs_f32(a->x) + row * a->x.ld;
        float *dx = rs_f32(a->dx) + row * a->dx.ld;
        const float *dy = j->rotate ? dx : rs_f32(a->dy) + row * a->dy.ld;
        if (j->rotate)
            j->rotate(&j->rope, row, row + 1, thread);
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
    if (rs_has(a->table_f))
        rs_cpu_rope_fwd(k, &(rs_rope_fwd_args){.y = a->y,
                                               .x = a->y,
                                               .table_f = a->table_f,
                                               .table_h = a->table_h,
                                               .table_w = a->table_w,
                                               .heads = a->heads,
                                               .first = a->first});
}

void rs_cpu_rmsnorm_bwd(rs_kctx *k, const rs_rmsnorm_bwd_args *a)
{
    rs_rope_fwd_args rope = {.y = a->dx,
                             .x = a->dy,
                             .table_f = a->table_f,
                             .table_h = a->table_h,
                             .table_w = a->table_w,
                             .heads = a->heads,
                             .first = a->first};
    bwd_job j = {a, {&rope, k, -1.0f}, rs_has(a->table_f) ? rs_rope_rows() : NULL};
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), bwd(), &j);
}
