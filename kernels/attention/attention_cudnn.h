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
/* The operations of a call's graph; for plans, and for the test that cuDNN accepts them. */
void rs_att_dnn_graph(rs_dnn_graph *g, const rs_att_call *p, int64_t d, bool backward);

#ifdef __cplusplus
}
#endif
#endif
