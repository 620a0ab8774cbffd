/* The source and the weights of a bf16 convolution: words of two channels, or rounded floats. */
#include "base/dtype.h"
#include "base/num.h"
#include "kernels/conv3d/conv3d_wino.h"
#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { PIXELS = 512 }; /* of a task */

RS_INLINE float rounded(float x)
{
    return rs_f32_from_bf16(rs_bf16_from_f32(x));
}

RS_INLINE void round_body(float *dst, const float *src, int64_t n)
{
    RS_IVDEP
    for (int64_t i = 0; i < n; i++)
        dst[i] = rounded(src[i]);
}

static void round_floats(float *dst, const float *src, int64_t n)
{
    round_body(dst, src, n);
}

#if defined(__x86_64__)
#define BF16 RS_TARGET_AVX512_BF16

/* `n` channels of one pixel, or of many with an even number of channels: words. */
BF16 static void to_words(uint32_t *dst, const float *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(dst + i / 2, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(src + i + 16),
                                                                      _mm512_loadu_ps(src + i)));
    for (; i < n; i += 16) {
        int64_t left = rs_min_i64(16, n - i), words = rs_ceil_div(left, 2);
        __m512 x = _mm512_maskz_loadu_ps((__mmask16)((1u << left) - 1), src + i);
        _mm256_mask_storeu_epi32(dst + i / 2, (__mmask8)((1u << words) - 1),
                                 (__m256i)_mm512_cvtneps_pbh(x));
    }
}

BF16 void rs_conv_rows_to_words(float *dst, const float *x, const float *y, int64_t width)
{
    for (int64_t c = 0; c < width; c += 16) {
        __m512i lo = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + c)));
        __m512i hi = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(y + c)));
        _mm512_storeu_si512(dst + c, _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16)));
    }
}
#else
static void to_words(uint32_t *dst, const float *src, int64_t n)
{
    (void)dst, (void)src, (void)n;
}

void rs_conv_rows_to_words(float *dst, const float *x, const float *y, int64_t width)
{
    (void)dst, (void)x, (void)y, (void)width;
}
#endif

void rs_conv_round_weights(const rs_conv_plan *p, float *panel, int64_t rows, int64_t width)
{
    if (!p->words) {
        round_floats(panel, panel, rows * width);
        return;
    }
    for (int64_t i = 0; i < rows; i += 2)
        rs_conv_rows_to_words(panel + i / 2 * width, panel + i * width, panel + (i + 1) * width,
                              width);
}

typedef struct copy_job {
    const rs_conv_plan *p;
    float *dst;
    const float *src;
    int64_t pixels, channels;
} copy_job;

static void copy_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const copy_job *t = arg;
    int64_t lo = task * PIXELS, n = rs_min_i64(PIXELS, t->pixels - lo), ci = t->p->ci;
    const float *src = t->src + lo * t->channels;
    uint32_t *words = (uint32_t *)(void *)(t->dst + lo * ci);
    if (!t->p->words)
        round_floats(t->dst + lo * ci, src, n * t->channels);
    else if (t->channels % 2 == 0)
        to_words(words, src, n * t->channels);
    else
        for (int64_t i = 0; i < n; i++)
            to_words(words + i * ci, src + i * t->channels, t->channels);
}

static int64_t pixels_of(rs_tensor t)
{
    return rs_has(t) ? rs_tensor_rows(t) : 0;
}

int64_t rs_conv_copy_floats(const rs_conv_plan *p)
{
    return p->a->bf16 ? (pixels_of(p->a->x) + pixels_of(p->a->prev)) * p->ci : 0;
}

/* prev first, then x. */
void rs_conv_copy_source(rs_kctx *k, rs_conv_plan *p, float *room)
{
    const rs_conv3d_args *a = p->a;
    const rs_tensor from[2] = {a->prev, a->x};
    const float *to[2] = {NULL, NULL};
    if (!a->bf16)
        return;
    for (int i = 0; i < 2; i++) {
        if (pixels_of(from[i]) == 0)
            continue;
        copy_job t = {p, room, rs_f32(from[i]), pixels_of(from[i]), a->weight.shape[3]};
        rs_parallel(k, rs_ceil_div(t.pixels, PIXELS), copy_task, &t);
        to[i] = room;
        room += t.pixels * p->ci;
    }
    p->before = to[0];
    p->now = to[1];
}
