#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 16384 };

static float act_value(rs_act act, float x)
{
    switch (act) {
    case RS_ACT_GELU_TANH: {
        float u = 0.7978845608f * (x + 0.044715f * x * x * x);
        return x / (1.0f + expf(-2.0f * u));
    }
    case RS_ACT_GELU_ERF:
        return 0.5f * x * erfcf(-x * 0.70710678f);
    case RS_ACT_SILU:
        return x / (1.0f + expf(-x));
    default:
        return x;
    }
}

static float act_slope(rs_act act, float x)
{
    switch (act) {
    case RS_ACT_GELU_TANH: {
        float u = 0.7978845608f * (x + 0.044715f * x * x * x);
        float du = 0.7978845608f * (1.0f + 3.0f * 0.044715f * x * x);
        float s = 1.0f / (1.0f + expf(-2.0f * u));
        return s + x * s * (1.0f - s) * 2.0f * du;
    }
    case RS_ACT_GELU_ERF:
        return 0.5f * erfcf(-x * 0.70710678f) + x * 0.39894228f * expf(-0.5f * x * x);
    case RS_ACT_SILU: {
        float s = 1.0f / (1.0f + expf(-x));
        return s * (1.0f + x * (1.0f - s));
    }
    default:
        return 1.0f;
    }
}

static void fwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_act_fwd_args *a = args;
    for (int64_t i = lo; i < hi; i++)
        rs_f32(a->y)[i] = act_value(a->act, rs_f32(a->x)[i]);
}

static void bwd(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_act_bwd_args *a = args;
    for (int64_t i = lo; i < hi; i++)
        rs_f32(a->dx)[i] = rs_f32(a->dy)[i] * act_slope(a->act, rs_f32(a->x)[i]);
}

static void glu(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_glu_fwd_args *a = args;
    for (int64_t i = lo; i < hi; i++)
        rs_f32(a->y)[i] = act_value(a->act, rs_f32(a->a)[i]) * rs_f32(a->b)[i];
}

void rs_cpu_act_fwd(rs_kctx *k, const rs_act_fwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->x), BLOCK, fwd, a);
}

void rs_cpu_act_bwd(rs_kctx *k, const rs_act_bwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->x), BLOCK, bwd, a);
}

void rs_cpu_glu_fwd(rs_kctx *k, const rs_glu_fwd_args *a)
{
    rs_for_range(k, rs_tensor_count(a->a), BLOCK, glu, a);
}
