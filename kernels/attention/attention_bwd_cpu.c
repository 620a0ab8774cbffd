/* Attention backward on the CPU, flash style: P is made again from q, k and lse, one tile at a
 * time.
 *
 * For each key tile all queries are walked over: dK and dV of the tile are summed privately, dS K
 * is added to dQ. The tiles of a head form up to GROUPS groups, whose dQ are formed apart and added
 * in order. A task does a whole head, or one group of it where there are few heads for the threads:
 * bits depend on the numbers of queries and keys only, not on the threads or the number of heads.
 */
#include <string.h>

#include "kernels/attention/attention_cpu.h"

enum { ROWS = 96, GROUPS = 4, HEADS_PER_THREAD = 4 };

typedef struct bwd_job {
    rs_kctx *ctx;
    const rs_micro *u;
    const rs_attn_rows *rows;
    const rs_attention_bwd_args *a;
    int64_t sq, sk, d;
    int64_t tiles;  /* of keys */
    int64_t groups; /* per head */
    bool split;     /* a task per group instead of per head */
    float last;     /* bonus of the last key */
    float *parts;   /* if split: dQ of groups 1.. of every head: (heads, groups - 1, sq, d) */
} bwd_job;

/* Working memory of a task. */
typedef struct bwd_work {
    float *keys;     /* panels of K^T */
    float *values;   /* panels of V^T */
    float *key_rows; /* panels of K */
    float *dk, *dv;  /* (keys, d) */
    float *q, *d_o;  /* (ROWS, d) copies */
    float *q_rows;   /* panels of Q and dO of ROWS queries */
    float *do_rows;
    float *s, *dp; /* (ROWS, RS_ATTN_KEYS): P, dS */
    float *delta;  /* (sq) rowsum(dO*O) of the head */
    float *part;   /* unless split: (sq, d) dQ of a group behind the first */
} bwd_work;

static size_t carve(bwd_work *w, const bwd_job *t, void *base)
{
    rs_attn_scratch s = {.base = base};
    const rs_micro *u = t->u;
    w->keys = rs_attn_take(&s, rs_micro_panels(u, RS_ATTN_KEYS, t->d));
    w->values = rs_attn_take(&s, rs_micro_panels(u, RS_ATTN_KEYS, t->d));
    w->key_rows = rs_attn_take(&s, rs_micro_panels(u, t->d, RS_ATTN_KEYS));
    w->dk = rs_attn_take(&s, RS_ATTN_KEYS * t->d);
    w->dv = rs_attn_take(&s, RS_ATTN_KEYS * t->d);
    w->q = rs_attn_take(&s, ROWS * t->d);
    w->d_o = rs_attn_take(&s, ROWS * t->d);
    w->q_rows = rs_attn_take(&s, rs_micro_panels(u, t->d, ROWS));
    w->do_rows = rs_attn_take(&s, rs_micro_panels(u, t->d, ROWS));
    w->s = rs_attn_take(&s, ROWS * RS_ATTN_KEYS);
    w->dp = rs_attn_take(&s, ROWS * RS_ATTN_KEYS);
    w->delta = rs_attn_take(&s, t->sq);
    w->part = rs_attn_take(&s, t->split || t->groups == 1 ? 0 : t->sq * t->d);
    return (size_t)s.used * sizeof(float);
}

/* Where a group adds its dQ: the first in place, the others in their part. */
typedef struct dq_target {
    float *data;
    int64_t ld;
    bool add; /* to what is there, from the first tile on */
} dq_target;

static dq_target target_of(const bwd_job *t, const bwd_work *w, int64_t head, int64_t group)
{
    if (group == 0)
        return (dq_target){rs_f32(t->a->dq) + head * t->d, t->a->dq.ld, t->a->dq_accumulate};
    float *part =
        t->split ? t->parts + (head * (t->groups - 1) + group - 1) * t->sq * t->d : w->part;
    return (dq_target){part, t->d, false};
}

