/* Row operations of attention on one tile of scores, one variant per instruction set. Rows are
 * padded: a row of n scores may be read and written up to the next multiple of 16. exp is good to 2
 * ulp; below e^-80 it is 0, so that no denormals arise. */
#ifndef RS_KERNELS_ATTENTION_ROWS_H
#define RS_KERNELS_ATTENTION_ROWS_H

#include <stdint.h>

typedef struct rs_attn_rows {
    /* s <- exp(x - m) with x = scale*s + bias (bias may be NULL) and m = max(top, max x). Returns
     * m; *sum gets the row's sum. */
    float (*softmax)(float *s, const float *bias, int64_t n, float scale, float top, float *sum);
    /* s <- p = exp(scale*s - lse); dp <- p * (dp - delta) * scale */
    void (*gradient)(float *s, float *dp, int64_t n, float scale, float lse, float delta);
    /* y <- x*f, or y + x*f */
    void (*scaled)(float *y, const float *x, int64_t n, float f, int add);
    /* sum x*y */
    float (*dot)(const float *x, const float *y, int64_t n);
    /* x <- x rounded to bf16, to nearest even */
    void (*round)(float *x, int64_t n);
} rs_attn_rows;

extern const rs_attn_rows rs_attn_rows_avx512;
extern const rs_attn_rows rs_attn_rows_avx2;
extern const rs_attn_rows rs_attn_rows_base;

const rs_attn_rows *rs_attn_rows_get(void);

#endif
