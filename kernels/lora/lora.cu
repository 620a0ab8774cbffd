/* bf16 activations, M rows of K, adapters of rank R, all pairs of a pass C columns wide:
 *   lora_down  reads M*K*2, writes M*C*2 bytes        lora_grad  reads M*(K + C)*2 (lora_grad.cu)
 *   lora_up    writes M*K*2, and reads as many where it adds
 * The floor is that over the measured copy bandwidth; 2*M*K*C operations of bf16 tensor cores stay
 * below it: C of them a byte, 64 at most, where an H100 has 300. Factors and lows come from the
 * second level cache.
 *
 * Sums: lora_down in the order of K; lora_grad in the order of rows within a segment, the tree of
 * segments in registers, so nothing is written but the gradient; both by one warp, 16 terms at a
 * time. Other storage, ranks that need more than 64 columns together, and rows that are no multiple
 * of 16 bytes are made by gemm (lora_any.h); which way is a matter of a part's own shapes. */
#include "kernels/lora/lora_host.cuh"

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