static void copy_rows(float *dst, rs_tensor t, int64_t r0, int64_t n, int64_t c0, int64_t d)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(dst + i * d, rs_attn_at(t, r0 + i, c0), (size_t)d * sizeof(float));
}

/* Rows that the next block will read, on their way from memory while this one computes. */
static void prefetch_rows(rs_tensor t, int64_t r0, int64_t rows, int64_t c0, int64_t d)
{
    for (int64_t i = r0; i < rs_min_i64(r0 + ROWS, rows); i++)
        for (int64_t c = 0; c < d; c += 16)
            __builtin_prefetch(rs_attn_at(t, i, c0 + c), 0, 2);
}

/* Queries [i0, i0+mb) against the packed tile of nb keys. */
static void bwd_tile(const bwd_job *t, const bwd_work *w, const float *lse, int64_t c0, int64_t i0,
                     int64_t mb, int64_t nb, float last, dq_target dq, bool first_tile)
{
    const rs_micro *u = t->u;
    const int64_t d = t->d, ld = RS_ATTN_KEYS;
    copy_rows(w->q, t->a->q, i0, mb, c0, d);
    copy_rows(w->d_o, t->a->d_o, i0, mb, c0, d);
    rs_micro_block(u, mb, nb, d, w->q, d, 1, w->keys, u->nr * d, w->s, ld, false);
    rs_micro_block(u, mb, nb, d, w->d_o, d, 1, w->values, u->nr * d, w->dp, ld, false);
    for (int64_t i = 0; i < mb; i++) {
        w->s[i * ld + nb - 1] += last;
        t->rows->gradient(w->s + i * ld, w->dp + i * ld, nb, t->a->scale, lse[i0 + i],
                          w->delta[i0 + i]);
    }
    rs_micro_block(u, mb, d, nb, w->dp, ld, 1, w->key_rows, u->nr * nb, dq.data + i0 * dq.ld, dq.ld,
                   dq.add || !first_tile);
    if (!rs_has(t->a->dk))
        return;
    u->pack_rows(w->q_rows, u->nr * mb, w->q, d, mb, d);
    u->pack_rows(w->do_rows, u->nr * mb, w->d_o, d, mb, d);
    rs_micro_block(u, nb, d, mb, w->dp, 1, ld, w->q_rows, u->nr * mb, w->dk, d, i0 > 0);
    rs_micro_block(u, nb, d, mb, w->s, 1, ld, w->do_rows, u->nr * mb, w->dv, d, i0 > 0);
}

/* The key tiles of one group, with the head's delta in w. */
static void bwd_group(const bwd_job *t, const bwd_work *w, int64_t head, int64_t group)
{
    const rs_attention_bwd_args *a = t->a;
    const rs_micro *u = t->u;
    int64_t d = t->d, c0 = head * d;
    int64_t first = t->tiles * group / t->groups, last = t->tiles * (group + 1) / t->groups;
    const float *lse = rs_f32(a->lse) + head * a->lse.ld;
    dq_target dq = target_of(t, w, head, group);
    for (int64_t tile = first; tile < last; tile++) {
        int64_t j0 = tile * RS_ATTN_KEYS, nb = rs_min_i64(RS_ATTN_KEYS, t->sk - j0);
        const float *k = rs_attn_at(a->k, j0, c0), *v = rs_attn_at(a->v, j0, c0);
        u->pack_cols(w->keys, u->nr * d, k, a->k.ld, d, nb);
        u->pack_cols(w->values, u->nr * d, v, a->v.ld, d, nb);
        u->pack_rows(w->key_rows, u->nr * nb, k, a->k.ld, nb, d);
        for (int64_t i0 = 0; i0 < t->sq; i0 += ROWS) {
            prefetch_rows(a->q, i0 + ROWS, t->sq, c0, d);
            prefetch_rows(a->d_o, i0 + ROWS, t->sq, c0, d);
            bwd_tile(t, w, lse, c0, i0, rs_min_i64(ROWS, t->sq - i0), nb,
                     tile == t->tiles - 1 ? t->last : 0.0f, dq, tile == first);
        }
        for (int64_t j = 0; rs_has(a->dk) && j < nb; j++) {
            memcpy(rs_attn_at(a->dk, j0 + j, c0), w->dk + j * d, (size_t)d * sizeof(float));
            memcpy(rs_attn_at(a->dv, j0 + j, c0), w->dv + j * d, (size_t)d * sizeof(float));
        }
    }
}

