#include "kernels/attention/rows_bf16.h"

#include <math.h>
#include <stdbool.h>

#include "kernels/cpu/simd_avx512.h"

#if defined(__x86_64__)
#define BF16        RS_TARGET_AVX512_BF16
#define BF16_INLINE static inline __attribute__((always_inline)) BF16

enum { LANES = 16, WIDE = 2 * LANES };
static const float k_log2e = 1.44269504f;

/* 2^x for x not far above 0: 2^n times a polynomial of degree 5 in x - n (relative error 1.6e-7,
 * the least there is). NaN stays. */
BF16_INLINE __m512 exp2_of(__m512 x)
{
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_sub_ps(x, n);
    __m512 q = _mm512_set1_ps(0.0013276471f);
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.009675541f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.05550713f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.2402212f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.69314694f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(1.0000001f));
    __mmask16 seen = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-100.0f), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(seen, q, n);
}

BF16_INLINE __m512 first(__m512 x, int64_t n)
{
    return n >= LANES ? x : n <= 0 ? _mm512_setzero_ps() : _mm512_maskz_mov_ps(V_MASK(n), x);
}

/* Maximum of s[0,n), NaN if there is one behind the maximum's last change: it shows in the sum. */
BF16_INLINE float row_max(const float *s, int64_t n)
{
    __m512 a = _mm512_set1_ps(-INFINITY), b = a;
    int64_t j = 0;
    for (; j + WIDE <= n; j += WIDE) {
        a = _mm512_max_ps(a, _mm512_loadu_ps(s + j));
        b = _mm512_max_ps(b, _mm512_loadu_ps(s + j + LANES));
    }
    for (; j < n; j += LANES)
        a = _mm512_mask_max_ps(a, (__mmask16)(n - j >= LANES ? 0xffff : V_MASK(n - j)), a,
                               _mm512_loadu_ps(s + j));
    return _mm512_reduce_max_ps(_mm512_max_ps(a, b));
}

/* s <- scale*s + bias */
BF16_INLINE void add_bias(float *s, const float *bias, int64_t n, float scale)
{
    for (int64_t j = 0; j < n; j += LANES) {
        int64_t left = n - j < LANES ? n - j : LANES;
        __m512 x = _mm512_mul_ps(_mm512_loadu_ps(s + j), _mm512_set1_ps(scale));
        if (bias)
            x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(V_MASK(left), bias + j));
        _mm512_storeu_ps(s + j, x);
    }
}

/* p <- exp2(f*s + minus); returns the sum. */
BF16_INLINE float row_exp(uint32_t *p, const float *s, int64_t n, __m512 f, __m512 minus)
{
    __m512 a = _mm512_setzero_ps(), b = a;
    for (int64_t j = 0; j < n; j += WIDE) {
        __m512 x = exp2_of(_mm512_fmadd_ps(_mm512_loadu_ps(s + j), f, minus));
        __m512 y = exp2_of(_mm512_fmadd_ps(_mm512_loadu_ps(s + j + LANES), f, minus));
        if (n - j < WIDE) {
            x = first(x, n - j);
            y = first(y, n - j - LANES);
        }
        a = _mm512_add_ps(a, x);
        b = _mm512_add_ps(b, y);
        _mm512_storeu_si512(p + j / 2, (__m512i)_mm512_cvtne2ps_pbh(y, x));
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(a, b));
}

/* Maxima of all rows come first, so that no row waits for its own. */
BF16 void rs_attn_softmax_bf16(uint32_t *p, const rs_attn_scores *x, float *top, float *keep,
                               float *sum)
{
    bool plain = !x->bias && x->scale > 0;
    float scale = plain ? x->scale : 1;
    for (int64_t i = 0; i < x->rows; i++) {
        float *s = x->s + i * x->ld;
        if (!plain)
            add_bias(s, x->bias ? x->bias - i : NULL, x->n, x->scale);
        float m = row_max(s, x->n) * scale;
        keep[i] = 1;
        if (!(m <= top[i])) {
            keep[i] = expf(top[i] - m);
            top[i] = m;
        }
    }
    for (int64_t i = 0; i < x->rows; i++)
        sum[i] = sum[i] * keep[i] + row_exp(p + i * x->ld / 2, x->s + i * x->ld, x->n,
                                            _mm512_set1_ps(scale * k_log2e),
                                            _mm512_set1_ps(-top[i] * k_log2e));
}

/* One query's p and ds at 16 keys, n of them there. */
BF16_INLINE void gradient_of(__m512 *p, __m512 *ds, const float *s, const float *dp, __m512 f,
                             __m512 minus_lse, __m512 delta, __m512 scale, int64_t n)
{
    *p = exp2_of(_mm512_fmadd_ps(_mm512_loadu_ps(s), f, minus_lse));
    *ds = _mm512_mul_ps(_mm512_mul_ps(*p, scale), _mm512_sub_ps(_mm512_loadu_ps(dp), delta));
    if (n < LANES) {
        *p = first(*p, n);
        *ds = first(*ds, n);
    }
}

/* Both queries' values at 16 keys as pairs. */
BF16_INLINE __m512i pair_of(__m512 x, __m512 y)
{
    __m512i lo = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    __m512i hi = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(y));
    return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
}

BF16 void rs_attn_gradient_bf16(uint32_t *const ds[2], uint32_t *pt, uint32_t *dst,
                                const rs_attn_two *q, int64_t n)
{
    const __m512 f = _mm512_set1_ps(q->scale * k_log2e), scale = _mm512_set1_ps(q->scale);
    for (int64_t j = 0; j < n; j += WIDE) {
        __m512 p[2][2], g[2][2];
        RS_UNROLL
        for (int r = 0; r < 2; r++) {
            RS_UNROLL
            for (int v = 0; v < 2; v++)
                gradient_of(&p[r][v], &g[r][v], q->s + r * q->ld + j + v * LANES,
                            q->dp + r * q->ld + j + v * LANES, f,
                            _mm512_set1_ps(-q->lse[r] * k_log2e), _mm512_set1_ps(q->delta[r]),
                            scale, n - j - v * LANES);
            _mm512_storeu_si512(ds[r] + j / 2, (__m512i)_mm512_cvtne2ps_pbh(g[r][1], g[r][0]));
        }
        if (!pt)
            continue;
        RS_UNROLL
        for (int v = 0; v < 2; v++) {
            _mm512_storeu_si512(pt + j + v * LANES, pair_of(p[0][v], p[1][v]));
            _mm512_storeu_si512(dst + j + v * LANES, pair_of(g[0][v], g[1][v]));
        }
    }
}
#endif
