/* Row-wise kernels: a group of threads per row, the row in registers, sums in a fixed order.
 *
 * A group is 1 to 32 lanes of a warp (several rows a warp) or, for rows that need more, the whole
 * block. Which thread adds what depends on the row length only. */
#ifndef RS_KERNELS_CUDA_REDUCE_CUH
#define RS_KERNELS_CUDA_REDUCE_CUH

#include "kernels/cuda/pack.cuh"

enum { RS_ROW_ITEMS = 4, RS_ROW_BLOCK = 128, RS_ROW_KEPT = 8192 };

/* Most threads of a row, with `items` chunks of v elements each: RS_ROW_KEPT columns stay in
 * registers. */
static constexpr int rs_row_longest(int v, int items)
{
    return RS_ROW_KEPT / (v * items);
}
/* 512 such threads a multiprocessor where it counts, so that registers stay within 128. */
#define RS_ROW_BOUNDS(VEC, v, items)                                                               \
    __launch_bounds__(rs_row_longest(v, items), VEC ? 512 / rs_row_longest(v, items) : 1)

/* How rows are dealt out. */
typedef struct rs_rows {
    int64_t rows;
    int64_t cols;
    int lanes; /* threads of a row */
    bool keep; /* the row fits into the group's registers */
} rs_rows;

static inline rs_rows rs_rows_of(int64_t rows, int64_t cols, int v, int items)
{
    int64_t each = (int64_t)v * items, need = (cols + each - 1) / each;
    int longest = rs_row_longest(v, items);
    rs_rows r = {rows, cols, 1, need <= longest};
    if (need <= 32)
        while (r.lanes < need)
            r.lanes *= 2;
    else
        r.lanes = r.keep ? (int)((need + 31) / 32 * 32) : longest;
    return r;
}

static inline rs_grid rs_rows_grid(rs_rows r)
{
    int64_t block = r.lanes <= 32 ? RS_ROW_BLOCK : r.lanes;
    rs_grid g = {dim3(rs_blocks(r.rows, block / r.lanes)), dim3((unsigned)block)};
    return g;
}

/* A thread's place: its row, and its number in the row's group. Threads without a row take part in
 * the sums too. */
typedef struct rs_place {
    int64_t row;
    int lane;
    bool valid;
} rs_place;

static __device__ inline rs_place rs_place_of(rs_rows r)
{
    int per = (int)blockDim.x / r.lanes;
    rs_place p;
    p.row = (int64_t)blockIdx.x * per + (int)threadIdx.x / r.lanes;
    p.lane = (int)threadIdx.x % r.lanes;
    p.valid = p.row < r.rows;
    return p;
}

/* Chunks that a thread goes through; KEEP: their number is fixed and they stay in registers. */
template <int V, bool KEEP, int N> static __device__ inline int rs_row_items(rs_rows r)
{
    return KEEP ? N : (int)((r.cols + (int64_t)r.lanes * V - 1) / (r.lanes * V));
}

/* First column of chunk i, and the columns left from there on. */
template <int V> static __device__ inline int64_t rs_row_col(rs_rows r, rs_place at, int i)
{
    return ((int64_t)i * r.lanes + at.lane) * V;
}

static __device__ inline int64_t rs_row_left(rs_rows r, rs_place at, int64_t col)
{
    return at.valid ? r.cols - col : 0;
}

/* Sums of K values over the group; every thread gets them. `room`: K * 32 floats of shared memory
 * that no other call uses. */
template <int K> static __device__ inline void rs_group_sum(float (&v)[K], int lanes, float *room)
{
    for (int d = (lanes < 32 ? lanes : 32) / 2; d > 0; d >>= 1)
#pragma unroll
        for (int k = 0; k < K; k++)
            v[k] += __shfl_xor_sync(0xffffffffu, v[k], d);
    if (lanes <= 32)
        return;
    int warps = (int)blockDim.x / 32;
    if (threadIdx.x % 32 == 0)
#pragma unroll
        for (int k = 0; k < K; k++)
            room[threadIdx.x / 32 * K + k] = v[k];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < K; k++)
        v[k] = 0;
    for (int w = 0; w < warps; w++)
#pragma unroll
        for (int k = 0; k < K; k++)
            v[k] += room[w * K + k];
}

/* Sum over the block, to thread 0. `room`: 32 doubles of shared memory of this call's own. */
static __device__ inline double rs_block_sum(double v, double *room)
{
    for (int d = 16; d > 0; d >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = v;
    __syncthreads();
    double sum = 0;
    if (threadIdx.x == 0)
        for (int w = 0; w < (int)blockDim.x / 32; w++)
            sum += room[w];
    return sum;
}

#endif