/* Queries [i0, i1) of the head: dQ += that of the group. */
static void add_part(const bwd_job *t, const bwd_work *w, int64_t head, int64_t group, int64_t i0,
                     int64_t i1)
{
    dq_target part = target_of(t, w, head, group);
    for (int64_t i = i0; i < i1; i++)
        t->rows->scaled(rs_attn_at(t->a->dq, i, head * t->d), part.data + i * part.ld, t->d, 1, 1);
}

static void bwd_task(void *arg, int64_t task, int thread)
{
    const bwd_job *t = arg;
    int64_t head = t->split ? task / t->groups : task, c0 = head * t->d;
    bwd_work w;
    carve(&w, t, rs_scratch(t->ctx, thread, carve(&w, t, NULL)));
    for (int64_t i = 0; i < t->sq; i++)
        w.delta[i] = t->rows->dot(rs_attn_at(t->a->d_o, i, c0), rs_attn_at(t->a->o, i, c0), t->d);
    if (t->split) {
        bwd_group(t, &w, head, task % t->groups);
        return;
    }
    for (int64_t g = 0; g < t->groups; g++) {
        bwd_group(t, &w, head, g);
        if (g > 0)
            add_part(t, &w, head, g, 0, t->sq);
    }
}

/* If split: dQ of the other groups, in order. Task: ROWS queries of one head. */
static void add_parts(void *arg, int64_t task, int thread)
{
    (void)thread;
    const bwd_job *t = arg;
    int64_t blocks = rs_ceil_div(t->sq, ROWS), head = task / blocks, i0 = task % blocks * ROWS;
    for (int64_t g = 1; g < t->groups; g++)
        add_part(t, NULL, head, g, i0, rs_min_i64(i0 + ROWS, t->sq));
}

void rs_cpu_attention_bwd(rs_kctx *k, const rs_attention_bwd_args *a)
{
    bwd_job t = {.ctx = k,
                 .u = rs_micro_get(),
                 .rows = rs_attn_rows_get(),
                 .a = a,
                 .sq = rs_tensor_rows(a->q),
                 .sk = rs_tensor_rows(a->k),
                 .d = rs_tensor_cols(a->q) / a->heads,
                 .last = rs_attn_last_bonus(a->last_key_count, a->scale)};
    t.tiles = rs_ceil_div(t.sk, RS_ATTN_KEYS);
    t.groups = rs_min_i64(t.tiles, GROUPS);
    int threads = rs_kctx_threads(k);
    t.split = threads > 1 && t.groups > 1 && a->heads < HEADS_PER_THREAD * threads;
    if (!t.split) {
        rs_parallel(k, a->heads, bwd_task, &t);
        return;
    }
    /* Thread 0's scratch holds its working memory first, then the parts of dQ. */
    bwd_work w;
    size_t own = carve(&w, &t, NULL);
    int64_t parts = a->heads * (t.groups - 1) * t.sq * t.d;
    char *memory = rs_scratch(k, 0, own + (size_t)parts * sizeof(float));
    t.parts = (float *)(void *)(memory + own);
    rs_parallel(k, a->heads * t.groups, bwd_task, &t);
    rs_parallel(k, a->heads * rs_ceil_div(t.sq, ROWS), add_parts, &t);
}
