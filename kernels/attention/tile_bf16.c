#include "kernels/attention/tile_bf16.h"

#include "kernels/attention/exp_bf16.h"

#if defined(__x86_64__)
enum { NR = RS_PAIRS_NR, NV = 3, LANES = 16, FWD = RS_ATTN_FWD_ROWS, BWD = RS_ATTN_BWD_ROWS };
_Static_assert(NV *LANES == NR, "a panel is three vectors");

/* Lanes of vector v of a panel that are there, and the bonus of the last one. */
BF16_INLINE __mmask16 there(const rs_attn_panel *panel, int v)
{
    int64_t n = panel->n - (int64_t)v * LANES;
    return (__mmask16)(n >= LANES ? 0xffff : n <= 0 ? 0 : V_MASK(n));
}

BF16_INLINE __m512 bonus(const rs_attn_panel *panel, int v)
{
    int64_t at = panel->n - 1 - (int64_t)v * LANES;
    bool here = at >= 0 && at < LANES;
    return _mm512_maskz_mov_ps((__mmask16)(here ? 1u << at : 0), _mm512_set1_ps(panel->last));
}

/* The tile ends behind its panel's keys, or has the key that stands for several. */
BF16_INLINE bool at_end(const rs_attn_panel *panel)
{
    return panel->n < NR || panel->last != 0;
}

/* ---- forward ---- */

/* Row i of a tile; `end` is a constant in every use. */
BF16_INLINE void put_row(const bool end, const rs_attn_exp *e, int64_t i, const __m512 s[NV])
{
    const __m512 f = _mm512_set1_ps(e->scale * RS_ATTN_LOG2E);
    __m512 x[NV];
    RS_UNROLL
    for (int v = 0; v < NV; v++)
        x[v] = _mm512_mul_ps(end ? _mm512_add_ps(s[v], bonus(&e->panel, v)) : s[v], f);
    rs_attn_exp2_of(NV, x);
    RS_UNROLL
    for (int v = 0; end && v < NV; v++)
        x[v] = _mm512_maskz_mov_ps(there(&e->panel, v), x[v]);
    uint32_t *p = e->p + i * e->p_row;
    float *lanes = e->lanes + i * LANES;
    __m512 sum = _mm512_add_ps(_mm512_add_ps(x[0], x[1]), x[2]);
    _mm512_storeu_ps(lanes, _mm512_add_ps(_mm512_loadu_ps(lanes), sum));
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(x[1], x[0]));
    _mm256_storeu_si256((__m256i *)(void *)(p + LANES), (__m256i)_mm512_cvtneps_pbh(x[2]));
}

BF16_INLINE void exp_body(const bool end, const rs_attn_exp *e, const uint32_t *q,
                          const uint32_t *keys, int64_t pairs)
{
    __m512 acc[FWD][NV];
    RS_UNROLL
    for (int i = 0; i < FWD; i++)
        acc[i][0] = acc[i][1] = acc[i][2] = _mm512_setzero_ps();
    for (int64_t k = 0; k < pairs; k++, keys += NR) {
        __m512bh w[NV];
        RS_UNROLL
        for (int v = 0; v < NV; v++)
            w[v] = (__m512bh)_mm512_loadu_si512(keys + v * LANES);
        RS_UNROLL
        for (int i = 0; i < FWD; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)q[i * pairs + k]);
            RS_UNROLL
            for (int v = 0; v < NV; v++)
                acc[i][v] = _mm512_dpbf16_ps(acc[i][v], x, w[v]);
        }
    }
    RS_UNROLL
    for (int i = 0; i < FWD; i++)
        put_row(end, e, i, acc[i]);
}

BF16 void rs_attn_tile_exp(const rs_attn_exp *x, const uint32_t *q, const uint32_t *keys,
                           int64_t pairs)
{
    rs_attn_exp e = *x; /* a copy that no store can change */
    if (at_end(&e.panel))
        exp_body(true, &e, q, keys, pairs);
    else
        exp_body(false, &e, q, keys, pairs);
}

BF16 void rs_attn_row_exp(const rs_attn_exp *x, const float *s)
{
    const __m512 row[NV] = {_mm512_loadu_ps(s), _mm512_loadu_ps(s + LANES),
                            _mm512_loadu_ps(s + 2 * LANES)};
    put_row(true, x, 0, row);
}

BF16 float rs_attn_longest(const float *rows, int64_t ld, int64_t n, int64_t d)
{
    float most = 0;
    const int64_t whole = d / LANES * LANES;
    const __mmask16 rest = V_MASK(d - whole);
    for (int64_t i = 0; i < n; i++, rows += ld) {
        __m512 x = _mm512_maskz_loadu_ps(rest, rows + whole), sum = _mm512_mul_ps(x, x);
        for (int64_t c = 0; c < whole; c += LANES) {
            x = _mm512_loadu_ps(rows + c);
            sum = _mm512_fmadd_ps(x, x, sum);
        }
        float length = _mm512_reduce_add_ps(sum);
        most = length <= most ? most : length;
    }
    return most;
}

