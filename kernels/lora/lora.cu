/* bf16 activations, M rows of K, adapters of rank R, all pairs of a pass C columns wide:
 *   lora_down  reads M*K*2, writes M*C*2 bytes        lora_grad  reads M*(K + C)*2
 *   lora_up    writes M*K*2, and reads as many where it adds
 * The floor is that over the measured copy bandwidth; 2*M*K*C operations of bf16 tensor cores stay
 * below it for C up to 64 (32 C operations a byte... of 300 a byte that an H100 has). Factors and
 * lows come from the second level cache.
 *
 * Sums: lora_down in the order of K; lora_grad in the order of rows within a segment, the tree of
 * segments in registers, so nothing is written but the gradient; both by one warp, 16 terms at a
 * time. Other storage, ranks that need more than 64 columns together, and rows that are no multiple
 * of 16 bytes are made by gemm (lora_any.h); which way is a matter of a part's own shapes. */
#include "kernels/cuda/ops.h"
#include "kernels/lora/lora_any.h"
#include "kernels/lora/lora_cuda.cuh"

/* ---- low = scale * x f ---- */

/* Factors of NT tiles at [k0,k0+64): from memory to registers, and on to s[column][k]. */
template <int NT> struct lora_factors {
    static constexpr int EACH = NT * 16 * LORA_K / LORA_THREADS;
    float v[EACH];

    static __device__ inline void place(const lora_job &j, int i, int *c, int *k)
    {
        int e = i * LORA_THREADS + (int)threadIdx.x; /* neighbours read neighbours */
        *c = j.tall ? e % (NT * 16) : e / LORA_K;
        *k = j.tall ? e / (NT * 16) : e % LORA_K;
    }
    __device__ inline void load(const lora_job &j, const lora_factor *from, int64_t k0)
    {
        int c, k;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            place(j, i, &c, &k);
            v[i] = from[c].get(k0 + k, j.cols);
        }
    }
    __device__ inline void store(const lora_job &j, rs_bf16 *s) const
    {
        int c, k;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            place(j, i, &c, &k);
            s[c * rs_att_dim<LORA_K>::LD + k] = __float2bfloat16_rn(v[i]);
        }
    }
};

/* put(pair, its column, row, value) of a warp's 16 rows of NT tiles, those below `end`. */
template <int NT, typename Put>
static __device__ inline void lora_put(const lora_job &j, const float (&c)[2 * NT][4], int64_t row0,
                                       int64_t end, Put put)
{
    int l = (int)threadIdx.x & 31, g = l >> 2, t = l & 3;
#pragma unroll
    for (int n = 0; n < 2 * NT; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int r = 0;
            int64_t row = row0 + g + e / 2 * 8;
            const lora_pair *p = lora_column(j, n * 8 + 2 * t + e % 2, &r);
            if (p && row < end)
                put(p, r, row, c[n][e]);
        }
}

