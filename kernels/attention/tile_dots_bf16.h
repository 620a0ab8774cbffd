/* The products inside attention's bf16 tiles, four queries by 48 keys, cut in quarters: between
 * them stands the rest of another tile's work, which the processor does at the same time. */
#ifndef RS_KERNELS_ATTENTION_TILE_DOTS_BF16_H
#define RS_KERNELS_ATTENTION_TILE_DOTS_BF16_H

#include "kernels/attention/exp_bf16.h"
#include "kernels/attention/tile_bf16.h"

#if defined(__x86_64__)
enum { NR = RS_PAIRS_NR, NV = 3, LANES = 16, TILE = RS_ATTN_TILE };
_Static_assert(NV *LANES == NR, "a panel is three vectors");

/* Everything of acc is x. */
BF16_INLINE void set_all(__m512 acc[TILE][NV], __m512 x)
{
    RS_UNROLL
    for (int i = 0; i < TILE; i++)
        acc[i][0] = acc[i][1] = acc[i][2] = x;
}

/* acc += four rows of q times the panel, over quarter r of the pairs. */
BF16_INLINE void quarter_dots(__m512 acc[TILE][NV], const uint32_t *q, const uint32_t *panel,
                              int64_t pairs, int r)
{
    int64_t k = pairs * r / TILE, end = pairs * (r + 1) / TILE;
    for (panel += k * NR; k < end; k++, panel += NR) {
        __m512bh w[NV];
        RS_UNROLL
        for (int v = 0; v < NV; v++)
            w[v] = (__m512bh)_mm512_loadu_si512(panel + v * LANES);
        RS_UNROLL
        for (int i = 0; i < TILE; i++) {
            __m512bh x = (__m512bh)_mm512_set1_epi32((int)q[i * pairs + k]);
            RS_UNROLL
            for (int v = 0; v < NV; v++)
                acc[i][v] = _mm512_dpbf16_ps(acc[i][v], x, w[v]);
        }
    }
}

/* Lanes of vector v of a span of one panel that are there, and the bonus of the last one. */
BF16_INLINE __mmask16 there(const rs_attn_span *span, int v)
{
    int64_t n = span->n - (int64_t)v * LANES;
    return (__mmask16)(n >= LANES ? 0xffff : n <= 0 ? 0 : V_MASK(n));
}

BF16_INLINE __m512 bonus(const rs_attn_span *span, int v)
{
    int64_t at = span->n - 1 - (int64_t)v * LANES;
    bool here = at >= 0 && at < LANES;
    return _mm512_maskz_mov_ps((__mmask16)(here ? 1u << at : 0), _mm512_set1_ps(span->last));
}

/* Panels that are whole and have no key that stands for several; and what is left: one panel, or
 * nothing. */
static inline int64_t plain_panels(const rs_attn_span *span)
{
    return span->last != 0 ? (span->n - 1) / NR : span->n / NR;
}

static inline rs_attn_span rest_of(const rs_attn_span *span)
{
    return (rs_attn_span){span->n - plain_panels(span) * NR, span->last};
}
#endif

#endif
