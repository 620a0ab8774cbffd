/* Forward tiles of bf16 pairs (AVX512-BF16).
 *
 * |q.k| is at most |q| times the longest key. Where that bounds a query's exponents to 2^+-60, as
 * it does wherever q and k are normalised, exponentials need no maximum: they are taken of the
 * scores as they are, in the registers that the products left them in, and nothing is ever
 * rescaled. Other queries keep a running maximum. Which of both depends on the query and the keys
 * only. */
#include "kernels/attention/attention_cpu.h"
#include "kernels/attention/exp_bf16.h"
#include "kernels/attention/rows_bf16.h"
#include "kernels/attention/tile_bf16.h"

#if defined(__x86_64__)
/* Queries multiplied at a time: their exponentials stay in the innermost cache. */
enum { ROWS = 32, KEY_PAIRS = RS_ATTN_KEYS / 2, NR = RS_PAIRS_NR, LANES = RS_ATTN_LANES };

/* Working memory of a task. */
typedef struct fwd_work {
    const rs_attn_queries *q;
    uint32_t *rows;   /* [chunk][pairs of d] queries, zeros up to the next multiple of 4 */
    uint32_t *keys;   /* panels of K^T of one tile */
    uint32_t *values; /* panels of V of one tile */
    uint32_t *p;      /* [ROWS][KEY_PAIRS] exp */
    float *s;         /* (ROWS, RS_ATTN_KEYS) scores */
    float *lanes;     /* (chunk, LANES) sums of bounded queries */
    float *bounded;   /* (chunk) 1 or 0 */
    const float *bias;
    int64_t j0, nb; /* the tile's keys */
    float last;     /* bonus of its last one */
} fwd_work;

static int64_t padded(int64_t rows)
{
    return rs_ceil_div(rows, RS_ATTN_TILE) * RS_ATTN_TILE;
}

/* Where the exponentials of queries r.. at the tile's keys from j on go: rows i.. of p. */
static rs_attn_exp exp_of(const rs_attn_fwd_job *t, const fwd_work *w, int64_t r, int64_t i,
                          int64_t j)
{
    return (rs_attn_exp){.p = w->p + i * KEY_PAIRS + j / 2,
                         .p_row = KEY_PAIRS,
                         .lanes = w->lanes + r * LANES,
                         .span = {w->nb - j, w->last},
                         .scale = t->a->scale};
}

/* Lengths as rounding may leave them: 2^-9 more for each value. */
static void find_bounded(const rs_attn_fwd_job *t, const fwd_work *w)
{
    const rs_attention_fwd_args *a = t->a;
    int64_t c0 = w->q->head * t->d;
    float most = rs_attn_longest(rs_attn_at(a->k, 0, c0), a->k.ld, t->sk, t->d);
    float f = 1.01f * fabsf(a->scale) * RS_ATTN_LOG2E, room = RS_ATTN_MOST;
    room -= fabsf(t->last * a->scale) * RS_ATTN_LOG2E;
    for (int64_t i = 0; i < w->q->n; i++) {
        float q = rs_attn_longest(rs_attn_at(a->q, w->q->i0 + i, c0), a->q.ld, 1, t->d);
        float bound = f * sqrtf(q) * sqrtf(most);
        w->bounded[i] = !w->bias && bound <= room;
    }
}

static bool all_bounded(const fwd_work *w, int64_t r0, int64_t mb)
{
    bool all = true;
    for (int64_t i = r0; i < r0 + mb; i++)
        all = all && w->bounded[i] != 0;
    return all;
}

/* P of query r, whose scores are in row i. */
static void exp_row(const rs_attn_fwd_job *t, const fwd_work *w, int64_t r, int64_t i)
{
    uint32_t *p = w->p + i * KEY_PAIRS;
    float *s = w->s + i * RS_ATTN_KEYS;
    if (w->bounded[r] != 0) {
        for (int64_t j = 0; j < w->nb; j += NR) {
            rs_attn_exp x = exp_of(t, w, r, i, j);
            if (x.span.n > NR)
                x.span = (rs_attn_span){NR, 0};
            rs_attn_row_exp(&x, s + j);
        }
        return;
    }
    s[w->nb - 1] += w->last;
    rs_attn_scores x = {.s = s, .n = w->nb, .scale = t->a->scale};
    x.bias = w->bias ? w->bias + w->j0 - r : NULL;
    float keep, *o = w->q->o + r * t->d;
    rs_attn_softmax_bf16(p, &x, w->q->top + r, &keep, w->q->sum + r);
    if (w->j0 > 0 && keep != 1)
        t->rows->scaled(o, o, t->d, keep, 0);
}

