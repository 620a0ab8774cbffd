/* mse: loss[0] = mean((p - t)^2), grad = 2(p - t)/n (optional). sumsq: out[0] (+)= sum x^2.
 * Sums are formed in double over fixed segments, so bits do not depend on the thread count; loss
 * and out are fp32 scalars of shape (1). */
#ifndef RS_KERNELS_MSE_H
#define RS_KERNELS_MSE_H

#include "kernels/kernel.h"

typedef struct rs_mse_args {
    rs_tensor loss; /* (1) */
    rs_tensor grad; /* optional, same shape as p */
    rs_tensor p;
    rs_tensor t;
} rs_mse_args;

typedef struct rs_sumsq_args {
    rs_tensor out; /* (1) */
    rs_tensor x;
    bool accumulate;
} rs_sumsq_args;

#endif
