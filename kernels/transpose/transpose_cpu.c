#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

/* Tiles of x, 16 rows by all columns in steps of 16: reads and writes both stay within a few pages.
 */
enum { TILE = 16 };

static void tile(float *y, const float *x, int64_t rows, int64_t cols, int64_t r0, int64_t c0)
{
    int64_t r1 = rs_min_i64(r0 + TILE, rows), c1 = rs_min_i64(c0 + TILE, cols);
    for (int64_t c = c0; c < c1; c++)
        for (int64_t r = r0; r < r1; r++)
            y[c * rows + r] = x[r * cols + c];
}

static void strips(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_transpose_args *a = args;
    for (int64_t s = lo; s < hi; s++)
        for (int64_t c = 0; c < a->cols; c += TILE)
            tile(rs_f32(a->y), rs_f32(a->x), a->rows, a->cols, s * TILE, c);
}

void rs_cpu_transpose(rs_kctx *k, const rs_transpose_args *a)
{
    RS_ASSERT(a->rows * a->cols == rs_tensor_count(a->x));
    rs_for_range(k, rs_ceil_div(a->rows, TILE), 8, strips, a);
}
