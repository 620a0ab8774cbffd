/* Forward tiles of bf16 pairs (AVX512-BF16). */
#include "kernels/attention/attention_cpu.h"
#include "kernels/attention/rows_bf16.h"
#include "kernels/cpu/pairs.h"

#if defined(__x86_64__)
/* Queries multiplied at a time: their scores stay in the innermost cache. */
enum { ROWS = 32, KEY_PAIRS = RS_ATTN_KEYS / 2 };

/* Working memory of a task. */
typedef struct fwd_work {
    const rs_attn_queries *q;
    uint32_t *rows;   /* [chunk][pairs of d] queries */
    uint32_t *keys;   /* panels of K^T of one tile */
    uint32_t *values; /* panels of V of one tile */
    uint32_t *p;      /* [ROWS][KEY_PAIRS] exp */
    float *s;         /* (ROWS, RS_ATTN_KEYS) scores */
} fwd_work;

/* Queries [r0, r0+mb) of the chunk against keys [j0, j0+nb). */
static void fwd_tile(const rs_attn_fwd_job *t, const fwd_work *w, const float *bias, int64_t r0,
                     int64_t mb, int64_t j0, int64_t nb)
{
    int64_t d = t->d, pairs = rs_pairs_of(d);
    float *o = w->q->o + r0 * d;
    rs_pairs_block(mb, nb, pairs, (rs_pairs_a){w->rows + r0 * pairs, pairs, 1}, w->keys, w->s,
                   RS_ATTN_KEYS, false);
    for (int64_t i = 0; j0 + nb == t->sk && t->last != 0 && i < mb; i++)
        w->s[i * RS_ATTN_KEYS + nb - 1] += t->last;
    rs_attn_scores x = {.s = w->s,
                        .ld = RS_ATTN_KEYS,
                        .rows = mb,
                        .n = nb,
                        .bias = bias ? bias + j0 - r0 : NULL,
                        .scale = t->a->scale};
    float keep[ROWS];
    rs_attn_softmax_bf16(w->p, &x, w->q->top + r0, keep, w->q->sum + r0);
    for (int64_t i = 0; j0 > 0 && i < mb; i++)
        if (keep[i] != 1)
            t->rows->scaled(o + i * d, o + i * d, d, keep[i], 0);
    rs_pairs_block(mb, d, rs_pairs_of(nb), (rs_pairs_a){w->p, KEY_PAIRS, 1}, w->values, o, d,
                   j0 > 0);
}

static void run(const rs_attn_fwd_job *t, const rs_attn_queries *q, rs_attn_scratch *s)
{
    const rs_attention_fwd_args *a = t->a;
    int64_t d = t->d;
    fwd_work w = {.q = q,
                  .rows = rs_attn_take_words(s, t->chunk * rs_pairs_of(d)),
                  .keys = rs_attn_take_words(s, rs_pairs_panels(RS_ATTN_KEYS, d)),
                  .values = rs_attn_take_words(s, rs_pairs_panels(d, RS_ATTN_KEYS)),
                  .p = rs_attn_take_words(s, ROWS * KEY_PAIRS),
                  .s = rs_attn_take(s, ROWS * RS_ATTN_KEYS)};
    if (!q)
        return;
    int64_t c0 = q->head * d, ahead = rs_ceil_div(RS_ATTN_KEYS * ROWS, q->n);
    rs_pairs_pack_a(w.rows, rs_attn_at(a->q, q->i0, c0), a->q.ld, q->n, d);
    /* bias + j - i with i counted from i0 */
    const float *bias = rs_has(a->bias_rel) ? rs_f32(a->bias_rel) + q->head * (t->sq + t->sk - 1) +
                                                  t->sq - 1 - q->i0
                                            : NULL;
    for (int64_t j0 = 0; j0 < t->sk; j0 += RS_ATTN_KEYS) {
        int64_t nb = rs_min_i64(RS_ATTN_KEYS, t->sk - j0);
        rs_pairs_pack_cols(w.keys, rs_attn_at(a->k, j0, c0), a->k.ld, d, nb);
        rs_pairs_pack_rows(w.values, rs_attn_at(a->v, j0, c0), a->v.ld, nb, d);
        for (int64_t r0 = 0; r0 < q->n; r0 += ROWS) {
            int64_t at = j0 + nb + r0 / ROWS * ahead;
            rs_attn_prefetch(a->k, at, ahead, c0, d);
            rs_attn_prefetch(a->v, at, ahead, c0, d);
            fwd_tile(t, &w, bias, r0, rs_min_i64(ROWS, q->n - r0), j0, nb);
        }
    }
}

const rs_attn_fwd_engine rs_attn_fwd_bf16 = {.run = run};
#endif
