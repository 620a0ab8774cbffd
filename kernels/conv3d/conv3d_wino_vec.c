/* Transforms of Winograd's convolution, by instruction set. */
#include "base/dtype.h"
#include "base/num.h"
#include "kernels/conv3d/conv3d_wino.h"
#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

RS_INLINE float rounded(float x)
{
    return rs_f32_from_bf16(rs_bf16_from_f32(x));
}

RS_INLINE void input_body(float *dst, const float *const d[RS_WINO], int64_t n, int64_t stride,
                          bool round)
{
    const float *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3];
    float *v0 = dst, *v1 = v0 + stride, *v2 = v1 + stride, *v3 = v2 + stride;
    RS_IVDEP
    for (int64_t c = 0; c < n; c++) {
        float a = d0[c] - d2[c], b = d1[c] + d2[c], e = d2[c] - d1[c], f = d1[c] - d3[c];
        v0[c] = round ? rounded(a) : a;
        v1[c] = round ? rounded(b) : b;
        v2[c] = round ? rounded(e) : e;
        v3[c] = round ? rounded(f) : f;
    }
}

RS_INLINE void weight_body(float *u, const float *const g[3], int64_t n, int64_t width, bool round)
{
    const float *g0 = g[0], *g1 = g[1], *g2 = g[2];
    float *u0 = u, *u1 = u0 + width, *u2 = u1 + width, *u3 = u2 + width;
    RS_IVDEP
    for (int64_t c = 0; c < n; c++) {
        float even = g0[c] + g2[c], b = 0.5f * (even + g1[c]), e = 0.5f * (even - g1[c]);
        u0[c] = round ? rounded(g0[c]) : g0[c];
        u1[c] = round ? rounded(b) : b;
        u2[c] = round ? rounded(e) : e;
        u3[c] = round ? rounded(g2[c]) : g2[c];
    }
    for (int64_t c = n; c < width; c++)
        u0[c] = u1[c] = u2[c] = u3[c] = 0.0f;
}

RS_INLINE void first_output(float *y, const float *add, const rs_wino_store *s, const float *t)
{
    const float *a = t, *b = a + s->stride, *c = b + s->stride, *bias = s->bias;
    if (add) {
        RS_IVDEP
        for (int64_t i = 0; i < s->n; i++)
            y[i] = a[i] + b[i] + c[i] + bias[i] + add[i];
    } else {
        RS_IVDEP
        for (int64_t i = 0; i < s->n; i++)
            y[i] = a[i] + b[i] + c[i] + bias[i];
    }
}

RS_INLINE void second_output(float *y, const float *add, const rs_wino_store *s, const float *t)
{
    const float *b = t + s->stride, *c = b + s->stride, *d = c + s->stride, *bias = s->bias;
    if (add) {
        RS_IVDEP
        for (int64_t i = 0; i < s->n; i++)
            y[i] = b[i] - c[i] - d[i] + bias[i] + add[i];
    } else {
        RS_IVDEP
        for (int64_t i = 0; i < s->n; i++)
            y[i] = b[i] - c[i] - d[i] + bias[i];
    }
}

RS_INLINE void store_body(const rs_wino_store *s)
{
    for (int64_t m = 0; m < s->rows; m++) {
        const float *t = s->sum + m * s->width, *add = s->add[m];
        first_output(s->y[m], add, s, t);
        if (s->both[m])
            second_output(s->y[m] + s->co, add ? add + s->co : NULL, s, t);
    }
}

#define VERSIONS(isa, TARGET)                                                                      \
    TARGET static void input_##isa(float *dst, const float *const d[RS_WINO], int64_t n,           \
                                   int64_t stride)                                                 \
    {                                                                                              \
        input_body(dst, d, n, stride, false);                                                      \
    }                                                                                              \
    TARGET static void input_rounded_##isa(float *dst, const float *const d[RS_WINO], int64_t n,   \
                                           int64_t stride)                                         \
    {                                                                                              \
        input_body(dst, d, n, stride, true);                                                       \
    }                                                                                              \
    TARGET static void weight_##isa(float *u, const float *const g[3], int64_t n, int64_t width)   \
    {                                                                                              \
        weight_body(u, g, n, width, false);                                                        \
    }                                                                                              \
    TARGET static void weight_rounded_##isa(float *u, const float *const g[3], int64_t n,          \
                                            int64_t width)                                         \
    {                                                                                              \
        weight_body(u, g, n, width, true);                                                         \
    }                                                                                              \
    TARGET static void store_##isa(const rs_wino_store *s)                                         \
    {                                                                                              \
        store_body(s);                                                                             \
    }

VERSIONS(base, )
VERSIONS(avx2, RS_TARGET_AVX2)
VERSIONS(avx512, RS_TARGET_AVX512)

#if defined(__x86_64__)
#define BF16 RS_TARGET_AVX512_BF16

/* The four components of 16 channels. */
#define PAIR_OF(v, d, mask)                                                                        \
    do {                                                                                           \
        __m512 x0 = _mm512_maskz_loadu_ps(mask, (d)[0] + c);                                       \
        __m512 x1 = _mm512_maskz_loadu_ps(mask, (d)[1] + c);                                       \
        __m512 x2 = _mm512_maskz_loadu_ps(mask, (d)[2] + c);                                       \
        __m512 x3 = _mm512_maskz_loadu_ps(mask, (d)[3] + c);                                       \
        (v)[0] = _mm512_sub_ps(x0, x2);                                                            \
        (v)[1] = _mm512_add_ps(x1, x2);                                                            \
        (v)[2] = _mm512_sub_ps(x2, x1);                                                            \
        (v)[3] = _mm512_sub_ps(x1, x3);                                                            \
    } while (0)

BF16 static void input_words(float *dst, const float *const d[RS_WINO], int64_t n, int64_t stride)
{
    for (int64_t c = 0; c < n; c += 16) {
        int64_t left = rs_min_i64(16, n - c), words = rs_ceil_div(left, 2);
        __m512 v[RS_WINO];
        PAIR_OF(v, d, (__mmask16)((1u << left) - 1));
        RS_UNROLL
        for (int i = 0; i < RS_WINO; i++)
            _mm256_mask_storeu_epi32(dst + i * stride + c / 2, (__mmask8)((1u << words) - 1),
                                     (__m256i)_mm512_cvtneps_pbh(v[i]));
    }
}
#else
static void input_words(float *dst, const float *const d[RS_WINO], int64_t n, int64_t stride)
{
    (void)dst, (void)d, (void)n, (void)stride;
}
#endif

rs_wino_fns rs_wino_pick(bool bf16, bool words)
{
    static const rs_wino_fns FLOATS[] = {{input_base, weight_base, store_base},
                                         {input_avx2, weight_avx2, store_avx2},
                                         {input_avx512, weight_avx512, store_avx512}};
    static const rs_wino_fns ROUNDED[] = {
        {input_rounded_base, weight_rounded_base, store_base},
        {input_rounded_avx2, weight_rounded_avx2, store_avx2},
        {input_rounded_avx512, weight_rounded_avx512, store_avx512}};
    static const rs_wino_fns WORDS = {input_words, weight_avx512, store_avx512};
    rs_isa isa = rs_cpu_isa();
    int i = isa == RS_ISA_AVX512 ? 2 : isa == RS_ISA_AVX2 ? 1 : 0;
    return words ? WORDS : bf16 ? ROUNDED[i] : FLOATS[i];
}
