/* Attention forward on the CPU, flash style (Dao et al., 2022): a task owns some queries of one
 * head and walks over the keys in tiles, keeping for each query the running maximum m, the sum l =
 * sum exp(s - m) and O = sum exp(s - m) v; when m grows, l and O are scaled by exp(m_old - m_new).
 * A query's bits depend on its own row and on all keys only, so the number of queries per task is
 * free. */
#include <math.h>

#include "kernels/attention/attention_cpu.h"
#include "kernels/cpu/cpu_info.h"

/* CHUNK queries share one packing of a key tile; more of them where heads are narrow and all of
 * theirs still fit the second cache. */
enum { CHUNK = 512, NARROW = 32, MIN_CHUNK = 64, TASKS_PER_THREAD = 4 };

static void finish(const rs_attn_fwd_job *t, const rs_attn_queries *w)
{
    const rs_attention_fwd_args *a = t->a;
    float *lse = rs_has(a->lse) ? rs_f32(a->lse) + w->head * a->lse.ld + w->i0 : NULL;
    for (int64_t i = 0; i < w->n; i++) {
        t->rows->scaled(rs_attn_at(a->o, w->i0 + i, w->head * t->d), w->o + i * t->d, t->d,
                        1.0f / w->sum[i], a->o_accumulate);
        if (lse)
            lse[i] = (float)((double)w->top[i] + log((double)w->sum[i]));
    }
}

static void take(rs_attn_queries *w, const rs_attn_fwd_job *t, rs_attn_scratch *s)
{
    w->o = rs_attn_take(s, t->chunk * t->d);
    w->top = rs_attn_take(s, t->chunk);
    w->sum = rs_attn_take(s, t->chunk);
}

static void fwd_task(void *arg, int64_t task, int thread)
{
    const rs_attn_fwd_job *t = arg;
    rs_attn_queries w = {.head = task / t->chunks, .i0 = task % t->chunks * t->chunk};
    w.n = rs_min_i64(t->chunk, t->sq - w.i0);
    rs_attn_scratch s = {0};
    take(&w, t, &s);
    t->engine->run(t, NULL, &s);
    s = (rs_attn_scratch){.base = rs_scratch(t->ctx, thread, (size_t)s.used * sizeof(float))};
    take(&w, t, &s);
    for (int64_t i = 0; i < w.n; i++) {
        w.top[i] = -INFINITY;
        w.sum[i] = 0;
    }
    t->engine->run(t, &w, &s);
    finish(t, &w);
}

void rs_cpu_attention_fwd(rs_kctx *k, const rs_attention_fwd_args *a)
{
    rs_attn_fwd_job t = {.ctx = k,
                         .engine = &rs_attn_fwd_f32,
                         .u = rs_micro_get(),
                         .rows = rs_attn_rows_get(),
                         .a = a,
                         .sq = rs_tensor_rows(a->q),
                         .sk = rs_tensor_rows(a->k),
                         .d = rs_tensor_cols(a->q) / a->heads,
                         .last = rs_attn_last_bonus(a->last_key_count, a->scale)};
#if defined(__x86_64__)
    if (a->bf16 && rs_cpu_bf16())
        t.engine = &rs_attn_fwd_bf16;
#endif
    t.chunk = t.d <= NARROW ? 2 * CHUNK : CHUNK;
    int64_t want = TASKS_PER_THREAD * rs_kctx_threads(k);
    while (t.chunk > MIN_CHUNK && rs_kctx_threads(k) > 1 &&
           a->heads * rs_ceil_div(t.sq, t.chunk) < want)
        t.chunk /= 2;
    t.chunks = rs_ceil_div(t.sq, t.chunk);
    rs_parallel(k, a->heads * t.chunks, fwd_task, &t);
}
