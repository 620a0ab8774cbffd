/* One row per group of threads, the row stays in registers: memory is read once and written once.
 *
 *   forward   rows * C * (size x + size y) bytes; the weight (C) comes from the cache
 *   backward  rows * C * 3 * size bytes
 *
 * With a rotation no more: a pass of rope on its own would move another rows * C * 2 * size.
 *
 * The floor is that over the measured copy bandwidth. */
#include "kernels/act/act_cuda.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/rope/rope_cuda.cuh"

/* The angles of this thread's row, in front of the first barrier. */
template <bool ROTATE>
static __device__ inline const float2 *angles_of(const rs_rotation &p, rs_rows r, rs_place at)
{
    RS_DYN_SMEM(float2, angle);
    if (!ROTATE)
        return nullptr;
    float2 *own = angle + (int)threadIdx.x / r.lanes * p.pairs;
    if (at.valid)
        rs_rotation_angles(own, p, at.row, at.lane, r.lanes);
    __syncthreads();
    return own;
}

template <bool KEEP, bool VEC, bool ROTATE, typename R, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, (rs_width<R, T>::value), RS_ROW_ITEMS)
    fwd_kernel(T *y, int64_t ldy, const R *x, int64_t ldx, const float *weight, rs_rows r,
               rs_rotation p, float eps, float floor, rs_act act)
{
    constexpr int V = rs_width<R, T>::value, N = KEEP ? RS_ROW_ITEMS : 1;
    __shared__ float room[32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<V, KEEP, N>(r);
    const float2 *angle = angles_of<ROTATE>(p, r, at);
    rs_raw<R, V> v[N];
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
        if (ROTATE)
            rs_rotate(e, angle, p.pairs, col);
        else
            rs_cuda_act_all(act, e);
        rs_store<VEC>(y + col, e, n);
    }
}

template <bool KEEP, bool VEC, bool ROTATE, typename T>
static __global__ void RS_ROW_BOUNDS(VEC, rs_width<T>::value, RS_ROW_ITEMS)
    bwd_kernel(T *dx, int64_t lddx, const T *dy, int64_t lddy, const T *x, int64_t ldx,
               const float *weight, rs_rows r, rs_rotation p, float eps)
{
    constexpr int V = rs_width<T>::value, N = KEEP ? RS_ROW_ITEMS : 1;
    __shared__ float room[2 * 32];
    const rs_place at = rs_place_of(r);
    const int items = rs_row_items<V, KEEP, N>(r);
    const float2 *angle = angles_of<ROTATE>(p, r, at);
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
        if (ROTATE)
            rs_rotate(g, angle, p.pairs, col);
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
        if (ROTATE)
            rs_rotate(g, angle, p.pairs, col);
        rs_load<VEC>(w, weight + col, n);
#pragma unroll
        for (int j = 0; j < V; j++)
            e[j] = scale * (g[j] * w[j] - e[j] * pull);
        rs_store<VEC>(dx + col, e, n);
    }
}

static size_t angle_bytes(rs_grid g, rs_rows r, const rs_rotation &p)
{
    return (size_t)(g.block.x / (unsigned)r.lanes) * (size_t)p.pairs * sizeof(float2);
}

void rs_cuda_rmsnorm_fwd(rs_cuctx *c, const rs_rmsnorm_fwd_args *a)
{
    rs_rotation p = rs_rotation_of(a->table_f, a->table_h, a->table_w, a->first, 1.0f);
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_pair(a->x.dtype, a->y.dtype, [&](auto r0, auto t0) {
        typedef decltype(r0) R;
        typedef decltype(t0) T;
        constexpr int V = rs_width<R, T>::value;
        rs_rows r = rs_rows_of(rows, cols, V, RS_ROW_ITEMS);
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->x, a->y, a->weight);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_flagged(p.pairs > 0, [&](auto rotate) {
                    rs_launch(c, "rmsnorm_fwd",
                              fwd_kernel<decltype(keep)::value, decltype(vec)::value,
                                         decltype(rotate)::value, R, T>,
                              g.grid, g.block, angle_bytes(g, r, p), rs_at<T>(a->y), a->y.ld,
                              rs_at<const R>(a->x), a->x.ld, rs_at<const float>(a->weight), r, p,
                              a->eps, a->floor, a->act);
                });
            });
        });
    });
}

void rs_cuda_rmsnorm_bwd(rs_cuctx *c, const rs_rmsnorm_bwd_args *a)
{
    rs_rotation p = rs_rotation_of(a->table_f, a->table_h, a->table_w, a->first, -1.0f);
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        rs_rows r = rs_rows_of(rows, cols, V, RS_ROW_ITEMS);
        rs_grid g = rs_rows_grid(r);
        bool wide = rs_vec(V, cols, a->dx, a->dy, a->x, a->weight);
        rs_flagged(r.keep, [&](auto keep) {
            rs_flagged(wide, [&](auto vec) {
                rs_flagged(p.pairs > 0, [&](auto rotate) {
                    rs_launch(c, "rmsnorm_bwd",
                              bwd_kernel<decltype(keep)::value, decltype(vec)::value,
                                         decltype(rotate)::value, T>,
                              g.grid, g.block, angle_bytes(g, r, p), rs_at<T>(a->dx), a->dx.ld,
                              rs_at<const T>(a->dy), a->dy.ld, rs_at<const T>(a->x), a->x.ld,
                              rs_at<const float>(a->weight), r, p, a->eps);
                });
            });
        });
    });
}
