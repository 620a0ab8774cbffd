/* One row per group of threads, the row stays in registers: memory is read once and written once.
 *
 *   forward   rows * C * 2 * size bytes; the weight (C) comes from the cache
 *   backward  rows * C * 3 * size bytes
 *
 * The floor is that over the measured copy bandwidth. */
#include "kernels/act/act_cuda.cuh"
#include "kernels/cuda/reduce.cuh"

template <bool KEEP, bool VEC, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, T)
    fwd_kernel(T *y, int64_t ldy, const T *x, int64_t ldx, const float *weight, rs_rows r,
               float eps, float floor, rs_act act)
{
    constexpr int V = rs_width<T>::value, N = KEEP ? RS_ROW_ITEMS : 1;
    __shared__ float room[32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<KEEP, V>(r);
    rs_raw<T, V> v[N];
    float sum[1] = {0};
    x += at.row * ldx;
    y += at.row * ldy;
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i);
        float e[V];
        rs_fetch<VEC>(v[i % N], x + col, rs_row_left(r, at, col));
        rs_open(e, v[i % N]);
#pragma unroll
        for (int j = 0; j < V; j++)
            sum[0] += e[j] * e[j];
    }
    rs_group_sum(sum, r.lanes, room);
    const float scale = floor > 0 ? sqrtf((float)r.cols) / fmaxf(sqrtf(sum[0]), floor)
                                  : 1.0f / sqrtf(sum[0] / (float)r.cols + eps);
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], w[V];
        if (n <= 0)
            continue;
        if (!KEEP)
            rs_fetch<VEC>(v[0], x + col, n);
        rs_open(e, v[i % N]);
        rs_load<VEC>(w, weight + col, n);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = e[j] * scale * w[j];
        rs_cuda_act_all(act, e);
        rs_store<VEC>(y + col, e, n);
    }
}

template <bool KEEP, bool VEC, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, T)
    bwd_kernel(T *dx, int64_t lddx, const T *dy, int64_t lddy, const T *x, int64_t ldx,
               const float *weight, rs_rows r, float eps)
{
    constexpr int V = rs_width<T>::value, N = KEEP ? RS_ROW_ITEMS : 1;
    __shared__ float room[2 * 32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<KEEP, V>(r);
    rs_raw<T, V> v[N], d[N];
    float sum[2] = {0, 0};
    x += at.row * ldx;
    dy += at.row * lddy;
    dx += at.row * lddx;
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], g[V], w[V];
        rs_fetch<VEC>(v[i % N], x + col, n);
        rs_fetch<VEC>(d[i % N], dy + col, n);
        rs_open(e, v[i % N]);
        rs_open(g, d[i % N]);
        rs_load<VEC>(w, weight + col, n);
#pragma unroll
        for (int j = 0; j < V; j++) {
            sum[0] += e[j] * e[j];
            sum[1] += e[j] * (g[j] * w[j]);
        }
    }
    rs_group_sum(sum, r.lanes, room);
    const float scale = 1.0f / sqrtf(sum[0] / (float)r.cols + eps);
    const float pull = scale * scale * (sum[1] / (float)r.cols);
#pragma unroll(N)
    for (int i = 0; i < items; i++) {
        int64_t col = rs_row_col<V>(r, at, i), n = rs_row_left(r, at, col);
        float e[V], g[V], w[V];
        if (n <= 0)
            continue;
        if (!KEEP) {
            rs_fetch<VEC>(v[0], x + col, n);
            rs_fetch<VEC>(d[0], dy + col, n);
        }
        rs_open(e, v[i % N]);
        rs_open(g, d[i % N]);
        rs_load<VEC>(w, weight + col, n);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = scale * (g[j] * w[j] - e[j] * pull);
        rs_store<VEC>(dx + col, e, n);
    }
}

void rs_cuda_rmsnorm_fwd(rs_cuctx *c, const rs_rmsnorm_fwd_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_rows r = rs_rows_of(rows, cols, V);
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->x, a->y, a->weight);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_launch(c, "rmsnorm_fwd",
                          fwd_kernel<decltype(keep)::value, decltype(vec)::value, T>, g.grid,
                          g.block, 0, rs_at<T>(a->y), a->y.ld, rs_at<const T>(a->x), a->x.ld,
                          rs_at<const float>(a->weight), r, a->eps, a->floor, a->act);
            });
        });
    });
}

void rs_cuda_rmsnorm_bwd(rs_cuctx *c, const rs_rmsnorm_bwd_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_rows r = rs_rows_of(rows, cols, V);
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->dx, a->dy, a->x, a->weight);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_launch(c, "rmsnorm_bwd",
                          bwd_kernel<decltype(keep)::value, decltype(vec)::value, T>, g.grid,
                          g.block, 0, rs_at<T>(a->dx), a->dx.ld, rs_at<const T>(a->dy), a->dy.ld,
                          rs_at<const T>(a->x), a->x.ld, rs_at<const float>(a->weight), r, a->eps);
            });
        });
    });
}
