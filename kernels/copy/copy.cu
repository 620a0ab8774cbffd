/* Moves M * N * (size x + size y) bytes, between F32 and BF16 too; the floor is that over the
 * measured copy bandwidth. */
#include "kernels/cuda/pack.cuh"

template <bool VEC, typename Y, typename X>
static __global__ void copy_kernel(Y *y, int64_t ldy, const X *x, int64_t ldx, int64_t rows,
                                   int64_t cols)
{
    constexpr int V = rs_width<Y, X>::value;
    rs_cell at = rs_cell_of<V>(cols);
    float v[V];
    if (at.n <= 0)
        return;
    for (int64_t r = at.row; r < rows; r += at.step) {
        rs_load<VEC>(v, x + r * ldx + at.col, at.n);
        rs_store<VEC>(y + r * ldy + at.col, v, at.n);
    }
}

void rs_cuda_copy(rs_cuctx *c, const rs_copy_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    if (rs_tensor_contiguous(a->x) && rs_tensor_contiguous(a->y)) {
        cols *= rows;
        rows = 1;
    }
    int64_t ldy = rows > 1 ? a->y.ld : cols, ldx = rows > 1 ? a->x.ld : cols;
    rs_typed(a->y.dtype, [&](auto y0) {
        rs_typed(a->x.dtype, [&](auto x0) {
            typedef decltype(y0) Y;
            typedef decltype(x0) X;
            constexpr int V = rs_width<Y, X>::value;
            rs_grid g = rs_grid_of(rows, cols, V);
            rs_flagged(rs_vec(V, cols, a->y, a->x), [&](auto vec) {
                rs_launch(c, "copy", copy_kernel<decltype(vec)::value, Y, X>, g.grid, g.block, 0,
                          rs_at<Y>(a->y), ldy, rs_at<const X>(a->x), ldx, rows, cols);
            });
        });
    });
}
