/* GEMM on the CPU: tiles of y are independent tasks. A task walks over K in blocks, packs its
 * columns of B, and sums up in a private tile; alpha, beta, bias and activation are applied while
 * that tile is in cache. Blocks of K depend on K only, and the micro-kernel's bits do not depend on
 * the tiling: a row of y has the same bits whatever M, the tile size and the number of threads. */
#include "base/num.h"
#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/gemm/micro.h"

/* A tile of 512x384 sums with 384x384 of B and 512x384 of A stays within 2 MiB. */
enum { TILE_M = 512, TILE_N = 384, BLOCK_K = 384, MIN_M = 64, MIN_N = 96, TASKS_PER_THREAD = 4 };

typedef struct gemm_job {
    rs_kctx *ctx;
    const rs_micro *u;
    const rs_gemm_args *g;
    rs_range_fn *finish;
    int64_t m, n, k;
    int64_t blocks_m, blocks_n, blocks_k;
} gemm_job;

/* One finished tile. */
typedef struct gemm_tile {
    const rs_gemm_args *g;
    const float *sum; /* (rows, cols), ld TILE_N */
    int64_t i0, j0, cols;
} gemm_tile;

/* v = alpha*sum [+ beta*y] [+ bias]. The conditions are constants in every use: as a masked load of
 * nothing they would cost an assist of the processor per vector. */
RS_INLINE void finish_row(float *v, const float *sum, float alpha, const bool add_y, float beta,
                          const float *y, const bool add_bias, const float *bias, int64_t n)
{
    RS_IVDEP
    for (int64_t j = 0; j < n; j++) {
        float x = alpha * sum[j];
        if (add_y)
            x += beta * y[j];
        if (add_bias)
            x += bias[j];
        v[j] = x;
    }
}

RS_INLINE void finish_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const gemm_tile *t = args;
    const rs_gemm_args *g = t->g;
    const float *bias = rs_has(g->bias) ? rs_f32(g->bias) + t->j0 : NULL;
    float alpha = g->alpha == 0 ? 1.0f : g->alpha, beta = g->beta;
    for (int64_t i = lo; i < hi; i++) {
        const float *sum = t->sum + i * TILE_N;
        float *y = rs_f32(g->y) + (t->i0 + i) * g->y.ld + t->j0, *v = y;
        if (rs_has(g->pre))
            v = rs_f32(g->pre) + (t->i0 + i) * rs_tensor_cols(g->y) + t->j0;
        if (beta != 0 && bias)
            finish_row(v, sum, alpha, true, beta, y, true, bias, t->cols);
        else if (beta != 0)
            finish_row(v, sum, alpha, true, beta, y, false, NULL, t->cols);
        else if (bias)
            finish_row(v, sum, alpha, false, 0, NULL, true, bias, t->cols);
        else
            finish_row(v, sum, alpha, false, 0, NULL, false, NULL, t->cols);
        if (v != y || g->act != RS_ACT_NONE)
            rs_v_act(g->act, y, v, t->cols);
    }
}
RS_RANGE_VERSIONS(finish)

/* Start of part `i` when n is cut into `parts` of whole multiples of `unit`, as even as possible.
 */
static int64_t cut(int64_t n, int64_t unit, int64_t parts, int64_t i)
{
    return rs_min_i64(n, rs_ceil_div(n, unit) * i / parts * unit);
}

/* (k, m) as stored -> [m/mr][k][mr], so that rows of a panel lie together. */
static void pack_a(float *dst, int mr, const float *a, int64_t lda, int64_t k, int64_t m)
{
    for (int64_t i = 0; i < m; i += mr) {
        int64_t rows = rs_min_i64(mr, m - i);
        for (int64_t p = 0; p < k; p++, dst += mr)
            for (int64_t r = 0; r < rows; r++)
                dst[r] = a[p * lda + i + r];
    }
}

/* a points at element (0,0) of the block. Rows of A are read in place; columns are brought
 * together. */
