/* Tiles of the backward, in two halves. While the scores of a tile are multiplied, the gradients of
 * the tile before leave; while d_o.v is multiplied, the scores become p. */
#include "kernels/attention/tile_dots_bf16.h"

#if defined(__x86_64__)
/* Where a tile's values go: words from the starts of ds, and of pt and dst. */
typedef struct grad_place {
    int64_t ds, t;
} grad_place;

/* Both queries' values at 16 keys as pairs: x in the lower halves. */
BF16_INLINE __m512i pair_of(__m512 x, __m512 y, __m512i weave)
{
    return _mm512_permutexvar_epi16(weave, (__m512i)_mm512_cvtne2ps_pbh(y, x));
}

BF16_INLINE __m512i weave_of(void)
{
    __m512i low = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_or_si512(
        low, _mm512_slli_epi32(_mm512_add_epi32(low, _mm512_set1_epi32(LANES)), LANES));
}

/* Rows of a tile, in the order of its quarters: after an odd one both rows that end with it, as
 * pairs. */
BF16_INLINE void put_pairs(uint32_t *to, const rs_attn_grad *w, int r, __m512 x[TILE][NV],
                           __m512i weave)
{
    RS_UNROLL
    for (int v = 0; v < NV; v++)
        _mm512_storeu_si512(to + r / 2 * w->t_row + v * LANES,
                            pair_of(x[r - 1][v], x[r][v], weave));
}

BF16_INLINE void put_ds(const rs_attn_grad *w, const grad_place *at, const int r,
                        __m512 ds[TILE][NV], __m512i weave)
{
    uint32_t *to = w->ds + at->ds + r * w->ds_row;
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(ds[r][1], ds[r][0]));
    _mm256_storeu_si256((__m256i *)(void *)(to + LANES), (__m256i)_mm512_cvtneps_pbh(ds[r][2]));
    if (r % 2 == 1 && w->pt)
        put_pairs(w->dst + at->t, w, r, ds, weave);
}

/* Row r of p, in place of its scores. `end` is a constant in every use. */
BF16_INLINE void make_p(const bool end, const rs_attn_grad *w, __m512 s[NV], float minus_lse)
{
    const __m512 f = _mm512_set1_ps(w->scale * RS_ATTN_LOG2E);
    RS_UNROLL
    for (int v = 0; v < NV; v++) {
        __m512 x = end ? _mm512_add_ps(s[v], bonus(&w->span, v)) : s[v];
        x = rs_attn_exp2_low(_mm512_fmadd_ps(x, f, _mm512_set1_ps(minus_lse)));
        s[v] = end ? _mm512_maskz_mov_ps(there(&w->span, v), x) : x;
    }
}

BF16_INLINE void grad_body(const bool end, const rs_attn_grad *x, int64_t panels)
{
    rs_attn_grad w = *x; /* a copy that no store can change */
    const __m512i weave = weave_of();
    const __m512 scale = _mm512_set1_ps(w.scale);
    grad_place now = {0}, before = {0};
    __m512 s[TILE][NV], ds[TILE][NV];
    set_all(ds, _mm512_setzero_ps());
    for (int64_t t = 0, i = 0; t < w.rows / TILE * panels; t++) {
        set_all(s, _mm512_setzero_ps());
        RS_UNROLL
        for (int r = 0; r < TILE; r++) {
            quarter_dots(s, w.q + i * w.pairs, w.keys, w.pairs, r);
            if (t > 0)
                put_ds(&w, &before, r, ds, weave);
        }
        RS_UNROLL
        for (int r = 0; r < TILE; r++)
            ds[r][0] = ds[r][1] = ds[r][2] = _mm512_set1_ps(w.minus_delta[i + r]);
        RS_UNROLL
        for (int r = 0; r < TILE; r++) {
            quarter_dots(ds, w.d_o + i * w.pairs, w.values, w.pairs, r);
            make_p(end, &w, s[r], w.minus_lse[i + r]);
            if (r % 2 == 1 && w.pt)
                put_pairs(w.pt + now.t, &w, r, s, weave);
        }
        RS_UNROLL
        for (int r = 0; r < TILE; r++) {
            RS_UNROLL
            for (int v = 0; v < NV; v++)
                ds[r][v] = _mm512_mul_ps(_mm512_mul_ps(s[r][v], scale), ds[r][v]);
        }
        before = now;
        i += TILE;
        now.ds += TILE * w.ds_row;
        now.t += TILE / 2 * w.t_row;
        if (i == w.rows) {
            i = 0;
            now.ds += NR / 2 - w.rows * w.ds_row;
            now.t += NR - w.rows / 2 * w.t_row;
            w.keys += w.pairs * NR;
            w.values += w.pairs * NR;
        }
    }
    RS_UNROLL
    for (int r = 0; r < TILE; r++)
        put_ds(&w, &before, r, ds, weave);
}

BF16 void rs_attn_gradients(const rs_attn_grad *x)
{
    int64_t plain = plain_panels(&x->span), words = plain * NR * x->pairs;
    rs_attn_grad w = *x;
    if (plain > 0)
        grad_body(false, &w, plain);
    w.keys += words;
    w.values += words;
    w.ds += plain * (NR / 2);
    if (w.pt) {
        w.pt += plain * NR;
        w.dst += plain * NR;
    }
    w.span = rest_of(&x->span);
    if (w.span.n > 0)
        grad_body(true, &w, 1);
}
#endif
