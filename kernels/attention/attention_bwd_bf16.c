/* Backward tiles of bf16 pairs (AVX512-BF16). P and dS are made twice: as pairs of keys (dQ = dS K)
 * and as pairs of queries (dK = dS^T Q, dV = P^T dO). The head's queries are packed once per task.
 */
#include <string.h>

#include "kernels/attention/attention_cpu.h"
#include "kernels/attention/exp_bf16.h"
#include "kernels/attention/tile_bf16.h"

#if defined(__x86_64__)
enum { ROWS = 192, KEYS = RS_ATTN_KEYS, KEY_PAIRS = KEYS / 2, FOUR = RS_ATTN_TILE };
_Static_assert(ROWS % FOUR == 0, "blocks of queries are whole tiles");
static const float k_no_query = -1e30f; /* minus lse that leaves 2^-100 of P, for rows of zeros */

/* Working memory. */
typedef struct bwd_work {
    const rs_attn_tiles *tiles;
    uint32_t *q, *d_o;          /* [sq][pairs of d], zeros up to the next multiple of 4 */
    uint32_t *q_rows, *do_rows; /* panels of Q and dO, a set for each ROWS queries */
    int64_t set;                /* words of such a set */
    uint32_t *keys, *values;    /* panels of K^T and V^T */
    uint32_t *key_rows;         /* panels of K */
    uint32_t *ds;               /* [ROWS][KEY_PAIRS] */
    uint32_t *pt, *dst;         /* [ROWS / 2][KEYS] */
    float *dk, *dv;             /* (KEYS, d) */
} bwd_work;

static int64_t padded(int64_t rows)
{
    return rs_ceil_div(rows, FOUR) * FOUR;
}

static void carve(bwd_work *w, const rs_attn_bwd_job *t, rs_attn_scratch *s)
{
    int64_t d = t->d, blocks = rs_has(t->a->dk) ? rs_ceil_div(t->sq, ROWS) : 0;
    w->set = rs_pairs_panels(d, ROWS);
    w->q = rs_attn_take_words(s, padded(t->sq) * rs_pairs_of(d));
    w->d_o = rs_attn_take_words(s, padded(t->sq) * rs_pairs_of(d));
    w->q_rows = rs_attn_take_words(s, blocks * w->set);
    w->do_rows = rs_attn_take_words(s, blocks * w->set);
    w->keys = rs_attn_take_words(s, rs_pairs_panels(KEYS, d));
    w->values = rs_attn_take_words(s, rs_pairs_panels(KEYS, d));
    w->key_rows = rs_attn_take_words(s, rs_pairs_panels(d, KEYS));
    w->ds = rs_attn_take_words(s, ROWS * KEY_PAIRS);
    w->pt = rs_attn_take_words(s, ROWS / 2 * KEYS);
    w->dst = rs_attn_take_words(s, ROWS / 2 * KEYS);
    w->dk = rs_attn_take(s, KEYS * d);
    w->dv = rs_attn_take(s, KEYS * d);
}

static void pack_queries(const rs_attn_bwd_job *t, const bwd_work *w)
{
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d, c0 = w->tiles->head * d;
    int64_t end = t->sq * rs_pairs_of(d), more = padded(t->sq) * rs_pairs_of(d) - end;
    rs_pairs_pack_a(w->q, rs_attn_at(a->q, 0, c0), a->q.ld, t->sq, d);
    rs_pairs_pack_a(w->d_o, rs_attn_at(a->d_o, 0, c0), a->d_o.ld, t->sq, d);
    memset(w->q + end, 0, (size_t)more * sizeof *w->q);
    memset(w->d_o + end, 0, (size_t)more * sizeof *w->d_o);
    for (int64_t i0 = 0; rs_has(a->dk) && i0 < t->sq; i0 += ROWS) {
        int64_t n = rs_min_i64(ROWS, t->sq - i0);
        rs_pairs_pack_rows(w->q_rows + i0 / ROWS * w->set, rs_attn_at(a->q, i0, c0), a->q.ld, n, d);
        rs_pairs_pack_rows(w->do_rows + i0 / ROWS * w->set, rs_attn_at(a->d_o, i0, c0), a->d_o.ld,
                           n, d);
    }
}

