/* Element by element, one pass: n = elements.
 *   act_fwd  n * 2 * size   act_bwd  n * 3 * size   glu  n * 3 * size bytes
 * The floor is that over the measured copy bandwidth; about 35 instructions an element leave the
 * arithmetic below it. In place: a thread reads its elements before it writes them. */
#include "kernels/act/act_cuda.cuh"

template <bool VEC, typename T>
static __global__ void fwd_kernel(T *y, const T *x, int64_t n, rs_act act)
{
    constexpr int V = rs_width<T>::value;
    rs_cell at = rs_cell_of<V>(n);
    float v[V];
    if (at.n <= 0)
        return;
    rs_load<VEC>(v, x + at.col, at.n);
    rs_cuda_act_all(act, v);
    rs_store<VEC>(y + at.col, v, at.n);
}

template <bool VEC, typename T>
static __global__ void bwd_kernel(T *dx, const T *dy, const T *x, int64_t n, rs_act act)
{
    constexpr int V = rs_width<T>::value;
    rs_cell at = rs_cell_of<V>(n);
    float v[V], g[V];
    if (at.n <= 0)
        return;
    rs_load<VEC>(v, x + at.col, at.n);
    rs_load<VEC>(g, dy + at.col, at.n);
#pragma unroll
    for (int j = 0; j < V; j++)
        g[j] *= rs_cuda_slope(act, v[j]);
    rs_store<VEC>(dx + at.col, g, at.n);
}

template <bool VEC, typename T>
static __global__ void glu_kernel(T *y, const T *a, const T *b, int64_t n, rs_act act)
{
    constexpr int V = rs_width<T>::value;
    rs_cell at = rs_cell_of<V>(n);
    float v[V], w[V];
    if (at.n <= 0)
        return;
    rs_load<VEC>(v, a + at.col, at.n);
    rs_load<VEC>(w, b + at.col, at.n);
    rs_cuda_act_all(act, v);
#pragma unroll
    for (int j = 0; j < V; j++)
        v[j] *= w[j];
    rs_store<VEC>(y + at.col, v, at.n);
}

void rs_cuda_act_fwd(rs_cuctx *c, const rs_act_fwd_args *a)
{
    int64_t n = rs_tensor_count(a->x);
    if (n == 0)
        return;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_grid g = rs_grid_flat(n, V);
        rs_flagged(rs_vec(V, n, a->y, a->x), [&](auto vec) {
            rs_launch(c, "act_fwd", fwd_kernel<decltype(vec)::value, T>, g.grid, g.block, 0,
                      rs_at<T>(a->y), rs_at<const T>(a->x), n, a->act);
        });
    });
}

void rs_cuda_act_bwd(rs_cuctx *c, const rs_act_bwd_args *a)
{
    int64_t n = rs_tensor_count(a->x);
    if (n == 0)
        return;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_grid g = rs_grid_flat(n, V);
        rs_flagged(rs_vec(V, n, a->dx, a->dy, a->x), [&](auto vec) {
            rs_launch(c, "act_bwd", bwd_kernel<decltype(vec)::value, T>, g.grid, g.block, 0,
                      rs_at<T>(a->dx), rs_at<const T>(a->dy), rs_at<const T>(a->x), n, a->act);
        });
    });
}

void rs_cuda_glu_fwd(rs_cuctx *c, const rs_glu_fwd_args *a)
{
    int64_t n = rs_tensor_count(a->a);
    if (n == 0)
        return;
    rs_typed(a->a.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_grid g = rs_grid_flat(n, V);
        rs_flagged(rs_vec(V, n, a->y, a->a, a->b), [&](auto vec) {
            rs_launch(c, "glu_fwd", glu_kernel<decltype(vec)::value, T>, g.grid, g.block, 0,
                      rs_at<T>(a->y), rs_at<const T>(a->a), rs_at<const T>(a->b), n, a->act);
        });
    });
}
