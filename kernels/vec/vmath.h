/* Element functions and sums for bodies compiled through vec.h. The functions are branch-free, so
 * that loops over them vectorise. Errors against exact values:
 *
 *   rs_v_exp      relative error < 1.5e-7 for |x| <= 80; larger |x| (and NaN) is taken as +-80
 *                 (5.5e34, 1.8e-35), so that products with it stay clear of slow denormals
 *   rs_v_sigmoid  1/(1+exp(-x)), relative error < 3e-7
 *   rs_v_cdf      Phi(x) = (1+erf(x/sqrt 2))/2, absolute error < 1e-7
 *
 * Sums are formed in chunks of 1024 elements, fp32 in 64 lanes of at most 16 additions each, chunks
 * in double: error about 1e-7 of the sum of magnitudes, whatever the length. */
#ifndef RS_KERNELS_VEC_VMATH_H
#define RS_KERNELS_VEC_VMATH_H

#include <string.h>

#include "base/dtype.h"
#include "kernels/vec/vec.h"

RS_INLINE int32_t rs_v_bits(float x)
{
    int32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

RS_INLINE float rs_v_float(int32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* y = x rounded to bf16 (to nearest even) over n elements that do not overlap. */
RS_INLINE void rs_v_to_bf16(uint16_t *y, const float *x, int64_t n)
{
    RS_IVDEP
    for (int64_t i = 0; i < n; i++)
        y[i] = rs_bf16_from_f32(x[i]);
}

/* The sign of x with min(|x|, limit). On the bits: a float comparison would become a branch that
 * computes both sides. */
RS_INLINE float rs_v_clamp(float x, float limit)
{
    int32_t b = rs_v_bits(x), a = b & 0x7fffffff, l = rs_v_bits(limit);
    return rs_v_float((a < l ? a : l) | (b & INT32_MIN));
}

/* a*b + c rounded once, by every instruction set: where there is none for it, by the C library. */
RS_INLINE float rs_v_fma(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

RS_INLINE float rs_v_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5*2^23: adding it rounds to an integer */
    x = rs_v_clamp(x, 80.0f);
    float n = rs_v_fma(x, 1.44269504089f, magic);
    uint32_t exponent = (uint32_t)rs_v_bits(n) << 23;
    n -= magic;
    float r = rs_v_fma(n, -0.693359375f, x); /* ln 2 in two parts */
    r = rs_v_fma(n, 2.12194440e-4f, r);
    float p = 0.0013751150108873844f;
    p = rs_v_fma(p, r, 0.00836898759007454f);
    p = rs_v_fma(p, r, 0.04166954383254051f);
    p = rs_v_fma(p, r, 0.166665181517601f);
    p = rs_v_fma(p, r, 0.49999988079071045f);
    p = rs_v_fma(p, r * r, r) + 1.0f;
    return rs_v_float((int32_t)((uint32_t)rs_v_bits(p) + exponent)); /* p * 2^n */
}

RS_INLINE float rs_v_sigmoid(float x)
{
    return 1.0f / (1.0f + rs_v_exp(-x));
}

/* exp(-x*x/2) goes to *density. erfc(z) = exp(-z*z) P(q), q = (z-3)/(z+3), z = |x|/sqrt 2; P was
 * fitted to relative error 3e-8 on z in [0,13]. */
RS_INLINE float rs_v_cdf(float x, float *density)
{
    float z = rs_v_float(rs_v_bits(x) & INT32_MAX) * 0.70710678f;
    float e = rs_v_exp(-0.5f * x * x);
    float q = (z - 3.0f) / (z + 3.0f);
    float p = 5.678229717887007e-05f;
    p = rs_v_fma(p, q, 3.060997187276371e-05f);
    p = rs_v_fma(p, q, -0.0005942799616605043f);
    p = rs_v_fma(p, q, 0.0007145798299461603f);
    p = rs_v_fma(p, q, 0.004268452990800142f);
    p = rs_v_fma(p, q, -0.02439395897090435f);
    p = rs_v_fma(p, q, 0.07166596502065659f);
    p = rs_v_fma(p, q, -0.15011580288410187f);
    p = rs_v_fma(p, q, 0.2456037849187851f);
    p = rs_v_fma(p, q, -0.32623356580734253f);
    p = rs_v_fma(p, q, 0.17900115251541138f);
    float tail = 0.5f * p * e;
    *density = e;
    return x < 0.0f ? tail : 1.0f - tail;
}

/* Lanes are added up in 8 vectors of 8 floats, the widest that AVX2 has. The _mem type is for loads
 * and stores of any alignment. */
typedef float rs_vf __attribute__((vector_size(32)));
typedef float rs_vf_mem __attribute__((vector_size(32), aligned(4), may_alias));
enum { RS_VF = 8, RS_SUM_LANES = 64, RS_SUM_CHUNK = 1024 };

/* What rs_v_sum adds up; always a constant, so that only one branch is compiled. */
typedef enum rs_term {
    RS_TERM_A,           /* a[i] */
    RS_TERM_CENTERED,    /* a[i] - k */
    RS_TERM_CENTERED_SQ, /* (a[i] - k)^2 */
    RS_TERM_AB,          /* a[i] * b[i] */
    RS_TERM_AB_CENTERED, /* a[i] * (b[i] - k) */
    RS_TERM_ABC,         /* a[i] * b[i] * c[i] */
} rs_term;

#define RS_V_TERM(term, LOAD, i)                                                                   \
    (term == RS_TERM_A             ? LOAD(a, i)                                                    \
     : term == RS_TERM_CENTERED    ? LOAD(a, i) - k                                                \
     : term == RS_TERM_CENTERED_SQ ? (LOAD(a, i) - k) * (LOAD(a, i) - k)                           \
     : term == RS_TERM_AB          ? LOAD(a, i) * LOAD(b, i)                                       \
     : term == RS_TERM_AB_CENTERED ? LOAD(a, i) * (LOAD(b, i) - k)                                 \
                                   : LOAD(a, i) * LOAD(b, i) * LOAD(c, i))
#define RS_V_LOAD(p, i) ((rs_vf) * (const rs_vf_mem *)((p) + (i)))
#define RS_S_LOAD(p, i) ((p)[i])

/* The 8 vectors, pairwise: half a rounding per level. */
RS_INLINE double rs_v_lanes(const rs_vf *s)
{
    rs_vf v = ((s[0] + s[2]) + (s[4] + s[6])) + ((s[1] + s[3]) + (s[5] + s[7]));
    float f[RS_VF];
    memcpy(f, &v, sizeof f);
    return (double)(((f[0] + f[4]) + (f[2] + f[6])) + ((f[1] + f[5]) + (f[3] + f[7])));
}

/* Two sums in one reading, each to the bits that it has alone. */
RS_INLINE void rs_v_sums(double out[2], rs_term first, rs_term second, const float *a,
                         const float *b, const float *c, float k, int64_t n)
{
    int64_t i = 0;
    out[0] = out[1] = 0;
    while (n - i >= RS_VF) {
        rs_vf s[RS_VF] = {{0}}, t[RS_VF] = {{0}};
        int64_t end = n - i < RS_SUM_CHUNK ? n : i + RS_SUM_CHUNK;
        for (; end - i >= RS_SUM_LANES; i += RS_SUM_LANES) {
            RS_UNROLL
            for (int j = 0; j < RS_VF; j++) {
                s[j] += RS_V_TERM(first, RS_V_LOAD, i + j * RS_VF);
                t[j] += RS_V_TERM(second, RS_V_LOAD, i + j * RS_VF);
            }
        }
        for (; end - i >= RS_VF; i += RS_VF) {
            s[0] += RS_V_TERM(first, RS_V_LOAD, i);
            t[0] += RS_V_TERM(second, RS_V_LOAD, i);
        }
        out[0] += rs_v_lanes(s);
        out[1] += rs_v_lanes(t);
    }
    for (; i < n; i++) {
        out[0] += (double)(RS_V_TERM(first, RS_S_LOAD, i));
        out[1] += (double)(RS_V_TERM(second, RS_S_LOAD, i));
    }
}

RS_INLINE double rs_v_sum(rs_term term, const float *a, const float *b, const float *c, float k,
                          int64_t n)
{
    double total = 0;
    int64_t i = 0;
    while (n - i >= RS_VF) {
        rs_vf s[RS_VF] = {{0}};
        int64_t end = n - i < RS_SUM_CHUNK ? n : i + RS_SUM_CHUNK;
        for (; end - i >= RS_SUM_LANES; i += RS_SUM_LANES) {
            RS_UNROLL
            for (int j = 0; j < RS_VF; j++)
                s[j] += RS_V_TERM(term, RS_V_LOAD, i + j * RS_VF);
        }
        for (; end - i >= RS_VF; i += RS_VF)
            s[0] += RS_V_TERM(term, RS_V_LOAD, i);
        total += rs_v_lanes(s);
    }
    for (; i < n; i++)
        total += (double)(RS_V_TERM(term, RS_S_LOAD, i));
    return total;
}

#endif
