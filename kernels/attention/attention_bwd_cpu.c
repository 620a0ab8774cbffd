/* Attention backward on the CPU, flash style: P is made again from q, k and lse, one tile at a
 * time.
 *
 * For each key tile all queries are walked over: dK and dV of the tile are summed privately, dS K
 * is added to dQ. The tiles of a head form up to GROUPS groups, whose dQ are formed apart and added
 * in order. A task does a whole head, or one group of it where there are few heads for the threads:
 * bits depend on the numbers of queries and keys only, not on the threads or the number of heads.
 */
#include "kernels/attention/attention_cpu.h"
#include "kernels/cpu/cpu_info.h"

enum { ROWS = 96, GROUPS = 4, HEADS_PER_THREAD = 4 };

typedef rs_attn_bwd_job bwd_job;

/* Working memory of a task, beside the engine's. */
typedef struct bwd_work {
    float *delta; /* (sq) */
    float *part;  /* unless split: (sq, d) dQ of a group behind the first */
} bwd_work;

static void take(bwd_work *w, const bwd_job *t, rs_attn_scratch *s)
{
    w->delta = rs_attn_take(s, t->sq);
    w->part = rs_attn_take(s, t->split || t->groups == 1 ? 0 : t->sq * t->d);
}

static rs_attn_target target_of(const bwd_job *t, const bwd_work *w, int64_t head, int64_t group)
{
    if (group == 0)
        return (rs_attn_target){rs_f32(t->a->dq) + head * t->d, t->a->dq.ld, t->a->dq_accumulate};
    float *part =
        t->split ? t->parts + (head * (t->groups - 1) + group - 1) * t->sq * t->d : w->part;
    return (rs_attn_target){part, t->d, false};
}

/* Bytes of a task's memory. */
static size_t need(const bwd_job *t)
{
    bwd_work w;
    rs_attn_scratch s = {0};
    take(&w, t, &s);
    t->engine->run(t, NULL, true, &s);
    return (size_t)s.used * sizeof(float);
}

/* The key tiles of one group. */
static void bwd_group(const bwd_job *t, const bwd_work *w, rs_attn_scratch s, int64_t head,
                      int64_t group, bool fresh)
{
    rs_attn_tiles tiles = {.head = head,
                           .first = t->tiles * group / t->groups,
                           .last = t->tiles * (group + 1) / t->groups,
                           .delta = w->delta,
                           .dq = target_of(t, w, head, group)};
    t->engine->run(t, &tiles, fresh, &s);
}

/* Queries [i0, i1) of the head: dQ += that of the group. */
static void add_part(const bwd_job *t, const bwd_work *w, int64_t head, int64_t group, int64_t i0,
                     int64_t i1)
{
    rs_attn_target part = target_of(t, w, head, group);
    for (int64_t i = i0; i < i1; i++)
        t->rows->scaled(rs_attn_at(t->a->dq, i, head * t->d), part.data + i * part.ld, t->d, 1, 1);
}

static void bwd_task(void *arg, int64_t task, int thread)
{
    const bwd_job *t = arg;
    int64_t head = t->split ? task / t->groups : task, c0 = head * t->d;
    bwd_work w;
    rs_attn_scratch s = {.base = rs_scratch(t->ctx, thread, need(t))};
    take(&w, t, &s);
    for (int64_t i = 0; i < t->sq; i++)
        w.delta[i] = t->rows->dot(rs_attn_at(t->a->d_o, i, c0), rs_attn_at(t->a->o, i, c0), t->d);
    if (t->split) {
        bwd_group(t, &w, s, head, task % t->groups, true);
        return;
    }
    for (int64_t g = 0; g < t->groups; g++) {
        bwd_group(t, &w, s, head, g, g == 0);
        if (g > 0)
            add_part(t, &w, head, g, 0, t->sq);
    }
}

/* If split: dQ of the other groups, in order. Task: ROWS queries of one head. */
static void add_parts(void *arg, int64_t task, int thread)
{
    (void)thread;
    const bwd_job *t = arg;
    int64_t blocks = rs_ceil_div(t->sq, ROWS), head = task / blocks, i0 = task % blocks * ROWS;
    for (int64_t g = 1; g < t->groups; g++)
        add_part(t, NULL, head, g, i0, rs_min_i64(i0 + ROWS, t->sq));
}

void rs_cpu_attention_bwd(rs_kctx *k, const rs_attention_bwd_args *a)
{
    bwd_job t = {.ctx = k,
                 .engine = &rs_attn_bwd_f32,
                 .u = rs_micro_get(),
                 .rows = rs_attn_rows_get(),
                 .a = a,
                 .sq = rs_tensor_rows(a->q),
                 .sk = rs_tensor_rows(a->k),
                 .d = rs_tensor_cols(a->q) / a->heads,
                 .last = rs_attn_last_bonus(a->last_key_count, a->scale)};
#if defined(__x86_64__)
    if (a->bf16 && rs_cpu_bf16())
        t.engine = &rs_attn_bwd_bf16;
#endif
    t.tiles = rs_ceil_div(t.sk, RS_ATTN_KEYS);
    t.groups = rs_min_i64(t.tiles, GROUPS);
    int threads = rs_kctx_threads(k);
    t.split = threads > 1 && t.groups > 1 && a->heads < HEADS_PER_THREAD * threads;
    if (!t.split) {
        rs_parallel(k, a->heads, bwd_task, &t);
        return;
    }
    /* Thread 0's scratch holds its working memory first, then the parts of dQ. */
    size_t own = need(&t);
    int64_t parts = a->heads * (t.groups - 1) * t.sq * t.d;
    char *memory = rs_scratch(k, 0, own + (size_t)parts * sizeof(float));
    t.parts = (float *)(void *)(memory + own);
    rs_parallel(k, a->heads * t.groups, bwd_task, &t);
    rs_parallel(k, a->heads * rs_ceil_div(t.sq, ROWS), add_parts, &t);
}
