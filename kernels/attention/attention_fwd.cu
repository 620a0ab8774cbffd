/* Attention forward on tensor cores, bf16 in and out, fp32 sums; sm_80 and later. After
 * FlashAttention-2 (arXiv 2307.08691): a block has 128 queries of one head, 32 a warp; keys and
 * values pass by in tiles of 64 (32 of head dim 128), the next keys copied beside softmax and
 * second product, the values beside the first product; the softmax is kept online, so memory
 * traffic is q and o once, k and v once per 128 queries (of which the L2 cache serves all but the
 * first pass when they fit).
 *
 * Floors: 4 Sq Sk D operations a head on tensor cores; bytes 2 (2 Sq D + 2 Sk D) a head. Shared
 * memory feeds 10.7 multiply-adds a byte at D = 128 (32 rows use each fragment of k and v
 * twice; 7.1 with 16), so that its 128 bytes a clock allow 1370 of them a clock and multiprocessor:
 * above an A100's 1024, two thirds of an H100's 2048. A row's bits depend on its own query and all
 * keys only: tiles of keys start at key 0. */
#include "kernels/attention/attention_tile.cuh"
#include "kernels/attention/attention_cuda.h"

enum { PARTS = 2, ROWS = RS_ATT_WARPS * PARTS * 16 };

/* Keys of a tile: as many as 255 registers allow. */
template <int D> struct keys {
    static const int N = D > 96 ? 32 : 64;
};

/* s[i] (16 x 16 TILES each) = rows [16 i, 16 i + 16) of q times the transposed rows of k. */
template <int D, int TILES>
static __device__ inline void scores(float s[PARTS][2 * TILES][4], const rs_bf16 *q,
                                     const rs_bf16 *k_rows)
{
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        uint32_t a[PARTS][4];
#pragma unroll
        for (int i = 0; i < PARTS; i++)
            rs_att_a<D>(a[i], q, 16 * i, k);
#pragma unroll
        for (int n = 0; n < TILES; n++) {
            uint32_t b[4];
            rs_att_b<D>(b, k_rows, 16 * n, k);
#pragma unroll
            for (int i = 0; i < PARTS; i++) {
                rs_mma_16816(s[i][2 * n], a[i], b);
                rs_mma_16816(s[i][2 * n + 1], a[i], b + 2);
            }
        }
    }
}

/* o[i] += p[i] (rounded to bf16) times the rows of v. */
template <int D, int TILES>
static __device__ inline void weigh(float o[PARTS][D / 8][4], const float s[PARTS][2 * TILES][4],
                                    const rs_bf16 *v)
{
#pragma unroll
    for (int k = 0; k < TILES; k++) {
        uint32_t a[PARTS][4];
#pragma unroll
        for (int i = 0; i < PARTS; i++) {
            const float *lo = s[i][2 * k], *hi = s[i][2 * k + 1];
            a[i][0] = rs_pack_bf16(lo[0], lo[1]);
            a[i][1] = rs_pack_bf16(lo[2], lo[3]);
            a[i][2] = rs_pack_bf16(hi[0], hi[1]);
            a[i][3] = rs_pack_bf16(hi[2], hi[3]);
        }
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            uint32_t b[4];
            rs_att_bt<D>(b, v, 16 * k, 16 * n);
#pragma unroll
            for (int i = 0; i < PARTS; i++) {
                rs_mma_16816(o[i][2 * n], a[i], b);
                rs_mma_16816(o[i][2 * n + 1], a[i], b + 2);
            }
        }
    }
}

/* Scores of a tile in which keys are missing or differ: to base 2 logarithms, with bias and the
 * last key's count. `left`: keys from the first of the tile to the end; `bias`: of this lane's
 * first row and the first key, or NULL. Keys past the end vanish, rows past the end have no bias.
 */
template <int TILES>
static __device__ inline void finish_scores(float s[2 * TILES][4], const rs_att_call &p, int left,
                                            const float *bias, int rows)
{
    int t = (int)threadIdx.x & 3;
#pragma unroll
    for (int n = 0; n < 2 * TILES; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int i = (e >> 1) * 8, j = n * 8 + 2 * t + (e & 1);
            float x = s[n][e] * p.scale;
            if (bias && i < rows && j < left)
                x += bias[j - i];
            x *= RS_LOG2E;
            s[n][e] = j >= left ? -INFINITY : j == left - 1 ? x + p.last_log2 : x;
        }
}

/* One tile of the online softmax: scores, of which `unit` makes base 2 logarithms, become p; o and
 * sum are brought to the new maximum. */
template <int D, int TILES>
static __device__ inline void softmax_step(float s[2 * TILES][4], float o[D / 8][4], float max[2],
                                           float sum[2], float unit)
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float m = -INFINITY;
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++)
            m = fmaxf(m, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
        m = fmaxf(max[h], rs_att_row_max(m) * unit);
        float shrink = rs_exp2(max[h] - m), part = 0;
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++) {
            s[n][2 * h] = rs_exp2(fmaf(s[n][2 * h], unit, -m));
            s[n][2 * h + 1] = rs_exp2(fmaf(s[n][2 * h + 1], unit, -m));
            part += s[n][2 * h] + s[n][2 * h + 1];
        }
        sum[h] = sum[h] * shrink + part;
        max[h] = m;
