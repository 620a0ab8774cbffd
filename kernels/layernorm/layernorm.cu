/* One row per group of threads, the row stays in registers: memory is read once and written once.
 *
 *   forward   rows * C * (size x + size y) bytes, + size x + size o with a residual in front; the
 *             vectors (C) come from the cache
 *   backward  rows * C * (size x + size dy + size dx), + size dx with accumulate, + size dy with
 *             next
 *
 * gate_add before the forward would move another size x * 2 (write sum, read it again), gate_mul
 * behind the backward size dx. Rows longer than RS_ROW_KEPT are read three times.
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

/* A residual in front of the norm: sum = x + gate * o is normalised. */
template <typename R, typename T> struct residual {
    const T *o;
    const float *gate;
    R *sum;
};

/* v += gate * w in the stream's type, and to memory. */
template <bool VEC, typename R, typename T, int V>
static __device__ inline void add_branch(rs_raw<R, V> &v, const rs_raw<T, V> &w,
                                         const residual<R, T> &b, int64_t col, int64_t n)
{
    float e[V], f[V], g[V];
    rs_open(e, v);
    rs_open(f, w);
    rs_load_or<VEC>(g, b.gate, col, n, 1.0f);
#pragma unroll
    for (int j = 0; j < V; j++)
        e[j] += g[j] * f[j];
    rs_store<VEC>(b.sum + col, e, n);
#pragma unroll
    for (int i = 0; i < rs_raw<R, V>::words; i++)
        v.w[i] = rs_pack(e + i * rs_raw<R, V>::each, b.sum);
}

/* Sum of the elements of a row, or with ADD of row and branch; with KEEP they stay in v. */
template <bool KEEP, bool VEC, bool ADD, typename R, typename T, int V, int N>
static __device__ inline float total(rs_raw<R, V> (&v)[N], const R *x, const residual<R, T> &b,
                                     rs_rows r, rs_place at, float *room)
{
    const int items = rs_row_items<V, KEEP, N>(r);
    float sum[1] = {0};
    rs_raw<T, V> w[N];
    if (KEEP) /* all of the row is on its way before the first element is wanted */
#pragma unroll
        for (int i = 0; i < N; i++) {
            int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
            rs_fetch<VEC>(v[i], x + col, n);
            if (ADD)
                rs_fetch<VEC>(w[i], b.o + col, n);
        }
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V];
        if (!KEEP) {
            rs_fetch<VEC>(v[0], x + col, n);
            if (ADD)
                rs_fetch<VEC>(w[0], b.o + col, n);
        }
        if (ADD)
            add_branch<VEC>(v[i % N], w[i % N], b, col, n);
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

template <bool KEEP, bool VEC, bool ADD, typename R, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, (rs_width<R, T>::value), RS_ROW_ITEMS)
    fwd_kernel(T *y, const R *x, residual<R, T> b, vectors p, rs_rows r, float eps)
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
    if (ADD) {
        b.o += at.row * r.cols;
        b.sum += at.row * r.cols;
    }
    const float mean = total<KEEP, VEC, ADD>(v, x, b, r, at, room) * inv;
    if (ADD)
        x = b.sum; /* what is read again, by the threads that wrote it */
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
        float e[V], f[V], a[V];
        if (n <= 0)
            continue;
        if (!KEEP)
            rs_fetch<VEC>(v[0], x + col, n);
        rs_open(e, v[i % N]);
        load_factor<VEC>(f, p, col, n);
        rs_load_or<VEC>(a, p.bias, col, n, 0.0f);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = ((e[j] - m.mean) * m.rstd + m.rest) * f[j] + a[j];
        if (p.shift) {
            rs_load<VEC>(a, p.shift + col, n);
#pragma unroll
            for (int j = 0; j < V; j++)
                e[j] += a[j];
        }
        rs_store<VEC>(y + col, e, n);
    }
}

/* Where a gradient goes: dx, and times the gate to the branch whose residual x is. */
template <typename R, typename T> struct gradient {
    R *dx;
    T *next; /* or NULL */
    const float *gate;
    bool accumulate;
};

/* Two or three tensors are kept: of 8 elements, half as many chunks. */
template <typename R, typename T> static constexpr int bwd_items()
{
    return 16 / rs_width<R, T>::value;
}

template <bool KEEP, bool VEC, typename R, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, (rs_width<R, T>::value), (bwd_items<R, T>()))
    bwd_kernel(gradient<R, T> to, const T *dy, const R *x, vectors p, rs_rows r, float eps)
{
    constexpr int V = rs_width<R, T>::value, N = KEEP ? bwd_items<R, T>() : 1;
    __shared__ float room[5 * 32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<V, KEEP, N>(r);
    const float inv = 1.0f / (float)r.cols;
    rs_raw<R, V> v[N], old[N] = {};
    rs_raw<T, V> w[N];
    float q[4] = {0, 0, 0, 0};
    x += at.row * r.cols;
    dy += at.row * r.cols;
    to.dx += at.row * r.cols;
    to.next += to.next ? at.row * r.cols : 0;
    if (KEEP)
#pragma unroll
        for (int i = 0; i < N; i++) {
            int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
            rs_fetch<VEC>(w[i], dy + col, n);
            if (to.accumulate)
                rs_fetch<VEC>(old[i], to.dx + col, n);
        }
    const float mean = total<KEEP, VEC, false>(v, x, residual<R, T>(), r, at, room) * inv;
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
            if (to.accumulate)
                rs_fetch<VEC>(old[0], to.dx + col, n);
        }
        rs_open(e, v[i % N]);
        rs_open(g, w[i % N]);
        load_factor<VEC>(f, p, col, n);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = m.rstd * (g[j] * f[j] - g_mean - ((e[j] - m.mean) * m.rstd + m.rest) * gx_mean);
        rs_open(f, old[i % N]);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] += f[j];
        rs_store<VEC>(to.dx + col, e, n);
        if (to.next) {
            rs_load_or<VEC>(f, to.gate, col, n, 1.0f);
#pragma unroll
            for (int j = 0; j < V; j++)
                e[j] *= f[j];
            rs_store<VEC>(to.next + col, e, n);
        }
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
        residual<R, T> b = {rs_at<const T>(a->o), rs_at<const float>(a->gate), rs_at<R>(a->sum)};
        bool wide = rs_vec(V, cols, a->x, a->y, a->weight, a->bias, a->scale, a->shift) &&
                    rs_vec(V, cols, a->o, a->gate, a->sum);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_flagged(rs_has(a->o), [&](auto add) {
                    rs_launch(c, "layernorm_fwd",
                              fwd_kernel<decltype(keep)::value, decltype(vec)::value,
                                         decltype(add)::value, R, T>,
                              g.grid, g.block, 0, rs_at<T>(a->y), rs_at<const R>(a->x), b, p, r,
                              a->eps);
                });
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
        gradient<R, T> to = {rs_at<R>(a->dx), rs_at<T>(a->next), rs_at<const float>(a->gate),
                             a->accumulate};
        bool wide = rs_vec(V, cols, a->x, a->dy, a->dx, a->weight, a->scale, a->next, a->gate);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_launch(c, "layernorm_bwd",
                          bwd_kernel<decltype(keep)::value, decltype(vec)::value, R, T>, g.grid,
                          g.block, 0, to, rs_at<const T>(a->dy), rs_at<const R>(a->x), p, r,
                          a->eps);
            });
        });
    });
}
