/* L * C * (size table + size y) bytes; the floor is that over the measured copy bandwidth. */
#include "kernels/cuda/pack.cuh"

template <bool VEC, typename Y, typename X>
static __global__ void embed_kernel(Y *y, const X *table, const int32_t *ids, int64_t rows,
                                    int64_t cols)
{
    constexpr int V = rs_width<Y, X>::value;
    rs_cell at = rs_cell_of<V>(cols);
    float v[V];
    if (at.n <= 0)
        return;
    for (int64_t r = at.row; r < rows; r += at.step) {
        rs_load<VEC>(v, table + ids[r] * cols + at.col, at.n);
        rs_store<VEC>(y + r * cols + at.col, v, at.n);
    }
}

void rs_cuda_embed(rs_cuctx *c, const rs_embed_args *a)
{
    int64_t rows = rs_tensor_count(a->ids), cols = rs_tensor_cols(a->table);
    if (rows * cols == 0)
        return;
    rs_typed(a->y.dtype, [&](auto y0) {
        rs_typed(a->table.dtype, [&](auto x0) {
            typedef decltype(y0) Y;
            typedef decltype(x0) X;
            constexpr int V = rs_width<Y, X>::value;
            rs_grid g = rs_grid_of(rows, cols, V);
            rs_flagged(rs_vec(V, cols, a->y, a->table), [&](auto vec) {
                rs_launch(c, "embed", embed_kernel<decltype(vec)::value, Y, X>, g.grid, g.block, 0,
                          rs_at<Y>(a->y), rs_at<const X>(a->table), rs_at<const int32_t>(a->ids),
                          rows, cols);
            });
        });
    });
}
