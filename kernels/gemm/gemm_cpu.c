/* GEMM on the CPU: tiles of y are independent tasks. A task walks over K in blocks (block.h) and
 * sums up in a private tile, the terms first; alpha, beta, bias and activation are applied to rows
 * of it as they are done, between the products of others. Blocks of K depend on K only, and an
 * engine's bits do not depend on the tiling: a row of y has the same bits whatever M, the tile size
 * and the number of threads. */
#include <string.h>

#include "base/num.h"
#include "kernels/act/act_cpu.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/gemm/block.h"

/* A tile of 512x384 sums with a block of B and one of A stays within 2 MiB. */
enum { TILE_M = RS_GEMM_TILE_M, TILE_N = RS_GEMM_TILE_N };
enum { MIN_M = 64, MIN_N = 96, TASKS_PER_THREAD = 4 };
/* Rows of A that are packed stay so for the next tiles of the same rows, up to this many blocks of
 * K, for the first so many threads. */
enum { KEPT_BLOCKS = 8, KEPT_THREADS = 256 };

typedef struct gemm_job {
    rs_kctx *ctx;
    const rs_gemm_engine *e;
    const rs_gemm_args *g;
    rs_range_fn *finish;
    int64_t m, n, k;
    int64_t blocks_m, blocks_n, blocks_k;
    int64_t kept[KEPT_THREADS]; /* block of M whose rows a thread has packed; -1: none */
} gemm_job;

/* One finished tile. */
typedef struct gemm_tile {
    const rs_gemm_args *g;
    float *sum; /* (rows, cols), ld TILE_N */
    int64_t i0, j0, cols;
    int64_t part; /* rows of y for which there is one row of gate */
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

/* y = res + gate*v, or without a gate res + v: as gate_add does it. */
RS_INLINE void add_residual(float *y, const float *res, const float *gate, const float *v,
                            int64_t n)
{
    if (gate) {
        RS_IVDEP
        for (int64_t j = 0; j < n; j++)
            y[j] = res[j] + gate[j] * v[j];
    } else {
        RS_IVDEP
        for (int64_t j = 0; j < n; j++)
            y[j] = res[j] + v[j];
    }
}

/* A row of y, or of pre, before the activation; old is y as it was. */
RS_INLINE void linear_row(float *v, const gemm_tile *t, const float *sum, const float *old)
{
    const rs_gemm_args *g = t->g;
    const float *bias = rs_has(g->bias) ? rs_f32(g->bias) + t->j0 : NULL;
    float alpha = g->alpha == 0 ? 1.0f : g->alpha, beta = g->beta;
    if (beta != 0 && bias)
        finish_row(v, sum, alpha, true, beta, old, true, bias, t->cols);
    else if (beta != 0)
        finish_row(v, sum, alpha, true, beta, old, false, NULL, t->cols);
    else if (bias)
        finish_row(v, sum, alpha, false, 0, NULL, true, bias, t->cols);
    else
        finish_row(v, sum, alpha, false, 0, NULL, false, NULL, t->cols);
}

/* Values that are no more than a step on the way to y take the place of their sums. */
RS_INLINE void finish_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const gemm_tile *t = args;
    const rs_gemm_args *g = t->g;
    const bool narrow = g->y.dtype == RS_DTYPE_BF16, res = rs_has(g->res);
    for (int64_t i = lo; i < hi; i++) {
        int64_t row = t->i0 + i, at = row * rs_tensor_cols(g->y) + t->j0;
        float *sum = t->sum + i * TILE_N;
        float *y = narrow ? NULL : rs_f32(g->y) + row * g->y.ld + t->j0;
        float *v = narrow || res ? sum : y;
        float *x = rs_has(g->pre) ? rs_f32(g->pre) + at : v;
        linear_row(x, t, sum, y);
        if (rs_has(g->act_at))
            rs_v_act_back(g->act, v, x, rs_f32(g->act_at) + at, t->cols);
        else if (x != v || g->act != RS_ACT_NONE)
            rs_v_act(g->act, v, x, t->cols);
        if (narrow)
            rs_v_to_bf16((uint16_t *)g->y.data + row * g->y.ld + t->j0, v, t->cols);
        else if (res)
            add_residual(y, rs_f32(g->res) + row * g->res.ld + t->j0,
                         rs_has(g->gate) ? rs_f32(g->gate) + row / t->part * g->gate.ld + t->j0
                                         : NULL,
                         v, t->cols);
    }
}
RS_RANGE_VERSIONS(finish)

/* Start of part `i` when n is cut into `parts` of whole multiples of `unit`, as even as possible.
 */
static int64_t cut(int64_t n, int64_t unit, int64_t parts, int64_t i)
{
    return rs_min_i64(n, rs_ceil_div(n, unit) * i / parts * unit);
}

/* Of t, its element (row, col). */
static rs_gemm_operand operand(rs_tensor t, bool trans, int64_t row, int64_t col)
{
    rs_gemm_operand o = {t.data, t.ld, t.dtype == RS_DTYPE_BF16, trans};
    o.data = trans ? rs_gemm_at(&o, col, row) : rs_gemm_at(&o, row, col);
    return o;
}

/* Sums of a tile begin with the terms of the parts that its rows belong to. False: there are none,
 * and the sums are as they were. */
