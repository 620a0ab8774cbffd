/* One pass: p, m, v are read and written, g is read: 28 bytes an element. The floor is that over
 * the measured copy bandwidth. Constants are formed in double on the host, as on the CPU. */
#include <math.h>

#include "kernels/cuda/pack.cuh"

typedef struct step {
    float decay, scale, b1, b2, one_b1, one_b2, rate, inv_sqrt_c2, eps;
} step;

template <bool VEC>
static __global__ void adamw_kernel(float *p, float *m, float *v, const float *g, step s, int64_t n)
{
    constexpr int V = rs_width<>::value;
    rs_cell at = rs_cell_of<V>(n);
    float pv[V], mv[V], vv[V], gv[V];
    if (at.n <= 0)
        return;
    rs_load<VEC>(pv, p + at.col, at.n);
    rs_load<VEC>(mv, m + at.col, at.n);
    rs_load<VEC>(vv, v + at.col, at.n);
    rs_load<VEC>(gv, g + at.col, at.n);
#pragma unroll
    for (int j = 0; j < V; j++) {
        float d = gv[j] * s.scale;
        mv[j] = s.b1 * mv[j] + s.one_b1 * d;
        vv[j] = s.b2 * vv[j] + s.one_b2 * d * d;
        pv[j] = pv[j] * s.decay - s.rate * (mv[j] / (sqrtf(vv[j]) * s.inv_sqrt_c2 + s.eps));
    }
    rs_store<VEC>(p + at.col, pv, at.n);
    rs_store<VEC>(m + at.col, mv, at.n);
    rs_store<VEC>(v + at.col, vv, at.n);
}

void rs_cuda_adamw(rs_cuctx *c, const rs_adamw_args *a)
{
    constexpr int V = rs_width<>::value;
    int64_t n = rs_tensor_count(a->p);
    if (n == 0)
        return;
    double c1 = 1.0 - pow((double)a->beta1, (double)a->step);
    double c2 = 1.0 - pow((double)a->beta2, (double)a->step);
    step s = {};
    s.decay = (float)(1.0 - (double)a->lr * (double)a->weight_decay);
    s.scale = a->grad_scale;
    s.b1 = a->beta1;
    s.b2 = a->beta2;
    s.one_b1 = (float)(1.0 - (double)a->beta1);
    s.one_b2 = (float)(1.0 - (double)a->beta2);
    s.rate = (float)((double)a->lr / c1);
    s.inv_sqrt_c2 = (float)(1.0 / sqrt(c2));
    s.eps = a->eps;
    rs_grid g = rs_grid_flat(n, V);
    rs_flagged(rs_vec(V, n, a->p, a->m, a->v, a->g), [&](auto vec) {
        rs_launch(c, "adamw", adamw_kernel<decltype(vec)::value>, g.grid, g.block, 0,
                  rs_at<float>(a->p), rs_at<float>(a->m), rs_at<float>(a->v),
                  rs_at<const float>(a->g), s, n);
    });
}
