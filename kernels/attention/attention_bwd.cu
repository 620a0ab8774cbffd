/* Attention backward on tensor cores, bf16 in and out, fp32 sums; sm_80 and later. Two kernels so
 * that every gradient has one writer and a fixed order of additions, without atomics:
 *   dkdv  a block has 64 keys of one head, queries pass by in tiles of 32
 *   dq    a block has 64 queries of one head, keys pass by in tiles of 32
 * Each recomputes the probabilities from lse: seven products instead of the five that the formulas
 * need (10 Sq Sk D operations a head become 14), which is the floor on tensor cores; five products
 * are what a kernel could do that adds dq up in memory, in any order or in turns. Bytes, with the
 * dots: 2 (7 Sq D + 6 Sk D) a head, and what the passing tiles cost again in the L2 cache.
 *
 * The two differ in what they keep, in the side whose lse and dots count, and in their sums: one
 * template for both would be longer than what they share, which is attention_tile.cuh. */
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_tile.cuh"

enum { PASS = 32, TILES = PASS / 16 };

/* Probability from a score; lse +inf makes it 0. */
static __device__ inline float weight(float s, float scale_log2, float lse_log2, float last)
{
    return rs_exp2(s * scale_log2 + last - lse_log2);
}

/* Queries' lse (base 2) and dots next to a tile of queries; those past the end get no weight. */
static __device__ inline void load_rows(float *lse, float *dot, const rs_att_call &p, int head,
                                        int64_t query0)
{
    for (int i = (int)threadIdx.x; i < PASS; i += RS_ATT_THREADS) {
        bool there = query0 + i < p.sq;
        lse[i] = there ? p.lse[head * p.ldl + query0 + i] * RS_LOG2E : INFINITY;
        dot[i] = there ? p.dot[head * p.sq + query0 + i] : 0;
    }
}

template <int D>
static __global__ void __launch_bounds__(RS_ATT_THREADS) attention_dkdv_kernel(const rs_att_call p)
{
    const int LD = rs_att_dim<D>::LD, TILE = PASS * LD;
    RS_DYN_SMEM(rs_bf16, k_tile);
    rs_bf16 *v_tile = k_tile + RS_ATT_ROWS * LD, *q_tile = v_tile + RS_ATT_ROWS * LD;
    rs_bf16 *do_tile = q_tile + 2 * TILE;
    float *lse = reinterpret_cast<float *>(do_tile + 2 * TILE), *dot = lse + 2 * PASS;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, t = lane & 3;
    int head = (int)blockIdx.y;
    int64_t key0 = (int64_t)blockIdx.x * RS_ATT_ROWS, key = key0 + warp * 16 + (lane >> 2);
    const rs_bf16 *q = (const rs_bf16 *)p.q + head * D, *d_o = (const rs_bf16 *)p.d_o + head * D;
    rs_att_load<RS_ATT_ROWS, D>(k_tile, (const rs_bf16 *)p.k + head * D, p.ldk, key0, p.sk);
    rs_att_load<RS_ATT_ROWS, D>(v_tile, (const rs_bf16 *)p.v + head * D, p.ldv, key0, p.sk);
    rs_att_load<PASS, D>(q_tile, q, p.ldq, 0, p.sq);
    rs_att_load<PASS, D>(do_tile, d_o, p.lddo, 0, p.sq);
    rs_cp_async_commit();
    load_rows(lse, dot, p, head, 0);

    const float last[2] = {key == p.sk - 1 ? p.last_log2 : 0,
                           key + 8 == p.sk - 1 ? p.last_log2 : 0};
    float dk[D / 8][4], dv[D / 8][4];
    rs_att_clear<D / 8>(dk);
    rs_att_clear<D / 8>(dv);
    int now = 0;
    for (int64_t query = 0; query < p.sq; query += PASS, now ^= 1) {
        if (query + PASS < p.sq) {
            rs_att_load<PASS, D>(q_tile + (now ^ 1) * TILE, q, p.ldq, query + PASS, p.sq);
            rs_att_load<PASS, D>(do_tile + (now ^ 1) * TILE, d_o, p.lddo, query + PASS, p.sq);
            load_rows(lse + (now ^ 1) * PASS, dot + (now ^ 1) * PASS, p, head, query + PASS);
        }
        rs_cp_async_commit();
        rs_cp_async_wait<1>();
        __syncthreads();
        float s[2 * TILES][4], dp[2 * TILES][4];
        rs_att_clear<2 * TILES>(s);
        rs_att_clear<2 * TILES>(dp);
        rs_att_scores<D, TILES>(s, k_tile, warp * 16, q_tile + now * TILE);
        rs_att_scores<D, TILES>(dp, v_tile, warp * 16, do_tile + now * TILE);
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int j = now * PASS + n * 8 + 2 * t + (e & 1);
                s[n][e] = weight(s[n][e], p.scale * RS_LOG2E, lse[j], last[e >> 1]);
                dp[n][e] = s[n][e] * (dp[n][e] - dot[j]);
            }
        rs_att_weigh<D, TILES>(dv, s, do_tile + now * TILE);
        rs_att_weigh<D, TILES>(dk, dp, q_tile + now * TILE);
        __syncthreads();
    }
    const float one[2] = {1, 1}, scale[2] = {p.scale, p.scale};
    rs_att_store<D>(k_tile + warp * 16 * LD, dk, scale, (rs_bf16 *)p.dk + head * D, p.lddk,
                    key0 + warp * 16, p.sk, false);
    rs_att_store<D>(v_tile + warp * 16 * LD, dv, one, (rs_bf16 *)p.dv + head * D, p.lddv,
                    key0 + warp * 16, p.sk, false);
}

