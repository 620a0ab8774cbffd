/* Attention forward on the CPU, flash style (Dao et al., 2022): a task owns some queries of one
 * head and walks over the keys in tiles, keeping for each query the running maximum m, the sum l =
 * sum exp(s - m) and O = sum exp(s - m) v; when m grows, l and O are scaled by exp(m_old - m_new).
 * A query's bits depend on its own row and on all keys only, so the number of queries per task is
 * free. */
#include <math.h>
#include <string.h>

#include "kernels/attention/attention_cpu.h"

/* CHUNK queries share one packing of a key tile; ROWS of them are multiplied at a time, so that
 * their scores stay in the innermost cache. */
enum { CHUNK = 512, MIN_CHUNK = 64, ROWS = 64, TASKS_PER_THREAD = 4 };

typedef struct fwd_job {
    rs_kctx *ctx;
    const rs_micro *u;
    const rs_attn_rows *rows;
    const rs_attention_fwd_args *a;
    int64_t sq, sk, d;
    int64_t chunk, chunks;
    float last; /* bonus of the last key */
} fwd_job;

/* Working memory of a task. */
typedef struct fwd_work {
    float *q;      /* (chunk, d) */
    float *o;      /* (chunk, d), not yet divided by sum */
    float *top;    /* (chunk) running maximum */
    float *sum;    /* (chunk) */
    float *keys;   /* panels of K^T of one tile */
    float *values; /* panels of V of one tile */
    float *s;      /* (ROWS, RS_ATTN_KEYS) scores, then exp */
} fwd_work;

static size_t carve(fwd_work *w, const fwd_job *t, void *base)
{
    rs_attn_scratch s = {.base = base};
    w->q = rs_attn_take(&s, t->chunk * t->d);
    w->o = rs_attn_take(&s, t->chunk * t->d);
    w->top = rs_attn_take(&s, t->chunk);
    w->sum = rs_attn_take(&s, t->chunk);
    w->keys = rs_attn_take(&s, rs_micro_panels(t->u, RS_ATTN_KEYS, t->d));
    w->values = rs_attn_take(&s, rs_micro_panels(t->u, t->d, RS_ATTN_KEYS));
    w->s = rs_attn_take(&s, ROWS * RS_ATTN_KEYS);
    return (size_t)s.used * sizeof(float);
}

/* Queries [r0, r0+mb) of the chunk against keys [j0, j0+nb). */
static void fwd_tile(const fwd_job *t, const fwd_work *w, const float *bias, int64_t r0, int64_t mb,
                     int64_t j0, int64_t nb)
{
    const rs_micro *u = t->u;
    int64_t d = t->d;
    float *o = w->o + r0 * d;
    rs_micro_block(u, mb, nb, d, w->q + r0 * d, d, 1, w->keys, u->nr * d, w->s, RS_ATTN_KEYS,
                   false);
    for (int64_t i = 0; i < mb; i++) {
        if (j0 + nb == t->sk)
            w->s[i * RS_ATTN_KEYS + nb - 1] += t->last;
        float *top = &w->top[r0 + i], *sum = &w->sum[r0 + i], add;
        float m = t->rows->softmax(w->s + i * RS_ATTN_KEYS, bias ? bias + j0 - (r0 + i) : NULL, nb,
                                   t->a->scale, *top, &add);
        float keep = m == *top ? 1.0f : expf(*top - m);
        if (keep != 1 && j0 > 0)
            t->rows->scaled(o + i * d, o + i * d, d, keep, 0);
        *sum = *sum * keep + add;
        *top = m;
    }
    rs_micro_block(u, mb, d, nb, w->s, RS_ATTN_KEYS, 1, w->values, u->nr * nb, o, d, j0 > 0);
}

static void finish(const fwd_job *t, const fwd_work *w, int64_t head, int64_t i0, int64_t n)
{
    const rs_attention_fwd_args *a = t->a;
    float *lse = rs_has(a->lse) ? rs_f32(a->lse) + head * a->lse.ld + i0 : NULL;
    for (int64_t i = 0; i < n; i++) {
        t->rows->scaled(rs_attn_at(a->o, i0 + i, head * t->d), w->o + i * t->d, t->d,
                        1.0f / w->sum[i], a->o_accumulate);
        if (lse)
            lse[i] = (float)((double)w->top[i] + log((double)w->sum[i]));
    }
}

static void fwd_task(void *arg, int64_t task, int thread)
{
    const fwd_job *t = arg;
    const rs_attention_fwd_args *a = t->a;
    const rs_micro *u = t->u;
    int64_t head = task / t->chunks, i0 = task % t->chunks * t->chunk, d = t->d, c0 = head * d;
    int64_t n = rs_min_i64(t->chunk, t->sq - i0);
    fwd_work w;
    carve(&w, t, rs_scratch(t->ctx, thread, carve(&w, t, NULL)));
    for (int64_t i = 0; i < n; i++) {
        memcpy(w.q + i * d, rs_attn_at(a->q, i0 + i, c0), (size_t)d * sizeof(float));
        w.top[i] = -INFINITY;
        w.sum[i] = 0;
    }
    /* bias + j - i with i counted from i0 */
    const float *bias = rs_has(a->bias_rel)
                            ? rs_f32(a->bias_rel) + head * (t->sq + t->sk - 1) + t->sq - 1 - i0
                            : NULL;
    for (int64_t j0 = 0; j0 < t->sk; j0 += RS_ATTN_KEYS) {
        int64_t nb = rs_min_i64(RS_ATTN_KEYS, t->sk - j0);
        u->pack_cols(w.keys, u->nr * d, rs_attn_at(a->k, j0, c0), a->k.ld, d, nb);
        u->pack_rows(w.values, u->nr * nb, rs_attn_at(a->v, j0, c0), a->v.ld, nb, d);
        for (int64_t r0 = 0; r0 < n; r0 += ROWS)
            fwd_tile(t, &w, bias, r0, rs_min_i64(ROWS, n - r0), j0, nb);
    }
    finish(t, &w, head, i0, n);
}

void rs_cpu_attention_fwd(rs_kctx *k, const rs_attention_fwd_args *a)
{
    fwd_job t = {.ctx = k,
                 .u = rs_micro_get(),
                 .rows = rs_attn_rows_get(),
                 .a = a,
                 .sq = rs_tensor_rows(a->q),
                 .sk = rs_tensor_rows(a->k),
                 .d = rs_tensor_cols(a->q) / a->heads,
                 .chunk = CHUNK,
                 .last = rs_attn_last_bonus(a->last_key_count, a->scale)};
    int64_t want = TASKS_PER_THREAD * rs_kctx_threads(k);
    while (t.chunk > MIN_CHUNK && rs_kctx_threads(k) > 1 &&
           a->heads * rs_ceil_div(t.sq, t.chunk) < want)
        t.chunk /= 2;
    t.chunks = rs_ceil_div(t.sq, t.chunk);
    rs_parallel(k, a->heads * t.chunks, fwd_task, &t);
}
