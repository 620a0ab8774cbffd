/* bf16 products with AVX512-BF16: 8x48 tiles of vdpbf16ps, which adds the products of two pairs of
 * bf16 to an fp32 sum, at twice the rate of fp32. Pairs are neighbours in K; where K ends with half
 * a pair the other half is zero.
 *
 *   A  [m][pairs of k]               pairs of a row lie together
 *   B  panels of 48: [pairs of k][48]
 *
 * fp32 operands are rounded (to nearest even, subnormals to zero) while they are packed. */
#include "base/num.h"
#include "kernels/cpu/pairs.h"
#include "kernels/gemm/block.h"
#include "kernels/vec/vec.h"

enum { MR = RS_PAIRS_MR, NR = RS_PAIRS_NR, BLOCK_K = 768, LANES = 16 };

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"

#define BF16        RS_TARGET_AVX512_BF16
#define BF16_INLINE static inline __attribute__((always_inline)) BF16

/* ---- packing ---- */

/* n values, 0 to 16, as bf16. */
BF16_INLINE __m256i load16(const void *p, bool bf16, int64_t n)
{
    if (n <= 0)
        return _mm256_setzero_si256();
    if (bf16)
        return n >= LANES ? _mm256_loadu_si256(p) : _mm256_maskz_loadu_epi16(V_MASK(n), p);
    __m512 f = n >= LANES ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(V_MASK(n), p);
    return (__m256i)_mm512_cvtneps_pbh(f);
}

/* n values, 0 to 32, of one row: up to 16 pairs. */
BF16_INLINE __m512i load_pairs(const void *p, bool bf16, int64_t n)
{
    if (bf16 && n >= 2 * LANES)
        return _mm512_loadu_si512(p);
    if (!bf16 && n >= 2 * LANES) {
        const float *f = p;
        return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(f + LANES), _mm512_loadu_ps(f));
    }
    __m256i lo = load16(p, bf16, n);
    __m256i hi = load16((const char *)p + LANES * (bf16 ? 2 : 4), bf16, n - LANES);
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

/* n columns, 0 to 16, of two rows that follow each other in K: a pair per column. */
BF16_INLINE __m512i load_two_rows(const rs_gemm_operand *o, int64_t row, bool two, int64_t col,
                                  int64_t n)
{
    __m512i lo = _mm512_cvtepu16_epi32(load16(rs_gemm_at(o, row, col), o->bf16, n));
    if (!two)
        return lo;
    __m512i hi = _mm512_cvtepu16_epi32(load16(rs_gemm_at(o, row + 1, col), o->bf16, n));
    return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
}

/* 16x16 pairs transposed into the first `rows` rows and `cols` columns of dst. */
BF16_INLINE void put_transposed(uint32_t *dst, int64_t ld, __m512 r[LANES], int64_t rows,
                                int64_t cols)
{
    if (rows >= LANES && cols >= LANES) {
        rs_v_transpose16_of((float *)(void *)dst, ld, r);
        return;
    }
    uint32_t part[LANES * LANES];
    rs_v_transpose16_of((float *)(void *)part, LANES, r);
    for (int64_t i = 0; i < rs_min_i64(rows, LANES); i++)
        for (int64_t j = 0; j < rs_min_i64(cols, LANES); j++)
            dst[i * ld + j] = part[i * LANES + j];
}

/* B stored (n,k): columns [j, j+16) of a panel. */
BF16 static void pack_b_cols(uint32_t *dst, const rs_gemm_operand *b, int64_t j, int64_t n,
                             int64_t k, int64_t pairs)
{
    __m512 r[LANES];
    for (int64_t p = 0; p < pairs; p += LANES) {
        for (int64_t c = 0; c < LANES; c++)
            r[c] = (__m512)(c < n ? load_pairs(rs_gemm_at(b, j + c, 2 * p), b->bf16, k - 2 * p)
                                  : _mm512_setzero_si512());
        put_transposed(dst + p * NR, NR, r, pairs - p, LANES);
    }
}

BF16 static void pack_b_rows(uint32_t *dst, const rs_gemm_operand *b, int64_t j, int64_t n,
                             int64_t k, int64_t pairs)
{
    for (int64_t p = 0; p < pairs; p++)
        _mm512_storeu_si512(dst + p * NR, load_two_rows(b, 2 * p, 2 * p + 1 < k, j, n));
}

/* The panel of columns from j on. */
BF16 static void pack_b(uint32_t *dst, const rs_gemm_block *t, int64_t pairs, int64_t j)
{
    for (int64_t end = rs_min_i64(j + NR, t->n), at = j; at < end; at += LANES)
        (t->b.trans ? pack_b_cols : pack_b_rows)(dst + at - j, &t->b, at,
                                                 rs_min_i64(LANES, t->n - at), t->k, pairs);
}

BF16_INLINE void pack_a_row(uint32_t *dst, const char *row, const bool bf16, int64_t k,
                            int64_t pairs)
{
    const int64_t size = bf16 ? 2 : 4;
    int64_t p = 0;
    for (; 2 * (p + LANES) <= k; p += LANES)
        _mm512_storeu_si512(dst + p, load_pairs(row + 2 * p * size, bf16, 2 * LANES));
    if (p < pairs)
        _mm512_mask_storeu_epi32(dst + p, V_MASK(pairs - p),
                                 load_pairs(row + 2 * p * size, bf16, k - 2 * p));
}

