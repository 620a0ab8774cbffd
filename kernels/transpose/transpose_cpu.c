/* Tiles of 16x16: whole cache lines on both sides. A task is a band of tiles along the longer side
 * of x, so that narrow matrices (RGB planes) are shared out too. */
#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { TILE = 16, BAND = 256 };

RS_INLINE void full_tile(float *y, const float *x, int64_t rows, int64_t cols)
{
    float t[TILE][TILE];
    for (int r = 0; r < TILE; r++)
        for (int c = 0; c < TILE; c++)
            t[c][r] = x[r * cols + c];
    for (int c = 0; c < TILE; c++)
        for (int r = 0; r < TILE; r++)
            y[c * rows + r] = t[c][r];
}

/* Rows [r0,r1) and columns [c0,c1) of x. */
RS_INLINE void rectangle(const rs_transpose_args *a, int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
    const float *x = rs_f32(a->x);
    float *y = rs_f32(a->y);
    for (int64_t r = r0; r < r1; r += TILE)
        for (int64_t c = c0; c < c1; c += TILE) {
            int64_t re = rs_min_i64(r + TILE, r1), ce = rs_min_i64(c + TILE, c1);
            if (re - r == TILE && ce - c == TILE) {
                full_tile(y + c * a->rows + r, x + r * a->cols + c, a->rows, a->cols);
                continue;
            }
            for (int64_t i = r; i < re; i++)
                for (int64_t j = c; j < ce; j++)
                    y[j * a->rows + i] = x[i * a->cols + j];
        }
}

RS_INLINE void band_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_transpose_args *a = args;
    if (a->rows >= a->cols)
        rectangle(a, lo, hi, 0, a->cols);
    else
        rectangle(a, 0, a->rows, lo, hi);
}
RS_RANGE_VERSIONS(band)

void rs_cpu_transpose(rs_kctx *k, const rs_transpose_args *a)
{
    rs_for_range(k, rs_max_i64(a->rows, a->cols), BAND, band(), a);
}
