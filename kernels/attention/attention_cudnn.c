/* Attention by cuDNN: plans by shape, made at the first call of a shape and kept, and their runs.
 * The backward keeps dS in memory, so it goes over the heads in parts (attention_cudnn_graph.c);
 * the fast mode does not, and gives other bits every time. */
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_cudnn.h"
#include "kernels/cuda/dnn.h"

enum {
    KEPT = 16,         /* shapes: self, text, image; two resolutions; forward and backward */
    KEYS_A_BLOCK = 128 /* of cuDNN's backward kernels */
};

struct rs_att_plans {
    struct {
        rs_att_key key;
        rs_dnn_plan plan;
        bool refused;
    } kept[KEPT];
    int n, next;
};

/* The plan of a shape; made, or found refused, once. */
static const rs_dnn_plan *plan_for(rs_cuctx *c, const rs_att_call *p, int64_t d, rs_att_graph graph)
{
    if (!c->att_plans)
        c->att_plans = rs_alloc(1, sizeof *c->att_plans);
    struct rs_att_plans *kept = c->att_plans;
    rs_att_key k = rs_att_key_of(p, d, graph);
    for (int i = 0; i < kept->n; i++)
        if (memcmp(&kept->kept[i].key, &k, sizeof k) == 0)
            return kept->kept[i].refused ? NULL : &kept->kept[i].plan;
    int at = kept->next;
    kept->next = (at + 1) % KEPT;
    kept->n = kept->n < KEPT ? kept->n + 1 : KEPT;
    if (kept->kept[at].plan.plan) /* it may still be running */
        rs_cuda_launched(c, "attention", cudaStreamSynchronize(c->compute));
    rs_dnn_plan_free(&kept->kept[at].plan);
    rs_dnn_graph g;
    rs_dnn_graph_begin(&g, c->dnn);
    rs_att_dnn_graph(&g, &k);
    kept->kept[at].key = k;
    kept->kept[at].refused = !rs_dnn_plan_make(&kept->kept[at].plan, &g);
    rs_dnn_graph_end(&g);
    return kept->kept[at].refused ? NULL : &kept->kept[at].plan;
}

void rs_att_plans_free(struct rs_att_plans **p)
{
    for (int i = 0; *p && i < KEPT; i++)
        rs_dnn_plan_free(&(*p)->kept[i].plan);
    rs_dealloc(*p);
    *p = NULL;
}

/* What the node and the graph can say: no bias, no counted key, nothing added to. */
static bool suits(const rs_cuctx *c, const rs_att_call *p, int64_t d)
{
    return c->dnn && (d == 64 || d == 128) && !p->bias && p->last_log2 == 0 && !p->accumulate;
}

static size_t round_up(size_t n)
{
    return (n + 255) / 256 * 256;
}

bool rs_att_fwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d)
{
    const rs_dnn_plan *plan = p->lse && suits(c, p, d) ? plan_for(c, p, d, RS_ATT_FORWARD) : NULL;
    if (!plan || !rs_cuda_workspace(c, (size_t)plan->workspace))
        return false;
    float scale = p->scale;
    const int64_t ids[] = {RS_ATT_Q, RS_ATT_K, RS_ATT_V, RS_ATT_O, RS_ATT_STATS, RS_ATT_SCALE};
    void *data[] = {(void *)p->q, (void *)p->k, (void *)p->v, p->o, p->lse, &scale};
    char why[RS_DNN_WHY];
    if (!rs_dnn_run(plan, c->compute, RS_COUNT_OF(ids), ids, data, c->workspace, why))
        rs_cuda_failed(c, "attention_fwd", why);
    return true;
}

size_t rs_att_ds_bytes(int64_t sq, int64_t sk)
{
    return (size_t)(rs_ceil_div(sq, 64) * 64 * (rs_ceil_div(sk, 64) * 64)) * 2;
}

int64_t rs_att_heads_at_once(int64_t heads, int64_t sq, int64_t sk, int sms, size_t room)
{
    int64_t best = 0;
    double filled = 0;
    for (int64_t n = 1; n <= heads; n++) {
        if (heads % n || (size_t)n * rs_att_ds_bytes(sq, sk) > room)
            continue;
        int64_t blocks = n * rs_ceil_div(sk, KEYS_A_BLOCK);
        double share = (double)blocks / (double)(rs_ceil_div(blocks, sms) * sms);
        if (share > filled)
            best = n, filled = share;
    }
    return best;
}

static void *cols(const void *p, int64_t d, int64_t first)
{
    return (char *)(uintptr_t)p + first * d * 2;
}