/* Queries [r0, r0+mb) of the chunk against the tile's keys. */
static void fwd_tile(const rs_attn_fwd_job *t, const fwd_work *w, int64_t r0, int64_t mb)
{
    int64_t d = t->d, pairs = rs_pairs_of(d);
    if (all_bounded(w, r0, mb)) {
        rs_attn_exp x = exp_of(t, w, r0, 0, 0);
        rs_attn_exps(&x, w->rows + r0 * pairs, padded(mb), w->keys, pairs);
    } else {
        rs_pairs_block(mb, w->nb, pairs, (rs_pairs_a){w->rows + r0 * pairs, pairs, 1}, w->keys,
                       w->s, RS_ATTN_KEYS, false);
        for (int64_t i = 0; i < mb; i++)
            exp_row(t, w, r0 + i, i);
    }
    rs_pairs_block(mb, d, rs_pairs_of(w->nb), (rs_pairs_a){w->p, KEY_PAIRS, 1}, w->values,
                   w->q->o + r0 * d, d, w->j0 > 0);
}

static void carve(fwd_work *w, const rs_attn_fwd_job *t, rs_attn_scratch *s)
{
    int64_t d = t->d;
    w->rows = rs_attn_take_words(s, padded(t->chunk) * rs_pairs_of(d));
    w->keys = rs_attn_take_words(s, rs_pairs_panels(RS_ATTN_KEYS, d));
    w->values = rs_attn_take_words(s, rs_pairs_panels(d, RS_ATTN_KEYS));
    w->p = rs_attn_take_words(s, ROWS * KEY_PAIRS);
    w->s = rs_attn_take(s, ROWS * RS_ATTN_KEYS);
    w->lanes = rs_attn_take(s, padded(t->chunk) * LANES);
    w->bounded = rs_attn_take(s, t->chunk);
}

static void begin(const rs_attn_fwd_job *t, fwd_work *w)
{
    const rs_attention_fwd_args *a = t->a;
    const rs_attn_queries *q = w->q;
    int64_t pairs = rs_pairs_of(t->d), rows = padded(q->n);
    rs_pairs_pack_a(w->rows, rs_attn_at(a->q, q->i0, q->head * t->d), a->q.ld, q->n, t->d);
    memset(w->rows + q->n * pairs, 0, (size_t)((rows - q->n) * pairs) * sizeof *w->rows);
    memset(w->lanes, 0, (size_t)(rows * LANES) * sizeof *w->lanes);
    /* bias + j - i with i counted from i0 */
    if (rs_has(a->bias_rel))
        w->bias = rs_f32(a->bias_rel) + q->head * (t->sq + t->sk - 1) + t->sq - 1 - q->i0;
    find_bounded(t, w);
}

static void run(const rs_attn_fwd_job *t, const rs_attn_queries *q, rs_attn_scratch *s)
{
    const rs_attention_fwd_args *a = t->a;
    int64_t d = t->d;
    fwd_work w = {.q = q};
    carve(&w, t, s);
    if (!q)
        return;
    int64_t c0 = q->head * d, ahead = rs_ceil_div(RS_ATTN_KEYS * ROWS, q->n);
    begin(t, &w);
    for (w.j0 = 0; w.j0 < t->sk; w.j0 += RS_ATTN_KEYS) {
        w.nb = rs_min_i64(RS_ATTN_KEYS, t->sk - w.j0);
        w.last = w.j0 + w.nb == t->sk ? t->last : 0.0f;
        rs_pairs_pack_cols(w.keys, rs_attn_at(a->k, w.j0, c0), a->k.ld, d, w.nb);
        rs_pairs_pack_rows(w.values, rs_attn_at(a->v, w.j0, c0), a->v.ld, w.nb, d);
        for (int64_t r0 = 0; r0 < q->n; r0 += ROWS) {
            int64_t at = w.j0 + w.nb + r0 / ROWS * ahead;
            rs_attn_prefetch(a->k, at, ahead, c0, d);
            rs_attn_prefetch(a->v, at, ahead, c0, d);
            fwd_tile(t, &w, r0, rs_min_i64(ROWS, q->n - r0));
        }
    }
    for (int64_t i = 0; i < q->n; i++)
        if (w.bounded[i] != 0) {
            q->top[i] = 0;
            q->sum[i] = rs_attn_lanes_sum(w.lanes + i * LANES);
        }
}

const rs_attn_fwd_engine rs_attn_fwd_bf16 = {.run = run};
#endif
