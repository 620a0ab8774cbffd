/* Attention by cuDNN: its attention node forward, and a graph of matrix products, which cuDNN
 * recognises as the fused backward. That one adds up dQ in whatever order its blocks finish (no
 * engine's notes say so, its zeroed accumulator does), so it is used in the fast mode only. Plans
 * are made at the first call of a shape and kept. */
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_cudnn.h"
#include "kernels/cuda/dnn.h"

enum { KEPT = 16 }; /* shapes: self, text, image; two resolutions; forward and backward */
enum { Q = 1, K, V, O, STATS, SCALE, ONE, D_O, DOT, ACC, DQ, DK, DV };

typedef struct shape_key {
    int64_t backward, heads, d, sq, sk;
    int64_t ld[9]; /* o dq dk dv lse q k v d_o */
} shape_key;

struct rs_att_plans {
    struct {
        shape_key key;
        rs_dnn_plan plan;
        bool refused;
    } kept[KEPT];
    int n, next;
};

/* (1, heads, rows, d) of a matrix (rows, heads * d). */
static rs_dnn_shape rows_of(const shape_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, rows, k->d}, {rows * ld, k->d, ld, 1}};
}

/* (1, heads, d, rows): the same memory, transposed. */
static rs_dnn_shape columns_of(const shape_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, k->d, rows}, {rows * ld, k->d, 1, ld}};
}

/* (1, heads, rows, 1) of a matrix (heads, rows). */
static rs_dnn_shape per_row(const shape_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, rows, 1}, {k->heads * ld, ld, 1, 1}};
}

static rs_dnn_shape dense(const shape_key *k, int64_t rows, int64_t cols)
{
    return (rs_dnn_shape){{1, k->heads, rows, cols},
                          {k->heads * rows * cols, rows * cols, cols, 1}};
}

static rs_dnn_shape dense_transposed(const shape_key *k, int64_t rows, int64_t cols)
{
    return (rs_dnn_shape){{1, k->heads, cols, rows},
                          {k->heads * rows * cols, rows * cols, 1, cols}};
}

static void forward_graph(rs_dnn_graph *g, const shape_key *k)
{
    const cudnnDataType_t half = CUDNN_DATA_BFLOAT16;
    rs_dnn_tensor q = rs_dnn_input(g, Q, half, rows_of(k, k->sq, k->ld[5]));
    rs_dnn_tensor key = rs_dnn_input(g, K, half, rows_of(k, k->sk, k->ld[6]));
    rs_dnn_tensor v = rs_dnn_input(g, V, half, rows_of(k, k->sk, k->ld[7]));
    rs_dnn_tensor o = rs_dnn_input(g, O, half, rows_of(k, k->sq, k->ld[0]));
    rs_dnn_tensor stats = rs_dnn_input(g, STATS, CUDNN_DATA_FLOAT, per_row(k, k->sq, k->ld[4]));
    rs_dnn_sdpa_forward(g, q, key, v, rs_dnn_scalar(g, SCALE), o, stats);
}

static rs_dnn_tensor f32(rs_dnn_graph *g, rs_dnn_shape s)
{
    return rs_dnn_virtual(g, CUDNN_DATA_FLOAT, s);
}

static rs_dnn_tensor half(rs_dnn_graph *g, rs_dnn_shape s)
{
    return rs_dnn_virtual(g, CUDNN_DATA_BFLOAT16, s);
}

static rs_dnn_tensor op(rs_dnn_graph *g, cudnnPointwiseMode_t mode, rs_dnn_tensor x,
                        rs_dnn_tensor b, rs_dnn_tensor y)
{
    rs_dnn_pointwise(g, mode, x, b, y);
    return y;
}

/* D = rowsum(dO * O), in memory. */
static rs_dnn_tensor dots(rs_dnn_graph *g, const shape_key *k, rs_dnn_tensor d_o)
{
    rs_dnn_shape row = dense(k, k->sq, 1);
    rs_dnn_tensor o = rs_dnn_input(g, O, CUDNN_DATA_BFLOAT16, rows_of(k, k->sq, k->ld[0]));
    rs_dnn_tensor products = op(g, CUDNN_POINTWISE_MUL, d_o, o, f32(g, dense(k, k->sq, k->d)));
    rs_dnn_tensor sum = f32(g, row), dot = rs_dnn_input(g, DOT, CUDNN_DATA_FLOAT, row);
    rs_dnn_reduce_add(g, products, sum);
    return op(g, CUDNN_POINTWISE_MUL, sum, rs_dnn_scalar(g, ONE), dot);
}

