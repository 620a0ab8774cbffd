/* bf16 products with AVX512-BF16: 8x48 tiles of vdpbf16ps, which adds the products of two pairs of
 * bf16 to an fp32 sum, at twice the rate of fp32. Pairs are neighbours in K; where K ends with half
 * a pair the other half is zero.
 *
 *   A  [m][pairs of k]               pairs of a row lie together
 *   B  panels of 48: [pairs of k][48]
 *
 * fp32 operands are rounded (to nearest even, subnormals to zero) while they are packed. */
#include "base/num.h"
#include "kernels/cpu/pairs.h"
#include "kernels/gemm/block.h"
#include "kernels/vec/vec.h"

enum { MR = RS_PAIRS_MR, NR = RS_PAIRS_NR, BLOCK_K = 768, LANES = 16 };

#if defined(__x86_64__)
static rs_pairs_src from(const rs_gemm_operand *o, int64_t row, int64_t col)
{
    return (rs_pairs_src){rs_gemm_at(o, row, col), o->ld, o->bf16};
}

/* The panel of columns from j on. */
static void pack_b(uint32_t *dst, const rs_gemm_block *t, int64_t j)
{
    int64_t n = rs_min_i64(NR, t->n - j);
    if (t->b.trans)
        rs_pairs_cols_of_b(dst, from(&t->b, j, 0), t->k, n);
    else
        rs_pairs_rows_of_b(dst, from(&t->b, 0, j), t->k, n);
}

/* The rows of the tile that begins at row i, a multiple of MR; where they are columns, of two
 * tiles. */
static void pack_a(uint32_t *a, const rs_gemm_block *t, int64_t i)
{
    uint32_t *dst = a + i * rs_pairs_of(t->k);
    if (!t->a.trans)
        rs_pairs_rows_of_a(dst, from(&t->a, i, 0), rs_min_i64(MR, t->m - i), t->k);
    else if (i % LANES == 0)
        rs_pairs_cols_of_a(dst, from(&t->a, 0, i), rs_min_i64(LANES, t->m - i), t->k);
}

/* What is read after tile (i,j), a the packed rows: those of A while the first panel passes; during
 * the last tiles of a panel the next one of B, or the first one of the next block of K. Earlier it
 * would be displaced by A again. During the very last panel the rows that are finished next. */
static rs_pairs_next fetch_next(const rs_gemm_block *t, const uint32_t *a, int64_t pairs, int64_t i,
                                int64_t j)
{
    int64_t late = i - (rs_ceil_div(t->m, MR) * MR - NR);
    bool last = j + NR >= t->n;
    int64_t col = last ? 0 : j + NR, k = last ? t->k : 0;
    if (last && j > 0 && t->end)
        return (rs_pairs_next){t->end->rows + i * t->end->row, t->end->row, 3};
    if (late >= 0 && t->b.trans)
        return (rs_pairs_next){rs_gemm_at(&t->b, col + late, k), t->b.ld * (t->b.bf16 ? 2 : 4), 3};
    if (late >= 0) /* 128 rows in each of 6 tiles */
        return (rs_pairs_next){rs_gemm_at(&t->b, k + late * (BLOCK_K / NR), col),
                               t->b.ld * (t->b.bf16 ? 2 : 4), 7};
    if (j == 0 && t->a_ready)
        return (rs_pairs_next){(const char *)(a + (i + MR) * pairs), pairs * 4, 3};
    if (j == 0 && !t->a.trans && i + MR < t->m)
        return (rs_pairs_next){rs_gemm_at(&t->a, i + MR, 0), t->a.ld * (t->a.bf16 ? 2 : 4), 3};
    return (rs_pairs_next){(const char *)a, 0, 3};
}

/* Where the next tile adds to. */
static void fetch_sums(const rs_gemm_block *t, int64_t i, int64_t j)
{
    bool down = i + MR < t->m;
    const float *c = t->sum + (down ? i + MR : 0) * t->ld + (down ? j : j + NR);
    for (int r = 0; r < MR; r++)
        for (int v = 0; v < NR; v += LANES)
            __builtin_prefetch(c + r * t->ld + v, 1, 2);
}

static void run(const rs_gemm_block *t)
{
    int64_t pairs = rs_pairs_of(t->k);
    uint32_t *panel = t->work, *a = t->packed_a;
    for (int64_t j = 0; j < t->n; j += NR) {
        pack_b(panel, t, j);
        for (int64_t i = 0; i < t->m; i += MR) {
            if (j == 0 && !t->a_ready)
                pack_a(a, t, i);
            fetch_sums(t, i, j);
            rs_pairs_tile(rs_min_i64(MR, t->m - i), rs_min_i64(NR, t->n - j), pairs,
                          (rs_pairs_a){a + i * pairs, pairs, 1}, panel, t->sum + i * t->ld + j,
                          t->ld, t->accumulate, fetch_next(t, a, pairs, i, j));
            if (t->end && j + NR >= t->n)
                t->end->finish(t->end->args, i, rs_min_i64(i + MR, t->m), t->end->thread);
        }
    }
}
#else
static void run(const rs_gemm_block *t)
{
    rs_gemm_engine_f32.run(t);
}
#endif

static const char *name(void)
{
    return "avx512bf16-8x48";
}

static int rows(void)
{
    return MR;
}

static int cols(void)
{
    return NR;
}

const rs_gemm_engine rs_gemm_engine_bf16 = {
    .name = name,
    .rows = rows,
    .cols = cols,
    .block_k = BLOCK_K,
    .unit_k = 2,
    .work = NR * BLOCK_K / 2 * sizeof(uint32_t),
    .packed_a = RS_GEMM_TILE_M * BLOCK_K / 2 * sizeof(uint32_t),
    .run = run,
};
