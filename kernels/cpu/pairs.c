#include "kernels/cpu/pairs.h"

#include "base/num.h"
#include "kernels/cpu/simd_avx512.h"

#if defined(__x86_64__)
#define BF16        RS_TARGET_AVX512_BF16
#define BF16_INLINE static inline __attribute__((always_inline)) BF16

enum { MR = RS_PAIRS_MR, NR = RS_PAIRS_NR, LANES = 16 };

/* ---- products ---- */

/* m, nv and fetch are constants in every use; `tail` lanes of the last vector are valid. */
BF16_INLINE void tile_body(const int m, const int nv, const bool fetch, int64_t pairs, rs_pairs_a a,
                           const uint32_t *b, float *c, int64_t ldc, int64_t tail, bool accumulate,
                           rs_pairs_next next)
{
    __m512 acc[MR][3];
    RS_UNROLL
    for (int i = 0; i < m; i++) {
        RS_UNROLL
        for (int v = 0; v < nv; v++) {
            __mmask16 mask = (__mmask16)(v + 1 < nv ? 0xffff : V_MASK(tail));
            acc[i][v] = accumulate ? _mm512_maskz_loadu_ps(mask, c + i * ldc + v * LANES)
                                   : _mm512_setzero_ps();
        }
    }
    const uint32_t *at = a.a;
    const int64_t lines = ((int64_t)1 << next.bits) - 1;
    for (int64_t p = 0; p < pairs; p++, at += a.pair, b += NR) {
        __m512bh w[3];
        if (fetch)
            __builtin_prefetch(next.rows + (p & lines) * next.row + (p >> next.bits) * 64, 0, 2);
        RS_UNROLL
        for (int v = 0; v < nv; v++)
            w[v] = (__m512bh)_mm512_loadu_si512(b + v * LANES);
        RS_UNROLL
        for (int i = 0; i < m; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)at[i * a.row]);
            RS_UNROLL
            for (int v = 0; v < nv; v++)
                acc[i][v] = _mm512_dpbf16_ps(acc[i][v], x, w[v]);
        }
    }
    RS_UNROLL
    for (int i = 0; i < m; i++) {
        RS_UNROLL
        for (int v = 0; v < nv; v++)
            _mm512_mask_storeu_ps(c + i * ldc + v * LANES,
                                  (__mmask16)(v + 1 < nv ? 0xffff : V_MASK(tail)), acc[i][v]);
    }
}

#define TILE_CASE(m_, nv_, fetch_)                                                                 \
    case (m_)*4 + (nv_):                                                                           \
        tile_body(m_, nv_, fetch_, pairs, a, b, c, ldc, tail, accumulate, next);                   \
        break;
#define TILE_ROW(m_, fetch_)                                                                       \
    TILE_CASE(m_, 1, fetch_) TILE_CASE(m_, 2, fetch_) TILE_CASE(m_, 3, fetch_)
#define TILE_ROWS(fetch_)                                                                          \
    TILE_ROW(1, fetch_)                                                                            \
    TILE_ROW(2, fetch_)                                                                            \
    TILE_ROW(3, fetch_)                                                                            \
    TILE_ROW(4, fetch_)                                                                            \
    TILE_ROW(5, fetch_)                                                                            \
    TILE_ROW(6, fetch_)                                                                            \
    TILE_ROW(7, fetch_)                                                                            \
    TILE_ROW(8, fetch_)

BF16 static void tile(int64_t m, int64_t n, int64_t pairs, rs_pairs_a a, const uint32_t *b,
                      float *c, int64_t ldc, bool accumulate)
{
    const rs_pairs_next next = {0};
    int64_t nv = rs_ceil_div(n, LANES), tail = n - (nv - 1) * LANES;
    switch (m * 4 + nv) {
        TILE_ROWS(false)
    }
}

BF16 void rs_pairs_tile(int64_t m, int64_t n, int64_t pairs, rs_pairs_a a, const uint32_t *b,
                        float *c, int64_t ldc, bool accumulate, rs_pairs_next next)
{
    int64_t nv = rs_ceil_div(n, LANES), tail = n - (nv - 1) * LANES;
    switch (m * 4 + nv) {
        TILE_ROWS(true)
    }
}

/* A panel of B stays in the inner cache while all rows of A pass by. */
void rs_pairs_block(int64_t m, int64_t n, int64_t pairs, rs_pairs_a a, const uint32_t *panels,
                    float *c, int64_t ldc, bool accumulate)
{
    for (int64_t j = 0; j < n; j += NR, panels += NR * pairs)
        for (int64_t i = 0; i < m; i += MR)
            tile(rs_min_i64(MR, m - i), rs_min_i64(NR, n - j), pairs,
                 (rs_pairs_a){a.a + i * a.row, a.row, a.pair}, panels, c + i * ldc + j, ldc,
                 accumulate);
}

