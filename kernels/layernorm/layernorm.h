/* LayerNorm over the last dimension C, with affine weight or adaptive modulation.
 *
 *   mu = mean(x), rstd = 1/sqrt(var(x) + eps) (biased variance), xh = (x - mu)*rstd
 *   y = xh * weight + bias                      (weight/bias optional)
 *   y = xh * (1 + scale) + shift                (scale/shift optional, e.g. modulation rows)
 *   backward (input only): g = dy*weight or dy*(1+scale)
 *                          dx = rstd*(g - mean(g) - xh*mean(g*xh))
 * mean and rstd are recomputed in the backward from x. Statistics accumulate in fp32 blocks or
 * wider. dx is added to when accumulate; otherwise dx may be dy. */
#ifndef RS_KERNELS_LAYERNORM_H
#define RS_KERNELS_LAYERNORM_H

#include "kernels/kernel.h"

typedef struct rs_layernorm_fwd_args {
    rs_tensor y; /* (rows,C), may be x */
    rs_tensor x;
    rs_tensor weight; /* optional (C) */
    rs_tensor bias;   /* optional (C) */
    rs_tensor scale;  /* optional (C), excludes weight */
    rs_tensor shift;  /* optional (C) */
    float eps;
} rs_layernorm_fwd_args;

typedef struct rs_layernorm_bwd_args {
    rs_tensor dx;
    rs_tensor dy;
    rs_tensor x;
    rs_tensor weight;
    rs_tensor scale;
    float eps;
    bool accumulate;
} rs_layernorm_bwd_args;

#endif
