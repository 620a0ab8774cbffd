/* Register tiles. 8x48 fp32 with AVX-512: 24 accumulators, 3 weight vectors, 8 broadcasts per 24
 * FMAs. */
#include "kernels/conv3d/conv3d_cpu.h"
#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* SET0, LOAD, SPREAD (broadcast), FMA(acc, a, b) and STORE are the instruction set's. */
#define CONV_MICRO(name, TARGET, VEC, LANES, MR, NV, SET0, LOAD, SPREAD, FMA, STORE)               \
    TARGET static void name(float *out, const rs_conv_run *run, int64_t n)                         \
    {                                                                                              \
        VEC c[MR][NV];                                                                             \
        RS_UNROLL                                                                                  \
        for (int m = 0; m < (MR); m++) {                                                           \
            RS_UNROLL                                                                              \
            for (int v = 0; v < (NV); v++)                                                         \
                c[m][v] = SET0;                                                                    \
        }                                                                                          \
        for (int64_t r = 0; r < n; r++) {                                                          \
            const float *b = run[r].b;                                                             \
            const float *a[MR];                                                                    \
            RS_UNROLL                                                                              \
            for (int m = 0; m < (MR); m++)                                                         \
                a[m] = run[r].a[m];                                                                \
            for (int64_t i = 0; i < run[r].k; i++, b += (NV) * (LANES)) {                          \
                VEC w[NV];                                                                         \
                RS_UNROLL                                                                          \
                for (int v = 0; v < (NV); v++)                                                     \
                    w[v] = LOAD(b + v * (LANES));                                                  \
                RS_UNROLL                                                                          \
                for (int m = 0; m < (MR); m++) {                                                   \
                    VEC x = SPREAD(a[m] + i);                                                      \
                    RS_UNROLL                                                                      \
                    for (int v = 0; v < (NV); v++)                                                 \
                        c[m][v] = FMA(c[m][v], x, w[v]);                                           \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        RS_UNROLL                                                                                  \
        for (int m = 0; m < (MR); m++) {                                                           \
            RS_UNROLL                                                                              \
            for (int v = 0; v < (NV); v++)                                                         \
                STORE(out + (m * (NV) + v) * (LANES), c[m][v]);                                    \
        }                                                                                          \
    }

#if defined(__x86_64__)
#define SPREAD512(p)    _mm512_set1_ps(*(p))
#define FMA512(c, x, w) _mm512_fmadd_ps(x, w, c)
#define MICRO512(name, nv)                                                                         \
    CONV_MICRO(name, RS_TARGET_AVX512, __m512, 16, 8, nv, _mm512_setzero_ps(), _mm512_loadu_ps,    \
               SPREAD512, FMA512, _mm512_storeu_ps)
MICRO512(avx512_1, 1)
MICRO512(avx512_2, 2)
MICRO512(avx512_3, 3)

#define DOT512(c, x, w) _mm512_dpbf16_ps(c, (__m512bh)(x), (__m512bh)(w))
#define MICRO_WORDS(name, nv)                                                                      \
    CONV_MICRO(name, RS_TARGET_AVX512_BF16, __m512, 16, 8, nv, _mm512_setzero_ps(),                \
               _mm512_loadu_ps, SPREAD512, DOT512, _mm512_storeu_ps)
MICRO_WORDS(words_1, 1)
MICRO_WORDS(words_2, 2)
MICRO_WORDS(words_3, 3)

#define SPREAD256(p)    _mm256_broadcast_ss(p)
#define FMA256(c, x, w) _mm256_fmadd_ps(x, w, c)
#define MICRO256(name, nv)                                                                         \
    CONV_MICRO(name, RS_TARGET_AVX2, __m256, 8, 6, nv, _mm256_setzero_ps(), _mm256_loadu_ps,       \
               SPREAD256, FMA256, _mm256_storeu_ps)
MICRO256(avx2_1, 1)
MICRO256(avx2_2, 2)
#endif

typedef float v4 __attribute__((vector_size(16)));
typedef float v4_mem __attribute__((vector_size(16), aligned(4), may_alias));
#define LOAD4(p)         ((v4) * (const v4_mem *)(p))
#define SPREAD4(p)       ((v4){*(p), *(p), *(p), *(p)})
#define MULADD4(c, x, w) ((c) + (x) * (w))
#define STORE4(p, v)     (*(v4_mem *)(p) = (v))
CONV_MICRO(base_1, , v4, 4, 4, 1, (v4){0}, LOAD4, SPREAD4, MULADD4, STORE4)
CONV_MICRO(base_2, , v4, 4, 4, 2, (v4){0}, LOAD4, SPREAD4, MULADD4, STORE4)

RS_INLINE void store_body(const rs_conv_store *s)
{
    for (int64_t m = 0; m < s->rows; m++) {
        float *y = s->y[m];
        const float *sum = s->sum + m * s->width, *bias = s->bias, *add = s->add[m];
        if (add) {
            RS_IVDEP
            for (int64_t c = 0; c < s->n; c++)
                y[c] = sum[c] + bias[c] + add[c];
        } else {
            RS_IVDEP
            for (int64_t c = 0; c < s->n; c++)
                y[c] = sum[c] + bias[c];
        }
    }
}

/* Without branches, so that the 8 pointers are made in a few vector instructions. */
RS_INLINE int64_t edge_body(rs_conv_run *run, const rs_conv_edge *e, const rs_conv_line *l)
{
    uint64_t base[RS_CONV_MR], inside[RS_CONV_MR];
    uint64_t pixel = (uint64_t)l->ci * sizeof(float), frame = (uint64_t)(l->h * l->w) * pixel;
    uint64_t now = (uintptr_t)l->now, zero = (uintptr_t)l->zero, has_before = l->before != NULL;
    uint64_t before = (uintptr_t)l->before + (uint64_t)l->frames_before * frame;
    for (int m = 0; m < RS_CONV_MR; m++) {
        int64_t t = e->t[m] + l->dt, y = e->y[m] + l->dy;
        uint64_t past = (uint64_t)t >> 63;
        inside[m] = (uint64_t)((uint64_t)y < (uint64_t)l->h) & ((past ^ 1) | has_before);
        base[m] =
            (past ? before : now) + (uint64_t)t * frame + (uint64_t)(y * l->w + e->x[m]) * pixel;
    }
    int64_t n = 0;
    for (int64_t tap = 0; tap < l->taps; tap++) {
        uint64_t seen = 0;
        for (int m = 0; m < RS_CONV_MR; m++) {
            uint64_t in = inside[m] & (uint64_t)((uint64_t)(e->x[m] + tap) < (uint64_t)l->w);
            run[n].a[m] = (const float *)(uintptr_t)(in ? base[m] + (uint64_t)tap * pixel : zero);
            seen |= in;
        }
        run[n].b = l->b + tap * l->ci * l->width;
        run[n].k = l->ci;
        n += (int64_t)seen;
    }
    return n;
}

static int64_t edge_base(rs_conv_run *run, const rs_conv_edge *e, const rs_conv_line *l)
{
    return edge_body(run, e, l);
}

RS_TARGET_AVX2 static int64_t edge_avx2(rs_conv_run *run, const rs_conv_edge *e,
                                        const rs_conv_line *l)
{
    return edge_body(run, e, l);
}

RS_TARGET_AVX512 static int64_t edge_avx512(rs_conv_run *run, const rs_conv_edge *e,
                                            const rs_conv_line *l)
{
    return edge_body(run, e, l);
}

static void store_base(const rs_conv_store *s)
{
    store_body(s);
}

RS_TARGET_AVX2 static void store_avx2(const rs_conv_store *s)
{
    store_body(s);
}

RS_TARGET_AVX512 static void store_avx512(const rs_conv_store *s)
{
    store_body(s);
}

const rs_conv_micro *rs_conv_micro_pick(bool bf16)
{
    static const rs_conv_micro BASE = {4, 4, 2, false, store_base, edge_base, {base_1, base_2}};
#if defined(__x86_64__)
    static const rs_conv_micro AVX2 = {6, 8, 2, false, store_avx2, edge_avx2, {avx2_1, avx2_2}};
    static const rs_conv_micro AVX512 = {
        8, 16, 3, false, store_avx512, edge_avx512, {avx512_1, avx512_2, avx512_3}};
    static const rs_conv_micro WORDS = {
        8, 16, 3, true, store_avx512, edge_avx512, {words_1, words_2, words_3}};
    rs_isa isa = rs_cpu_isa();
    if (bf16 && rs_cpu_bf16())
        return &WORDS;
    return isa == RS_ISA_AVX512 ? &AVX512 : isa == RS_ISA_AVX2 ? &AVX2 : &BASE;
#else
    (void)bf16;
    return &BASE;
#endif
}