#pragma unroll
        for (int i = 0; i < D / 8; i++)
            o[i][2 * h] *= shrink, o[i][2 * h + 1] *= shrink;
    }
}

template <int D>
static __device__ inline void store(rs_bf16 *stage, const float o[D / 8][4], const float max[2],
                                    float sum[2], const rs_att_call &p, int head, int64_t row0)
{
    int lane = (int)threadIdx.x & 31;
    int64_t query = row0 + (lane >> 2);
    float inverse[2];
    for (int h = 0; h < 2; h++) {
        sum[h] = rs_att_row_sum(sum[h]);
        inverse[h] = 1 / sum[h];
        if (p.lse && (lane & 3) == 0 && query + 8 * h < p.sq)
            p.lse[head * p.ldl + query + 8 * h] = max[h] * RS_LN2 + logf(sum[h]);
    }
    rs_att_store<D>(stage, o, inverse, (rs_bf16 *)p.o + head * D, p.ldo, row0, p.sq, p.accumulate);
}

template <int D>
static __global__ void __launch_bounds__(RS_ATT_THREADS) attention_fwd_kernel(const rs_att_call p)
{
    const int LD = rs_att_dim<D>::LD, KEYS = keys<D>::N, TILES = KEYS / 16;
    RS_DYN_SMEM(rs_bf16, q_tile);
    rs_bf16 *k_tile = q_tile + ROWS * LD, *v_tile = k_tile + KEYS * LD;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, head = (int)blockIdx.y;
    int64_t query0 = (int64_t)blockIdx.x * ROWS, row0 = query0 + warp * PARTS * 16;
    rs_bf16 *own = q_tile + warp * PARTS * 16 * LD; /* its queries */
    const rs_bf16 *k = (const rs_bf16 *)p.k + head * D, *v = (const rs_bf16 *)p.v + head * D;
    rs_att_load<ROWS, D>(q_tile, (const rs_bf16 *)p.q + head * D, p.ldq, query0, p.sq);
    rs_att_load<KEYS, D>(k_tile, k, p.ldk, 0, p.sk);
    rs_cp_async_commit();

    /* Tiles of keys that all count alike and once */
    int64_t alike = p.bias || !(p.scale > 0) ? 0 : p.last_log2 != 0 ? p.sk - 1 : p.sk;
    float o[PARTS][D / 8][4], max[PARTS][2], sum[PARTS][2];
#pragma unroll
    for (int i = 0; i < PARTS; i++) {
        rs_att_clear<D / 8>(o[i]);
        max[i][0] = max[i][1] = -INFINITY;
        sum[i][0] = sum[i][1] = 0;
    }
    for (int64_t key = 0; key < p.sk; key += KEYS) {
        rs_cp_async_wait<0>(); /* these keys; nobody reads the last values any more */
        __syncthreads();
        rs_att_load<KEYS, D>(v_tile, v, p.ldv, key, p.sk);
        rs_cp_async_commit();
        float s[PARTS][2 * TILES][4];
#pragma unroll
        for (int i = 0; i < PARTS; i++)
            rs_att_clear<2 * TILES>(s[i]);
        scores<D, TILES>(s, own, k_tile);
        rs_cp_async_wait<0>(); /* their values; nobody reads the keys any more */
        __syncthreads();
        if (key + KEYS < p.sk)
            rs_att_load<KEYS, D>(k_tile, k, p.ldk, key + KEYS, p.sk);
        rs_cp_async_commit();
        bool plain = key + KEYS <= alike;
#pragma unroll
        for (int i = 0; i < PARTS; i++) {
            if (!plain) {
                int64_t row = row0 + 16 * i + (lane >> 2);
                finish_scores<TILES>(s[i], p, (int)(p.sk - key),
                                     p.bias ? p.bias + head * p.ldb + key - row + p.sq - 1 : NULL,
                                     (int)(p.sq - row));
            }
            softmax_step<D, TILES>(s[i], o[i], max[i], sum[i], plain ? p.scale * RS_LOG2E : 1);
        }
        weigh<D, TILES>(o, s, v_tile);
    }
#pragma unroll
    for (int i = 0; i < PARTS; i++)
        store<D>(own + 16 * i * LD, o[i], max[i], sum[i], p, head, row0 + 16 * i);
}

template <int D> static void launch(rs_cuctx *c, const rs_att_call &p)
{
    size_t smem = (size_t)(ROWS + 2 * keys<D>::N) * rs_att_dim<D>::LD * sizeof(rs_bf16);
    rs_launch(c, "attention_fwd", attention_fwd_kernel<D>,
              dim3(rs_blocks(p.sq, ROWS), (unsigned)p.heads), dim3(RS_ATT_THREADS), smem, p);
}

bool rs_att_fwd_tensor(rs_cuctx *c, const rs_att_call &p, int64_t d)
{
    switch (d) {
    case 32:
        launch<32>(c, p);
        return true;
    case 64:
        launch<64>(c, p);
        return true;
    case 80:
        launch<80>(c, p);
        return true;
    case 96:
        launch<96>(c, p);
        return true;
    case 128:
        launch<128>(c, p);
        return true;
    default:
        return false;
    }
}
