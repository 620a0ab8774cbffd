/* Backward tiles with fp32 operands; of bf16 attention on processors without bf16 products, with
 * operands that are rounded when they are packed. */
#include <string.h>

#include "kernels/attention/attention_cpu.h"

enum { ROWS = 96 };

/* Working memory. */
typedef struct bwd_work {
    const rs_attn_tiles *tiles;
    float *keys;     /* panels of K^T */
    float *values;   /* panels of V^T */
    float *key_rows; /* panels of K */
    float *dk, *dv;  /* (keys, d) */
    float *q, *d_o;  /* (ROWS, d) copies */
    float *q_rows;   /* panels of Q and dO of ROWS queries */
    float *do_rows;
    float *s, *dp; /* (ROWS, RS_ATTN_KEYS): P, dS */
} bwd_work;

static void carve(bwd_work *w, const rs_attn_bwd_job *t, rs_attn_scratch *s)
{
    const rs_micro *u = t->u;
    w->keys = rs_attn_take(s, rs_micro_panels(u, RS_ATTN_KEYS, t->d));
    w->values = rs_attn_take(s, rs_micro_panels(u, RS_ATTN_KEYS, t->d));
    w->key_rows = rs_attn_take(s, rs_micro_panels(u, t->d, RS_ATTN_KEYS));
    w->dk = rs_attn_take(s, RS_ATTN_KEYS * t->d);
    w->dv = rs_attn_take(s, RS_ATTN_KEYS * t->d);
    w->q = rs_attn_take(s, ROWS * t->d);
    w->d_o = rs_attn_take(s, ROWS * t->d);
    w->q_rows = rs_attn_take(s, rs_micro_panels(u, t->d, ROWS));
    w->do_rows = rs_attn_take(s, rs_micro_panels(u, t->d, ROWS));
    w->s = rs_attn_take(s, ROWS * RS_ATTN_KEYS);
    w->dp = rs_attn_take(s, ROWS * RS_ATTN_KEYS);
}

static void copy_rows(const rs_attn_bwd_job *t, float *dst, rs_tensor x, int64_t r0, int64_t n,
                      int64_t c0)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(dst + i * t->d, rs_attn_at(x, r0 + i, c0), (size_t)t->d * sizeof(float));
    if (t->a->bf16)
        t->rows->round(dst, n * t->d);
}

/* Queries [i0, i0+mb) against the packed tile of nb keys. */
static void bwd_tile(const rs_attn_bwd_job *t, const bwd_work *w, int64_t i0, int64_t mb,
                     int64_t nb, float last, bool first_tile)
{
    const rs_micro *u = t->u;
    const int64_t d = t->d, ld = RS_ATTN_KEYS, head = w->tiles->head;
    const float *lse = rs_f32(t->a->lse) + head * t->a->lse.ld + i0;
    rs_attn_target dq = w->tiles->dq;
    copy_rows(t, w->q, t->a->q, i0, mb, head * d);
    copy_rows(t, w->d_o, t->a->d_o, i0, mb, head * d);
    rs_micro_block(u, mb, nb, d, w->q, d, 1, w->keys, u->nr * d, w->s, ld, false);
    rs_micro_block(u, mb, nb, d, w->d_o, d, 1, w->values, u->nr * d, w->dp, ld, false);
    for (int64_t i = 0; i < mb; i++) {
        w->s[i * ld + nb - 1] += last;
        t->rows->gradient(w->s + i * ld, w->dp + i * ld, nb, t->a->scale, lse[i],
                          w->tiles->delta[i0 + i]);
        if (t->a->bf16) {
            t->rows->round(w->s + i * ld, nb);
            t->rows->round(w->dp + i * ld, nb);
        }
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

static void pack_tile(const rs_attn_bwd_job *t, const bwd_work *w, int64_t j0, int64_t nb)
{
    const rs_micro *u = t->u;
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d, c0 = w->tiles->head * d;
    const float *k = rs_attn_at(a->k, j0, c0), *v = rs_attn_at(a->v, j0, c0);
    u->pack_cols(w->keys, u->nr * d, k, a->k.ld, d, nb);
    u->pack_cols(w->values, u->nr * d, v, a->v.ld, d, nb);
    u->pack_rows(w->key_rows, u->nr * nb, k, a->k.ld, nb, d);
    if (!a->bf16)
        return;
    t->rows->round(w->keys, rs_micro_panels(u, nb, d));
    t->rows->round(w->values, rs_micro_panels(u, nb, d));
    t->rows->round(w->key_rows, rs_micro_panels(u, d, nb));
}

static void run(const rs_attn_bwd_job *t, const rs_attn_tiles *tiles, bool fresh,
                rs_attn_scratch *s)
{
    (void)fresh; /* queries are copied block by block */
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d;
    bwd_work w = {.tiles = tiles};
    carve(&w, t, s);
    if (!tiles)
        return;
    int64_t c0 = tiles->head * d;
    for (int64_t tile = tiles->first; tile < tiles->last; tile++) {
        int64_t j0 = tile * RS_ATTN_KEYS, nb = rs_min_i64(RS_ATTN_KEYS, t->sk - j0);
        pack_tile(t, &w, j0, nb);
        for (int64_t i0 = 0; i0 < t->sq; i0 += ROWS) {
            rs_attn_prefetch(a->q, i0 + ROWS, ROWS, c0, d);
            rs_attn_prefetch(a->d_o, i0 + ROWS, ROWS, c0, d);
            bwd_tile(t, &w, i0, rs_min_i64(ROWS, t->sq - i0), nb,
                     tile == t->tiles - 1 ? t->last : 0.0f, tile == tiles->first);
        }
        rs_attn_put_keys(a, j0, nb, c0, d, w.dk, w.dv);
    }
}

const rs_attn_bwd_engine rs_attn_bwd_f32 = {.run = run};