template <int NT>
static __global__ void __launch_bounds__(LORA_THREADS)
    down_kernel(const __grid_constant__ lora_job j)
{
    constexpr int X = LORA_ROWS * rs_att_dim<LORA_K>::LD, F = NT * 16 * rs_att_dim<LORA_K>::LD;
    RS_DYN_SMEM(rs_bf16, s);
    __shared__ lora_factor from[NT * 16];
    rs_bf16 *fs = s + LORA_STAGES * X;
    if (!j.mine[blockIdx.z])
        return;
    lora_find<NT>(from, j);
    __syncthreads();
    int64_t row0 = (int64_t)blockIdx.x * LORA_ROWS;
    int steps = (int)((j.cols + LORA_K - 1) / LORA_K), warp = (int)threadIdx.x / 32;
    float c[2 * NT][4];
    lora_factors<NT> f;
    rs_att_clear<2 * NT>(c);
    f.load(j, from, 0);
    for (int i = 0; i < LORA_STAGES - 1; i++) {
        lora_fetch(s + i * X, j, row0, j.rows, (int64_t)i * LORA_K);
        rs_cp_async_commit();
    }
    for (int i = 0; i < steps; i++) {
        rs_cp_async_wait<LORA_STAGES - 2>();
        f.store(j, fs + i % 2 * F);
        __syncthreads(); /* step i is there; step i-1 is read by nobody any more */
        int ahead = i + LORA_STAGES - 1;
        lora_fetch(s + ahead % LORA_STAGES * X, j, row0, j.rows, (int64_t)ahead * LORA_K);
        rs_cp_async_commit();
        f.load(j, from, (int64_t)(i + 1) * LORA_K);
        rs_att_scores<LORA_K, NT>(c, s + i % LORA_STAGES * X, warp * 16, fs + i % 2 * F);
    }
    rs_cp_async_wait<0>();
    lora_put<NT>(j, c, row0 + warp * 16, j.rows,
                 [](const lora_pair *p, int r, int64_t row, float v) {
                     p->low[row * p->ld_low + r] = __float2bfloat16_rn(p->scale * v);
                 });
}

/* ---- g = low^T x ---- */

/* A operand from a tile whose rows are the depth: columns [col,col+16), depth [row,row+16). */
static __device__ inline void lora_a_trans(uint32_t a[4], const rs_bf16 *s, int row, int col)
{
    int l = (int)threadIdx.x & 31;
    rs_ldmatrix_x4_trans(a, s + (row + (l & 7) + (l >> 4) * 8) * rs_att_dim<LORA_K>::LD + col +
                                (l >> 3 & 1) * 8);
}

/* Rows in steps of 64 that no segment's end is crossed by. */
struct lora_walk {
    int segment;
    int row, end; /* end of the segment; a part has fewer rows than an int counts */

    __device__ inline void settle(const lora_job &j) /* past empty segments, at the end too */
    {
        while (segment < j.segments && row >= (end = (int)j.at[segment + 1]))
            segment++;
    }
    __device__ inline void step(const lora_job &j)
    {
        row += LORA_ROWS;
        if (row > end)
            row = end;
        settle(j);
    }
};

/* The sum of segment s: added to what waits for it in the tree, and then left waiting. */
template <int NT>
static __device__ inline void lora_join(float (&c)[2 * NT][4], float (&wait)[3][2 * NT][4], int s)
{
#pragma unroll
    for (int level = 0; level < 3; level++) {
        bool add = true;
        for (int below = 0; below <= level; below++)
            add = add && (s >> below & 1);
        bool put = !(s >> level & 1);
        for (int below = 0; below < level; below++)
            put = put && (s >> below & 1);
#pragma unroll
        for (int n = 0; n < 2 * NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (add)
                    c[n][e] = wait[level][n][e] + c[n][e];
                if (put)
                    wait[level][n][e] = c[n][e];
            }
    }
}

