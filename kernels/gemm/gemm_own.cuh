/* The product that cuBLASLt does not make: odd sizes and rows, mixed operands in fp32, activations
 * that it has not. Tiles of BM x BN, every element's sum in the order of k, so its bits depend on
 * no tile and no neighbour. */
#ifndef RS_KERNELS_GEMM_GEMM_OWN_CUH
#define RS_KERNELS_GEMM_GEMM_OWN_CUH

#include "kernels/act/act_cuda.cuh"
#include "kernels/gemm/gemm.h"

/* op(t): element (i,j) is at i * row + j * col. */
struct gemm_side {
    const void *p;
    int64_t row, col;
    bool bf16;
};

struct gemm_end {
    void *y, *pre;
    const void *act_at; /* of y's type */
    const float *bias, *res, *gate;
    int64_t rows_of_gate; /* for so many rows of y one of gate */
    int64_t ldres, ldgate;
    int64_t ldy, m, n, k;
    float alpha, beta;
    rs_act act;
    bool y_bf16, pre_bf16;
    bool round; /* operands to bf16 */
};

static __device__ inline float gemm_get(const void *p, int64_t i, bool bf16)
{
    return bf16 ? __bfloat162float(((const __nv_bfloat16 *)p)[i]) : ((const float *)p)[i];
}

static __device__ inline void gemm_set(void *p, int64_t i, bool bf16, float v)
{
    if (bf16)
        ((__nv_bfloat16 *)p)[i] = __float2bfloat16_rn(v);
    else
        ((float *)p)[i] = v;
}

/* The activation of v, or v times its slope; element i of contiguous (m,n). */
static __device__ inline float gemm_act(float v, const gemm_end &o, int64_t i)
{
    if (o.act_at)
        return v * rs_cuda_slope(o.act, gemm_get(o.act_at, i, o.y_bf16));
    return rs_cuda_act(o.act, v);
}

/* Low-rank terms: those of part i are for rows [i*rows, (i+1)*rows). */
struct gemm_terms {
    gemm_side a[RS_GEMM_PARTS], b[RS_GEMM_PARTS];
    int64_t rank[RS_GEMM_PARTS]; /* 0: the part has none */
    int64_t rows;
    int parts;
};

enum { GEMM_BK = 16, GEMM_THREADS = 256 };

/* rows x BK of op(t) from (first, k0) on into s[k][row], where t has the rows [lo,hi); zero
 * outside.
 */
template <int ROWS>
static __device__ inline void gemm_fill(float (*s)[ROWS + 1], gemm_side t, int64_t first,
                                        int64_t k0, int64_t lo, int64_t hi, int64_t k_all,
                                        bool round)
{
    for (int e = (int)threadIdx.x; e < ROWS * GEMM_BK; e += GEMM_THREADS) {
        int k = t.col == 1 ? e % GEMM_BK : e / ROWS; /* neighbours read neighbours */
        int r = t.col == 1 ? e / GEMM_BK : e % ROWS;
        int64_t row = first + r;
        float v = 0;
        if (row >= lo && row < hi && k0 + k < k_all)
            v = gemm_get(t.p, (row - lo) * t.row + (k0 + k) * t.col, t.bf16);
        s[k][r] = round ? __bfloat162float(__float2bfloat16_rn(v)) : v;
    }
}

/* sum += rows [lo,hi) of op(a) times op(b), of this block's tile. */
template <int BM, int BN, int TM, int TN>
static __device__ inline void gemm_add(float (&sum)[TM][TN], float (*sa)[BM + 1],
                                       float (*sb)[BN + 1], gemm_side a, gemm_side b, int64_t lo,
                                       int64_t hi, int64_t k_all, const gemm_end &o)
{
    int tn = (int)threadIdx.x % (BN / TN), tm = (int)threadIdx.x / (BN / TN);
    int64_t m0 = (int64_t)blockIdx.x * BM, n0 = (int64_t)blockIdx.y * BN;
    for (int64_t k0 = 0; k0 < k_all; k0 += GEMM_BK) {
        gemm_fill<BM>(sa, a, m0, k0, lo, hi, k_all, o.round);
        gemm_fill<BN>(sb, b, n0, k0, 0, o.n, k_all, o.round);
        __syncthreads();
#pragma unroll 4
        for (int k = 0; k < GEMM_BK; k++)
            for (int i = 0; i < TM; i++)
                for (int j = 0; j < TN; j++)
                    sum[i][j] =
                        fmaf(sa[k][tm + i * (BM / TM)], sb[k][tn + j * (BN / TN)], sum[i][j]);
        __syncthreads();
    }
}

template <int BM, int BN, int TM, int TN>
static __global__ void __launch_bounds__(GEMM_THREADS)
    gemm_kernel(gemm_side a, gemm_side b, const __grid_constant__ gemm_end o,
                const __grid_constant__ gemm_terms t)
{
    static_assert((BM / TM) * (BN / TN) == GEMM_THREADS, "one thread per piece of a tile");
    __shared__ float sa[GEMM_BK][BM + 1], sb[GEMM_BK][BN + 1];
    int tn = (int)threadIdx.x % (BN / TN), tm = (int)threadIdx.x / (BN / TN);
    int64_t m0 = (int64_t)blockIdx.x * BM, n0 = (int64_t)blockIdx.y * BN;
    float sum[TM][TN] = {};
    for (int p = -1; p < t.parts; p++) { /* the product itself, then the terms */
        bool term = p >= 0;
        int64_t lo = term ? p * t.rows : 0, hi = term ? lo + t.rows : o.m;
        int64_t k = term ? t.rank[p] : o.k;
        if (k > 0 && lo < m0 + BM && hi > m0)
            gemm_add<BM, BN, TM, TN>(sum, sa, sb, term ? t.a[p] : a, term ? t.b[p] : b, lo, hi, k,
                                     o);
    }
    for (int i = 0; i < TM; i++)
        for (int j = 0; j < TN; j++) {
            int64_t m = m0 + tm + i * (BM / TM), n = n0 + tn + j * (BN / TN);
            if (m >= o.m || n >= o.n)
                continue;
            float v = o.alpha * sum[i][j];
            if (o.beta != 0)
                v += o.beta * gemm_get(o.y, m * o.ldy + n, o.y_bf16);
            if (o.bias)
                v += o.bias[n];
            if (o.pre)
                gemm_set(o.pre, m * o.n + n, o.pre_bf16, v);
            v = gemm_act(v, o, m * o.n + n);
            if (o.gate)
                v *= o.gate[m / o.rows_of_gate * o.ldgate + n];
            if (o.res)
                v += o.res[m * o.ldres + n];
            gemm_set(o.y, m * o.ldy + n, o.y_bf16, v);
        }
}

template <int BM, int BN, int TM, int TN>
static void gemm_launch(rs_cuctx *c, gemm_side a, gemm_side b, gemm_end o, gemm_terms t)
{
    rs_launch(c, "gemm", gemm_kernel<BM, BN, TM, TN>, dim3(rs_blocks(o.m, BM), rs_blocks(o.n, BN)),
              dim3(GEMM_THREADS), 0, a, b, o, t);
}

#endif
