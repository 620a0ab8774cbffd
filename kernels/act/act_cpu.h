/* Activations for bodies compiled through vec/vec.h: by element, and over a stretch of memory. */
#ifndef RS_KERNELS_ACT_ACT_CPU_H
#define RS_KERNELS_ACT_ACT_CPU_H

#include "kernels/act/act.h"
#include "kernels/vec/vmath.h"

/* 2u: tanh's argument, doubled. */
RS_INLINE float rs_v_gelu_tanh_u2(float x)
{
    return x * rs_v_fma(x * x, 0.071354816272f, 1.5957691216f);
}

RS_INLINE float rs_v_gelu_tanh(float x)
{
    return x * rs_v_sigmoid(rs_v_gelu_tanh_u2(x));
}

RS_INLINE float rs_v_gelu_erf(float x)
{
    float density;
    return x * rs_v_cdf(x, &density);
}

RS_INLINE float rs_v_silu(float x)
{
    return x * rs_v_sigmoid(x);
}

/* y = act(x) over n elements; y may be x. */
RS_INLINE void rs_v_act(rs_act act, float *y, const float *x, int64_t n)
{
    switch (act) {
    case RS_ACT_GELU_TANH:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            y[i] = rs_v_gelu_tanh(x[i]);
        break;
    case RS_ACT_GELU_ERF:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            y[i] = rs_v_gelu_erf(x[i]);
        break;
    case RS_ACT_SILU:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            y[i] = rs_v_silu(x[i]);
        break;
    default:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i];
    }
}

RS_INLINE float rs_v_slope_gelu_tanh(float x)
{
    float du2 = rs_v_fma(x * x, 0.21406444882f, 1.5957691216f);
    float e = rs_v_exp(-rs_v_gelu_tanh_u2(x));
    float s = 1.0f / (1.0f + e);
    return rs_v_fma(x * s * (e * s), du2, s);
}

RS_INLINE float rs_v_slope_gelu_erf(float x)
{
    float density;
    float cdf = rs_v_cdf(x, &density);
    return rs_v_fma(x * density, 0.3989422804f, cdf);
}

RS_INLINE float rs_v_slope_silu(float x)
{
    float e = rs_v_exp(-x);
    float s = 1.0f / (1.0f + e);
    return rs_v_fma(x * s, e * s, s);
}

/* dx = dy * act'(x) over n elements; dx may be dy. */
RS_INLINE void rs_v_act_back(rs_act act, float *dx, const float *dy, const float *x, int64_t n)
{
    switch (act) {
    case RS_ACT_GELU_TANH:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * rs_v_slope_gelu_tanh(x[i]);
        break;
    case RS_ACT_GELU_ERF:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * rs_v_slope_gelu_erf(x[i]);
        break;
    case RS_ACT_SILU:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * rs_v_slope_silu(x[i]);
        break;
    default:
        RS_IVDEP
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i];
    }
}

#endif
