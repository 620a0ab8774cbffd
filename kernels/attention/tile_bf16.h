/* Products of bf16 attention that end in exponentials (AVX512-BF16): scores never leave the
 * registers. Operands are those of kernels/cpu/pairs.h; a panel is one of 48 keys. exp is good to
 * 1.6e-4 (exp_bf16.h). */
#ifndef RS_KERNELS_ATTENTION_TILE_BF16_H
#define RS_KERNELS_ATTENTION_TILE_BF16_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cpu/pairs.h"

enum {
    RS_ATTN_TILE = 4,   /* queries of a tile; behind the last one: rows of zeros */
    RS_ATTN_LANES = 16, /* sums of a query that are formed apart */
    RS_ATTN_MOST = 60,  /* the largest exponent of 2 that needs no maximum */
};

/* Keys in a row, from a panel's first on: n of them, the last one gets `last` added to its scores.
 */
typedef struct rs_attn_span {
    int64_t n;
    float last;
} rs_attn_span;

/* What becomes of scores: p[i] <- pairs of exp(scale * q_i.k_j), rows p_row words apart, 0 from the
 * last key to the panel's end; lanes[i] += what was not rounded. For queries whose exponents stay
 * below RS_ATTN_MOST. */
typedef struct rs_attn_exp {
    uint32_t *p;
    int64_t p_row;
    float *lanes; /* (rows, RS_ATTN_LANES) */
    rs_attn_span span;
    float scale;
} rs_attn_exp;

/* Queries [rows][pairs], a multiple of four, against the keys' panels. */
void rs_attn_exps(const rs_attn_exp *x, const uint32_t *q, int64_t rows, const uint32_t *panels,
                  int64_t pairs);
/* One query (p and lanes at its row) and one panel, whose scores are in s: the same bits. */
void rs_attn_row_exp(const rs_attn_exp *x, const float *s);
float rs_attn_lanes_sum(const float *lanes);
/* The largest of n sums of squares of d values, rows ld apart; NaN if one of them is. */
float rs_attn_longest(const float *rows, int64_t ld, int64_t n, int64_t d);

/* Queries of the backward, a multiple of four, and where their values go. */
typedef struct rs_attn_grad {
    const uint32_t *q, *d_o; /* [rows][pairs] */
    int64_t rows, pairs;
    const uint32_t *keys, *values; /* panels */
    rs_attn_span span;
    const float *minus_lse;   /* (rows) of the base 2 */
    const float *minus_delta; /* (rows) */
    float scale;
    uint32_t *ds; /* pairs of neighbouring keys, rows ds_row words apart */
    int64_t ds_row;
    uint32_t *pt, *dst; /* [rows / 2][key]: pairs of queries, rows t_row words apart; or NULL */
    int64_t t_row;
} rs_attn_grad;

/* p = exp(scale * q.k - lse), ds = p * (d_o.v - delta) * scale; 0 from the last key to the panel's
 * end. */
void rs_attn_gradients(const rs_attn_grad *x);

#endif
