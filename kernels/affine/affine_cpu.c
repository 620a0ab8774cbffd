#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 16384 };

RS_INLINE void last_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_affine_args *a = args;
    int64_t c = rs_tensor_cols(a->x);
    const float *m = rs_f32(a->mul);
    const float *b = rs_has(a->add) ? rs_f32(a->add) : NULL;
    for (int64_t r = lo; r < hi; r++) {
        const float *x = rs_f32(a->x) + r * c;
        float *y = rs_f32(a->y) + r * c;
        RS_IVDEP
        for (int64_t i = 0; i < c; i++)
            y[i] = x[i] * m[i] + (b ? b[i] : 0.0f);
    }
}
RS_RANGE_VERSIONS(last)

/* Elements of a channel-first tensor; a range may cross channels. */
RS_INLINE void first_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_affine_args *a = args;
    int64_t inner = rs_tensor_count(a->x) / a->x.shape[0];
    const float *x = rs_f32(a->x);
    float *y = rs_f32(a->y);
    while (lo < hi) {
        int64_t c = lo / inner;
        int64_t end = (c + 1) * inner < hi ? (c + 1) * inner : hi;
        float m = rs_f32(a->mul)[c];
        float b = rs_has(a->add) ? rs_f32(a->add)[c] : 0.0f;
        RS_IVDEP
        for (int64_t i = lo; i < end; i++)
            y[i] = x[i] * m + b;
        lo = end;
    }
}
RS_RANGE_VERSIONS(first)

void rs_cpu_affine(rs_kctx *k, const rs_affine_args *a)
{
    if (a->channel_first)
        rs_for_range(k, rs_tensor_count(a->x), BLOCK, first(), a);
    else
        rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), last(), a);
}
