/* Standard normal noise: y[i] = rs_rng_normal(stream, first + i). */
#ifndef RS_KERNELS_NOISE_H
#define RS_KERNELS_NOISE_H

#include "base/rng.h"
#include "kernels/kernel.h"

typedef struct rs_noise_args {
    rs_tensor y;
    rs_rng stream;
    uint64_t first;
} rs_noise_args;

#endif
