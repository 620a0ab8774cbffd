/* LayerNorm over the last dimension C, with affine weight or adaptive modulation.
 *
 *   mu = mean(x), rstd = 1/sqrt(var(x) + eps) (biased variance), xh = (x - mu)*rstd
 *   y = xh * weight + bias                      (weight/bias optional)
 *   y = xh * (1 + scale) + shift                (scale/shift optional, e.g. modulation rows)
 *   backward (input only): g = dy*weight or dy*(1+scale)
 *                          dx = rstd*(g - mean(g) - xh*mean(g*xh))
 * mean and rstd are recomputed in the backward from x. Statistics accumulate in fp32 blocks or
 * wider. dx is added to when accumulate; otherwise dx may be dy or x.
 *
 * What stands next to a norm in a transformer goes with it, in the same pass over memory:
 *   with o      sum = x + gate*o, and sum is what is normalised (a residual before the norm)
 *   with next   next = dx*gate, dx as it is when all is added (the gradient to the branch whose
 *               residual the norm's input is); without a gate it is dx, in the branch's type
 * Values are those of gate_add and gate_mul of gate.h before and after. */
#ifndef RS_KERNELS_LAYERNORM_H
#define RS_KERNELS_LAYERNORM_H

#include "kernels/kernel.h"

typedef struct rs_layernorm_fwd_args {
    rs_tensor y; /* (rows,C), may be x (not with sum), or o */
    rs_tensor x;
    rs_tensor weight; /* optional (C) */
    rs_tensor bias;   /* optional (C) */
    rs_tensor scale;  /* optional (C), excludes weight */
    rs_tensor shift;  /* optional (C) */
    rs_tensor o;      /* optional (rows,C), with sum */
    rs_tensor gate;   /* optional (C), of o; 1 when left out */
    rs_tensor sum;    /* (rows,C), may be x */
    float eps;
} rs_layernorm_fwd_args;

typedef struct rs_layernorm_bwd_args {
    rs_tensor dx;
    rs_tensor dy;
    rs_tensor x;
    rs_tensor weight;
    rs_tensor scale;
    rs_tensor next; /* optional (rows,C), may be dy */
    rs_tensor gate; /* optional (C), of next; 1 when left out */
    float eps;
    bool accumulate;
} rs_layernorm_bwd_args;

#endif
