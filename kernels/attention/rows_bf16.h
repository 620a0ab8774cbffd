/* Row operations of bf16 attention with AVX512-BF16: scores as the products gave them in fp32, in;
 * operands of the next products, pairs of bf16, out. Rows of scores may be read up to the next
 * multiple of 16. exp is good to 2e-7; below 2^-100 it is 0. */
#ifndef RS_KERNELS_ATTENTION_ROWS_BF16_H
#define RS_KERNELS_ATTENTION_ROWS_BF16_H

#include <stdint.h>

/* Scores of some queries, rows `ld` apart. */
typedef struct rs_attn_scores {
    float *s;
    int64_t ld, rows, n;
    const float
        *bias; /* element j - i + shift of query i and key j is at bias[j - i]; NULL: none */
    float scale;
} rs_attn_scores;

/* Row by row, with x = scale*s + bias: top <- m = max(top, max x), keep <- exp(old top - m), p <-
 * pairs of exp(x - m), zero from n to the next multiple of 32 (rows ld/2 words apart), sum <-
 * sum*keep + the row's sum of values not rounded. s is overwritten where there is a bias or the
 * scale is not above 0. */
void rs_attn_softmax_bf16(uint32_t *p, const rs_attn_scores *x, float *top, float *keep,
                          float *sum);

/* Two queries, one behind the other. */
typedef struct rs_attn_two {
    const float *s, *dp; /* (2, ld) */
    int64_t ld;
    float lse[2], delta[2];
    float scale;
} rs_attn_two;

/* For each query p = exp(scale*s - lse) and ds = p * (dp - delta) * scale:
 *   ds[0], ds[1]  pairs of neighbouring keys of each query, zero from n to the next multiple of 32
 *   pt, dst       (n) for each key the pair of both queries; may be NULL together */
void rs_attn_gradient_bf16(uint32_t *const ds[2], uint32_t *pt, uint32_t *dst, const rs_attn_two *q,
                           int64_t n);

#endif
