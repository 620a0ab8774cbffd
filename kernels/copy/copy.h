/* y = x, both (rows, cols) with rows of their own `ld` apart: a slice of columns to or from its own
 * memory. Devices that store activations in BF16 also take one of both types to the other. */
#ifndef RS_KERNELS_COPY_H
#define RS_KERNELS_COPY_H

#include "kernels/kernel.h"

typedef struct rs_copy_args {
    rs_tensor y; /* (M,N) (ld) */
    rs_tensor x; /* (M,N) (ld) */
} rs_copy_args;

#endif
