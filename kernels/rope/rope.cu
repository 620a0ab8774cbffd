/* A block per token, its angles in shared memory: rows * N*D * 2 * size bytes, and the tables from
 * the cache. The floor is that over the measured copy bandwidth. */
#include "kernels/cuda/pack.cuh"

typedef struct rotation {
    const float2 *f; /* (cos, sin) tables, rows of pf, ph, pw entries */
    const float2 *h;
    const float2 *w;
    int pf, ph, pw;
    int64_t hp, wp; /* patches of a frame */
    int64_t first;
    float direction; /* of the angle: 1 forward, -1 backward */
} rotation;

/* Entry `pair` of the token at (f, h, w). */
static __device__ inline float2 angle_of(const rotation &p, int64_t token, int pair)
{
    if (pair < p.pf)
        return p.f[token / (p.hp * p.wp) * p.pf + pair];
    if (pair < p.pf + p.ph)
        return p.h[token / p.wp % p.hp * p.ph + pair - p.pf];
    return p.w[token % p.wp * p.pw + pair - p.pf - p.ph];
}

template <bool VEC, typename T>
static __global__ void rope_kernel(T *y, int64_t ldy, const T *x, int64_t ldx, rotation p, int cols)
{
    constexpr int V = rs_width<T>::value;
    RS_DYN_SMEM(float2, angle);
    const int pairs = p.pf + p.ph + p.pw;
    x += (int64_t)blockIdx.x * ldx;
    y += (int64_t)blockIdx.x * ldy;
    for (int j = (int)threadIdx.x; j < pairs; j += (int)blockDim.x) {
        angle[j] = angle_of(p, p.first + blockIdx.x, j);
        angle[j].y *= p.direction;
    }
    __syncthreads();
    for (int col = (int)threadIdx.x * V; col < cols; col += (int)blockDim.x * V) {
        float v[V];
        rs_load<VEC>(v, x + col, cols - col);
        int pair = col / 2 % pairs;
#pragma unroll
        for (int j = 0; j < V; j += 2) {
            float2 a = angle[pair];
            float re = v[j] * a.x - v[j + 1] * a.y, im = v[j] * a.y + v[j + 1] * a.x;
            v[j] = re;
            v[j + 1] = im;
            pair = pair + 1 < pairs ? pair + 1 : 0;
        }
        rs_store<VEC>(y + col, v, cols - col);
    }
}

static void rotate(rs_cuctx *c, const char *what, const rs_rope_fwd_args *a, float direction)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rotation p = {rs_at<const float2>(a->table_f),
                  rs_at<const float2>(a->table_h),
                  rs_at<const float2>(a->table_w),
                  (int)a->table_f.shape[1],
                  (int)a->table_h.shape[1],
                  (int)a->table_w.shape[1],
                  a->table_h.shape[0],
                  a->table_w.shape[0],
                  a->first,
                  direction};
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        int64_t chunks = (cols + V - 1) / V, turns = (chunks + 255) / 256;
        int64_t threads = ((chunks + turns - 1) / turns + 31) / 32 * 32;
        rs_flagged(rs_vec(V, cols, a->y, a->x), [&](auto vec) {
            rs_launch(c, what, rope_kernel<decltype(vec)::value, T>, dim3((unsigned)rows),
                      dim3((unsigned)threads), (size_t)(p.pf + p.ph + p.pw) * sizeof(float2),
                      rs_at<T>(a->y), a->y.ld, rs_at<const T>(a->x), a->x.ld, p, (int)cols);
        });
    });
}

void rs_cuda_rope_fwd(rs_cuctx *c, const rs_rope_fwd_args *a)
{
    rotate(c, "rope_fwd", a, 1.0f);
}

void rs_cuda_rope_bwd(rs_cuctx *c, const rs_rope_bwd_args *a)
{
    rotate(c, "rope_bwd", a, -1.0f);
}