template <int NT>
static __global__ void __launch_bounds__(LORA_THREADS)
    grad_kernel(const __grid_constant__ lora_job j)
{
    constexpr int X = LORA_ROWS * rs_att_dim<LORA_K>::LD;
    constexpr int STAGE = X + LORA_ROWS * rs_att_dim<NT * 16>::LD;
    RS_DYN_SMEM(rs_bf16, s);
    __shared__ lora_low lows[NT * 2];
    if (!j.mine[blockIdx.z])
        return;
    lora_find<NT>(lows, j);
    __syncthreads();
    int64_t col0 = (int64_t)blockIdx.x * LORA_K;
    int warp = (int)threadIdx.x / 32;
    float c[2 * NT][4], wait[3][2 * NT][4];
    lora_walk ahead = {0, 0, 0};
    ahead.settle(j);
    for (int i = 0; i < LORA_STAGES - 1; i++, ahead.step(j)) {
        lora_fetch(s + i * STAGE, j, ahead.row, ahead.end, col0);
        lora_lows<NT>(s + i * STAGE + X, lows, j.x, ahead.row, ahead.end);
        rs_cp_async_commit();
    }
    int i = 0;
    for (int segment = 0; segment < j.segments; segment++) {
        rs_att_clear<2 * NT>(c);
        int steps = (int)((j.at[segment + 1] - j.at[segment] + LORA_ROWS - 1) / LORA_ROWS);
        for (; steps > 0; steps--, ahead.step(j), i++) {
            rs_cp_async_wait<LORA_STAGES - 2>();
            __syncthreads();
            rs_bf16 *to = s + (i + LORA_STAGES - 1) % LORA_STAGES * STAGE;
            const rs_bf16 *x = s + i % LORA_STAGES * STAGE;
            lora_fetch(to, j, ahead.row, ahead.end, col0);
            lora_lows<NT>(to + X, lows, j.x, ahead.row, ahead.end);
            rs_cp_async_commit();
#pragma unroll
            for (int k = 0; k < LORA_ROWS; k += 16) {
                uint32_t a[4], b[4];
                lora_a_trans(a, x, k, warp * 16);
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    rs_att_bt<NT * 16>(b, x + X, k, 16 * n);
                    rs_mma_16816(c[2 * n], a, b);
                    rs_mma_16816(c[2 * n + 1], a, b + 2);
                }
            }
        }
        lora_join<NT>(c, wait, segment);
    }
    rs_cp_async_wait<0>();
    lora_put<NT>(j, c, col0 + warp * 16, j.cols,
                 [&j](const lora_pair *p, int r, int64_t k, float v) {
                     p->f[j.tall ? k * p->ld_f + r : r * p->ld_f + k] = v;
                 });
}

/* ---- y = beta y + low f ---- */

enum { LORA_COLS = 128 };

template <int NT>
static __global__ void __launch_bounds__(LORA_THREADS, 4)
    up_kernel(const __grid_constant__ lora_job j)
{
    constexpr int LD = rs_att_dim<NT * 16>::LD, YLD = rs_att_dim<LORA_COLS>::LD;
    RS_DYN_SMEM(rs_bf16, s);
    __shared__ lora_factor from[NT * 16];
    __shared__ lora_low lows[NT * 2];
    rs_bf16 *fs = s + LORA_ROWS * LD, *stage = fs + LORA_COLS * LD;
    if (!j.mine[blockIdx.z])
        return;
    lora_find<NT>(from, j);
    lora_find<NT>(lows, j);
    __syncthreads();
    int64_t row0 = (int64_t)blockIdx.x * LORA_ROWS, col0 = (int64_t)blockIdx.y * LORA_COLS;
    int warp = (int)threadIdx.x / 32, l = (int)threadIdx.x & 31;
    float c[LORA_COLS / 8][4];
    lora_lows<NT>(s, lows, j.x, row0, j.rows);
    rs_cp_async_commit();
    for (int i = (int)threadIdx.x; i < NT * 16 * LORA_COLS; i += LORA_THREADS) {
        int r = j.tall ? i % (NT * 16) : i / LORA_COLS, k = j.tall ? i / (NT * 16) : i % LORA_COLS;
        fs[k * LD + r] = __float2bfloat16_rn(from[r].get(col0 + k, j.cols));
    }
    rs_att_clear<LORA_COLS / 8>(c);
    rs_cp_async_wait<0>();
    __syncthreads();
    rs_att_scores<NT * 16, LORA_COLS / 16>(c, s, warp * 16, fs);
    rs_bf16 *y = j.x + ((int64_t)blockIdx.z * j.rows) * j.ld + col0;
    rs_bf16 *mine = stage + warp * 16 * YLD;
    int64_t row = row0 + warp * 16;
    int left = (int)(j.cols - col0 < LORA_COLS ? j.cols - col0 : LORA_COLS);
    for (int h = 0; h < 2; h++) { /* the fragments' rows g, then g + 8 */
        int g = (l >> 2) + h * 8, at = (l & 3) * 2;
        bool add = j.beta != 0 && row + g < j.rows;
        const rs_bf16 *old = y + (row + g) * j.ld;
#pragma unroll
        for (int n = 0; n < LORA_COLS / 8; n++) {
            float v0 = h ? c[n][2] : c[n][0], v1 = h ? c[n][3] : c[n][1];
            if (add && n * 8 + at < left) {
                v0 += j.beta * __bfloat162float(old[n * 8 + at]);
                v1 += j.beta * __bfloat162float(old[n * 8 + at + 1]);
            }
            *reinterpret_cast<uint32_t *>(mine + g * YLD + n * 8 + at) = rs_pack_bf16(v0, v1);
        }
    }
    __syncwarp();
    for (int i = l; i < 16 * LORA_COLS / 8; i += 32) {
        int r = i / (LORA_COLS / 8), at = i % (LORA_COLS / 8) * 8;
        if (row + r < j.rows && col0 + at < j.cols)
            *reinterpret_cast<uint4 *>(y + (row + r) * j.ld + at) =
                *reinterpret_cast<const uint4 *>(mine + r * YLD + at);
    }
}

