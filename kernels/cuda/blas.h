/* Matrix products by cuBLASLt, row-major as in gemm.h, each by an algorithm that depends on (N, K,
 * types, transposes, epilogue) only, so that a row's bits do not depend on M: the algorithm is
 * chosen once per such key, for a reference M, out of those without split-K that take any M, and is
 * never timed in a run. Chosen means: read from a recorded table, else the library's first advice,
 * which is a function of library and device.
 *
 * A table file is text: a head line that names library and device, then one line per key,
 *   gemm <n> <k> <type> <out> <trans> <epilogue> <algorithm, 16 hex words>
 * `reshoot bench op gemm --record FILE` makes one on a machine, by timing what the library advises.
 */
#ifndef RS_KERNELS_CUDA_BLAS_H
#define RS_KERNELS_CUDA_BLAS_H

#include "kernels/cuda/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif
#include "base/arena.h"
#include "base/dtype.h"
#include "base/status.h"

typedef struct rs_blas rs_blas;

enum {
    RS_BLAS_SCRATCH = 31 << 20,  /* cuBLASLt's own part of the workspace (its advice: 32 MiB) */
    RS_BLAS_WORKSPACE = 64 << 20 /* with the operands that gemm converts, behind it */
};

/* y (m,n) = act(alpha op(a) op(b) + beta y + bias); rows `ld` elements apart. */
typedef struct rs_blas_product {
    int64_t m, n, k;
    const void *a, *b;
    void *y;
    int64_t lda, ldb, ldy;
    rs_dtype type; /* of a and b: F32, BF16, or U8: e4m3, trans_b only, with scales of both */
    const float *scale_a, *scale_b; /* (m), (n) */
    rs_dtype out;                   /* of y, bias and pre: F32, or BF16 where type is not F32 */
    bool trans_a, trans_b;
    float alpha, beta;
    const void *bias; /* (n) or NULL */
    bool gelu;        /* GELU (tanh); BF16 out only */
    void *pre;        /* with gelu: (m,n) contiguous, the value before it, or NULL */
    /* (m,n) contiguous, or NULL: y is times the slope of GELU there; BF16 out, no gelu, no bias */
    const void *slope_at;
} rs_blas_product;

/* table: path of a recorded table, or NULL. name: of the device. RS_CONFIG: the table is damaged,
 * or was recorded with another library or device. */
rs_status rs_blas_open(rs_blas **out, const rs_cuctx *c, const char *name,
                       const char *table) RS_NODISCARD;
void rs_blas_close(rs_blas **b); /* accepts a NULL rs_blas, nulls the pointer */
/* "cublasLt 13.1.0, gemm table 0123abcd" or "... advised": what bits depend on. */
const char *rs_blas_describe(const rs_blas *b);
enum { RS_BLAS_FP8 = 120900 }; /* from this version on there are scales per row */
size_t rs_blas_version(void);
const char *rs_blas_library(rs_arena *a); /* "cublasLt 130100"; needs no device */

/* Whether cuBLASLt shall make this product: all addresses, rows and contiguous dimensions are
 * multiples of 16 bytes. Of m it depends with trans_a only, where m is a dimension of the model. */
bool rs_blas_takes(const rs_blas_product *p);
/* Whether the library has an algorithm for this product with its epilogue; as the algorithm itself
 * not a matter of m. */
bool rs_blas_has(rs_cuctx *c, const rs_blas_product *p);
/* Enqueues on the compute stream; uses the first RS_BLAS_SCRATCH bytes of the workspace. */
void rs_blas_run(rs_cuctx *c, const rs_blas_product *p);

/* From now on the first product of each key times what the library advises and keeps the fastest;
 * products then wait for the device. Only for rs_blas_save, which writes all keys seen. */
void rs_blas_record(rs_blas *b);
rs_status rs_blas_save(const rs_blas *b, const char *path) RS_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
