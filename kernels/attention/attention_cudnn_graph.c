/* The graphs of attention for cuDNN: its attention node forward, and backward the products that it
 * recognises as one fused kernel. Where dQ is written by the last product itself, cuDNN keeps the
 * whole dS in its workspace and makes dQ from it in a fixed order; with an accumulator in memory
 * between the two (fast) it adds up dQ in whatever order its blocks finish. (The engines' notes say
 * neither; their workspaces and the accumulator that has to be zeroed do.) */
#include "kernels/attention/attention_cudnn.h"

/* (1, heads, rows, d) of a matrix (rows, heads * d). */
static rs_dnn_shape rows_of(const rs_att_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, rows, k->d}, {rows * ld, k->d, ld, 1}};
}

/* (1, heads, d, rows): the same memory, transposed. */
static rs_dnn_shape columns_of(const rs_att_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, k->d, rows}, {rows * ld, k->d, 1, ld}};
}

/* (1, heads, rows, 1) of a matrix (heads, rows). */
static rs_dnn_shape per_row(const rs_att_key *k, int64_t rows, int64_t ld)
{
    return (rs_dnn_shape){{1, k->heads, rows, 1}, {k->heads * ld, ld, 1, 1}};
}

static rs_dnn_shape dense(const rs_att_key *k, int64_t rows, int64_t cols)
{
    return (rs_dnn_shape){{1, k->heads, rows, cols},
                          {k->heads * rows * cols, rows * cols, cols, 1}};
}

static rs_dnn_shape dense_transposed(const rs_att_key *k, int64_t rows, int64_t cols)
{
    return (rs_dnn_shape){{1, k->heads, cols, rows},
                          {k->heads * rows * cols, rows * cols, 1, cols}};
}

static void forward_graph(rs_dnn_graph *g, const rs_att_key *k)
{
    const cudnnDataType_t half = CUDNN_DATA_BFLOAT16;
    rs_dnn_tensor q = rs_dnn_input(g, RS_ATT_Q, half, rows_of(k, k->sq, k->ld[5]));
    rs_dnn_tensor key = rs_dnn_input(g, RS_ATT_K, half, rows_of(k, k->sk, k->ld[6]));
    rs_dnn_tensor v = rs_dnn_input(g, RS_ATT_V, half, rows_of(k, k->sk, k->ld[7]));
    rs_dnn_tensor o = rs_dnn_input(g, RS_ATT_O, half, rows_of(k, k->sq, k->ld[0]));
    rs_dnn_tensor stats =
        rs_dnn_input(g, RS_ATT_STATS, CUDNN_DATA_FLOAT, per_row(k, k->sq, k->ld[4]));
    rs_dnn_sdpa_forward(g, q, key, v, rs_dnn_scalar(g, RS_ATT_SCALE), o, stats);
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
static rs_dnn_tensor dots(rs_dnn_graph *g, const rs_att_key *k, rs_dnn_tensor d_o)
{
    rs_dnn_shape row = dense(k, k->sq, 1);
    rs_dnn_tensor o = rs_dnn_input(g, RS_ATT_O, CUDNN_DATA_BFLOAT16, rows_of(k, k->sq, k->ld[0]));
    rs_dnn_tensor products = op(g, CUDNN_POINTWISE_MUL, d_o, o, f32(g, dense(k, k->sq, k->d)));
    rs_dnn_tensor sum = f32(g, row), dot = rs_dnn_input(g, RS_ATT_DOT, CUDNN_DATA_FLOAT, row);
    rs_dnn_reduce_add(g, products, sum);
    return op(g, CUDNN_POINTWISE_MUL, sum, rs_dnn_scalar(g, RS_ATT_ONE), dot);
}

static void backward_graph(rs_dnn_graph *g, const rs_att_key *k, bool fast)
{
    const cudnnDataType_t b16 = CUDNN_DATA_BFLOAT16;
    rs_dnn_shape scores = dense(k, k->sq, k->sk), flipped = dense_transposed(k, k->sq, k->sk);
    rs_dnn_tensor q = rs_dnn_input(g, RS_ATT_Q, b16, rows_of(k, k->sq, k->ld[5]));
    rs_dnn_tensor kt = rs_dnn_input(g, RS_ATT_K, b16, columns_of(k, k->sk, k->ld[6]));
    rs_dnn_tensor vt = rs_dnn_input(g, RS_ATT_V, b16, columns_of(k, k->sk, k->ld[7]));
    rs_dnn_tensor d_o = rs_dnn_input(g, RS_ATT_D_O, b16, rows_of(k, k->sq, k->ld[8]));
    rs_dnn_tensor stats =
        rs_dnn_input(g, RS_ATT_STATS, CUDNN_DATA_FLOAT, per_row(k, k->sq, k->ld[4]));
    rs_dnn_tensor scale = rs_dnn_scalar(g, RS_ATT_SCALE), dot = dots(g, k, d_o);

    rs_dnn_tensor s = f32(g, scores);
    rs_dnn_matmul(g, q, kt, s);
    s = op(g, CUDNN_POINTWISE_MUL, s, scale, f32(g, scores));
    s = op(g, CUDNN_POINTWISE_SUB, s, stats, f32(g, scores));
    rs_dnn_tensor p = op(g, CUDNN_POINTWISE_EXP, s, NULL, f32(g, scores));
    rs_dnn_tensor pt = half(g, flipped);
    rs_dnn_reshape(g, p, pt);
    rs_dnn_matmul(g, pt, d_o, rs_dnn_input(g, RS_ATT_DV, b16, rows_of(k, k->sk, k->ld[3])));

    rs_dnn_tensor dp = f32(g, scores);
    rs_dnn_matmul(g, d_o, vt, dp);
    dp = op(g, CUDNN_POINTWISE_SUB, dp, dot, f32(g, scores));
    dp = op(g, CUDNN_POINTWISE_MUL, dp, p, f32(g, scores));
    rs_dnn_tensor ds = op(g, CUDNN_POINTWISE_MUL, dp, scale, half(g, scores));
    rs_dnn_tensor dst = half(g, flipped);
    rs_dnn_reshape(g, ds, dst);
    rs_dnn_matmul(g, dst, q, rs_dnn_input(g, RS_ATT_DK, b16, rows_of(k, k->sk, k->ld[2])));

    rs_dnn_tensor key = half(g, dense(k, k->sk, k->d));
    rs_dnn_reshape(g, kt, key);
    rs_dnn_tensor dq = rs_dnn_input(g, RS_ATT_DQ, b16, rows_of(k, k->sq, k->ld[1]));
    rs_dnn_tensor acc =
        fast ? rs_dnn_input(g, RS_ATT_ACC, CUDNN_DATA_FLOAT, dense(k, k->sq, k->d)) : dq;
    rs_dnn_matmul(g, ds, key, acc);
    if (fast)
        op(g, CUDNN_POINTWISE_IDENTITY, acc, NULL, dq);
}

rs_att_key rs_att_key_of(const rs_att_call *p, int64_t d, rs_att_graph graph)
{
    return (rs_att_key){
        graph, p->heads,
        d,     p->sq,
        p->sk, {p->ldo, p->lddq, p->lddk, p->lddv, p->ldl, p->ldq, p->ldk, p->ldv, p->lddo}};
}

void rs_att_dnn_graph(rs_dnn_graph *g, const rs_att_key *k)
{
    if (k->graph == RS_ATT_FORWARD)
        forward_graph(g, k);
    else
        backward_graph(g, k, k->graph == RS_ATT_BACKWARD_FAST);
}
