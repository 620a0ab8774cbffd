/* y = x, both (rows, cols) with rows of their own `ld` apart: a slice of columns to or from its own
 * memory. */
#ifndef RS_KERNELS_COPY_H
#define RS_KERNELS_COPY_H

#include "kernels/kernel.h"

typedef struct rs_copy_args {
    rs_tensor y; /* (M,N) (ld) */
    rs_tensor x; /* (M,N) (ld) */
} rs_copy_args;

#endif
