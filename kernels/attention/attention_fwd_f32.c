/* Forward tiles with fp32 operands; of bf16 attention on processors without bf16 products, with
 * operands that are rounded when they are packed. */
#include <math.h>
#include <string.h>

#include "kernels/attention/attention_cpu.h"

/* Queries multiplied at a time, so that their scores stay in the innermost cache. */
enum { ROWS = 64 };

/* Working memory of a task. */
typedef struct fwd_work {
    const rs_attn_queries *q;
    float *rows;   /* (chunk, d) queries */
    float *keys;   /* panels of K^T of one tile */
    float *values; /* panels of V of one tile */
    float *s;      /* (ROWS, RS_ATTN_KEYS) scores, then exp */
} fwd_work;

/* Queries [r0, r0+mb) of the chunk against keys [j0, j0+nb). */
static void fwd_tile(const rs_attn_fwd_job *t, const fwd_work *w, const float *bias, int64_t r0,
                     int64_t mb, int64_t j0, int64_t nb)
{
    const rs_micro *u = t->u;
    int64_t d = t->d;
    float *o = w->q->o + r0 * d;
    rs_micro_block(u, mb, nb, d, w->rows + r0 * d, d, 1, w->keys, u->nr * d, w->s, RS_ATTN_KEYS,
                   false);
    for (int64_t i = 0; i < mb; i++) {
        float *s = w->s + i * RS_ATTN_KEYS;
        if (j0 + nb == t->sk)
            s[nb - 1] += t->last;
        float *top = &w->q->top[r0 + i], *sum = &w->q->sum[r0 + i], add;
        float m =
            t->rows->softmax(s, bias ? bias + j0 - (r0 + i) : NULL, nb, t->a->scale, *top, &add);
        float keep = m == *top ? 1.0f : expf(*top - m);
        if (keep != 1 && j0 > 0)
            t->rows->scaled(o + i * d, o + i * d, d, keep, 0);
        *sum = *sum * keep + add;
        *top = m;
        if (t->a->bf16)
            t->rows->round(s, nb);
    }
    rs_micro_block(u, mb, d, nb, w->s, RS_ATTN_KEYS, 1, w->values, u->nr * nb, o, d, j0 > 0);
}

static void pack_tile(const rs_attn_fwd_job *t, const fwd_work *w, int64_t j0, int64_t nb)
{
    const rs_micro *u = t->u;
    int64_t d = t->d, c0 = w->q->head * d;
    u->pack_cols(w->keys, u->nr * d, rs_attn_at(t->a->k, j0, c0), t->a->k.ld, d, nb);
    u->pack_rows(w->values, u->nr * nb, rs_attn_at(t->a->v, j0, c0), t->a->v.ld, nb, d);
    if (!t->a->bf16)
        return;
    t->rows->round(w->keys, rs_micro_panels(u, nb, d));
    t->rows->round(w->values, rs_micro_panels(u, d, nb));
}

static void run(const rs_attn_fwd_job *t, const rs_attn_queries *q, rs_attn_scratch *s)
{
    const rs_attention_fwd_args *a = t->a;
    int64_t d = t->d;
    fwd_work w = {.q = q,
                  .rows = rs_attn_take(s, t->chunk * d),
                  .keys = rs_attn_take(s, rs_micro_panels(t->u, RS_ATTN_KEYS, d)),
                  .values = rs_attn_take(s, rs_micro_panels(t->u, d, RS_ATTN_KEYS)),
                  .s = rs_attn_take(s, ROWS * RS_ATTN_KEYS)};
    if (!q)
        return;
    for (int64_t i = 0; i < q->n; i++)
        memcpy(w.rows + i * d, rs_attn_at(a->q, q->i0 + i, q->head * d), (size_t)d * sizeof(float));
    if (a->bf16)
        t->rows->round(w.rows, q->n * d);
    int64_t ahead = rs_ceil_div(RS_ATTN_KEYS * ROWS, q->n); /* rows of the next tile at a time */
    /* bias + j - i with i counted from i0 */
    const float *bias = rs_has(a->bias_rel) ? rs_f32(a->bias_rel) + q->head * (t->sq + t->sk - 1) +
                                                  t->sq - 1 - q->i0
                                            : NULL;
    for (int64_t j0 = 0; j0 < t->sk; j0 += RS_ATTN_KEYS) {
        int64_t nb = rs_min_i64(RS_ATTN_KEYS, t->sk - j0);
        pack_tile(t, &w, j0, nb);
        for (int64_t r0 = 0; r0 < q->n; r0 += ROWS) {
            int64_t at = j0 + nb + r0 / ROWS * ahead;
            rs_attn_prefetch(a->k, at, ahead, q->head * d, d);
            rs_attn_prefetch(a->v, at, ahead, q->head * d, d);
            fwd_tile(t, &w, bias, r0, rs_min_i64(ROWS, q->n - r0), j0, nb);
        }
    }
}

const rs_attn_fwd_engine rs_attn_fwd_f32 = {.run = run};
