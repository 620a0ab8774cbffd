/* Attention forward on tensor cores, bf16 in and out, fp32 sums; sm_80 and later. After
 * FlashAttention-2 (arXiv 2307.08691): a block has 64 queries of one head, keys and values pass by
 * in tiles of 64 that are copied while the tile before is used; the softmax is kept online, so
 * memory traffic is q and o once, k and v once per 64 queries (of which the L2 cache serves all but
 * the first pass when they fit).
 *
 * Floors: 4 Sq Sk D operations a head on tensor cores; bytes 2 (2 Sq D + 2 Sk D) a head.
 * A row's bits depend on its own query and all keys only: tiles of keys start at key 0. */
#include "kernels/attention/attention_tile.cuh"
#include "kernels/attention/attention_cuda.h"

enum { KEYS = 64, TILES = KEYS / 16 };

/* Scores to base 2 logarithms: scale, bias, the last key's count; keys past the end vanish. */
static __device__ inline void finish_scores(float s[2 * TILES][4], const rs_att_call &p, int head,
                                            int64_t query, int64_t key0)
{
    int t = (int)threadIdx.x & 3;
    for (int n = 0; n < 2 * TILES; n++)
        for (int e = 0; e < 4; e++) {
            int64_t i = query + (e >> 1) * 8, j = key0 + n * 8 + 2 * t + (e & 1);
            float x = s[n][e] * p.scale;
            if (p.bias && i < p.sq && j < p.sk)
                x += p.bias[head * p.ldb + j - i + p.sq - 1];
            x *= RS_LOG2E;
            s[n][e] = j >= p.sk ? -INFINITY : j == p.sk - 1 ? x + p.last_log2 : x;
        }
}

/* One tile of the online softmax: s becomes p, o and sum are brought to the new maximum. */
template <int D>
static __device__ inline void softmax_step(float s[2 * TILES][4], float o[D / 8][4], float max[2],
                                           float sum[2])
{
    for (int h = 0; h < 2; h++) {
        float m = -INFINITY;
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++)
            m = fmaxf(m, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
        m = fmaxf(max[h], rs_att_row_max(m));
        float shrink = exp2f(max[h] - m), part = 0;
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++) {
            s[n][2 * h] = exp2f(s[n][2 * h] - m);
            s[n][2 * h + 1] = exp2f(s[n][2 * h + 1] - m);
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
static __global__ void __launch_bounds__(RS_ATT_THREADS) attention_fwd_kernel(const rs_att_call p)
{
    const int LD = rs_att_dim<D>::LD, TILE = KEYS * LD;
    RS_DYN_SMEM(rs_bf16, q_tile);
    rs_bf16 *k_tile = q_tile + RS_ATT_ROWS * LD, *v_tile = k_tile + 2 * TILE;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31;
    int head = (int)blockIdx.y;
    int64_t query0 = (int64_t)blockIdx.x * RS_ATT_ROWS, query = query0 + warp * 16 + (lane >> 2);
    const rs_bf16 *k = (const rs_bf16 *)p.k + head * D, *v = (const rs_bf16 *)p.v + head * D;
    rs_att_load<RS_ATT_ROWS, D>(q_tile, (const rs_bf16 *)p.q + head * D, p.ldq, query0, p.sq);
    rs_att_load<KEYS, D>(k_tile, k, p.ldk, 0, p.sk);
    rs_att_load<KEYS, D>(v_tile, v, p.ldv, 0, p.sk);
    rs_cp_async_commit();

    float o[D / 8][4], max[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    rs_att_clear<D / 8>(o);
    int now = 0;
    for (int64_t key = 0; key < p.sk; key += KEYS, now ^= 1) {
        if (key + KEYS < p.sk) {
            rs_att_load<KEYS, D>(k_tile + (now ^ 1) * TILE, k, p.ldk, key + KEYS, p.sk);
            rs_att_load<KEYS, D>(v_tile + (now ^ 1) * TILE, v, p.ldv, key + KEYS, p.sk);
        }
        rs_cp_async_commit();
        rs_cp_async_wait<1>();
        __syncthreads();
        float s[2 * TILES][4];
        rs_att_clear<2 * TILES>(s);
        rs_att_scores<D, TILES>(s, q_tile, warp * 16, k_tile + now * TILE);
        finish_scores(s, p, head, query, key);
        softmax_step<D>(s, o, max, sum);
        rs_att_weigh<D, TILES>(o, s, v_tile + now * TILE);
        __syncthreads();
    }
    float inverse[2];
    for (int h = 0; h < 2; h++) {
        sum[h] = rs_att_row_sum(sum[h]);
        inverse[h] = 1 / sum[h];
        if (p.lse && (lane & 3) == 0 && query + 8 * h < p.sq)
            p.lse[head * p.ldl + query + 8 * h] = max[h] * RS_LN2 + logf(sum[h]);
    }
    rs_att_store<D>(q_tile + warp * 16 * LD, o, inverse, (rs_bf16 *)p.o + head * D, p.ldo,
                    query0 + warp * 16, p.sq, p.accumulate);
}

template <int D> static void launch(rs_cuctx *c, const rs_att_call &p)
{
    size_t smem = (size_t)(RS_ATT_ROWS + 4 * KEYS) * rs_att_dim<D>::LD * sizeof(rs_bf16);
    rs_launch(c, "attention_fwd", attention_fwd_kernel<D>,
              dim3(rs_blocks(p.sq, RS_ATT_ROWS), (unsigned)p.heads), dim3(RS_ATT_THREADS), smem, p);
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