static void multiply(const gemm_job *t, int64_t mb, int64_t nb, int64_t kb, const float *a,
                     float *a_packed, const float *panels, float *sum, bool accumulate)
{
    const rs_micro *u = t->u;
    const int64_t lda = t->g->a.ld;
    if (!t->g->trans_a) {
        rs_micro_block(u, mb, nb, kb, a, lda, 1, panels, u->nr * kb, sum, TILE_N, accumulate);
        return;
    }
    pack_a(a_packed, u->mr, a, lda, kb, mb);
    for (int64_t j = 0; j < nb; j += u->nr)
        for (int64_t i = 0; i < mb; i += u->mr)
            u->tile(kb, a_packed + i * kb, 1, u->mr, panels + j * kb, sum + i * TILE_N + j, TILE_N,
                    rs_min_i64(u->mr, mb - i), rs_min_i64(u->nr, nb - j), accumulate);
}

static void tile_task(void *arg, int64_t task, int thread)
{
    const gemm_job *t = arg;
    const rs_gemm_args *g = t->g;
    const rs_micro *u = t->u;
    int64_t bi = task / t->blocks_n, bj = task % t->blocks_n;
    int64_t i0 = cut(t->m, u->mr, t->blocks_m, bi), j0 = cut(t->n, u->nr, t->blocks_n, bj);
    int64_t mb = cut(t->m, u->mr, t->blocks_m, bi + 1) - i0;
    int64_t nb = cut(t->n, u->nr, t->blocks_n, bj + 1) - j0;
    float *sum =
        rs_scratch(t->ctx, thread, (TILE_M * TILE_N + (TILE_M + TILE_N) * BLOCK_K) * sizeof(float));
    float *panels = sum + TILE_M * TILE_N, *a_packed = panels + TILE_N * BLOCK_K;
    for (int64_t bk = 0; bk < t->blocks_k; bk++) {
        int64_t k0 = cut(t->k, 1, t->blocks_k, bk), kb = cut(t->k, 1, t->blocks_k, bk + 1) - k0;
        const float *a = rs_f32(g->a) + (g->trans_a ? k0 * g->a.ld + i0 : i0 * g->a.ld + k0);
        const float *b = rs_f32(g->b) + (g->trans_b ? j0 * g->b.ld + k0 : k0 * g->b.ld + j0);
        (g->trans_b ? u->pack_cols : u->pack_rows)(panels, u->nr * kb, b, g->b.ld, kb, nb);
        multiply(t, mb, nb, kb, a, a_packed, panels, sum, bk > 0);
    }
    t->finish(&(gemm_tile){g, sum, i0, j0, nb}, 0, mb, thread);
}

/* Smaller tiles than the cache allows where there would be too few for the threads. Bits stay. */
static void choose_tiles(gemm_job *t)
{
    int64_t want = rs_kctx_threads(t->ctx) == 1 ? 1 : TASKS_PER_THREAD * rs_kctx_threads(t->ctx);
    int64_t tile_m = TILE_M / t->u->mr * t->u->mr, tile_n = TILE_N / t->u->nr * t->u->nr;
    t->blocks_m = rs_max_i64(1, rs_ceil_div(t->m, tile_m));
    t->blocks_n = rs_max_i64(1, rs_ceil_div(t->n, tile_n));
    t->blocks_k = rs_max_i64(1, rs_ceil_div(t->k, BLOCK_K));
    while (t->blocks_m * t->blocks_n < want) {
        if (t->n / t->blocks_n >= 2 * MIN_N)
            t->blocks_n++;
        else if (t->m / t->blocks_m >= 2 * MIN_M)
            t->blocks_m++;
        else
            break;
    }
}

void rs_cpu_gemm(rs_kctx *k, const rs_gemm_args *g)
{
    gemm_job t = {.ctx = k,
                  .u = rs_micro_get(),
                  .g = g,
                  .finish = finish(),
                  .m = rs_tensor_rows(g->y),
                  .n = rs_tensor_cols(g->y),
                  .k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a)};
    choose_tiles(&t);
    rs_parallel(k, t.blocks_m * t.blocks_n, tile_task, &t);
}
