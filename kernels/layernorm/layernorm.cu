/* One row per group of threads, the row stays in registers: memory is read once and written once.
 *
 *   forward   rows * C * (size x + size y) bytes; the vectors (C) come from the cache
 *   backward  rows * C * (size x + size dy + size dx), + size dx with accumulate
 *
 * The floor is that over the measured copy bandwidth. The variance comes from x - m with m the mean
 * rounded to fp32, and the mean of those differences corrects both: a mean of 1000 standard
 * deviations costs no accuracy. */
#include "kernels/cuda/reduce.cuh"

typedef struct vectors {
    const float *weight;
    const float *bias;
    const float *scale;
    const float *shift;
} vectors;

/* Weight, or 1 + scale, or 1. */
template <bool VEC, int V>
static __device__ inline void load_factor(float (&f)[V], vectors p, int64_t col, int64_t n)
{
    rs_load_or<VEC>(f, p.weight ? p.weight : p.scale, col, n, p.weight ? 1.0f : 0.0f);
    if (!p.weight)
#pragma unroll
        for (int j = 0; j < V; j++)
            f[j] += 1.0f;
}

/* Sum of the row's elements; with KEEP they stay in v. */
template <bool KEEP, bool VEC, typename R, int V, int N>
static __device__ inline float total(rs_raw<R, V> (&v)[N], const R *x, rs_rows r, rs_place at,
                                     float *room)
{
    const int items = rs_row_items<V, KEEP, N>(r);
    float sum[1] = {0};
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i);
        float e[V];
        rs_fetch<VEC>(v[i % N], x + col, rs_row_left(r, at, col));
        rs_open(e, v[i % N]);
#pragma unroll
        for (int j = 0; j < V; j++)
            sum[0] += e[j];
    }
    rs_group_sum(sum, r.lanes, room);
    return sum[0];
}

typedef struct moments {
    float mean; /* rounded */
    float rstd;
    float rest; /* xh = (x - mean) * rstd + rest */
} moments;

/* d, d2: sums of x - mean and of its square. */
static __device__ inline moments moments_of(float mean, float d, float d2, float inv, float eps)
{
    float delta = d * inv, var = fmaxf(d2 * inv - delta * delta, 0.0f);
    float rstd = 1.0f / sqrtf(var + eps);
    moments m = {mean, rstd, -delta * rstd};
    return m;
}

template <bool KEEP, bool VEC, typename R, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, (rs_width<R, T>::value), RS_ROW_ITEMS)
    fwd_kernel(T *y, const R *x, vectors p, rs_rows r, float eps)
{
    constexpr int V = rs_width<R, T>::value, N = KEEP ? RS_ROW_ITEMS : 1;
    __shared__ float room[3 * 32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<V, KEEP, N>(r);
    const float inv = 1.0f / (float)r.cols;
    rs_raw<R, V> v[N];
    float q[2] = {0, 0};
    x += at.row * r.cols;
    y += at.row * r.cols;
    const float mean = total<KEEP, VEC>(v, x, r, at, room) * inv;
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V];
        if (!KEEP)
            rs_fetch<VEC>(v[0], x + col, n);
        rs_open(e, v[i % N]);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = (VEC ? n > 0 : j < n) ? e[j] - mean : 0.0f;
            q[0] += d;
            q[1] += d * d;
        }
    }
    rs_group_sum(q, r.lanes, room + 32);
    const moments m = moments_of(mean, q[0], q[1], inv, eps);
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], f[V], b[V];
        if (n <= 0)
            continue;
        if (!KEEP)
            rs_fetch<VEC>(v[0], x + col, n);
        rs_open(e, v[i % N]);
        load_factor<VEC>(f, p, col, n);
        rs_load_or<VEC>(b, p.bias, col, n, 0.0f);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = ((e[j] - m.mean) * m.rstd + m.rest) * f[j] + b[j];
        if (p.shift) {
            rs_load<VEC>(b, p.shift + col, n);
#pragma unroll
            for (int j = 0; j < V; j++)
                e[j] += b[j];
        }
        rs_store<VEC>(y + col, e, n);
    }
}

/* Two tensors are kept: of 8 elements, half as many chunks. */
template <typename R, typename T> static constexpr int bwd_items()
{
    return 16 / rs_width<R, T>::value;
}

