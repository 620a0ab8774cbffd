/* What forward and backward share on the CPU. */
#ifndef RS_KERNELS_ATTENTION_ATTENTION_CPU_H
#define RS_KERNELS_ATTENTION_ATTENTION_CPU_H

#include <math.h>
#include <string.h>

#include "base/num.h"
#include "kernels/attention/attention.h"
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

/* Rows [r0,r0+n) that will be packed, on their way from memory while something else computes. */
static inline void rs_attn_prefetch(rs_tensor t, int64_t r0, int64_t n, int64_t c0, int64_t d)
{
    const int64_t end = rs_min_i64(r0 + n, rs_tensor_rows(t));
    for (int64_t i = r0; i < end; i++)
        for (int64_t c = 0; c < d; c += 16)
            __builtin_prefetch(rs_attn_at(t, i, c0 + c), 0, 2);
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

/* How tiles are multiplied. fp32 operands, or operands rounded to bf16 in pairs where the processor
 * multiplies these (rs_cpu_bf16); elsewhere fp32 does both, with operands that it rounds first. */
typedef struct rs_attn_fwd_engine rs_attn_fwd_engine;
typedef struct rs_attn_bwd_engine rs_attn_bwd_engine;

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

static inline uint32_t *rs_attn_take_words(rs_attn_scratch *s, int64_t words)
{
    return (uint32_t *)(void *)rs_attn_take(s, words);
}

/* ---- forward ---- */

typedef struct rs_attn_fwd_job {
    rs_kctx *ctx;
    const rs_attn_fwd_engine *engine;
    const rs_micro *u;
    const rs_attn_rows *rows;
    const rs_attention_fwd_args *a;
    int64_t sq, sk, d;
    int64_t chunk, chunks; /* queries of a task, tasks of a head */
    float last;            /* bonus of the last key */
} rs_attn_fwd_job;

/* A task's queries [i0,i0+n) of a head, and what becomes of them. */
typedef struct rs_attn_queries {
    int64_t head, i0, n;
    float *o;   /* (chunk,d), not yet divided by sum */
    float *top; /* (chunk) maximum score */
    float *sum; /* (chunk) of exp(score - top) */
} rs_attn_queries;

struct rs_attn_fwd_engine {
    /* o, top and sum over all keys. The engine's own memory is taken from `s`; with queries NULL
     * only taken. */
    void (*run)(const rs_attn_fwd_job *t, const rs_attn_queries *w, rs_attn_scratch *s);
};
extern const rs_attn_fwd_engine rs_attn_fwd_f32, rs_attn_fwd_bf16;

/* ---- backward ---- */

typedef struct rs_attn_bwd_job {
    rs_kctx *ctx;
    const rs_attn_bwd_engine *engine;
    const rs_micro *u;
    const rs_attn_rows *rows;
    const rs_attention_bwd_args *a;
    int64_t sq, sk, d;
    int64_t tiles;  /* of keys */
    int64_t groups; /* per head */
    bool split;     /* a task per group instead of per head */
    float last;     /* bonus of the last key */
    float *parts;   /* if split: dQ of groups 1.. of every head: (heads, groups - 1, sq, d) */
} rs_attn_bwd_job;

/* Where a group adds its dQ: the first in place, the others in their part. */
typedef struct rs_attn_target {
    float *data;
    int64_t ld;
    bool add; /* to what is there, from the first tile on */
} rs_attn_target;

/* Key tiles [first,last) of a head. */
typedef struct rs_attn_tiles {
    int64_t head, first, last;
    const float *delta; /* (sq) rowsum(dO*O) of the head */
    rs_attn_target dq;
} rs_attn_tiles;

struct rs_attn_bwd_engine {
    /* dQ += of these keys, and their dK and dV. Memory as above. `fresh`: the head's first group of
     * this task, whose queries are not packed yet. */
    void (*run)(const rs_attn_bwd_job *t, const rs_attn_tiles *w, bool fresh, rs_attn_scratch *s);
};
extern const rs_attn_bwd_engine rs_attn_bwd_f32, rs_attn_bwd_bf16;

/* dK and dV of keys [j0, j0+n) of the head at column c0, where they are wanted. */
static inline void rs_attn_put_keys(const rs_attention_bwd_args *a, int64_t j0, int64_t n,
                                    int64_t c0, int64_t d, const float *dk, const float *dv)
{
    for (int64_t j = 0; rs_has(a->dk) && j < n; j++) {
        memcpy(rs_attn_at(a->dk, j0 + j, c0), dk + j * d, (size_t)d * sizeof(float));
        memcpy(rs_attn_at(a->dv, j0 + j, c0), dv + j * d, (size_t)d * sizeof(float));
    }
}

#endif
