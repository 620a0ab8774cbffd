#include "kernels/attention/rows_bf16.h"

#include <math.h>
#include <stdbool.h>

#include "kernels/attention/exp_bf16.h"

#if defined(__x86_64__)
enum { LANES = 16, WIDE = 2 * LANES };

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
        __m512 x = rs_attn_exp2_fine(_mm512_fmadd_ps(_mm512_loadu_ps(s + j), f, minus));
        __m512 y = rs_attn_exp2_fine(_mm512_fmadd_ps(_mm512_loadu_ps(s + j + LANES), f, minus));
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

BF16 void rs_attn_softmax_bf16(uint32_t *p, const rs_attn_scores *x, float *top, float *keep,
                               float *sum)
{
    bool plain = !x->bias && x->scale > 0;
    float scale = plain ? x->scale : 1;
    if (!plain)
        add_bias(x->s, x->bias, x->n, x->scale);
    float m = row_max(x->s, x->n) * scale;
    *keep = 1;
    if (!(m <= *top)) {
        *keep = expf(*top - m);
        *top = m;
    }
    *sum = *sum * *keep + row_exp(p, x->s, x->n, _mm512_set1_ps(scale * RS_ATTN_LOG2E),
                                  _mm512_set1_ps(-*top * RS_ATTN_LOG2E));
}
#endif
