/* fp32 products. Rows of A are read in place where they are fp32 already; everything else is
 * widened while it is brought together. */
#include "base/num.h"
#include "kernels/cpu/cpu_info.h"
#include "kernels/gemm/block.h"
#include "kernels/gemm/micro.h"

/* STAGE_ROWS: rows of a panel that are widened before they are packed; at least any nr. */
enum { BLOCK_K = 384, STAGE_ROWS = 48, STAGE_K = 8 };

typedef struct f32_work {
    float *panels, *a, *stage;
} f32_work;

static f32_work split(void *work)
{
    f32_work w = {.panels = work};
    w.a = w.panels + RS_GEMM_TILE_N * BLOCK_K;
    w.stage = w.a + RS_GEMM_TILE_M * BLOCK_K;
    return w;
}

static bool plain(const rs_gemm_operand *o, bool round)
{
    return !o->bf16 && !round;
}

/* (n,k) -> panels. */
static void pack_b_cols(const rs_micro *u, const rs_gemm_block *t, const f32_work *w)
{
    for (int64_t j = 0; j < t->n; j += u->nr) {
        int64_t cols = rs_min_i64(u->nr, t->n - j);
        for (int64_t c = 0; c < cols; c++)
            u->widen(w->stage + c * t->k, rs_gemm_at(&t->b, j + c, 0), t->b.bf16, t->round, t->k);
        u->pack_cols(w->panels + j * t->k, u->nr * t->k, w->stage, t->k, t->k, cols);
    }
}

/* (k,n) -> panels. */
static void pack_b_rows(const rs_micro *u, const rs_gemm_block *t, const f32_work *w)
{
    for (int64_t p = 0; p < t->k; p += STAGE_K) {
        int64_t rows = rs_min_i64(STAGE_K, t->k - p);
        for (int64_t r = 0; r < rows; r++)
            u->widen(w->stage + r * t->n, rs_gemm_at(&t->b, p + r, 0), t->b.bf16, t->round, t->n);
        u->pack_rows(w->panels + p * u->nr, u->nr * t->k, w->stage, t->n, rows, t->n);
    }
}

static void pack_b(const rs_micro *u, const rs_gemm_block *t, const f32_work *w)
{
    if (!plain(&t->b, t->round))
        (t->b.trans ? pack_b_cols : pack_b_rows)(u, t, w);
    else
        (t->b.trans ? u->pack_cols : u->pack_rows)(w->panels, u->nr * t->k, t->b.data, t->b.ld,
                                                   t->k, t->n);
}

/* (k,m) -> [m/mr][k][mr], so that rows of a panel lie together. */
static void pack_a_cols(const rs_micro *u, const rs_gemm_block *t, const f32_work *w)
{
    for (int64_t p = 0; p < t->k; p++) {
        u->widen(w->stage, rs_gemm_at(&t->a, p, 0), t->a.bf16, t->round, t->m);
        for (int64_t i = 0; i < t->m; i += u->mr) {
            float *dst = w->a + i * t->k + p * u->mr;
            for (int64_t r = 0; r < rs_min_i64(u->mr, t->m - i); r++)
                dst[r] = w->stage[i + r];
        }
    }
}

static void multiply(const rs_gemm_block *t)
{
    const rs_micro *u = rs_micro_get();
    const f32_work w = split(t->work);
    const float *a = t->a.data;
    int64_t lda = t->a.ld;
    pack_b(u, t, &w);
    if (t->a.trans) {
        pack_a_cols(u, t, &w);
        for (int64_t j = 0; j < t->n; j += u->nr)
            for (int64_t i = 0; i < t->m; i += u->mr)
                u->tile(t->k, w.a + i * t->k, 1, u->mr, w.panels + j * t->k, t->sum + i * t->ld + j,
                        t->ld, rs_min_i64(u->mr, t->m - i), rs_min_i64(u->nr, t->n - j),
                        t->accumulate);
        return;
    }
    if (!plain(&t->a, t->round)) {
        for (int64_t i = 0; i < t->m; i++)
            u->widen(w.a + i * t->k, rs_gemm_at(&t->a, i, 0), t->a.bf16, t->round, t->k);
        a = w.a;
        lda = t->k;
    }
    rs_micro_block(u, t->m, t->n, t->k, a, lda, 1, w.panels, u->nr * t->k, t->sum, t->ld,
                   t->accumulate);
}

static void run(const rs_gemm_block *t)
{
    multiply(t);
    if (t->end)
        t->end->finish(t->end->args, 0, t->m, t->end->thread);
}

static const char *name(void)
{
    return rs_micro_get()->name;
}

static int rows(void)
{
    return rs_micro_get()->mr;
}

static int cols(void)
{
    return rs_micro_get()->nr;
}

const rs_gemm_engine rs_gemm_engine_f32 = {
    .name = name,
    .rows = rows,
    .cols = cols,
    .block_k = BLOCK_K,
    .unit_k = 1,
    .work = ((RS_GEMM_TILE_M + RS_GEMM_TILE_N) * BLOCK_K + STAGE_ROWS * BLOCK_K) * sizeof(float),
    .run = run,
};

_Static_assert(STAGE_ROWS *BLOCK_K >= STAGE_K * RS_GEMM_TILE_N, "stage of pack_b_rows");
_Static_assert(STAGE_ROWS *BLOCK_K >= RS_GEMM_TILE_M, "stage of pack_a_cols");

const rs_gemm_engine *rs_gemm_engine_get(bool bf16)
{
    return bf16 && rs_cpu_bf16() ? &rs_gemm_engine_bf16 : &rs_gemm_engine_f32;
}