/* ---- host ---- */

static void by_gemm(void *c, const rs_gemm_args *a)
{
    rs_cuda_gemm((rs_cuctx *)c, a);
}

static void by_gate_add(void *c, const rs_gate_add_args *a)
{
    rs_cuda_gate_add((rs_cuctx *)c, a);
}

static void by_memset(void *c, void *p, size_t bytes)
{
    rs_cuda_launched((rs_cuctx *)c, "lora", cudaMemsetAsync(p, 0, bytes, ((rs_cuctx *)c)->compute));
}

static rs_lora_calls calls_of(rs_cuctx *c)
{
    rs_lora_calls b = {c, by_gemm, by_gate_add, by_memset};
    return b;
}

static bool wide_bf16(rs_tensor x)
{
    return x.dtype == RS_DTYPE_BF16 && rs_tensor_cols(x) % 8 == 0 && x.ld % 8 == 0 &&
           (uintptr_t)x.data % 16 == 0;
}

/* Adds the pairs of a part to the job; false: not for these kernels. */
static bool add_part(lora_job *j, const rs_tensor *low, const rs_tensor *f, const float *scale,
                     int part, int each)
{
    int tile = 0;
    for (int t = 0; t < LORA_TILES; t++)
        j->of_tile[part][t] = -1;
    for (int p = part * each; p < part * each + each; p++) {
        if (!rs_has(low[p]))
            continue;
        lora_pair *q = &j->pair[p];
        q->low = (rs_bf16 *)low[p].data;
        q->f = (float *)f[p].data;
        q->ld_low = low[p].ld;
        q->ld_f = f[p].ld;
        q->rank = (int)rs_tensor_cols(low[p]);
        q->first = tile;
        q->scale = scale ? scale[p] : 1.0f;
        if (low[p].dtype != RS_DTYPE_BF16 || f[p].dtype != RS_DTYPE_F32 ||
            q->rank > (LORA_TILES - tile) * 16)
            return false;
        for (int e = 0; e < q->rank; e += 16)
            j->of_tile[part][tile++] = (signed char)p;
    }
    return true;
}

/* Tiles of the widest part that is the job's; 0: there is none. */
static int tiles_of(const lora_job *j, int parts)
{
    int most = 0;
    for (int i = 0; i < parts; i++)
        for (int t = 0; t < LORA_TILES && j->mine[i]; t++)
            most = j->of_tile[i][t] >= 0 && t >= most ? t + 1 : most;
    return most;
}

template <typename Args>
static void fill(lora_job *j, const Args *a, rs_tensor x, const rs_tensor *f, const float *scale)
{
    j->x = (rs_bf16 *)x.data;
    j->ld = x.ld;
    j->rows = rs_tensor_rows(x) / a->parts;
    j->cols = rs_tensor_cols(x);
    j->tall = a->tall;
    for (int i = 0; i < a->parts; i++)
        j->mine[i] = a->bf16 && wide_bf16(x) && add_part(j, a->low, f, scale, i, a->each);
}

