/* Activations and their slopes in double, for the references of ops that end with one. */
#ifndef RS_KERNELS_ACT_ACT_REF_H
#define RS_KERNELS_ACT_ACT_REF_H

#include <math.h>

#include "kernels/act/act.h"

static inline double rs_ref_act_of(double x, rs_act act)
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
static inline double rs_ref_slope_of(double x, rs_act act)
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

#endif
