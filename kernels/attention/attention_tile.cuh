/* What the tensor core attention kernels share: tiles of bf16 rows in shared memory, fragments from
 * them, and rows of fp32 fragments back to memory.
 *
 * Rows of a tile are D + 8 elements apart: the eight rows that one ldmatrix phase reads then start
 * in eight different groups of four banks for every D that is a multiple of 16. */
#ifndef RS_KERNELS_ATTENTION_TILE_CUH
#define RS_KERNELS_ATTENTION_TILE_CUH

#include <math.h>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ptx.cuh"

typedef __nv_bfloat16 rs_bf16;

enum { RS_ATT_THREADS = 128, RS_ATT_WARPS = 4, RS_ATT_ROWS = 64 }; /* 16 rows a warp */

#define RS_LOG2E 1.4426950408889634f
#define RS_LN2   0.6931471805599453f

template <int D> struct rs_att_dim {
    static const int LD = D + 8;
    static const int CHUNKS = D / 8; /* of 16 bytes in a row */
};

/* Rows [row0, row0 + ROWS) of a matrix with `n` rows, by the whole block; zeros past its end. */
template <int ROWS, int D>
static __device__ inline void rs_att_load(rs_bf16 *s, const rs_bf16 *g, int64_t ld, int64_t row0,
                                          int64_t n)
{
    const int CHUNKS = rs_att_dim<D>::CHUNKS, STEP = RS_ATT_THREADS / CHUNKS;
    int left = n - row0 < ROWS ? (int)(n - row0) : ROWS;
    int r = (int)threadIdx.x / CHUNKS, c = (int)threadIdx.x % CHUNKS * 8;
    if (r >= STEP) /* where rows of chunks do not divide the threads */
        return;
    const rs_bf16 *from = g + (row0 + r) * ld + c;
#pragma unroll 1
    for (s += r * rs_att_dim<D>::LD + c; r < ROWS; r += STEP) {
        rs_cp_async_16(s, r < left ? from : g, r < left);
        s += STEP * rs_att_dim<D>::LD;
        from += STEP * ld;
    }
}

/* A operand: rows [row, row+16), columns [col, col+16). */
template <int D>
static __device__ inline void rs_att_a(uint32_t a[4], const rs_bf16 *s, int row, int col)
{
    int l = (int)threadIdx.x & 31;
    rs_ldmatrix_x4(a, s + (row + (l & 15)) * rs_att_dim<D>::LD + col + (l >> 4) * 8);
}

/* B operands of two neighbouring column tiles whose columns are rows [row, row+16) of the tile and
 * whose depth is its columns [col, col+16): b[0..1] the first, b[2..3] the second. */
template <int D>
static __device__ inline void rs_att_b(uint32_t b[4], const rs_bf16 *s, int row, int col)
{
    int l = (int)threadIdx.x & 31;
    rs_ldmatrix_x4(b,
                   s + (row + (l & 7) + (l >> 4) * 8) * rs_att_dim<D>::LD + col + (l >> 3 & 1) * 8);
}

/* The same where the depth is rows [row, row+16) and the columns are columns [col, col+16). */
template <int D>
static __device__ inline void rs_att_bt(uint32_t b[4], const rs_bf16 *s, int row, int col)
{
    int l = (int)threadIdx.x & 31;
    rs_ldmatrix_x4_trans(b, s + (row + (l & 15)) * rs_att_dim<D>::LD + col + (l >> 4) * 8);
}

/* c[2*TILES] (16 x 16*TILES) += A rows [row, row+16) times the transposed rows [0, 16*TILES) of b.
 */
template <int D, int TILES>
static __device__ inline void rs_att_scores(float c[2 * TILES][4], const rs_bf16 *a_rows, int row,
                                            const rs_bf16 *b_rows)
{
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        uint32_t a[4];
        rs_att_a<D>(a, a_rows, row, k);
#pragma unroll
        for (int n = 0; n < TILES; n++) {
            uint32_t b[4];
            rs_att_b<D>(b, b_rows, 16 * n, k);
            rs_mma_16816(c[2 * n], a, b);
            rs_mma_16816(c[2 * n + 1], a, b + 2);
        }
    }
}

/* o (16 x D) += p (16 x 16*TILES, rounded to bf16) times rows [0, 16*TILES) of v. */
template <int D, int TILES>
static __device__ inline void rs_att_weigh(float o[D / 8][4], const float p[2 * TILES][4],
                                           const rs_bf16 *v)
{
#pragma unroll
    for (int k = 0; k < TILES; k++) {
        const float *lo = p[2 * k], *hi = p[2 * k + 1];
        uint32_t a[4] = {rs_pack_bf16(lo[0], lo[1]), rs_pack_bf16(lo[2], lo[3]),
                         rs_pack_bf16(hi[0], hi[1]), rs_pack_bf16(hi[2], hi[3])};
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            uint32_t b[4];
            rs_att_bt<D>(b, v, 16 * k, 16 * n);
            rs_mma_16816(o[2 * n], a, b);
            rs_mma_16816(o[2 * n + 1], a, b + 2);
        }
    }
}

template <int N> static __device__ inline void rs_att_clear(float c[N][4])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        c[i][0] = c[i][1] = c[i][2] = c[i][3] = 0;
}

/* Two neighbouring elements, times m, and what is there already. */
static __device__ inline uint32_t rs_att_pair(const float *c, float m, const rs_bf16 *old)
{
    float x = c[0] * m, y = c[1] * m;
    if (old)
        x += (float)old[0], y += (float)old[1];
    return rs_pack_bf16(x, y);
}

/* A warp's 16 rows of fragments, times m[0] (rows g) and m[1] (rows g + 8), as bf16 to rows row0..
 * of dst (those below n), through its own 16 rows of a tile, which nobody else reads any more. */
template <int D>
static __device__ inline void rs_att_store(rs_bf16 *stage, const float c[D / 8][4], const float *m,
                                           rs_bf16 *dst, int64_t ld, int64_t row0, int64_t n,
                                           bool accumulate)
{
    const int LD = rs_att_dim<D>::LD;
    int l = (int)threadIdx.x & 31, g = l >> 2, t = l & 3;
    __syncwarp();
    const rs_bf16 *old_lo = accumulate && row0 + g < n ? dst + (row0 + g) * ld : NULL;
    const rs_bf16 *old_hi = accumulate && row0 + g + 8 < n ? dst + (row0 + g + 8) * ld : NULL;
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
        int at = i * 8 + 2 * t;
        *reinterpret_cast<uint32_t *>(stage + g * LD + at) =
            rs_att_pair(c[i], m[0], old_lo ? old_lo + at : NULL);
        *reinterpret_cast<uint32_t *>(stage + (g + 8) * LD + at) =
            rs_att_pair(c[i] + 2, m[1], old_hi ? old_hi + at : NULL);
    }
    __syncwarp();
    for (int i = l; i < 16 * rs_att_dim<D>::CHUNKS; i += 32) {
        int r = i / rs_att_dim<D>::CHUNKS, col = i % rs_att_dim<D>::CHUNKS * 8;
        if (row0 + r < n)
            *reinterpret_cast<uint4 *>(dst + (row0 + r) * ld + col) =
                *reinterpret_cast<uint4 *>(stage + r * LD + col);
    }
}

/* Largest of, and sum over, the four lanes that share a fragment row. */
static __device__ inline float rs_att_row_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

static __device__ inline float rs_att_row_sum(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

#endif
