/* One pass: a thread keeps its columns' gate and goes down the rows.
 *   gate_add  rows * C * (2 * size x + size o)   gate_mul  rows * C * (size x + size y) bytes
 * The floor is that over the measured copy bandwidth. In place: a thread reads its elements before
 * it writes them. */
#include "kernels/cuda/pack.cuh"

template <bool VEC, typename R, typename T>
static __global__ void add_kernel(R *y, const R *x, const T *o, const float *gate, int64_t rows,
                                  int64_t cols)
{
    constexpr int V = rs_width<R, T>::value;
    rs_cell at = rs_cell_of<V>(cols);
    float g[V], v[V], w[V];
    if (at.n <= 0)
        return;
    rs_load_or<VEC>(g, gate, at.col, at.n, 1.0f);
    for (int64_t r = at.row; r < rows; r += at.step) {
        rs_load<VEC>(v, x + r * cols + at.col, at.n);
        rs_load<VEC>(w, o + r * cols + at.col, at.n);
#pragma unroll
        for (int j = 0; j < V; j++)
            v[j] += g[j] * w[j];
        rs_store<VEC>(y + r * cols + at.col, v, at.n);
    }
}

template <bool VEC, typename R, typename T>
static __global__ void mul_kernel(T *y, const R *x, const float *gate, int64_t rows, int64_t cols)
{
    constexpr int V = rs_width<R, T>::value;
    rs_cell at = rs_cell_of<V>(cols);
    float g[V], v[V];
    if (at.n <= 0)
        return;
    rs_load<VEC>(g, gate + at.col, at.n);
    for (int64_t r = at.row; r < rows; r += at.step) {
        rs_load<VEC>(v, x + r * cols + at.col, at.n);
#pragma unroll
        for (int j = 0; j < V; j++)
            v[j] *= g[j];
        rs_store<VEC>(y + r * cols + at.col, v, at.n);
    }
}

void rs_cuda_gate_add(rs_cuctx *c, const rs_gate_add_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_pair(a->x.dtype, a->o.dtype, [&](auto r0, auto t0) {
        typedef decltype(r0) R;
        typedef decltype(t0) T;
        constexpr int V = rs_width<R, T>::value;
        rs_grid g = rs_grid_of(rows, cols, V);
        rs_flagged(rs_vec(V, cols, a->y, a->x, a->o, a->gate), [&](auto vec) {
            rs_launch(c, "gate_add", add_kernel<decltype(vec)::value, R, T>, g.grid, g.block, 0,
                      rs_at<R>(a->y), rs_at<const R>(a->x), rs_at<const T>(a->o),
                      rs_at<const float>(a->gate), rows, cols);
        });
    });
}

void rs_cuda_gate_mul(rs_cuctx *c, const rs_gate_mul_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_pair(a->x.dtype, a->y.dtype, [&](auto r0, auto t0) {
        typedef decltype(r0) R;
        typedef decltype(t0) T;
        constexpr int V = rs_width<R, T>::value;
        rs_grid g = rs_grid_of(rows, cols, V);
        rs_flagged(rs_vec(V, cols, a->y, a->x, a->gate), [&](auto vec) {
            rs_launch(c, "gate_mul", mul_kernel<decltype(vec)::value, R, T>, g.grid, g.block, 0,
                      rs_at<T>(a->y), rs_at<const R>(a->x), rs_at<const float>(a->gate), rows,
                      cols);
        });
    });
}
