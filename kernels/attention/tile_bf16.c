#include "kernels/attention/tile_bf16.h"

#include "kernels/attention/tile_dots_bf16.h"

#if defined(__x86_64__)
/* Row i of a tile; `end` is a constant in every use. */
BF16_INLINE void put_row(const bool end, const rs_attn_exp *e, int i, const __m512 s[NV])
{
    const __m512 f = _mm512_set1_ps(e->scale * RS_ATTN_LOG2E);
    __m512 x[NV];
    RS_UNROLL
    for (int v = 0; v < NV; v++) {
        x[v] = end ? _mm512_add_ps(s[v], bonus(&e->span, v)) : s[v];
        x[v] = rs_attn_exp2(_mm512_mul_ps(x[v], f));
        x[v] = end ? _mm512_maskz_mov_ps(there(&e->span, v), x[v]) : x[v];
    }
    uint32_t *p = e->p + i * e->p_row;
    float *lanes = e->lanes + i * LANES;
    __m512 sum = _mm512_add_ps(_mm512_add_ps(x[0], x[1]), x[2]);
    _mm512_storeu_ps(lanes, _mm512_add_ps(_mm512_loadu_ps(lanes), sum));
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(x[1], x[0]));
    _mm256_storeu_si256((__m256i *)(void *)(p + LANES), (__m256i)_mm512_cvtneps_pbh(x[2]));
}

/* n panels, tile by tile: the exponentials of one tile stand between the products of the next. */
BF16_INLINE void exps_body(const bool end, const rs_attn_exp *x, const uint32_t *q, int64_t rows,
                           const uint32_t *panel, int64_t pairs, int64_t n)
{
    rs_attn_exp now = *x, before = now; /* copies that no store can change */
    __m512 acc[TILE][NV], old[TILE][NV];
    set_all(acc, _mm512_setzero_ps());
    RS_UNROLL
    for (int r = 0; r < TILE; r++)
        quarter_dots(acc, q, panel, pairs, r);
    for (int64_t t = 1, i = TILE; t < rows / TILE * n; t++, i += TILE) {
        before = now;
        now.p += TILE * now.p_row;
        now.lanes += TILE * LANES;
        if (i == rows) {
            i = 0;
            now.p += NR / 2 - rows * now.p_row;
            now.lanes -= rows * LANES;
            panel += pairs * NR;
        }
        RS_UNROLL
        for (int r = 0; r < TILE; r++) {
            RS_UNROLL
            for (int v = 0; v < NV; v++)
                old[r][v] = acc[r][v];
        }
        set_all(acc, _mm512_setzero_ps());
        RS_UNROLL
        for (int r = 0; r < TILE; r++) {
            quarter_dots(acc, q + i * pairs, panel, pairs, r);
            put_row(end, &before, r, old[r]);
        }
    }
    RS_UNROLL
    for (int r = 0; r < TILE; r++)
        put_row(end, &now, r, acc[r]);
}

BF16 void rs_attn_exps(const rs_attn_exp *x, const uint32_t *q, int64_t rows,
                       const uint32_t *panels, int64_t pairs)
{
    int64_t plain = plain_panels(&x->span);
    rs_attn_exp e = *x;
    if (plain > 0)
        exps_body(false, &e, q, rows, panels, pairs, plain);
    e.p += plain * (NR / 2);
    e.span = rest_of(&x->span);
    if (e.span.n > 0)
        exps_body(true, &e, q, rows, panels + plain * NR * pairs, pairs, 1);
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
#endif