/* f(tiles) with the number of tiles as a constant. */
template <int N> struct lora_count {
    static constexpr int value = N;
};
template <typename F> static void with_tiles(int n, F f)
{
    if (n <= 1)
        f(lora_count<1>());
    else if (n == 2)
        f(lora_count<2>());
    else if (n == 3)
        f(lora_count<3>());
    else
        f(lora_count<4>());
}

void rs_cuda_lora_down(rs_cuctx *c, const rs_lora_down_args *a)
{
    lora_job j = {};
    rs_lora_calls calls = calls_of(c);
    fill(&j, a, a->x, a->f, a->scale);
    for (int i = 0; i < a->parts; i++)
        if (!j.mine[i])
            rs_lora_any_down(&calls, a, i);
    int tiles = tiles_of(&j, a->parts);
    if (tiles > 0 && j.rows > 0)
        with_tiles(tiles, [&](auto n) {
            constexpr int NT = decltype(n)::value, LD = rs_att_dim<LORA_K>::LD;
            rs_launch(c, "lora_down", down_kernel<NT>,
                      dim3(rs_blocks(j.rows, LORA_ROWS), 1, (unsigned)a->parts), dim3(LORA_THREADS),
                      (size_t)(LORA_STAGES * LORA_ROWS + 2 * NT * 16) * LD * sizeof(rs_bf16), j);
        });
}

void rs_cuda_lora_up(rs_cuctx *c, const rs_lora_up_args *a)
{
    lora_job j = {};
    rs_lora_calls calls = calls_of(c);
    fill(&j, a, a->y, a->f, nullptr);
    j.beta = a->beta;
    for (int i = 0; i < a->parts; i++)
        if (!j.mine[i])
            rs_lora_any_up(&calls, a, i);
    bool any = false;
    for (int i = 0; i < a->parts; i++)
        any = any || j.mine[i];
    if (any && j.rows > 0)
        with_tiles(tiles_of(&j, a->parts), [&](auto n) {
            constexpr int NT = decltype(n)::value, LD = rs_att_dim<NT * 16>::LD;
            size_t elements = (size_t)(LORA_ROWS + LORA_COLS) * LD +
                              (size_t)LORA_ROWS * rs_att_dim<LORA_COLS>::LD;
            rs_launch(c, "lora_up", up_kernel<NT>,
                      dim3(rs_blocks(j.rows, LORA_ROWS), rs_blocks(j.cols, LORA_COLS),
                           (unsigned)a->parts),
                      dim3(LORA_THREADS), elements * sizeof(rs_bf16), j);
        });
}

void rs_cuda_lora_grad(rs_cuctx *c, const rs_lora_grad_args *a)
{
    lora_job j = {};
    rs_lora_calls calls = calls_of(c);
    fill(&j, a, a->x, a->g, nullptr);
    j.segments = a->segments;
    for (int i = 0; i <= a->segments; i++)
        j.at[i] = a->at[i];
    for (int i = 0; i < a->parts; i++)
        if (!j.mine[i])
            rs_lora_any_grad(&calls, a, i);
    int tiles = tiles_of(&j, a->parts);
    if (tiles > 0)
        with_tiles(tiles, [&](auto n) {
            constexpr int N = decltype(n)::value, NT = N == 3 ? 4 : N; /* 3 would spill */
            size_t stage = (size_t)LORA_ROWS * (rs_att_dim<LORA_K>::LD + rs_att_dim<NT * 16>::LD);
            rs_launch(c, "lora_grad", grad_kernel<NT>,
                      dim3(rs_blocks(j.cols, LORA_K), 1, (unsigned)a->parts), dim3(LORA_THREADS),
                      LORA_STAGES * stage * sizeof(rs_bf16), j);
        });
}
