/* Per-channel affine map: y = x * mul + add, mul and add (C) over the last dimension, or over the
 * FIRST dimension when channel_first. y may be x. Latent normalisation. */
#ifndef RS_KERNELS_AFFINE_H
#define RS_KERNELS_AFFINE_H

#include "kernels/kernel.h"

typedef struct rs_affine_args {
    rs_tensor y;
    rs_tensor x;
    rs_tensor mul; /* (C) */
    rs_tensor add; /* optional (C) */
    bool channel_first;
} rs_affine_args;

#endif