static void backward_graph(rs_dnn_graph *g, const shape_key *k)
{
    const cudnnDataType_t b16 = CUDNN_DATA_BFLOAT16;
    rs_dnn_shape scores = dense(k, k->sq, k->sk), flipped = dense_transposed(k, k->sq, k->sk);
    rs_dnn_tensor q = rs_dnn_input(g, Q, b16, rows_of(k, k->sq, k->ld[5]));
    rs_dnn_tensor kt = rs_dnn_input(g, K, b16, columns_of(k, k->sk, k->ld[6]));
    rs_dnn_tensor vt = rs_dnn_input(g, V, b16, columns_of(k, k->sk, k->ld[7]));
    rs_dnn_tensor d_o = rs_dnn_input(g, D_O, b16, rows_of(k, k->sq, k->ld[8]));
    rs_dnn_tensor stats = rs_dnn_input(g, STATS, CUDNN_DATA_FLOAT, per_row(k, k->sq, k->ld[4]));
    rs_dnn_tensor scale = rs_dnn_scalar(g, SCALE), dot = dots(g, k, d_o);

    rs_dnn_tensor s = f32(g, scores);
    rs_dnn_matmul(g, q, kt, s);
    s = op(g, CUDNN_POINTWISE_MUL, s, scale, f32(g, scores));
    s = op(g, CUDNN_POINTWISE_SUB, s, stats, f32(g, scores));
    rs_dnn_tensor p = op(g, CUDNN_POINTWISE_EXP, s, NULL, f32(g, scores));
    rs_dnn_tensor pt = half(g, flipped);
    rs_dnn_reshape(g, p, pt);
    rs_dnn_matmul(g, pt, d_o, rs_dnn_input(g, DV, b16, rows_of(k, k->sk, k->ld[3])));

    rs_dnn_tensor dp = f32(g, scores);
    rs_dnn_matmul(g, d_o, vt, dp);
    dp = op(g, CUDNN_POINTWISE_SUB, dp, dot, f32(g, scores));
    dp = op(g, CUDNN_POINTWISE_MUL, dp, p, f32(g, scores));
    rs_dnn_tensor ds = op(g, CUDNN_POINTWISE_MUL, dp, scale, half(g, scores));
    rs_dnn_tensor dst = half(g, flipped);
    rs_dnn_reshape(g, ds, dst);
    rs_dnn_matmul(g, dst, q, rs_dnn_input(g, DK, b16, rows_of(k, k->sk, k->ld[2])));

    rs_dnn_tensor key = half(g, dense(k, k->sk, k->d));
    rs_dnn_reshape(g, kt, key);
    rs_dnn_tensor acc = rs_dnn_input(g, ACC, CUDNN_DATA_FLOAT, dense(k, k->sq, k->d));
    rs_dnn_matmul(g, ds, key, acc);
    op(g, CUDNN_POINTWISE_IDENTITY, acc, NULL,
       rs_dnn_input(g, DQ, b16, rows_of(k, k->sq, k->ld[1])));
}

void rs_att_dnn_graph(rs_dnn_graph *g, const rs_att_call *p, int64_t d, bool backward)
{
    shape_key k = {
        backward, p->heads,
        d,        p->sq,
        p->sk,    {p->ldo, p->lddq, p->lddk, p->lddv, p->ldl, p->ldq, p->ldk, p->ldv, p->lddo}};
    if (backward)
        backward_graph(g, &k);
    else
        forward_graph(g, &k);
}

/* The plan of a shape; made, or found refused, once. */
static const rs_dnn_plan *plan_for(rs_cuctx *c, const rs_att_call *p, int64_t d, bool backward)
{
    if (!c->att_plans)
        c->att_plans = rs_alloc(1, sizeof *c->att_plans);
    struct rs_att_plans *kept = c->att_plans;
    shape_key k = {
        backward, p->heads,
        d,        p->sq,
        p->sk,    {p->ldo, p->lddq, p->lddk, p->lddv, p->ldl, p->ldq, p->ldk, p->ldv, p->lddo}};
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
    rs_att_dnn_graph(&g, p, d, backward);
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

/* What the backward has in the workspace: row dots, the sums of dQ, cuDNN's own. */
typedef struct backward_room {
    size_t dot, acc, all;
} backward_room;

static backward_room backward_room_of(const rs_att_call *p, int64_t d, const rs_dnn_plan *plan)
{
    backward_room r = {.dot = round_up((size_t)(p->heads * p->sq) * sizeof(float))};
    r.acc = r.dot * (size_t)d;
    r.all = r.dot + r.acc + (size_t)plan->workspace;
    return r;
}

size_t rs_att_dnn_workspace(rs_cuctx *c, const rs_att_call *p, int64_t d, bool backward)
{
    bool taken = suits(c, p, d) && (c->fast || !backward);
    const rs_dnn_plan *plan = taken ? plan_for(c, p, d, backward) : NULL;
    if (!plan)
        return 0;
    return backward ? backward_room_of(p, d, plan).all : (size_t)plan->workspace;
}

bool rs_att_fwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d)
{
    const rs_dnn_plan *plan = p->lse && suits(c, p, d) ? plan_for(c, p, d, false) : NULL;
    if (!plan || !rs_cuda_workspace(c, (size_t)plan->workspace))
        return false;
    float scale = p->scale;
    const int64_t ids[] = {Q, K, V, O, STATS, SCALE};
    void *data[] = {(void *)p->q, (void *)p->k, (void *)p->v, p->o, p->lse, &scale};
    char why[RS_DNN_WHY];
    if (!rs_dnn_run(plan, c->compute, RS_COUNT_OF(ids), ids, data, c->workspace, why))
        rs_cuda_failed(c, "attention_fwd", why);
    return true;
}

bool rs_att_bwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d)
{
    const rs_dnn_plan *plan = c->fast && suits(c, p, d) && p->dk ? plan_for(c, p, d, true) : NULL;
    if (!plan)
        return false;
    backward_room room = backward_room_of(p, d, plan);
    if (!rs_cuda_workspace(c, room.all))
        return false;
    char *w = c->workspace, *sums = w + room.dot;
    rs_cuda_launched(c, "attention_bwd", cudaMemsetAsync(sums, 0, room.acc, c->compute));
    float scale = p->scale, one = 1;
    const int64_t ids[] = {Q, K, V, O, STATS, SCALE, ONE, D_O, DOT, ACC, DQ, DK, DV};
    void *data[] = {(void *)p->q,
                    (void *)p->k,
                    (void *)p->v,
                    (void *)p->o_read,
                    p->lse,
                    &scale,
                    &one,
                    (void *)p->d_o,
                    w,
                    sums,
                    p->dq,
                    p->dk,
                    p->dv};
    char why[RS_DNN_WHY];
    if (!rs_dnn_run(plan, c->compute, RS_COUNT_OF(ids), ids, data, sums + room.acc, why))
        rs_cuda_failed(c, "attention_bwd", why);
    return true;
}
