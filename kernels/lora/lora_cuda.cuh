/* What the thin products' kernels share: which pair a tile of 16 columns of low belongs to, and
 * tiles of factors and lows in shared memory. Every pair begins at a tile of its own, so a column's
 * bits do not depend on what else is in the pass. */
#ifndef RS_KERNELS_LORA_LORA_CUDA_CUH
#define RS_KERNELS_LORA_LORA_CUDA_CUH

#include "kernels/attention/attention_tile.cuh"
#include "kernels/lora/lora.h"

enum { LORA_THREADS = 128, LORA_ROWS = 64, LORA_K = 64, LORA_TILES = 4, LORA_STAGES = 4 };

struct lora_pair {
    rs_bf16 *low;
    float *f; /* factor or gradient */
    int64_t ld_low, ld_f;
    int rank, first; /* of its tiles */
    float scale;
};

struct lora_job {
    rs_bf16 *x; /* the wide tensor */
    int64_t ld, rows, cols;
    float beta;
    bool tall;
    int segments;
    int64_t at[RS_LORA_SEGMENTS + 1];
    lora_pair pair[RS_LORA_PAIRS];
    signed char of_tile[RS_LORA_PARTS][LORA_TILES]; /* pair; -1: none */
    bool mine[RS_LORA_PARTS];                       /* the part is this launch's */
};
static_assert(sizeof(lora_job) < 4096, "kernel arguments");

/* Pair of column c of all lows of a part, and its own column in it; NULL: none. */
static __device__ inline const lora_pair *lora_column(const lora_job &j, int c, int *r)
{
    int p = j.of_tile[blockIdx.z][c / 16];
    if (p < 0)
        return nullptr;
    *r = c - j.pair[p].first * 16;
    return *r < j.pair[p].rank ? &j.pair[p] : nullptr;
}

/* Where the factor of each column lies: looked up once, in shared memory. */
struct lora_factor {
    const float *at; /* NULL: zeros */
    int64_t step;

    __device__ inline float get(int64_t k, int64_t end) const
    {
        return at && k < end ? at[k * step] : 0.0f;
    }
};

/* By the whole block; needs a barrier. */
template <int NT> static __device__ inline void lora_find(lora_factor *to, const lora_job &j)
{
    int r = 0, c = (int)threadIdx.x;
    if (c >= NT * 16)
        return;
    const lora_pair *p = lora_column(j, c, &r);
    to[c].at = !p ? nullptr : j.tall ? p->f + r : p->f + r * p->ld_f;
    to[c].step = p && j.tall ? p->ld_f : 1;
}

/* 64 rows by 64 columns of the part's x into s, zeros outside; the whole block, not waited for. */
static __device__ inline void lora_fetch(rs_bf16 *s, const lora_job &j, int64_t row0, int64_t end,
                                         int64_t col0)
{
    const rs_bf16 *x = j.x + (int64_t)blockIdx.z * j.rows * j.ld;
    for (int i = (int)threadIdx.x; i < LORA_ROWS * LORA_K / 8; i += LORA_THREADS) {
        int r = i / (LORA_K / 8), c = i % (LORA_K / 8) * 8;
        bool there = row0 + r < end && col0 + c < j.cols;
        rs_cp_async_16(s + r * rs_att_dim<LORA_K>::LD + c,
                       x + (there ? (row0 + r) * j.ld + col0 + c : 0), there);
    }
}

/* Where eight columns of the lows lie, in the same way. */
struct lora_low {
    const rs_bf16 *at; /* NULL: zeros */
    int64_t ld;
    int left; /* columns of the pair from here on */
    bool wide;
};

template <int NT> static __device__ inline void lora_find(lora_low *to, const lora_job &j)
{
    int r = 0, c = (int)threadIdx.x;
    if (c >= NT * 2)
        return;
    const lora_pair *p = lora_column(j, c * 8, &r);
    to[c].at = p ? p->low + r : nullptr;
    to[c].ld = p ? p->ld_low : 0;
    to[c].left = p ? p->rank - r : 0;
    to[c].wide = !p || (p->rank % 8 == 0 && p->ld_low % 8 == 0 && (uintptr_t)p->low % 16 == 0);
}

/* 64 rows by NT tiles of the part's lows into s, zeros outside. `any`: some global address. */
template <int NT>
static __device__ inline void lora_lows(rs_bf16 *s, const lora_low *from, const rs_bf16 *any,
                                        int64_t row0, int64_t end)
{
    for (int i = (int)threadIdx.x; i < LORA_ROWS * NT * 2; i += LORA_THREADS) {
        int row = i / (NT * 2);
        const lora_low *low = from + i % (NT * 2);
        rs_bf16 *to = s + row * rs_att_dim<NT * 16>::LD + i % (NT * 2) * 8;
        bool there = low->at && row0 + row < end;
        const rs_bf16 *at = there ? low->at + (row0 + row) * low->ld : any;
        if (low->wide) {
            rs_cp_async_16(to, at, there);
            continue;
        }
        for (int e = 0; e < 8; e++)
            to[e] = there && e < low->left ? at[e] : __float2bfloat16_rn(0.0f);
    }
}

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

#endif