rs_att_call rs_att_heads_of(const rs_att_call *p, int64_t d, int64_t first, int64_t n)
{
    rs_att_call part = *p;
    part.heads = n;
    part.dq = cols(p->dq, d, first);
    part.dk = cols(p->dk, d, first);
    part.dv = cols(p->dv, d, first);
    part.q = cols(p->q, d, first);
    part.k = cols(p->k, d, first);
    part.v = cols(p->v, d, first);
    part.d_o = cols(p->d_o, d, first);
    part.o_read = cols(p->o_read, d, first);
    part.lse = p->lse + first * p->ldl;
    return part;
}

/* What a part of the backward has in the workspace: row dots, the sums of dQ (fast), cuDNN's own.
 */
typedef struct backward_room {
    size_t dot, acc, all;
} backward_room;

static backward_room backward_room_of(const rs_att_call *part, int64_t d, const rs_dnn_plan *plan,
                                      bool fast)
{
    backward_room r = {.dot = round_up((size_t)(part->heads * part->sq) * sizeof(float))};
    r.acc = fast ? r.dot * (size_t)d : 0;
    r.all = r.dot + r.acc + (size_t)plan->workspace;
    return r;
}

/* A plan that keeps less than all of dS adds up dQ some other way: not known to be in order. */
static bool in_order(const rs_dnn_plan *plan, const rs_att_call *p)
{
    return (size_t)plan->workspace >= (size_t)p->heads * rs_att_ds_bytes(p->sq, p->sk);
}

/* The plan of a part of the backward, and its first part; NULL: not by cuDNN. */
static const rs_dnn_plan *backward_plan(rs_cuctx *c, const rs_att_call *p, int64_t d,
                                        rs_att_call *part)
{
    if (!suits(c, p, d))
        return NULL;
    int64_t n = c->fast ? p->heads
                        : rs_att_heads_at_once(p->heads, p->sq, p->sk, c->sm_count,
                                               c->memory / RS_ATTENTION_DS_SHARE);
    if (n == 0)
        return NULL;
    *part = rs_att_heads_of(p, d, 0, n);
    const rs_dnn_plan *plan =
        plan_for(c, part, d, c->fast ? RS_ATT_BACKWARD_FAST : RS_ATT_BACKWARD);
    return plan && (c->fast || in_order(plan, part)) ? plan : NULL;
}

size_t rs_att_dnn_workspace(rs_cuctx *c, const rs_att_call *p, int64_t d, bool backward)
{
    rs_att_call part;
    if (backward) {
        const rs_dnn_plan *plan = backward_plan(c, p, d, &part);
        return plan ? backward_room_of(&part, d, plan, c->fast).all : 0;
    }
    const rs_dnn_plan *plan = suits(c, p, d) ? plan_for(c, p, d, RS_ATT_FORWARD) : NULL;
    return plan ? (size_t)plan->workspace : 0;
}

static bool run_backward(rs_cuctx *c, const rs_att_call *p, int64_t d, const rs_dnn_plan *plan)
{
    backward_room room = backward_room_of(p, d, plan, c->fast);
    if (!rs_cuda_workspace(c, room.all))
        return false;
    char *w = c->workspace, *sums = w + room.dot;
    if (c->fast)
        rs_cuda_launched(c, "attention_bwd", cudaMemsetAsync(sums, 0, room.acc, c->compute));
    float scale = p->scale, one = 1;
    const int64_t ids[] = {RS_ATT_Q,     RS_ATT_K,   RS_ATT_V,   RS_ATT_O,   RS_ATT_STATS,
                           RS_ATT_SCALE, RS_ATT_ONE, RS_ATT_D_O, RS_ATT_DOT, RS_ATT_DQ,
                           RS_ATT_DK,    RS_ATT_DV,  RS_ATT_ACC};
    void *data[] = {(void *)(uintptr_t)p->q,
                    (void *)(uintptr_t)p->k,
                    (void *)(uintptr_t)p->v,
                    (void *)(uintptr_t)p->o_read,
                    p->lse,
                    &scale,
                    &one,
                    (void *)(uintptr_t)p->d_o,
                    w,
                    p->dq,
                    p->dk,
                    p->dv,
                    sums};
    char why[RS_DNN_WHY];
    if (!rs_dnn_run(plan, c->compute, RS_COUNT_OF(ids) - !c->fast, ids, data, sums + room.acc, why))
        rs_cuda_failed(c, "attention_bwd", why);
    return true;
}

bool rs_att_bwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d)
{
    rs_att_call part;
    const rs_dnn_plan *plan = p->dk && p->lse ? backward_plan(c, p, d, &part) : NULL;
    if (!plan)
        return false;
    for (int64_t first = 0, n = part.heads; first < p->heads; first += n) {
        part = rs_att_heads_of(p, d, first, n);
        if (!run_backward(c, &part, d, plan))
            return first > 0; /* the failure is noted */
    }
    return true;
}
