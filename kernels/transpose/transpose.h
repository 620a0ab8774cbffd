/* y (cols, rows) = x (rows, cols) transposed, both contiguous. Channels-first <-> channels-last. */
#ifndef RS_KERNELS_TRANSPOSE_H
#define RS_KERNELS_TRANSPOSE_H

#include "kernels/kernel.h"

typedef struct rs_transpose_args {
    rs_tensor y;
    rs_tensor x;
    int64_t rows; /* of x */
    int64_t cols;
} rs_transpose_args;

#endif
