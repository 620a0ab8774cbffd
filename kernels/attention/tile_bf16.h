/* Products of bf16 attention that end in exponentials (AVX512-BF16): scores never leave the
 * registers. Operands are those of kernels/cpu/pairs.h; a panel is one of 48 keys. exp is good to
 * 2e-7. */
#ifndef RS_KERNELS_ATTENTION_TILE_BF16_H
#define RS_KERNELS_ATTENTION_TILE_BF16_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cpu/pairs.h"

enum {
    RS_ATTN_FWD_ROWS = 8, /* queries of a tile; behind the last one: rows of zeros */
    RS_ATTN_BWD_ROWS = 4,
    RS_ATTN_LANES = 16, /* sums of a query that are formed apart */
    RS_ATTN_MOST = 60,  /* the largest exponent of 2 that needs no maximum */
};

/* A panel of keys: n of them are there, the last of these gets `last` added to its scores. */
typedef struct rs_attn_panel {
    int64_t n;
    float last;
} rs_attn_panel;

/* What becomes of a tile's scores: p[i] <- pairs of exp(scale * q_i.k_j), rows p_row words apart,
 * 24 written, 0 from n on; lanes[i] += what was not rounded. For queries whose exponents stay below
 * RS_ATTN_MOST. */
typedef struct rs_attn_exp {
    uint32_t *p;
    int64_t p_row;
    float *lanes; /* (8, RS_ATTN_LANES) */
    rs_attn_panel panel;
    float scale;
} rs_attn_exp;

/* Eight queries against one panel. */
void rs_attn_tile_exp(const rs_attn_exp *x, const uint32_t *q, const uint32_t *keys, int64_t pairs);
/* One query (p and lanes at its row) whose scores are in s: the same bits. */
void rs_attn_row_exp(const rs_attn_exp *x, const float *s);
float rs_attn_lanes_sum(const float *lanes);
/* The largest of n sums of squares of d values, rows ld apart; NaN if one of them is. */
float rs_attn_longest(const float *rows, int64_t ld, int64_t n, int64_t d);

/* Four queries of the backward, and where their values go. */
typedef struct rs_attn_bwd_rows {
    const uint32_t *q, *d_o; /* [4][pairs] */
    float lse[RS_ATTN_BWD_ROWS], delta[RS_ATTN_BWD_ROWS];
    uint32_t *ds; /* pairs of neighbouring keys, rows ds_row words apart, 24 written */
    int64_t ds_row;
    uint32_t *pt,
        *dst; /* [2][key]: pairs of queries, rows t_row words apart, 48 written; or NULL */
    int64_t t_row;
} rs_attn_bwd_rows;

/* p = exp(scale * q.k - lse), ds = p * (d_o.v - delta) * scale; 0 from n on. */
void rs_attn_tile_gradient(const rs_attn_bwd_rows *w, const uint32_t *keys, const uint32_t *values,
                           int64_t pairs, const rs_attn_panel *panel, float scale);

#endif
