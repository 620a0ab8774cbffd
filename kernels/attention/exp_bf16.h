/* Exponentials of bf16 attention. */
#ifndef RS_KERNELS_ATTENTION_EXP_BF16_H
#define RS_KERNELS_ATTENTION_EXP_BF16_H

#include "kernels/cpu/simd_avx512.h"

#if defined(__x86_64__)
#define BF16        RS_TARGET_AVX512_BF16
#define BF16_INLINE static inline __attribute__((always_inline)) BF16

#define RS_ATTN_LOG2E 1.44269504f

/* 2^(j/16) times the line 1.0000782 + 0.6931797 f. */
static const float k_attn_base[16] __attribute__((aligned(64))) = {
    1.0000782f,  1.04435545f, 1.09059301f, 1.13887769f, 1.18930011f, 1.24195493f,
    1.29694097f, 1.35436145f, 1.41432415f, 1.47694163f, 1.54233143f, 1.61061627f,
    1.68192435f, 1.7563895f,  1.83415151f, 1.91535633f};
static const float k_attn_slope[16] __attribute__((aligned(64))) = {
    0.693179706f, 0.723869394f, 0.75591783f,  0.789385171f, 0.824334239f, 0.860830633f,
    0.898942862f, 0.938742462f, 0.980304142f, 1.02370591f,  1.06902925f,  1.11635922f,
    1.16578466f,  1.21739836f,  1.27129719f,  1.32758232f};

/* 2^x for x in [-127, 127]. With x = i + j/16 + f, i and j whole: 2^i 2^(j/16) 2^f, the last by the
 * line that is nearest to it where |f| is up to 1/32: a relative error of 1.6e-4 at most, 7e-5 in
 * the mean of squares and none on average (rounding to bf16 has 2e-3 at most). Products keep the
 * multiplier busy: this asks it for one multiplication, the rest is tables, sums and shifts. NaN
 * stays, if the lower half of its bits is 0, as products of bf16 make it. */
BF16_INLINE __m512 rs_attn_exp2(__m512 x)
{
    const __m512 sixteenths = _mm512_set1_ps(786432.0f); /* 3 * 2^18, whose last bit is 1/16 */
    __m512 near = _mm512_add_ps(x, sixteenths);
    __m512i t = _mm512_castps_si512(near);
    __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(near, sixteenths));
    __m512 p = _mm512_fmadd_ps(f, _mm512_permutexvar_ps(t, _mm512_load_ps(k_attn_slope)),
                               _mm512_permutexvar_ps(t, _mm512_load_ps(k_attn_base)));
    t = _mm512_slli_epi32(_mm512_andnot_si512(_mm512_set1_epi32(15), t), 19);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), t));
}

/* The same for any x up to 127: below -100 that of -100. */
BF16_INLINE __m512 rs_attn_exp2_low(__m512 x)
{
    return rs_attn_exp2(_mm512_max_ps(_mm512_set1_ps(-100.0f), x)); /* x, if it is NaN */
}

/* 2^x where no products are near, 0 below -100: 2^i times a polynomial of degree 5 in x - i, the
 * relative error 1.6e-7. NaN stays; x must not be infinite. */
BF16_INLINE __m512 rs_attn_exp2_fine(__m512 x)
{
    static const float C[] = {0.009675541f, 0.05550713f, 0.2402212f, 0.69314694f, 1.0000001f};
    const __mmask16 seen = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-100.0f), _CMP_NLT_UQ);
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_set1_ps(0.0013276471f);
    x = _mm512_sub_ps(x, whole);
    RS_UNROLL
    for (int c = 0; c < 5; c++)
        p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(C[c]));
    return _mm512_maskz_scalef_ps(seen, p, whole);
}
#endif

#endif
