/* Inside of the CPU convolution: an implicit GEMM over channels-last pixels.
 *
 * Rows are output pixels, columns output channels, the sum runs over taps and input channels. A
 * tile of `mr` pixels by one panel of channels is accumulated in registers over the taps of a
 * group; the left operand is read where it lies (each pixel brings its own pointer), so nothing is
 * copied or padded. In a tile inside one line the kw taps of a line are one run of kw*Ci contiguous
 * floats; a tile that touches an edge or continues on the next line is done tap by tap, with a row
 * of zeros for pixels outside.
 *
 * Groups: taps are cut so that a panel's weights of a group stay in L2 while the pixels of a task
 * pass by.
 *
 * Upsampling: an output pixel of given parity (2 x 2 phases) sees nearest-doubled lines, where
 * neighbouring taps read the same source line. Their weights are added up beforehand, and each
 * phase is a convolution of the small image: 3x3 becomes four times 2x2, 4/9 of the work.
 *
 * With bf16 the source is copied once, as words of two neighbouring channels (the last one with
 * zero where their number is odd), and so are the weights; the rest is the same, with words for
 * floats (both have four bytes) and products of bf16 pairs (AVX512-BF16). Where there are none the
 * copies are floats that are rounded. */
#ifndef RS_KERNELS_CONV3D_CPU_H
#define RS_KERNELS_CONV3D_CPU_H

#include "kernels/conv3d/conv3d.h"

enum { RS_CONV_MR = 8, RS_CONV_PHASES = 4 };

/* A run of k products per pixel: a[m][0..k) times k rows of a panel. */
typedef struct rs_conv_run {
    const float *a[RS_CONV_MR];
    const float *b;
    int64_t k;
} rs_conv_run;

/* out (mr rows, `width` apart) = sum over the runs; width is the panel's. */
typedef void rs_conv_micro_fn(float *out, const rs_conv_run *run, int64_t n);

/* A tile with pixels at edges or on several lines: the frame, line and column of the source that
 * the first tap of each pixel meets (the last pixel repeated up to RS_CONV_MR). */
typedef struct rs_conv_edge {
    int64_t t[RS_CONV_MR], y[RS_CONV_MR], x[RS_CONV_MR];
} rs_conv_edge;

/* The source, and the taps of one of its lines relative to a tile. */
typedef struct rs_conv_line {
    const float *now;    /* frames 0.. */
    const float *before; /* frame `-frames_before`, or NULL */
    const float *zero;
    int64_t frames_before, h, w, ci;
    int64_t dt, dy;
    int64_t taps;
    const float *b; /* weights of the first tap */
    int64_t width;  /* of the panel */
} rs_conv_line;

/* One run per tap of the line that any pixel of the tile sees; returns how many. */
typedef int64_t rs_conv_edge_fn(rs_conv_run *run, const rs_conv_edge *e, const rs_conv_line *l);

/* Where a finished tile goes: y[m] = sum[m] + bias + add[m], n channels, rows of sum `width` apart.
 */
typedef struct rs_conv_store {
    float *y[RS_CONV_MR];
    const float *add[RS_CONV_MR]; /* y itself, the residual, or all NULL */
    const float *sum;
    const float *bias;
    int64_t rows, n, width;
} rs_conv_store;

typedef void rs_conv_store_fn(const rs_conv_store *s);

/* Register tiles of one instruction set: mr pixels by 1..vectors vectors of `lanes` channels. */
typedef struct rs_conv_micro {
    int mr;
    int lanes;
    int vectors;
    bool words; /* operands are pairs of bf16 */
    rs_conv_store_fn *store;
    rs_conv_edge_fn *edge;
    rs_conv_micro_fn *fn[3]; /* fn[v-1]: v vectors */
} rs_conv_micro;

/* bf16: with products of words where the processor has them. */
const rs_conv_micro *rs_conv_micro_pick(bool bf16);

/* Source offsets first .. first+taps-1 along one axis, for outputs of one parity. */
typedef struct rs_conv_axis {
    int64_t first;
    int64_t taps;
} rs_conv_axis;

typedef struct rs_conv_phase {
    int64_t py, px;     /* output line i = up*row + py, column likewise */
    int64_t rows, cols; /* of this phase */
    rs_conv_axis y, x;
    int64_t k;            /* length of the sum */
    const float *weights; /* panels one after the other, each (k, width) */
    int64_t first_task;
} rs_conv_phase;

typedef struct rs_conv_plan {
    const rs_conv3d_args *a;
    const rs_conv_micro *micro;
    int64_t up, co;
    int64_t ci;                /* of the source's pixels: input channels, or words of two */
    bool words;                /* of two bf16 */
    const float *now, *before; /* the source: x, prev or NULL; or copies of them */
    int64_t panels;            /* of micro->vectors vectors, the last one perhaps narrower */
    rs_conv_phase phase[RS_CONV_PHASES];
    int phases;
    int64_t block; /* pixels per task */
    int64_t tasks;
} rs_conv_plan;

/* fp32 rows of a panel per tap: ci, or two for each word. */
static inline int64_t rs_conv_tap_rows(const rs_conv_plan *p)
{
    return p->words ? 2 * p->ci : p->ci;
}

/* Floats of the copies of the source; 0 where it is read in place. */
int64_t rs_conv_copy_floats(const rs_conv_plan *p);
/* Makes them in `room` and the plan use them. */
void rs_conv_copy_source(rs_kctx *k, rs_conv_plan *p, float *room);
/* n floats (whole rows of `width`, an even number of rows with words) of packed weights, in place:
 * pairs of rows to one row of words, or rounded floats. */
void rs_conv_round_weights(const rs_conv_plan *p, float *panel, int64_t rows, int64_t width);

/* Everything but weights. */
void rs_conv_plan_make(rs_conv_plan *p, const rs_conv3d_args *a, int threads);
/* Floats of all panels of all phases. */
int64_t rs_conv_plan_weights(const rs_conv_plan *p);
/* Channels of panel j, rounded up to whole vectors. */
int64_t rs_conv_panel_width(const rs_conv_plan *p, int64_t j);
/* Fill the panels into `room` and set phase[].weights. */
void rs_conv_pack(rs_kctx *k, rs_conv_plan *p, float *room);

#endif