/* ---- packing ---- */

/* n values, 0 or more, at most 16 of them: as bf16. */
BF16_INLINE __m256i load16(const float *p, int64_t n)
{
    if (n <= 0)
        return _mm256_setzero_si256();
    __m512 f = n >= LANES ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(V_MASK(n), p);
    return (__m256i)_mm512_cvtneps_pbh(f);
}

/* n values of one row, at most 32 of them: up to 16 pairs. */
BF16_INLINE __m512i load_pairs(const float *p, int64_t n)
{
    if (n >= 2 * LANES)
        return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(p + LANES), _mm512_loadu_ps(p));
    return _mm512_inserti64x4(_mm512_castsi256_si512(load16(p, n)), load16(p + LANES, n - LANES),
                              1);
}

BF16 void rs_pairs_pack_a(uint32_t *dst, const float *a, int64_t lda, int64_t m, int64_t k)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t i = 0; i < m; i++, dst += pairs)
        for (int64_t p = 0; p < pairs; p += LANES) {
            __m512i v = load_pairs(a + i * lda + 2 * p, k - 2 * p);
            if (pairs - p >= LANES)
                _mm512_storeu_si512(dst + p, v);
            else
                _mm512_mask_storeu_epi32(dst + p, V_MASK(pairs - p), v);
        }
}

/* 16 rows of 16 words, transposed into rows `NR` apart: 4x4 blocks inside the 128-bit lanes first,
 * then the lanes. Only the first n rows are stored. */
BF16_INLINE void put_transposed(uint32_t *dst, __m512i r[LANES], int64_t n)
{
    __m512i t[LANES];
    RS_UNROLL
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    RS_UNROLL
    for (int i = 0; i < LANES; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    RS_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512i e0 = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        __m512i o0 = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        __m512i e1 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        __m512i o1 = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_i32x4(e0, e1, 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(o0, o1, 0x88);
        t[i + 8] = _mm512_shuffle_i32x4(e0, e1, 0xdd);
        t[i + 12] = _mm512_shuffle_i32x4(o0, o1, 0xdd);
    }
    RS_UNROLL
    for (int i = 0; i < LANES; i++)
        if (i < n)
            _mm512_storeu_si512(dst + i * NR, t[i]);
}

/* 16 columns (n of them there) over all pairs, 16 pairs at a time. */
BF16_INLINE void pack_stripe(uint32_t *dst, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t p = 0; p < pairs; p += LANES) {
        __m512i r[LANES];
        RS_UNROLL
        for (int c = 0; c < LANES; c++)
            r[c] = c < n ? load_pairs(b + c * ldb + 2 * p, k - 2 * p) : _mm512_setzero_si512();
        put_transposed(dst + p * NR, r, pairs - p);
    }
}

BF16 void rs_pairs_pack_cols(uint32_t *panels, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t j = 0; j < n; j += NR, panels += NR * pairs)
        for (int64_t v = 0; v < NR; v += LANES)
            pack_stripe(panels + v, j + v < n ? b + (j + v) * ldb : b, ldb, k, n - j - v);
}

/* Up to 16 columns of two rows: lower halves of the one, upper halves of the other, which may be
 * NULL. */
BF16_INLINE __m512i load_two(const float *x, const float *y, int64_t n)
{
    __m512i lo = _mm512_cvtepu16_epi32(load16(x, n));
    if (!y)
        return lo;
    return _mm512_or_si512(lo, _mm512_slli_epi32(_mm512_cvtepu16_epi32(load16(y, n)), 16));
}

BF16 void rs_pairs_pack_rows(uint32_t *panels, const float *b, int64_t ldb, int64_t k, int64_t n)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t j = 0; j < n; j += NR, panels += NR * pairs) {
        uint32_t *dst = panels;
        const float *x = b + j;
        int64_t cols = n - j, p = 0;
        for (; cols >= NR && p < k / 2; p++, x += 2 * ldb, dst += NR) {
            RS_UNROLL
            for (int v = 0; v < NR; v += LANES)
                _mm512_storeu_si512(dst + v, load_two(x + v, x + ldb + v, LANES));
        }
        for (; p < pairs; p++, x += 2 * ldb, dst += NR)
            for (int v = 0; v < NR; v += LANES)
                _mm512_storeu_si512(
                    dst + v, cols <= v
                                 ? _mm512_setzero_si512()
                                 : load_two(x + v, 2 * p + 1 < k ? x + ldb + v : NULL, cols - v));
    }
}
#endif
