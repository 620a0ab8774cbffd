#include <math.h>

#include "kernels/opcase.h"

static double act_of(double x, rs_act act)
{
    switch (act) {
    case RS_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case RS_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case RS_ACT_SILU:
        return x / (1 + exp(-x));
    case RS_ACT_NONE:
        break;
    }
    return x;
}

/* d act(x) / dx */
static double slope_of(double x, rs_act act)
{
    switch (act) {
    case RS_ACT_GELU_TANH: {
        double t = tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 0.134145 * x * x);
    }
    case RS_ACT_GELU_ERF:
        return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case RS_ACT_SILU: {
        double s = 1 / (1 + exp(-x));
        return s + x * s * (1 - s);
    }
    case RS_ACT_NONE:
        break;
    }
    return 1;
}

void rs_ref_act_fwd(const rs_act_fwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->y)[i] = act_of(rs_f64(a->x)[i], a->act);
}

void rs_ref_act_bwd(const rs_act_bwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        rs_f64(a->dx)[i] = rs_f64(a->dy)[i] * slope_of(rs_f64(a->x)[i], a->act);
}

void rs_ref_glu_fwd(const rs_glu_fwd_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->a); i++)
        rs_f64(a->y)[i] = act_of(rs_f64(a->a)[i], a->act) * rs_f64(a->b)[i];
}
