/* Inside of the CPU convolution: kernels three wide by Winograd's F(2,3) along the line.
 *
 * Two neighbouring outputs of a line need four inputs d0..d3 and, directly, six products. Of
 *   v = (d0-d2, d1+d2, d2-d1, d1-d3),  u = (g0, (g0+g1+g2)/2, (g0-g1+g2)/2, g2)
 * four are enough: with m = u v they are m0+m1+m2 and m1-m2-m3. Each of the four components is a
 * convolution of the pairs of a line over kt x kh lines, in the register tiles of conv3d_cpu.h: two
 * thirds of the products.
 *
 * Lines go in bands: v is made of all source lines of a band, of all frames, then the band's
 * outputs are; so v is bounded whatever the size of the frame. Columns outside are zeros in v;
 * lines outside are left out, or a row of zeros where a tile's pairs differ in it. Which outputs
 * are a pair follows from the column alone, so bits do not depend on bands, blocks or threads.
 *
 * With bf16 it is v and u that are rounded, once, and not x and the weights before. */
#ifndef RS_KERNELS_CONV3D_WINO_H
#define RS_KERNELS_CONV3D_WINO_H

#include "kernels/conv3d/conv3d_cpu.h"

enum { RS_WINO = 4 }; /* components */

/* One pair: component i of dst, `stride` floats after the one before, from n channels at the four
 * pixels d; words of two bf16, floats, or rounded floats. */
typedef void rs_wino_input_fn(float *dst, const float *const d[RS_WINO], int64_t n, int64_t stride);
/* u, `width` floats apart, from n channels of three taps; zeros behind them. */
typedef void rs_wino_weight_fn(float *u, const float *const g[3], int64_t n, int64_t width);

/* A finished tile: both outputs of each pair, n channels. Rows of a component are `width` apart,
 * components `stride`. */
typedef struct rs_wino_store {
    float *y[RS_CONV_MR];
    const float *add[RS_CONV_MR]; /* y itself, the residual, or all NULL */
    bool both[RS_CONV_MR];        /* the second one is there, too, co floats on */
    const float *sum, *bias;
    int64_t rows, n, width, stride, co;
} rs_wino_store;

typedef void rs_wino_store_fn(const rs_wino_store *s);

typedef struct rs_wino_fns {
    rs_wino_input_fn *input;
    rs_wino_weight_fn *weight;
    rs_wino_store_fn *store;
} rs_wino_fns;

rs_wino_fns rs_wino_pick(bool bf16, bool words);
/* One row of words from two of floats, a multiple of 16; dst may be x. Needs a processor with
 * products of words. */
void rs_conv_rows_to_words(float *dst, const float *x, const float *y, int64_t width);

/* Whether it is worth it: not for few channels, where v and the tiles cost more than is saved. */
bool rs_wino_fits(const rs_conv3d_args *a);
void rs_wino_conv3d(rs_kctx *k, const rs_conv3d_args *a);

#endif
