/* The exponential of attention's bf16 tiles. */
#ifndef RS_KERNELS_ATTENTION_EXP_BF16_H
#define RS_KERNELS_ATTENTION_EXP_BF16_H

#include "kernels/cpu/simd_avx512.h"

#if defined(__x86_64__)
#define BF16        RS_TARGET_AVX512_BF16
#define BF16_INLINE static inline __attribute__((always_inline)) BF16

#define RS_ATTN_LOG2E 1.44269504f

/* x <- 2^x, n vectors (a constant) in step, for x not far above 0: 2^i times a polynomial of degree
 * 5 in x - i (relative error 1.6e-7, the least there is). NaN stays; x must not be infinite. */
BF16_INLINE void rs_attn_exp2_of(const int n, __m512 *x)
{
    static const float C[] = {0.009675541f, 0.05550713f, 0.2402212f, 0.69314694f, 1.0000001f};
    __m512 whole[4], q[4];
    RS_UNROLL
    for (int v = 0; v < n; v++) {
        whole[v] = _mm512_roundscale_ps(x[v], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        x[v] = _mm512_sub_ps(x[v], whole[v]);
        q[v] = _mm512_set1_ps(0.0013276471f);
    }
    RS_UNROLL
    for (int c = 0; c < 5; c++) {
        RS_UNROLL
        for (int v = 0; v < n; v++)
            q[v] = _mm512_fmadd_ps(q[v], x[v], _mm512_set1_ps(C[c]));
    }
    RS_UNROLL
    for (int v = 0; v < n; v++)
        x[v] = _mm512_scalef_ps(q[v], whole[v]);
}

BF16_INLINE __m512 rs_attn_exp2(__m512 x)
{
    rs_attn_exp2_of(1, &x);
    return x;
}

/* The same, 0 below 2^-100: no subnormal numbers. */
BF16_INLINE __m512 rs_attn_exp2_or_0(__m512 x)
{
    __mmask16 seen = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-100.0f), _CMP_NLT_UQ);
    return _mm512_maskz_mov_ps(seen, rs_attn_exp2(x));
}
#endif

#endif