template <int D>
static __global__ void __launch_bounds__(RS_ATT_THREADS) attention_dq_kernel(const rs_att_call p)
{
    const int LD = rs_att_dim<D>::LD, TILE = PASS * LD;
    RS_DYN_SMEM(rs_bf16, q_tile);
    rs_bf16 *do_tile = q_tile + RS_ATT_ROWS * LD, *k_tile = do_tile + RS_ATT_ROWS * LD;
    rs_bf16 *v_tile = k_tile + 2 * TILE;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, t = lane & 3;
    int head = (int)blockIdx.y;
    int64_t query0 = (int64_t)blockIdx.x * RS_ATT_ROWS, query = query0 + warp * 16 + (lane >> 2);
    const rs_bf16 *k = (const rs_bf16 *)p.k + head * D, *v = (const rs_bf16 *)p.v + head * D;
    rs_att_load<RS_ATT_ROWS, D>(q_tile, (const rs_bf16 *)p.q + head * D, p.ldq, query0, p.sq);
    rs_att_load<RS_ATT_ROWS, D>(do_tile, (const rs_bf16 *)p.d_o + head * D, p.lddo, query0, p.sq);
    rs_att_load<PASS, D>(k_tile, k, p.ldk, 0, p.sk);
    rs_att_load<PASS, D>(v_tile, v, p.ldv, 0, p.sk);
    rs_cp_async_commit();

    float lse[2], dot[2], dq[D / 8][4];
    for (int h = 0; h < 2; h++) {
        bool there = query + 8 * h < p.sq;
        lse[h] = there ? p.lse[head * p.ldl + query + 8 * h] * RS_LOG2E : INFINITY;
        dot[h] = there ? p.dot[head * p.sq + query + 8 * h] : 0;
    }
    rs_att_clear<D / 8>(dq);
    int now = 0;
    for (int64_t key = 0; key < p.sk; key += PASS, now ^= 1) {
        if (key + PASS < p.sk) {
            rs_att_load<PASS, D>(k_tile + (now ^ 1) * TILE, k, p.ldk, key + PASS, p.sk);
            rs_att_load<PASS, D>(v_tile + (now ^ 1) * TILE, v, p.ldv, key + PASS, p.sk);
        }
        rs_cp_async_commit();
        rs_cp_async_wait<1>();
        __syncthreads();
        float s[2 * TILES][4], dp[2 * TILES][4];
        rs_att_clear<2 * TILES>(s);
        rs_att_clear<2 * TILES>(dp);
        rs_att_scores<D, TILES>(s, q_tile, warp * 16, k_tile + now * TILE);
        rs_att_scores<D, TILES>(dp, do_tile, warp * 16, v_tile + now * TILE);
#pragma unroll
        for (int n = 0; n < 2 * TILES; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                int64_t j = key + n * 8 + 2 * t + (e & 1);
                float w = weight(s[n][e], p.scale * RS_LOG2E, lse[e >> 1],
                                 j == p.sk - 1 ? p.last_log2 : 0);
                dp[n][e] = j < p.sk ? w * (dp[n][e] - dot[e >> 1]) : 0;
            }
        rs_att_weigh<D, TILES>(dq, dp, k_tile + now * TILE);
        __syncthreads();
    }
    const float scale[2] = {p.scale, p.scale};
    rs_att_store<D>(q_tile + warp * 16 * LD, dq, scale, (rs_bf16 *)p.dq + head * D, p.lddq,
                    query0 + warp * 16, p.sq, p.accumulate);
}

template <int D> static void launch(rs_cuctx *c, const rs_att_call &p)
{
    size_t smem = (size_t)(2 * RS_ATT_ROWS + 4 * PASS) * rs_att_dim<D>::LD * sizeof(rs_bf16);
    unsigned heads = (unsigned)p.heads;
    if (p.dk)
        rs_launch(c, "attention_bwd dk dv", attention_dkdv_kernel<D>,
                  dim3(rs_blocks(p.sk, RS_ATT_ROWS), heads), dim3(RS_ATT_THREADS),
                  smem + 4 * PASS * sizeof(float), p);
    rs_launch(c, "attention_bwd dq", attention_dq_kernel<D>,
              dim3(rs_blocks(p.sq, RS_ATT_ROWS), heads), dim3(RS_ATT_THREADS), smem, p);
}

bool rs_att_bwd_tensor(rs_cuctx *c, const rs_att_call &p, int64_t d)
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
