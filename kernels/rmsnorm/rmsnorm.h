/* RMSNorm over the last dimension C, and the VAE's channel norm.
 *
 *   eps mode:   r = 1/sqrt(mean(x^2) + eps)
 *   floor mode: r = sqrt(C)/max(||x||_2, floor)        (Wan VAE: floor 1e-12, no eps)
 *   y = act(x * r * weight)
 *   backward (eps mode, act none, input only): g = dy*weight; dx = r*(g - x*r^2*mean(g*x))
 * With rotary tables (all three; act none) y is rotated at last, as by rope_fwd of rope.h, and dy
 * is first rotated back: one pass over memory instead of two where a device can.
 * The forward's x may be F32 where y is BF16. (ld) on x, y, dx, dy. In place (y = x, dx = dy)
 * allowed. */
#ifndef RS_KERNELS_RMSNORM_H
#define RS_KERNELS_RMSNORM_H

#include "kernels/act/act.h"
#include "kernels/kernel.h"

typedef struct rs_rmsnorm_fwd_args {
    rs_tensor y;      /* (rows,C) (ld) */
    rs_tensor x;      /* (rows,C) (ld) */
    rs_tensor weight; /* (C) */
    float eps;        /* used when floor is 0 */
    float floor;
    rs_act act;
    rs_tensor table_f; /* optional, with table_h and table_w */
    rs_tensor table_h;
    rs_tensor table_w;
    int64_t heads;
    int64_t first; /* token of row 0 */
} rs_rmsnorm_fwd_args;

typedef struct rs_rmsnorm_bwd_args {
    rs_tensor dx;
    rs_tensor dy;
    rs_tensor x;
    rs_tensor weight;
    float eps;
    rs_tensor table_f; /* optional, with table_h and table_w */
    rs_tensor table_h;
    rs_tensor table_w;
    int64_t heads;
    int64_t first;
} rs_rmsnorm_bwd_args;

#endif
