/* What forward and backward share on the CPU. */
#ifndef RS_KERNELS_ATTENTION_ATTENTION_CPU_H
#define RS_KERNELS_ATTENTION_ATTENTION_CPU_H

#include <math.h>

#include "base/num.h"
#include "kernels/attention/rows.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/gemm/micro.h"

/* Keys of one tile: a multiple of every variant's panel width. Sums over keys are formed tile by
 * tile, so bits depend on it. */
enum { RS_ATTN_KEYS = 192 };

/* Row r of head column c0. */
static inline float *rs_attn_at(rs_tensor t, int64_t r, int64_t c0)
{
    return rs_f32(t) + r * t.ld + c0;
}

/* What the last key's score gets before the scale: count equal keys weigh exp(log count) times one.
 */
static inline float rs_attn_last_bonus(int64_t count, float scale)
{
    return count > 1 ? (float)(log((double)count) / (double)scale) : 0.0f;
}

/* Floats, rounded up to whole cache lines. */
static inline int64_t rs_attn_room(int64_t floats)
{
    return rs_ceil_div(floats, 16) * 16;
}

/* Hand out `floats` of a scratch block; with a NULL base only adds up. */
typedef struct rs_attn_scratch {
    float *base;
    int64_t used;
} rs_attn_scratch;

static inline float *rs_attn_take(rs_attn_scratch *s, int64_t floats)
{
    float *p = s->base ? s->base + s->used : NULL;
    s->used += rs_attn_room(floats);
    return p;
}

#endif
