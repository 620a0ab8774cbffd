/* Inside of the linears: linear.c says what is made, linear_pass.c makes it, forward or backward.
 */
#ifndef RS_NN_LINEAR_PASS_H
#define RS_NN_LINEAR_PASS_H

#include "nn/nn.h"

/* What a pass through linears that share their rows works with: forward one result and one operand,
 * backward one result and an operand of each. */
typedef struct rs_linear_pass {
    rs_device *d;
    const rs_linear_use *u;
    int n;               /* of u */
    int64_t M;           /* rows of a sample */
    rs_tensor y;         /* what is made: a result, or the gradient to the input */
    rs_tensor x;         /* forward: the input */
    rs_tensor low;       /* backward: lows of all of u, R wide */
    bool forward, added; /* y = B low, or A low; y has something that is added to */
    bool in_place;       /* backward: y is the input's memory; lows of first terms lie behind */
} rs_linear_pass;

/* What the last product of a pass ends with (kernels/gemm/gemm.h). */
typedef struct rs_ending {
    rs_act act;
    rs_tensor pre, at;
    const rs_residual *res; /* NULL: none */
} rs_ending;

/* First columns of a scratch: contiguous rows, of its first rows*cols elements. */
rs_tensor rs_first_cols(rs_tensor t, int64_t rows, int64_t cols);
/* Rows of samples [lo,hi), M each; nothing of nothing. */
rs_tensor rs_rows_of(rs_tensor t, int64_t M, int lo, int hi);
/* The term that is applied last; NULL: none is. Whether there are some in front of it. */
const rs_lora_term *rs_last_term(const rs_lora_terms *l);
bool rs_has_first_terms(const rs_lora_terms *l);

int rs_pass_samples(const rs_linear_pass *p);
rs_tensor rs_pass_operand(const rs_linear_pass *p, int j);
rs_tensor rs_pass_low(const rs_linear_pass *p, int j, int k, const rs_lora_term *t);
/* Terms in front of the last ones; added[k]: sample k of y has something now. */
void rs_pass_add_first(const rs_linear_pass *p, bool *added);
/* What the last terms of u[from..from+each) multiply; of trained ones only, unless `all`. */
void rs_pass_lows(const rs_linear_pass *p, int from, int each, bool all);
/* y = end([y +] sum of in op(w) + bias + last terms). */
void rs_pass_products(const rs_linear_pass *p, const bool *has, rs_ending e);

#endif
