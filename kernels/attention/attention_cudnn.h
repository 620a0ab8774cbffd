/* Attention by cuDNN (host code): what attention.cu asks first. */
#ifndef RS_KERNELS_ATTENTION_CUDNN_H
#define RS_KERNELS_ATTENTION_CUDNN_H

#include "kernels/attention/attention_cuda.h"
#include "kernels/cuda/dnn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Enqueue; false, and nothing was done: cuDNN is not there, was turned off, or does not take this
 * call. */
bool rs_att_fwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d);
bool rs_att_bwd_dnn(rs_cuctx *c, const rs_att_call *p, int64_t d);
/* Bytes of workspace of such a call, whose plan is made; 0: of none, or cuDNN does not take it. Of
 * the call only sizes are looked at. */
size_t rs_att_dnn_workspace(rs_cuctx *c, const rs_att_call *p, int64_t d, bool backward);

/* ---- parts; for plans, and for the test that cuDNN accepts the graphs ---- */

typedef enum rs_att_graph {
    RS_ATT_FORWARD,
    RS_ATT_BACKWARD,     /* keeps dS, 2 bytes a score, in its workspace; equal bits every time */
    RS_ATT_BACKWARD_FAST /* adds up dQ in any order, in a zeroed fp32 accumulator */
} rs_att_graph;

/* Ids of the tensors that are given at execution. */
enum {
    RS_ATT_Q = 1,
    RS_ATT_K,
    RS_ATT_V,
    RS_ATT_O,
    RS_ATT_STATS,
    RS_ATT_SCALE,
    RS_ATT_ONE,
    RS_ATT_D_O,
    RS_ATT_DOT,
    RS_ATT_ACC,
    RS_ATT_DQ,
    RS_ATT_DK,
    RS_ATT_DV
};

/* What a plan depends on. */
typedef struct rs_att_key {
    int64_t graph, heads, d, sq, sk;
    int64_t ld[9]; /* o dq dk dv lse q k v d_o */
} rs_att_key;

rs_att_key rs_att_key_of(const rs_att_call *p, int64_t d, rs_att_graph graph);
void rs_att_dnn_graph(rs_dnn_graph *g, const rs_att_key *k);

/* Bytes of dS of one head as cuDNN keeps it: 2 a score, sides rounded up to 64. */
size_t rs_att_ds_bytes(int64_t sq, int64_t sk);
/* How many heads the backward does at a time, a divisor of them: those whose dS fits into `room`
 * bytes and whose blocks of 128 keys fill `sms` multiprocessors best. 0: not even one fits. */
int64_t rs_att_heads_at_once(int64_t heads, int64_t sq, int64_t sk, int sms, size_t room);
/* Part of a backward call: heads [first, first + n). */
rs_att_call rs_att_heads_of(const rs_att_call *p, int64_t d, int64_t first, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
