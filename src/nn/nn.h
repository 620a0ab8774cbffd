/* Layers over the op table, forward and hand-written backward: frozen linears with LoRA terms,
 * normalised and rotated projections, attention, MLP.
 *
 * Shapes, everywhere: F latent frames, H W latent height and width, S video tokens
 * = F*(H/2)*(W/2), T text tokens, C channels, D model width, N heads, L blocks, R LoRA rank.
 * Row-major, last index contiguous, "(S,D)" = S rows of D. Device tensors, caller-owned; nothing
 * here allocates. Activations are of the type rs_device_activation_dtype, matrices of frozen
 * weights of any type that gemm takes, everything else fp32. Base weights are frozen: no gradient
 * of theirs is ever formed. */
#ifndef RS_NN_NN_H
#define RS_NN_NN_H

#include "device/device.h"
#include "nn/lane.h"

/* One adapter's factors on one linear: y += scale * B (A x)  (Hu et al., ICLR 2022). */
typedef struct rs_lora_term {
    rs_tensor a, b;   /* (R,in), (out,R) */
    rs_tensor ga, gb; /* gradients, overwritten by the backward; ndim 0: not trained */
    float scale;      /* weight * alpha / R; 0 leaves the term out */
} rs_lora_term;

typedef struct rs_lora_terms {
    const rs_lora_term *terms;
    int n;
} rs_lora_terms;

/* The rows of n samples follow each other, M of each. All go through the frozen product together,
 * each through its own terms: the bits of a sample are those that it has alone, as a row's do not
 * depend on its neighbours. */
typedef struct rs_linear {
    rs_tensor w;               /* (out,in) F32 or BF16 */
    rs_tensor bias;            /* (out) or ndim 0 */
    const rs_lora_terms *lora; /* (n) */
    int n;                     /* samples, at least 1 */
} rs_linear;

bool rs_linear_trained(const rs_linear *l); /* some term of some sample has gradients */
/* Some sample has more than one term: all but the last are added to y in passes of their own. */
bool rs_linear_stacks(const rs_linear *l);

/* y (n*M,out) = act(x (n*M,in) w^T + bias + sum of LoRA terms). pre (n*M,out): optional, receives
 * the value before the activation. hidden: (n*M, at least the largest R), needed when there are
 * terms; afterwards the first M*R values of a sample's rows hold scale * A x of its last term, for
 * the backward. */
void rs_linear_fwd(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x, rs_tensor hidden,
                   rs_act act, rs_tensor pre);
/* The same for linears of one input, which is read once for the adapters of all. */
enum { RS_LINEARS = 3, RS_SAMPLES = 64 };
typedef struct rs_linear_use {
    rs_linear l;
    rs_tensor y; /* forward: the result; backward: its gradient */
    rs_tensor hidden;
} rs_linear_use;
void rs_linears_fwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor x, rs_act act,
                    rs_tensor pre);
/* What a linear's result is added to: y = x + gate * result. */
typedef struct rs_residual {
    rs_tensor x;      /* (n*M,out) of the residual stream's type, as y */
    rs_tensor gate;   /* (n,out) (ld), a row for each sample; or ndim 0 */
    rs_tensor branch; /* (n*M,out): scratch, where the addition is a pass of its own */
} rs_residual;
/* y (n*M,out) = r.x + r.gate * (x w^T + bias + LoRA terms); y may be r.x. In gemm's pass where the
 * device can (rs_device_gemm_residual) and no sample has more than one term; the bits are the same.
 */
void rs_linear_residual(rs_device *d, const rs_linear *l, rs_tensor y, rs_tensor x,
                        rs_tensor hidden, const rs_residual *r);
/* hidden = scale * A x of the last term of each sample that has one, as the forward leaves it. */
void rs_linear_hidden(rs_device *d, const rs_linear *l, rs_tensor x, rs_tensor hidden);
/* How sums over the rows of a sample are formed: per segment, then in the fixed tree (nn/lane.h).
 */
typedef struct rs_row_sum {
    const rs_segments *segments;
    rs_tensor work; /* levels * R * (in + out) floats; ndim 0 for one segment */
} rs_row_sum;
/* An activation in front of the linear: the gradient goes on through it, times act'(at). */
typedef struct rs_slope {
    rs_act act;
    rs_tensor at; /* (n*M,in), contiguous */
} rs_slope;
/* dx = dy w + scale * (dy B) A, added to dx when accumulate, and then, unless `slope` is NULL,
 * times the slope; dx with ndim 0 is not wanted. For a trained term gB = dy^T h, gA = (scale * dy
 * B)^T x with h = scale * A x from `hidden`, both sums over the sample's rows. dhidden: scratch, as
 * hidden. Only the last term of a sample may be trained. dx may be x's memory, unless it
 * accumulates: x is read first, and dhidden has twice the rows. */
void rs_linear_bwd(rs_device *d, const rs_linear *l, rs_tensor dx, bool accumulate, rs_tensor dy,
                   rs_tensor x, rs_tensor hidden, rs_tensor dhidden, const rs_row_sum *sum,
                   const rs_slope *slope);

/* The same for n linears of one input, whose gradients to it are added up; dx is not x then.
 * dhidden: as many rows for each of them. */
void rs_linears_bwd(rs_device *d, const rs_linear_use *u, int n, rs_tensor dx, bool accumulate,
                    rs_tensor x, rs_tensor dhidden, const rs_row_sum *sum, const rs_slope *slope);

/* RoPE tables (F, pf, 2), (Hp, ph, 2), (Wp, pw, 2), for rows from token `first` on. */
typedef struct rs_rope {
    rs_tensor f, h, w;
    int64_t first;
} rs_rope;

/* y (M,D) = rope(rmsnorm(raw; weight)) per head; y may be raw; rope may be NULL. */
void rs_qk_fwd(rs_device *d, rs_tensor y, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads);
/* Gradient of rs_qk_fwd to raw, in place on dy. */
void rs_qk_bwd(rs_device *d, rs_tensor dy, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads);

#endif
