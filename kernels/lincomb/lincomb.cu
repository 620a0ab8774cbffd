/* One pass: count * 4 * (terms + 1) bytes; the floor is that over the measured copy bandwidth. In
 * place: a thread reads its elements of every term before it writes them. */
#include "kernels/cuda/pack.cuh"

typedef struct terms {
    const float *x[RS_LINCOMB_MAX];
    float coef[RS_LINCOMB_MAX];
    int n;
} terms;

template <bool VEC> static __global__ void lincomb_kernel(float *y, terms t, int64_t n)
{
    constexpr int V = rs_width<>::value;
    rs_cell at = rs_cell_of<V>(n);
    float s[V] = {}, v[V];
    if (at.n <= 0)
        return;
#pragma unroll
    for (int i = 0; i < RS_LINCOMB_MAX; i++)
        if (i < t.n) {
            rs_load<VEC>(v, t.x[i] + at.col, at.n);
#pragma unroll
            for (int j = 0; j < V; j++)
                s[j] += t.coef[i] * v[j];
        }
    rs_store<VEC>(y + at.col, s, at.n);
}

void rs_cuda_lincomb(rs_cuctx *c, const rs_lincomb_args *a)
{
    constexpr int V = rs_width<>::value;
    int64_t n = rs_tensor_count(a->y);
    terms t = {};
    bool wide = rs_vec(V, n, a->y);
    if (n == 0)
        return;
    t.n = a->n;
    for (int i = 0; i < a->n; i++) {
        t.x[i] = rs_at<const float>(a->x[i]);
        t.coef[i] = a->coef[i];
        wide = wide && rs_wide(a->x[i]);
    }
    rs_grid g = rs_grid_flat(n, V);
    rs_flagged(wide, [&](auto vec) {
        rs_launch(c, "lincomb", lincomb_kernel<decltype(vec)::value>, g.grid, g.block, 0,
                  rs_at<float>(a->y), t, n);
    });
}