static bool begin_with_terms(const gemm_job *t, const rs_gemm_block *tile, int64_t i0, int64_t j0)
{
    const rs_gemm_args *g = t->g;
    int64_t parts = g->parts > 0 ? g->parts : 1, rows = t->m / parts;
    int64_t first = rows > 0 ? i0 / rows : 0;
    bool any = false;
    for (int64_t p = first; p < parts && p * rows < i0 + tile->m; p++)
        any = any || rs_has(g->ta[p]);
    for (int64_t p = first; any && p < parts && p * rows < i0 + tile->m; p++) {
        const rs_tensor ta = g->ta[p], tb = g->tb[p];
        int64_t lo = rs_max_i64(i0, p * rows), hi = rs_min_i64(i0 + tile->m, (p + 1) * rows);
        rs_gemm_block b = *tile;
        b.m = hi - lo;
        b.sum += (lo - i0) * TILE_N;
        if (!rs_has(ta))
            memset(b.sum, 0, (size_t)(b.m * TILE_N) * sizeof *b.sum);
        for (int64_t k0 = 0; rs_has(ta) && k0 < rs_tensor_cols(ta); k0 += t->e->block_k) {
            b.a = operand(ta, false, lo - p * rows, k0);
            b.b = operand(tb, g->trans_b, k0, j0);
            b.k = rs_min_i64(t->e->block_k, rs_tensor_cols(ta) - k0);
            b.accumulate = k0 > 0;
            t->e->run(&b);
        }
    }
    return any;
}

/* Packed blocks of A that a thread has room for: all of K, or the one in work. */
static int64_t kept_blocks(const gemm_job *t)
{
    return t->e->packed_a && t->blocks_k <= KEPT_BLOCKS ? t->blocks_k : 1;
}

/* The finish of a tile's rows. What is fetched for it is what memory holds: the residual, or y. */
static rs_gemm_end end_of(const gemm_job *t, const gemm_tile *tile, int thread)
{
    const rs_tensor y = rs_has(t->g->res) ? t->g->res : t->g->y;
    const rs_gemm_operand o = operand(y, false, tile->i0, tile->j0);
    return (rs_gemm_end){t->finish, tile, thread, o.data, o.ld * (o.bf16 ? 2 : 4)};
}

static void tile_task(void *arg, int64_t task, int thread)
{
    gemm_job *t = arg;
    const rs_gemm_args *g = t->g;
    const rs_gemm_engine *e = t->e;
    int64_t bi = task / t->blocks_n, bj = task % t->blocks_n;
    int64_t i0 = cut(t->m, e->rows(), t->blocks_m, bi), j0 = cut(t->n, e->cols(), t->blocks_n, bj);
    int64_t mb = cut(t->m, e->rows(), t->blocks_m, bi + 1) - i0;
    int64_t nb = cut(t->n, e->cols(), t->blocks_n, bj + 1) - j0;
    int64_t room = kept_blocks(t);
    bool ready = room == t->blocks_k && thread < KEPT_THREADS && t->kept[thread] == bi;
    /* Sums, work, packed blocks of A, and one more of these for terms. */
    float *sum =
        rs_scratch(t->ctx, thread,
                   TILE_M * TILE_N * sizeof(float) + e->work + (size_t)(room + 1) * e->packed_a);
    char *packed = (char *)(sum + TILE_M * TILE_N) + e->work;
    rs_gemm_block b = {.m = mb,
                       .n = nb,
                       .round = g->bf16,
                       .sum = sum,
                       .ld = TILE_N,
                       .work = sum + TILE_M * TILE_N,
                       .packed_a = packed + (size_t)room * e->packed_a};
    bool started = begin_with_terms(t, &b, i0, j0);
    const gemm_tile tile = {g, sum, i0, j0, nb, t->m / (g->parts > 0 ? g->parts : 1)};
    const rs_gemm_end end = end_of(t, &tile, thread);
    for (int64_t bk = 0; bk < t->blocks_k; bk++) {
        int64_t k0 = cut(t->k, e->unit_k, t->blocks_k, bk);
        b.a = operand(g->a, g->trans_a, i0, k0);
        b.b = operand(g->b, g->trans_b, k0, j0);
        b.k = cut(t->k, e->unit_k, t->blocks_k, bk + 1) - k0;
        b.accumulate = started || bk > 0;
        b.packed_a = packed + (size_t)(bk % room) * e->packed_a;
        b.a_ready = ready;
        b.end = bk == t->blocks_k - 1 ? &end : NULL;
        e->run(&b);
    }
    if (thread < KEPT_THREADS)
        t->kept[thread] = bi;
}

/* Smaller tiles than the cache allows where there would be too few for the threads. Bits stay. */
static void choose_tiles(gemm_job *t)
{
    int64_t want = rs_kctx_threads(t->ctx) == 1 ? 1 : TASKS_PER_THREAD * rs_kctx_threads(t->ctx);
    int64_t tile_m = TILE_M / t->e->rows() * t->e->rows();
    int64_t tile_n = TILE_N / t->e->cols() * t->e->cols();
    t->blocks_m = rs_max_i64(1, rs_ceil_div(t->m, tile_m));
    t->blocks_n = rs_max_i64(1, rs_ceil_div(t->n, tile_n));
    t->blocks_k = rs_max_i64(1, rs_ceil_div(t->k, t->e->block_k));
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
    RS_ASSERT(g->y.dtype == RS_DTYPE_F32 || (g->beta == 0 && !rs_has(g->res)));
    gemm_job t = {.ctx = k,
                  .e = rs_gemm_engine_get(g->bf16),
                  .g = g,
                  .finish = finish(),
                  .m = rs_tensor_rows(g->y),
                  .n = rs_tensor_cols(g->y),
                  .k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a)};
    choose_tiles(&t);
    for (int i = 0; i < KEPT_THREADS; i++)
        t.kept[i] = -1;
    rs_parallel(k, t.blocks_m * t.blocks_n, tile_task, &t);
}
