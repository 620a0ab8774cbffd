/* Activations.
 *   none       y = x
 *   gelu_tanh  y = 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3)))
 *   gelu_erf   y = 0.5x(1 + erf(x/sqrt 2))
 *   silu       y = x/(1+exp(-x))
 * act_fwd: y = act(x), in place allowed. act_bwd: dx = dy * act'(x), in place on dy allowed.
 * glu_fwd: y = act(a) * b (gated unit of umT5). */
#ifndef RS_KERNELS_ACT_H
#define RS_KERNELS_ACT_H

#include "kernels/kernel.h"

typedef enum rs_act { RS_ACT_NONE, RS_ACT_GELU_TANH, RS_ACT_GELU_ERF, RS_ACT_SILU } rs_act;

typedef struct rs_act_fwd_args {
    rs_tensor y;
    rs_tensor x;
    rs_act act;
} rs_act_fwd_args;

typedef struct rs_act_bwd_args {
    rs_tensor dx;
    rs_tensor dy;
    rs_tensor x; /* the value before the activation */
    rs_act act;
} rs_act_bwd_args;

typedef struct rs_glu_fwd_args {
    rs_tensor y;
    rs_tensor a;
    rs_tensor b;
    rs_act act;
} rs_glu_fwd_args;

#endif
