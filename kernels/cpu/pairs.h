/* Matrix products of bf16 pairs with AVX512-BF16: C (m,n) = [C +] A (m,k) B (k,n), sums in fp32.
 * For gemm and attention; only where rs_cpu_bf16() says so.
 *
 * Operands are words of two bf16 values that are neighbours in k, the lower half first; where k is
 * odd the last upper half is zero. A's pair (i,p) lies at a[i*a_row + p*a_pair]. B is in panels of
 * 48 columns, each [pair][48], zero behind the last column. fp32 values are rounded to nearest even
 * while they are packed, subnormal ones to zero.
 *
 * An element is one chain of sums over the pairs in order, started from 0 or from C: its bits
 * depend on its row of A and its column of B only. */
#ifndef RS_KERNELS_CPU_PAIRS_H
#define RS_KERNELS_CPU_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

enum { RS_PAIRS_MR = 8, RS_PAIRS_NR = 48 }; /* a tile */

typedef struct rs_pairs_a {
    const uint32_t *a;
    int64_t row, pair;
} rs_pairs_a;

/* Pairs of k values, and words of the panels of n columns. */
static inline int64_t rs_pairs_of(int64_t k)
{
    return (k + 1) / 2;
}

static inline int64_t rs_pairs_panels(int64_t n, int64_t k)
{
    return (n + RS_PAIRS_NR - 1) / RS_PAIRS_NR * RS_PAIRS_NR * rs_pairs_of(k);
}

/* What will be read next: 2^bits rows, `row` bytes apart, fetched while a tile is computed: a cache
 * line of each, then the next line of each. A hint, whatever the addresses. */
typedef struct rs_pairs_next {
    const char *rows;
    int64_t row;
    int bits;
} rs_pairs_next;

/* One tile: m up to 8, n up to 48, one panel. */
void rs_pairs_tile(int64_t m, int64_t n, int64_t pairs, rs_pairs_a a, const uint32_t *panel,
                   float *c, int64_t ldc, bool accumulate, rs_pairs_next next);
void rs_pairs_block(int64_t m, int64_t n, int64_t pairs, rs_pairs_a a, const uint32_t *panels,
                    float *c, int64_t ldc, bool accumulate);

/* A matrix as it is stored, rows `ld` apart: fp32, or bf16. */
typedef struct rs_pairs_src {
    const void *data;
    int64_t ld;
    bool bf16;
} rs_pairs_src;

/* A (m,k) to [row][pair], stored (m,k) and (k,m). */
void rs_pairs_rows_of_a(uint32_t *dst, rs_pairs_src a, int64_t m, int64_t k);
void rs_pairs_cols_of_a(uint32_t *dst, rs_pairs_src a, int64_t m, int64_t k);
/* Panels of B (k,n), stored (n,k) and (k,n). */
void rs_pairs_cols_of_b(uint32_t *panels, rs_pairs_src b, int64_t k, int64_t n);
void rs_pairs_rows_of_b(uint32_t *panels, rs_pairs_src b, int64_t k, int64_t n);

/* Of fp32. */
static inline void rs_pairs_pack_a(uint32_t *dst, const float *a, int64_t lda, int64_t m, int64_t k)
{
    rs_pairs_rows_of_a(dst, (rs_pairs_src){a, lda, false}, m, k);
}

static inline void rs_pairs_pack_cols(uint32_t *panels, const float *b, int64_t ldb, int64_t k,
                                      int64_t n)
{
    rs_pairs_cols_of_b(panels, (rs_pairs_src){b, ldb, false}, k, n);
}

static inline void rs_pairs_pack_rows(uint32_t *panels, const float *b, int64_t ldb, int64_t k,
                                      int64_t n)
{
    rs_pairs_rows_of_b(panels, (rs_pairs_src){b, ldb, false}, k, n);
}

#endif