/* A stored (k,m): up to 16 rows from i on. */
BF16 static void pack_a_cols(uint32_t *dst, const rs_gemm_block *t, int64_t pairs, int64_t i)
{
    __m512 r[LANES];
    for (int64_t p = 0; p < pairs; p += LANES) {
        for (int64_t q = 0; q < LANES; q++) {
            int64_t row = 2 * (p + q), n = rs_min_i64(LANES, t->m - i);
            r[q] = (__m512)(row < t->k ? load_two_rows(&t->a, row, row + 1 < t->k, i, n)
                                       : _mm512_setzero_si512());
        }
        put_transposed(dst + p, pairs, r, t->m - i, pairs - p);
    }
}

/* The rows of the tile that begins at row i, a multiple of MR; a is row 0. */
BF16 static void pack_a(uint32_t *a, const rs_gemm_block *t, int64_t pairs, int64_t i)
{
    if (t->a.trans) {
        if (i % LANES == 0)
            pack_a_cols(a + i * pairs, t, pairs, i);
        return;
    }
    for (int64_t r = i; r < rs_min_i64(i + MR, t->m); r++) {
        if (t->a.bf16)
            pack_a_row(a + r * pairs, rs_gemm_at(&t->a, r, 0), true, t->k, pairs);
        else
            pack_a_row(a + r * pairs, rs_gemm_at(&t->a, r, 0), false, t->k, pairs);
    }
}

/* ---- products ---- */

/* What is read after tile (i,j), a the packed rows: those of A while the first panel passes; during
 * the last tiles of a panel the next one of B, or the first one of the next block of K. Earlier it
 * would be displaced by A again. */
static rs_pairs_next fetch_next(const rs_gemm_block *t, const uint32_t *a, int64_t pairs, int64_t i,
                                int64_t j)
{
    int64_t late = i - (rs_ceil_div(t->m, MR) * MR - NR);
    bool last = j + NR >= t->n;
    int64_t col = last ? 0 : j + NR, k = last ? t->k : 0;
    if (late >= 0 && t->b.trans)
        return (rs_pairs_next){rs_gemm_at(&t->b, col + late, k), t->b.ld * (t->b.bf16 ? 2 : 4), 3};
    if (late >= 0) /* 128 rows in each of 6 tiles */
        return (rs_pairs_next){rs_gemm_at(&t->b, k + late * (BLOCK_K / NR), col),
                               t->b.ld * (t->b.bf16 ? 2 : 4), 7};
    if (j == 0 && t->a_ready)
        return (rs_pairs_next){(const char *)(a + (i + MR) * pairs), pairs * 4, 3};
    if (j == 0 && !t->a.trans && i + MR < t->m)
        return (rs_pairs_next){rs_gemm_at(&t->a, i + MR, 0), t->a.ld * (t->a.bf16 ? 2 : 4), 3};
    return (rs_pairs_next){(const char *)a, 0, 3};
}

/* Where the next tile adds to. */
BF16_INLINE void fetch_sums(const rs_gemm_block *t, int64_t i, int64_t j)
{
    bool down = i + MR < t->m;
    const float *c = t->sum + (down ? i + MR : 0) * t->ld + (down ? j : j + NR);
    for (int r = 0; r < MR; r++)
        for (int v = 0; v < NR; v += LANES)
            __builtin_prefetch(c + r * t->ld + v, 1, 2);
}

BF16 static void run(const rs_gemm_block *t)
{
    int64_t pairs = rs_ceil_div(t->k, 2);
    uint32_t *panel = t->work, *a = t->packed_a;
    for (int64_t j = 0; j < t->n; j += NR) {
        pack_b(panel, t, pairs, j);
        for (int64_t i = 0; i < t->m; i += MR) {
            if (j == 0 && !t->a_ready)
                pack_a(a, t, pairs, i);
            fetch_sums(t, i, j);
            rs_pairs_tile(rs_min_i64(MR, t->m - i), rs_min_i64(NR, t->n - j), pairs,
                          (rs_pairs_a){a + i * pairs, pairs, 1}, panel, t->sum + i * t->ld + j,
                          t->ld, t->accumulate, fetch_next(t, a, pairs, i, j));
        }
    }
}
#else
static void run(const rs_gemm_block *t)
{
    rs_gemm_engine_f32.run(t);
}
#endif

static const char *name(void)
{
    return "avx512bf16-8x48";
}

static int rows(void)
{
    return MR;
}

static int cols(void)
{
    return NR;
}

const rs_gemm_engine rs_gemm_engine_bf16 = {
    .name = name,
    .rows = rows,
    .cols = cols,
    .block_k = BLOCK_K,
    .unit_k = 2,
    .work = NR * BLOCK_K / 2 * sizeof(uint32_t),
    .packed_a = RS_GEMM_TILE_M * BLOCK_K / 2 * sizeof(uint32_t),
    .run = run,
};