/* P and dS of queries [i0, i0+mb). */
static void gradients(const rs_attn_bwd_job *t, const bwd_work *w, int64_t i0, int64_t mb,
                      int64_t nb, float last)
{
    const float *lse = rs_f32(t->a->lse) + w->tiles->head * t->a->lse.ld + i0;
    const float *delta = w->tiles->delta + i0;
    const int64_t pairs = rs_pairs_of(t->d);
    bool keys = rs_has(t->a->dk);
    float minus_lse[ROWS], minus_delta[ROWS];
    for (int64_t i = 0; i < padded(mb); i++) {
        minus_lse[i] = i < mb ? -lse[i] * RS_ATTN_LOG2E : k_no_query;
        minus_delta[i] = i < mb ? -delta[i] : 0.0f;
    }
    rs_attn_gradients(&(rs_attn_grad){.q = w->q + i0 * pairs,
                                      .d_o = w->d_o + i0 * pairs,
                                      .rows = padded(mb),
                                      .pairs = pairs,
                                      .keys = w->keys,
                                      .values = w->values,
                                      .span = {nb, last},
                                      .minus_lse = minus_lse,
                                      .minus_delta = minus_delta,
                                      .scale = t->a->scale,
                                      .ds = w->ds,
                                      .ds_row = KEY_PAIRS,
                                      .pt = keys ? w->pt : NULL,
                                      .dst = w->dst,
                                      .t_row = KEYS});
}

/* Queries [i0, i0+mb) against the packed tile of nb keys. */
static void bwd_tile(const rs_attn_bwd_job *t, const bwd_work *w, int64_t i0, int64_t mb,
                     int64_t nb, float last, bool first_tile)
{
    const int64_t d = t->d, set = i0 / ROWS * w->set;
    rs_attn_target dq = w->tiles->dq;
    gradients(t, w, i0, mb, nb, last);
    rs_pairs_block(mb, d, rs_pairs_of(nb), (rs_pairs_a){w->ds, KEY_PAIRS, 1}, w->key_rows,
                   dq.data + i0 * dq.ld, dq.ld, dq.add || !first_tile);
    if (!rs_has(t->a->dk))
        return;
    rs_pairs_block(nb, d, rs_pairs_of(mb), (rs_pairs_a){w->dst, 1, KEYS}, w->q_rows + set, w->dk, d,
                   i0 > 0);
    rs_pairs_block(nb, d, rs_pairs_of(mb), (rs_pairs_a){w->pt, 1, KEYS}, w->do_rows + set, w->dv, d,
                   i0 > 0);
}

static void run(const rs_attn_bwd_job *t, const rs_attn_tiles *tiles, bool fresh,
                rs_attn_scratch *s)
{
    const rs_attention_bwd_args *a = t->a;
    int64_t d = t->d;
    bwd_work w = {.tiles = tiles};
    carve(&w, t, s);
    if (!tiles)
        return;
    int64_t c0 = tiles->head * d, ahead = rs_ceil_div(KEYS * ROWS, t->sq);
    if (fresh)
        pack_queries(t, &w);
    for (int64_t tile = tiles->first; tile < tiles->last; tile++) {
        int64_t j0 = tile * KEYS, nb = rs_min_i64(KEYS, t->sk - j0);
        const float *k = rs_attn_at(a->k, j0, c0);
        rs_pairs_pack_cols(w.keys, k, a->k.ld, d, nb);
        rs_pairs_pack_cols(w.values, rs_attn_at(a->v, j0, c0), a->v.ld, d, nb);
        rs_pairs_pack_rows(w.key_rows, k, a->k.ld, nb, d);
        for (int64_t i0 = 0; i0 < t->sq; i0 += ROWS) {
            int64_t at = j0 + nb + i0 / ROWS * ahead;
            rs_attn_prefetch(a->k, at, ahead, c0, d);
            rs_attn_prefetch(a->v, at, ahead, c0, d);
            bwd_tile(t, &w, i0, rs_min_i64(ROWS, t->sq - i0), nb,
                     tile == t->tiles - 1 ? t->last : 0.0f, tile == tiles->first);
        }
        rs_attn_put_keys(a, j0, nb, c0, d, w.dk, w.dv);
    }
}

const rs_attn_bwd_engine rs_attn_bwd_bf16 = {.run = run};
#endif
