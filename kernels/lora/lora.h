/* The thin products of LoRA: all matrices but one are R wide, so each is a pass over the one that
 * is not, and what can share a pass does: adapters of several linears on one input, and the samples
 * of a batch with adapters of their own.
 *
 * The rows of the wide tensor x (or y) are cut into `parts` equal parts, M each. Part i has `each`
 * pairs, at [i*each .. i*each+each); a pair is a factor f, (R,K) or with `tall` (K,R), R its own,
 * and a `low` (M,R). One whose low has ndim 0 is left out.
 *
 *   lora_down  low = scale * x f^T, or x f with tall
 *   lora_up    y = beta * y0 + sum over the pairs of low f, or low f^T with tall; y0 the previous
 *              content, not read when beta is 0
 *   lora_grad  g = low^T x (R,K), or its transpose (K,R) with tall
 *
 * lora_grad adds up rows by segments: those of a part are cut at at[0] = 0 .. at[segments] = M, a
 * power of two of them; each is summed by itself and the sums are added in the tree
 * ((0+1)+(2+3))+((4+5)+(6+7)). Empty segments count as zero. work: log2(segments) times as many
 * floats as the largest g has elements.
 *
 * x, y and low are activations, f, g and work are F32. With `bf16` operands are rounded to bf16;
 * sums are fp32. An element of low or y depends on its row of x or low and on its own part's
 * factors only, in value and in bits: not on M, other parts, or other pairs of its part. */
#ifndef RS_KERNELS_LORA_LORA_H
#define RS_KERNELS_LORA_LORA_H

#include "kernels/kernel.h"

enum { RS_LORA_PARTS = 8, RS_LORA_EACH = 3, RS_LORA_PAIRS = RS_LORA_PARTS * RS_LORA_EACH };
enum { RS_LORA_SEGMENTS = 8 };

typedef struct rs_lora_down_args {
    rs_tensor x; /* (parts*M,K) (ld) */
    int parts, each;
    rs_tensor low[RS_LORA_PAIRS]; /* (ld) */
    rs_tensor f[RS_LORA_PAIRS];
    float scale[RS_LORA_PAIRS];
    bool tall, bf16;
} rs_lora_down_args;

typedef struct rs_lora_up_args {
    rs_tensor y; /* (parts*M,K) (ld) */
    int parts, each;
    rs_tensor low[RS_LORA_PAIRS]; /* (ld) */
    rs_tensor f[RS_LORA_PAIRS];
    float beta;
    bool tall, bf16;
} rs_lora_up_args;

typedef struct rs_lora_grad_args {
    rs_tensor x; /* (parts*M,K) (ld) */
    int parts, each;
    rs_tensor low[RS_LORA_PAIRS]; /* (ld) */
    rs_tensor g[RS_LORA_PAIRS];
    rs_tensor work; /* optional for one segment */
    int segments;
    int64_t at[RS_LORA_SEGMENTS + 1];
    bool tall, bf16;
} rs_lora_grad_args;

#endif
