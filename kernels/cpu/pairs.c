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

/* The element (row, col). */
BF16_INLINE const char *at(const rs_pairs_src *s, int64_t row, int64_t col)
{
    return (const char *)s->data + (row * s->ld + col) * (s->bf16 ? 2 : 4);
}

/* n values, 0 or more, at most 16 of them: as bf16. */
BF16_INLINE __m256i load16(const char *p, const bool bf16, int64_t n)
{
    if (n <= 0)
        return _mm256_setzero_si256();
    if (bf16)
        return n >= LANES ? _mm256_loadu_si256((const __m256i *)(const void *)p)
                          : _mm256_maskz_loadu_epi16(V_MASK(n), p);
    __m512 f = n >= LANES ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(V_MASK(n), p);
    return (__m256i)_mm512_cvtneps_pbh(f);
}

/* n values of one row, at most 32 of them: up to 16 pairs. */
BF16_INLINE __m512i load_pairs(const char *p, const bool bf16, int64_t n)
{
    const int64_t half = LANES * (bf16 ? 2 : 4);
    if (bf16 && n >= 2 * LANES)
        return _mm512_loadu_si512(p);
    if (n >= 2 * LANES)
        return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(p + half), _mm512_loadu_ps(p));
    return _mm512_inserti64x4(_mm512_castsi256_si512(load16(p, bf16, n)),
                              load16(p + half, bf16, n - LANES), 1);
}

/* Up to 16 columns of rows `row` and, if it is in front of `rows`, row + 1: pairs, the first row in
 * their lower halves. */
BF16_INLINE __m512i load_two(const rs_pairs_src *s, const bool bf16, int64_t row, int64_t rows,
                             int64_t col, int64_t n)
{
    __m512i lo = _mm512_cvtepu16_epi32(load16(at(s, row, col), bf16, n));
    if (row + 1 >= rows)
        return lo;
    __m512i hi = _mm512_cvtepu16_epi32(load16(at(s, row + 1, col), bf16, n));
    return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
}

/* 16x16 words transposed into the first `rows` rows and `cols` columns of dst. */
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

BF16_INLINE void rows_a(uint32_t *dst, const rs_pairs_src *s, const bool bf16, int64_t m, int64_t k)
{
    const int64_t size = bf16 ? 2 : 4, pairs = rs_pairs_of(k);
    for (int64_t i = 0; i < m; i++, dst += pairs) {
        const char *row = (const char *)s->data + i * s->ld * size;
        int64_t p = 0;
        for (; 2 * (p + LANES) <= k; p += LANES)
            _mm512_storeu_si512(dst + p, load_pairs(row + 2 * p * size, bf16, 2 * LANES));
        if (p < pairs)
            _mm512_mask_storeu_epi32(dst + p, V_MASK(pairs - p),
                                     load_pairs(row + 2 * p * size, bf16, k - 2 * p));
    }
}

BF16 void rs_pairs_rows_of_a(uint32_t *dst, rs_pairs_src a, int64_t m, int64_t k)
{
    if (a.bf16)
        rows_a(dst, &a, true, m, k);
    else
        rows_a(dst, &a, false, m, k);
}

/* 16 rows of A at a time: columns of what is stored. */
BF16_INLINE void cols_a(uint32_t *dst, const rs_pairs_src *s, const bool bf16, int64_t m, int64_t k)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t i = 0; i < m; i += LANES)
        for (int64_t p = 0; p < pairs; p += LANES) {
            __m512 r[LANES];
            for (int64_t q = 0; q < LANES; q++)
                r[q] = (__m512)(p + q < pairs
                                    ? load_two(s, bf16, 2 * (p + q), k, i, rs_min_i64(LANES, m - i))
                                    : _mm512_setzero_si512());
            put_transposed(dst + i * pairs + p, pairs, r, m - i, pairs - p);
        }
}

BF16 void rs_pairs_cols_of_a(uint32_t *dst, rs_pairs_src a, int64_t m, int64_t k)
{
    if (a.bf16)
        cols_a(dst, &a, true, m, k);
    else
        cols_a(dst, &a, false, m, k);
}

/* 16 columns of a panel (n of them there) over all pairs, 16 pairs at a time. */
BF16_INLINE void stripe(uint32_t *dst, const rs_pairs_src *s, const bool bf16, int64_t j, int64_t k,
                        int64_t n)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t p = 0; p < pairs; p += LANES) {
        __m512 r[LANES];
        for (int64_t c = 0; c < LANES; c++)
            r[c] = (__m512)(c < n ? load_pairs(at(s, j + c, 2 * p), bf16, k - 2 * p)
                                  : _mm512_setzero_si512());
        put_transposed(dst + p * NR, NR, r, pairs - p, LANES);
    }
}

BF16_INLINE void cols_b(uint32_t *panels, const rs_pairs_src *s, const bool bf16, int64_t k,
                        int64_t n)
{
    for (int64_t j = 0; j < n; j += NR, panels += NR * rs_pairs_of(k))
        for (int64_t v = 0; v < NR; v += LANES)
            stripe(panels + v, s, bf16, j + v, k, n - j - v);
}

BF16 void rs_pairs_cols_of_b(uint32_t *panels, rs_pairs_src b, int64_t k, int64_t n)
{
    if (b.bf16)
        cols_b(panels, &b, true, k, n);
    else
        cols_b(panels, &b, false, k, n);
}

BF16_INLINE void rows_b(uint32_t *panels, const rs_pairs_src *s, const bool bf16, int64_t k,
                        int64_t n)
{
    int64_t pairs = rs_pairs_of(k);
    for (int64_t j = 0; j < n; j += NR, panels += NR * pairs) {
        uint32_t *dst = panels;
        int64_t p = 0;
        for (; j + NR <= n && 2 * p + 1 < k; p++, dst += NR) {
            RS_UNROLL
            for (int v = 0; v < NR; v += LANES)
                _mm512_storeu_si512(dst + v, load_two(s, bf16, 2 * p, k, j + v, LANES));
        }
        for (; p < pairs; p++, dst += NR)
            for (int v = 0; v < NR; v += LANES)
                _mm512_storeu_si512(dst + v, load_two(s, bf16, 2 * p, k, j + v, n - j - v));
    }
}

BF16 void rs_pairs_rows_of_b(uint32_t *panels, rs_pairs_src b, int64_t k, int64_t n)
{
    if (b.bf16)
        rows_b(panels, &b, true, k, n);
    else
        rows_b(panels, &b, false, k, n);
}
#endif
