/* AdamW (Loshchilov & Hutter, ICLR 2019), one tensor, fp32 state, as torch.optim.AdamW:
 *   g' = g * grad_scale
 *   p *= 1 - lr*weight_decay; m = b1*m + (1-b1)*g'; v = b2*v + (1-b2)*g'^2
 *   p -= lr/(1-b1^k) * m / (sqrt(v)/sqrt(1-b2^k) + eps)           k = step, counted from 1 */
#ifndef RS_KERNELS_ADAMW_H
#define RS_KERNELS_ADAMW_H

#include "kernels/kernel.h"

typedef struct rs_adamw_args {
    rs_tensor p; /* in, out */
    rs_tensor m; /* in, out */
    rs_tensor v; /* in, out */
    rs_tensor g;
    float lr, beta1, beta2, eps, weight_decay, grad_scale;
    int64_t step;
} rs_adamw_args;

#endif
