/* Rows of activations to 8-bit floats e4m3, each row with a scale of its own (base/fp8.h):
 *
 *   scale_i = max_k |x_ik| / 448 (1 for a row of zeros)        y_ik = e4m3(x_ik * 448 / max)
 *
 * A row depends on nothing but itself. */
#ifndef RS_KERNELS_QUANT8_QUANT8_H
#define RS_KERNELS_QUANT8_QUANT8_H

#include "kernels/kernel.h"

typedef struct rs_quant8_args {
    rs_tensor y;     /* (M,K) U8 contiguous */
    rs_tensor scale; /* (M) F32 */
    rs_tensor x;     /* (M,K) (ld) */
} rs_quant8_args;

#endif