template <bool KEEP, bool VEC, typename R, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, (rs_width<R, T>::value), (bwd_items<R, T>()))
    bwd_kernel(R *dx, const T *dy, const R *x, vectors p, rs_rows r, float eps, bool accumulate)
{
    constexpr int V = rs_width<R, T>::value, N = KEEP ? bwd_items<R, T>() : 1;
    __shared__ float room[5 * 32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<V, KEEP, N>(r);
    const float inv = 1.0f / (float)r.cols;
    rs_raw<R, V> v[N];
    rs_raw<T, V> w[N];
    float q[4] = {0, 0, 0, 0};
    x += at.row * r.cols;
    dy += at.row * r.cols;
    dx += at.row * r.cols;
    if (KEEP)
#pragma unroll
        for (int i = 0; i < N; i++) {
            int64_t col = rs_row_col<V>(r, at, i);
            rs_fetch<VEC>(w[i], dy + col, rs_row_left(r, at, col));
        }
    const float mean = total<KEEP, VEC>(v, x, r, at, room) * inv;
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], g[V], f[V];
        if (!KEEP) {
            rs_fetch<VEC>(v[0], x + col, n);
            rs_fetch<VEC>(w[0], dy + col, n);
        }
        rs_open(e, v[i % N]);
        rs_open(g, w[i % N]);
        load_factor<VEC>(f, p, col, n);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = (VEC ? n > 0 : j < n) ? e[j] - mean : 0.0f;
            g[j] *= f[j];
            q[0] += d;
            q[1] += d * d;
            q[2] += g[j];
            q[3] += g[j] * d;
        }
    }
    rs_group_sum(q, r.lanes, room + 32);
    const moments m = moments_of(mean, q[0], q[1], inv, eps);
    const float g_mean = q[2] * inv, gx_mean = (q[3] * m.rstd + q[2] * m.rest) * inv;
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], g[V], f[V];
        if (n <= 0)
            continue;
        if (!KEEP) {
            rs_fetch<VEC>(v[0], x + col, n);
            rs_fetch<VEC>(w[0], dy + col, n);
        }
        rs_open(e, v[i % N]);
        rs_open(g, w[i % N]);
        load_factor<VEC>(f, p, col, n);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = m.rstd * (g[j] * f[j] - g_mean - ((e[j] - m.mean) * m.rstd + m.rest) * gx_mean);
        if (accumulate) {
            rs_load<VEC>(f, dx + col, n);
#pragma unroll
            for (int j = 0; j < V; j++)
                e[j] += f[j];
        }
        rs_store<VEC>(dx + col, e, n);
    }
}

void rs_cuda_layernorm_fwd(rs_cuctx *c, const rs_layernorm_fwd_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    vectors p = {rs_at<float>(a->weight), rs_at<float>(a->bias), rs_at<float>(a->scale),
                 rs_at<float>(a->shift)};
    if (rows * cols == 0)
        return;
    rs_pair(a->x.dtype, a->y.dtype, [&](auto r0, auto t0) {
        typedef decltype(r0) R;
        typedef decltype(t0) T;
        constexpr int V = rs_width<R, T>::value;
        rs_rows r = rs_rows_of(rows, cols, V, RS_ROW_ITEMS);
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->x, a->y, a->weight, a->bias, a->scale, a->shift);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_launch(c, "layernorm_fwd",
                          fwd_kernel<decltype(keep)::value, decltype(vec)::value, R, T>, g.grid,
                          g.block, 0, rs_at<T>(a->y), rs_at<const R>(a->x), p, r, a->eps);
            });
        });
    });
}

void rs_cuda_layernorm_bwd(rs_cuctx *c, const rs_layernorm_bwd_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    vectors p = {rs_at<float>(a->weight), NULL, rs_at<float>(a->scale), NULL};
    if (rows * cols == 0)
        return;
    rs_pair(a->x.dtype, a->dy.dtype, [&](auto r0, auto t0) {
        typedef decltype(r0) R;
        typedef decltype(t0) T;
        constexpr int V = rs_width<R, T>::value;
        rs_rows r = rs_rows_of(rows, cols, V, (bwd_items<R, T>()));
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->x, a->dy, a->dx, a->weight, a->scale);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_launch(c, "layernorm_bwd",
                          bwd_kernel<decltype(keep)::value, decltype(vec)::value, R, T>, g.grid,
                          g.block, 0, rs_at<R>(a->dx), rs_at<const T>(a->dy), rs_at<const R>(a->x),
                          p, r, a->eps, a->accumulate);
            });
        });
    });
}