BF16 float rs_attn_lanes_sum(const float *lanes)
{
    return _mm512_reduce_add_ps(_mm512_loadu_ps(lanes));
}

/* ---- backward ---- */

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

/* p and ds of one query, in place of its scores and of d_o.v. */
BF16_INLINE void gradient_row(const bool end, __m512 s[NV], __m512 dp[NV], float lse, float delta,
                              float scale, const rs_attn_panel *panel)
{
    const __m512 f = _mm512_set1_ps(scale * RS_ATTN_LOG2E);
    RS_UNROLL
    for (int v = 0; v < NV; v++) {
        __m512 x = end ? _mm512_add_ps(s[v], bonus(panel, v)) : s[v];
        x = rs_attn_exp2(_mm512_fmadd_ps(x, f, _mm512_set1_ps(-lse * RS_ATTN_LOG2E)));
        s[v] = end ? _mm512_maskz_mov_ps(there(panel, v), x) : x;
        dp[v] = _mm512_mul_ps(_mm512_mul_ps(s[v], _mm512_set1_ps(scale)),
                              _mm512_sub_ps(dp[v], _mm512_set1_ps(delta)));
    }
}

/* Queries i and i + 1. */
BF16_INLINE void gradient_two(const bool end, const rs_attn_bwd_rows *w, int i, __m512 s[2][NV],
                              __m512 dp[2][NV], float scale, const rs_attn_panel *panel)
{
    RS_UNROLL
    for (int r = 0; r < 2; r++) {
        gradient_row(end, s[r], dp[r], w->lse[i + r], w->delta[i + r], scale, panel);
        uint32_t *ds = w->ds + (i + r) * w->ds_row;
        _mm512_storeu_si512(ds, (__m512i)_mm512_cvtne2ps_pbh(dp[r][1], dp[r][0]));
        _mm256_storeu_si256((__m256i *)(void *)(ds + LANES), (__m256i)_mm512_cvtneps_pbh(dp[r][2]));
    }
    if (!w->pt)
        return;
    const __m512i weave = weave_of();
    RS_UNROLL
    for (int v = 0; v < NV; v++) {
        int64_t at = i / 2 * w->t_row + v * LANES;
        _mm512_storeu_si512(w->pt + at, pair_of(s[0][v], s[1][v], weave));
        _mm512_storeu_si512(w->dst + at, pair_of(dp[0][v], dp[1][v], weave));
    }
}

BF16_INLINE void gradient_body(const bool end, const rs_attn_bwd_rows *w, const uint32_t *keys,
                               const uint32_t *values, int64_t pairs, float scale,
                               const rs_attn_panel *panel)
{
    __m512 s[BWD][NV], dp[BWD][NV];
    RS_UNROLL
    for (int i = 0; i < BWD; i++) {
        s[i][0] = s[i][1] = s[i][2] = _mm512_setzero_ps();
        dp[i][0] = dp[i][1] = dp[i][2] = _mm512_setzero_ps();
    }
    const uint32_t *q = w->q, *d_o = w->d_o;
    for (int64_t k = 0; k < pairs; k++, keys += NR, values += NR) {
        __m512bh b[NV], c[NV];
        RS_UNROLL
        for (int v = 0; v < NV; v++) {
            b[v] = (__m512bh)_mm512_loadu_si512(keys + v * LANES);
            c[v] = (__m512bh)_mm512_loadu_si512(values + v * LANES);
        }
        RS_UNROLL
        for (int i = 0; i < BWD; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)q[i * pairs + k]);
            __m512bh y = (__m512bh)_mm512_set1_epi32((int)d_o[i * pairs + k]);
            RS_UNROLL
            for (int v = 0; v < NV; v++) {
                s[i][v] = _mm512_dpbf16_ps(s[i][v], x, b[v]);
                dp[i][v] = _mm512_dpbf16_ps(dp[i][v], y, c[v]);
            }
        }
    }
    RS_UNROLL
    for (int i = 0; i < BWD; i += 2)
        gradient_two(end, w, i, s + i, dp + i, scale, panel);
}

BF16 void rs_attn_tile_gradient(const rs_attn_bwd_rows *w, const uint32_t *keys,
                                const uint32_t *values, int64_t pairs, const rs_attn_panel *panel,
                                float scale)
{
    if (at_end(panel))
        gradient_body(true, w, keys, values, pairs, scale, panel);
    else
        gradient_body(false, w, keys, values, pairs, scale, panel);
}
#endif
