/* Convolution of channels-last video, causal in time (wan21.md 3.1).
 *
 *   y[t,i,j,co] = bias[co] (+ residual) + sum_{dt,dy,dx,ci} W[dt,dy,dx,ci,co]
 *                 * X[t*st + dt - (kt-1)][i*sy + dy - pad_top][j*sx + dx - pad_left][ci]
 * X is `prev` (the kt-1 frames before x; zeros when left out) followed by x; positions outside H,W
 * are zero. With `upsample` X is x read at doubled resolution (nearest: x[t][i/2][j/2]); pads refer
 * to the doubled grid. Output size, u = 2 with `upsample` and 1 without:
 *   T' = (T-1)/st + 1;  H' = (H*u + pad_top + pad_bottom - kh)/sy + 1;  W' likewise.
 * x and prev are of one type, F32 or, on devices that store activations so, BF16; y and residual
 * are of that type or F32; the weight is F32 or BF16. Never builds an im2col. Weights are brought
 * into this order by rs_conv3d_pack. */
#ifndef RS_KERNELS_CONV3D_H
#define RS_KERNELS_CONV3D_H

#include "kernels/kernel.h"

typedef struct rs_conv3d_args {
    rs_tensor y;        /* (T',H',W',Co) */
    rs_tensor x;        /* (T,H,W,Ci) */
    rs_tensor prev;     /* optional (kt-1,H,W,Ci) */
    rs_tensor weight;   /* (kt,kh,kw,Ci,Co), as 5 dims */
    rs_tensor bias;     /* optional (Co) */
    rs_tensor residual; /* optional (T',H',W',Co), may be y */
    int64_t stride[3];  /* st, sy, sx */
    int64_t pad[4];     /* top, bottom, left, right */
    bool upsample;
    bool bf16; /* x, prev and weight are rounded to bf16 before they are multiplied; sums are fp32.
                  On the CPU doubled taps that meet one source line are rounded once added up,
                  and kernels three wide are rounded as conv3d_wino.h says */
} rs_conv3d_args;

/* Host: PyTorch's (Co,Ci,kt,kh,kw) -> (kt,kh,kw,Ci,Co). A Conv2d weight (Co,Ci,kh,kw) is passed as
 * kt = 1. */
void rs_conv3d_pack(rs_tensor packed, const float *weight);

#endif
