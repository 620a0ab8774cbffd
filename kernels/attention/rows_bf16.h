/* Row operations of bf16 attention with AVX512-BF16: scores as the products gave them in fp32, in;
 * operands of the next products, pairs of bf16, out. Rows of scores may be read up to the next
 * multiple of 16. exp is good to 2e-7; below 2^-100 it is 0. */
#ifndef RS_KERNELS_ATTENTION_ROWS_BF16_H
#define RS_KERNELS_ATTENTION_ROWS_BF16_H

#include <stdint.h>

/* Scores of one query at n keys. */
typedef struct rs_attn_scores {
    float *s;
    int64_t n;
    const float *bias; /* (n) or NULL */
    float scale;
} rs_attn_scores;

/* With x = scale*s + bias: top <- m = max(top, max x), keep <- exp(old top - m), p <- pairs of
 * exp(x - m), zero from n to the next multiple of 32, sum <- sum*keep + the sum of values not
 * rounded. s is overwritten where there is a bias or the scale is not above 0. */
void rs_attn_softmax_bf16(uint32_t *p, const rs_attn_scores *x, float *top, float *keep,
                          float *sum);

#endif
