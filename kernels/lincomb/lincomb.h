/* y = sum_i coef[i] * x[i], up to 4 terms, any shape; y may be any x[i]. Samplers and flow
 * interpolation. */
#ifndef RS_KERNELS_LINCOMB_H
#define RS_KERNELS_LINCOMB_H

#include "kernels/kernel.h"

enum { RS_LINCOMB_MAX = 4 };

typedef struct rs_lincomb_args {
    rs_tensor y;
    rs_tensor x[RS_LINCOMB_MAX];
    float coef[RS_LINCOMB_MAX];
    int n;
} rs_lincomb_args;

#endif
