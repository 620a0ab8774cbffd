/* One pass over memory; the functions are those of vec/vmath.h. GELU-tanh is x*sigmoid(2u), which
 * keeps its relative accuracy for negative x where 1 + tanh(u) cancels. */
#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"

enum { BLOCK = 16384 };

RS_INLINE void fwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_act_fwd_args *a = args;
    rs_v_act(a->act, rs_f32(a->y) + lo, rs_f32(a->x) + lo, hi - lo);
}
RS_RANGE_VERSIONS(fwd)

RS_INLINE float slope_gelu_tanh(float x)
{
    float du2 = rs_v_fma(x * x, 0.21406444882f, 1.5957691216f);
    float e = rs_v_exp(-rs_v_gelu_tanh_u2(x));
    float s = 1.0f / (1.0f + e);
    return rs_v_fma(x * s * (e * s), du2, s);
}

RS_INLINE float slope_gelu_erf(float x)
{
    float density;
    float cdf = rs_v_cdf(x, &density);
    return rs_v_fma(x * density, 0.3989422804f, cdf);
}

RS_INLINE float slope_silu(float x)
{
    float e = rs_v_exp(-x);
    float s = 1.0f / (1.0f + e);
    return rs_v_fma(x * s, e * s, s);
}

RS_INLINE void bwd_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_act_bwd_args *a = args;
    float *dx = rs_f32(a->dx);
    const float *dy = rs_f32(a->dy), *x = rs_f32(a->x);
    switch (a->act) {
    case RS_ACT_GELU_TANH:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            dx[i] = dy[i] * slope_gelu_tanh(x[i]);
        break;
    case RS_ACT_GELU_ERF:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            dx[i] = dy[i] * slope_gelu_erf(x[i]);
        break;
    case RS_ACT_SILU:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            dx[i] = dy[i] * slope_silu(x[i]);
        break;
    default:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            dx[i] = dy[i];
    }
}
RS_RANGE_VERSIONS(bwd)

RS_INLINE void glu_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_glu_fwd_args *g = args;
    float *y = rs_f32(g->y);
    const float *a = rs_f32(g->a), *b = rs_f32(g->b);
    switch (g->act) {
    case RS_ACT_GELU_TANH:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = rs_v_gelu_tanh(a[i]) * b[i];
        break;
    case RS_ACT_GELU_ERF:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = rs_v_gelu_erf(a[i]) * b[i];
        break;
    case RS_ACT_SILU:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = rs_v_silu(a[i]) * b[i];
        break;
    default:
        RS_IVDEP
        for (int64_t i = lo; i < hi; i++)
            y[i] = a[i] * b[i];
    }
}
RS_RANGE_VERSIONS(glu)

void rs_cpu_act_fwd(rs_kctx *k, const rs_act_fwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->x), BLOCK, fwd(), a);
}

void rs_cpu_act_bwd(rs_kctx *k, const rs_act_bwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->x), BLOCK, bwd(), a);
}

void rs_cpu_glu_fwd(rs_kctx *k, const rs_glu_fwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->a), BLOCK, glu(), a);
}
