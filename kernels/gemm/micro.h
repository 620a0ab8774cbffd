/* Register-tile matrix product, shared by gemm and attention: C (m,n) = [C +] A (m,k) B (k,n).
 *
 * B is packed into panels of `nr` columns, panel p holding columns [p*nr, (p+1)*nr) as [k][nr],
 * zero behind the last column. A is read in place: element (i,p) at a[i*a_row + p*a_k].
 *
 * Every element is one chain of multiply-adds over p in order, started from 0 or from C. So its
 * bits depend on its row of A and its column of B only, not on m, n or their blocking. One variant
 * per instruction set: 8x48 AVX-512, 6x16 AVX2 (both FMA), 4x8 baseline (multiply, then add). */
#ifndef RS_KERNELS_GEMM_MICRO_H
#define RS_KERNELS_GEMM_MICRO_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rs_micro {
    const char *name;
    int mr;
    int nr;
    /* One tile, m <= mr, n <= nr; b is one panel. */
    void (*tile)(int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b, float *c,
                 int64_t ldc, int64_t m, int64_t n, bool accumulate);
    /* Panels of B given as rows (k,n), and as columns (n,k). `panel` = floats from one panel to the
     * next: nr*k, or more when B is packed in pieces along k. */
    void (*pack_rows)(float *panels, int64_t panel, const float *b, int64_t ldb, int64_t k,
                      int64_t n);
    void (*pack_cols)(float *panels, int64_t panel, const float *b, int64_t ldb, int64_t k,
                      int64_t n);
    /* n values, fp32 or bf16 as stored, to fp32: as they are, or rounded to bf16 first. */
    void (*widen)(float *dst, const void *src, bool from_bf16, bool round, int64_t n);
} rs_micro;

extern const rs_micro rs_micro_avx512;
extern const rs_micro rs_micro_avx2;
extern const rs_micro rs_micro_base;

/* The widest variant that rs_cpu_isa() allows. */
const rs_micro *rs_micro_get(void);
/* Floats of the panels of an n x k matrix, n rounded up to nr. */
int64_t rs_micro_panels(const rs_micro *u, int64_t n, int64_t k);
/* The whole product over packed panels. */
void rs_micro_block(const rs_micro *u, int64_t m, int64_t n, int64_t k, const float *a,
                    int64_t a_row, int64_t a_k, const float *panels, int64_t panel, float *c,
                    int64_t ldc, bool accumulate);

#endif
