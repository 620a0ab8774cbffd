/* Tiles of 16x16: whole cache lines on both sides. A task is a band of tiles along the longer side
 * of x, so that narrow matrices (RGB planes) are shared out too. */
#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/turn.h"

enum { TILE = 16, BAND = 256, ENOUGH = 1 << 13 };

/* By way of a copy, so that each line of y is written once and whole: rows of a power of two
 * compete for the same few places of a cache. */
RS_INLINE void full_tile(float *y, const float *x, int64_t rows, int64_t cols)
{
    enum { STEP = 4 };
    float t[TILE][TILE] __attribute__((aligned(64)));
    for (int r = 0; r < TILE; r += STEP)
        for (int c = 0; c < TILE; c += STEP) {
            rs_v4 v[STEP];
            for (int i = 0; i < STEP; i++)
                v[i] = rs_v4_load(x + (r + i) * cols + c);
            rs_v4_turn(v);
            for (int i = 0; i < STEP; i++)
                rs_v4_store(&t[c + i][r], v[i]);
        }
    for (int c = 0; c < TILE; c++)
        memcpy(y + c * rows, t[c], sizeof t[c]);
}

/* What no full tile covers: the rows [r0,r1) of the columns [c0,c1). */
RS_INLINE void rest(const rs_transpose_args *a, int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
    const float *x = rs_f32(a->x);
    float *y = rs_f32(a->y);
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++)
            y[c * a->rows + r] = x[r * a->cols + c];
}

/* Pixels [lo,hi) from or to three planes. */
RS_INLINE void pixels(const rs_transpose_args *a, int64_t lo, int64_t hi)
{
    enum { STEP = 4 };
    const float *x = rs_f32(a->x);
    float *y = rs_f32(a->y);
    bool split = a->cols == 3;
    int64_t i = lo;
    for (; hi - i >= STEP; i += STEP)
        if (split)
            rs_v4_split3(y + i, a->rows, x + 3 * i);
        else
            rs_v4_join3(y + 3 * i, x + i, a->cols);
    rest(a, split ? i : 0, split ? hi : 3, split ? 0 : i, split ? 3 : hi);
}

/* Rows [r0,r1) and columns [c0,c1) of x. */
RS_INLINE void rectangle(const rs_transpose_args *a, int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
    const float *x = rs_f32(a->x);
    float *y = rs_f32(a->y);
    int64_t whole_r = r0 + (r1 - r0) / TILE * TILE, whole_c = c0 + (c1 - c0) / TILE * TILE;
    for (int64_t r = r0; r < whole_r; r += TILE)
        for (int64_t c = c0; c < whole_c; c += TILE) {
            const float *p = x + r * a->cols + c;
            for (int i = 0; i < TILE; i++)
                __builtin_prefetch(p + i * a->cols + TILE);
            full_tile(y + c * a->rows + r, p, a->rows, a->cols);
        }
    rest(a, r0, whole_r, whole_c, c1);
    rest(a, whole_r, r1, c0, c1);
}

RS_INLINE void band_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_transpose_args *a = args;
    if (rs_min_i64(a->rows, a->cols) == 3)
        pixels(a, lo, hi);
    else if (a->rows >= a->cols)
        rectangle(a, lo, hi, 0, a->cols);
    else
        rectangle(a, 0, a->rows, lo, hi);
}
RS_RANGE_VERSIONS(band)

void rs_cpu_transpose(rs_kctx *k, const rs_transpose_args *a)
{
    int64_t narrow = rs_min_i64(a->rows, a->cols), wide = rs_max_i64(a->rows, a->cols);
    rs_for_range(k, wide, rs_max_i64(BAND, ENOUGH / narrow / TILE * TILE), band(), a);
}
