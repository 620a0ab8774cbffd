/* Gated residual.
 *   gate_add: y = x + g * o     g (C) per channel, or 1 when left out; y may be x
 *   gate_mul: y = x * g         (backward of the gated branch; y may be x) */
#ifndef RS_KERNELS_GATE_H
#define RS_KERNELS_GATE_H

#include "kernels/kernel.h"

typedef struct rs_gate_add_args {
    rs_tensor y; /* (rows,C) */
    rs_tensor x;
    rs_tensor o;
    rs_tensor gate; /* optional (C) */
} rs_gate_add_args;

typedef struct rs_gate_mul_args {
    rs_tensor y;
    rs_tensor x;
    rs_tensor gate;
} rs_gate_mul_args;

#endif
