/* One pass: count * (size x + size y) bytes; the floor is that over the measured copy bandwidth.
 * Channels last: a thread keeps its columns' factors and goes down the rows. Channels first: x is
 * (C, rest), a row has one factor. In place: a thread reads its elements before it writes them. */
#include "kernels/cuda/pack.cuh"

template <bool VEC, bool FIRST, typename Y, typename X>
static __global__ void affine_kernel(Y *y, const X *x, const float *mul, const float *add,
                                     int64_t rows, int64_t cols)
{
    constexpr int V = rs_width<Y, X>::value;
    rs_cell at = rs_cell_of<V>(cols);
    float m[V], b[V], v[V];
    if (at.n <= 0)
        return;
    if (!FIRST) {
        rs_load<VEC>(m, mul + at.col, at.n);
        rs_load_or<VEC>(b, add, at.col, at.n, 0.0f);
    }
    for (int64_t r = at.row; r < rows; r += at.step) {
        rs_load<VEC>(v, x + r * cols + at.col, at.n);
#pragma unroll
        for (int j = 0; j < V; j++)
            v[j] = FIRST ? v[j] * mul[r] + (add ? add[r] : 0.0f) : v[j] * m[j] + b[j];
        rs_store<VEC>(y + r * cols + at.col, v, at.n);
    }
}

void rs_cuda_affine(rs_cuctx *c, const rs_affine_args *a)
{
    int64_t n = rs_tensor_count(a->x);
    if (n == 0)
        return;
    int64_t rows = a->channel_first ? a->x.shape[0] : rs_tensor_rows(a->x), cols = n / rows;
    rs_typed(a->y.dtype, [&](auto y0) {
        rs_typed(a->x.dtype, [&](auto x0) {
            typedef decltype(y0) Y;
            typedef decltype(x0) X;
            constexpr int V = rs_width<Y, X>::value;
            rs_grid g = rs_grid_of(rows, cols, V);
            bool wide = rs_vec(V, cols, a->y, a->x) &&
                        (a->channel_first || rs_vec(V, cols, a->mul, a->add));
            rs_flagged(wide, [&](auto vec) {
                rs_flagged(a->channel_first, [&](auto first) {
                    rs_launch(c, "affine",
                              affine_kernel<decltype(vec)::value, decltype(first)::value, Y, X>,
                              g.grid, g.block, 0, rs_at<Y>(a->y), rs_at<const X>(a->x),
                              rs_at<const float>(a->mul), rs_at<const float>(a->add), rows, cols);
                });
            });
        });
    });
}
