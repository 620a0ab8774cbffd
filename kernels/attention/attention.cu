/* The attention ops of the CUDA backend: arguments, the row dots of the backward, and which
 * implementation takes a call. */
#include <math.h>

#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_cudnn.h"
#include "kernels/attention/attention_tile.cuh"

static bool aligned(rs_tensor t)
{
    return !rs_has(t) || ((uintptr_t)t.data % 16 == 0 && t.ld % 8 == 0);
}

static float log2_count(int64_t n)
{
    return n > 1 ? log2f((float)n) : 0;
}

void rs_cuda_attention_fwd(rs_cuctx *c, const rs_attention_fwd_args *a)
{
    bool bf16 = a->q.dtype == RS_DTYPE_BF16;
    int64_t d = rs_tensor_cols(a->q) / a->heads;
    rs_att_call p = {};
    p.o = a->o.data, p.ldo = a->o.ld;
    p.lse = (float *)a->lse.data, p.ldl = a->lse.ld;
    p.q = a->q.data, p.ldq = a->q.ld;
    p.k = a->k.data, p.ldk = a->k.ld;
    p.v = a->v.data, p.ldv = a->v.ld;
    p.bias = (const float *)a->bias_rel.data, p.ldb = a->bias_rel.ld;
    p.sq = rs_tensor_rows(a->q), p.sk = rs_tensor_rows(a->k), p.heads = a->heads;
    p.scale = a->scale, p.last_log2 = log2_count(a->last_key_count);
    p.accumulate = a->o_accumulate, p.round = a->bf16;
    bool tensor = bf16 && aligned(a->o) && aligned(a->q) && aligned(a->k) && aligned(a->v);
    if (tensor && rs_att_fwd_dnn(c, &p, d))
        return;
    if (!tensor || !rs_att_fwd_tensor(c, p, d))
        rs_att_fwd_any(c, p, d, bf16);
}

/* dot[n][i] = sum over the head's columns of dO * O: reads both once. A warp per query and head. */
template <typename T>
static __global__ void dots_kernel(float *dot, const T *g, int64_t ldg, const T *o, int64_t ldo,
                                   int64_t sq, int64_t heads, int d)
{
    int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    int lane = (int)threadIdx.x & 31;
    if (at >= sq * heads)
        return;
    int64_t i = at / heads, n = at % heads;
    float s = 0;
    for (int col = lane; col < d; col += 32)
        s += (float)g[i * ldg + n * d + col] * (float)o[i * ldo + n * d + col];
    for (int step = 16; step > 0; step >>= 1)
        s += __shfl_xor_sync(0xffffffffu, s, step);
    if (lane == 0)
        dot[n * sq + i] = s;
}

template <typename T>
static void dots(rs_cuctx *c, const rs_att_call &p, const rs_attention_bwd_args *a, int64_t d)
{
    rs_launch(c, "attention_bwd dots", dots_kernel<T>, dim3(rs_blocks(p.sq * p.heads, 8)),
              dim3(256), 0, p.dot, (const T *)p.d_o, p.lddo, (const T *)a->o.data, a->o.ld, p.sq,
              p.heads, (int)d);
}

static size_t dots_bytes(const rs_att_call &p)
{
    return (size_t)(p.sq * p.heads) * sizeof(float);
}

size_t rs_cuda_attention_workspace(rs_cuctx *c, const rs_attention_shape *s, bool bf16)
{
    int64_t ld = s->heads * s->head_dim;
    rs_att_call p = {};
    p.sq = s->queries, p.sk = s->keys, p.heads = s->heads, p.ldl = s->queries;
    p.ldo = p.lddq = p.lddk = p.lddv = p.ldq = p.ldk = p.ldv = p.lddo = ld;
    if (!s->backward)
        p.lddq = p.lddk = p.lddv = p.lddo = 0;
    size_t dnn = bf16 ? rs_att_dnn_workspace(c, &p, s->head_dim, s->backward) : 0;
    return dnn || !s->backward ? dnn : dots_bytes(p);
}

void rs_cuda_attention_bwd(rs_cuctx *c, const rs_attention_bwd_args *a)
{
    bool bf16 = a->q.dtype == RS_DTYPE_BF16;
    int64_t d = rs_tensor_cols(a->q) / a->heads;
    rs_att_call p = {};
    p.dq = a->dq.data, p.lddq = a->dq.ld;
    p.dk = a->dk.data, p.lddk = a->dk.ld;
    p.dv = a->dv.data, p.lddv = a->dv.ld;
    p.lse = (float *)a->lse.data, p.ldl = a->lse.ld;
    p.q = a->q.data, p.ldq = a->q.ld;
    p.k = a->k.data, p.ldk = a->k.ld;
    p.v = a->v.data, p.ldv = a->v.ld;
    p.d_o = a->d_o.data, p.lddo = a->d_o.ld;
    p.sq = rs_tensor_rows(a->q), p.sk = rs_tensor_rows(a->k), p.heads = a->heads;
    p.scale = a->scale, p.last_log2 = log2_count(a->last_key_count);
    p.accumulate = a->dq_accumulate, p.round = a->bf16;
    p.o_read = a->o.data, p.ldo = a->o.ld;
    bool tensor = bf16 && aligned(a->dq) && aligned(a->dk) && aligned(a->dv) && aligned(a->d_o) &&
                  aligned(a->o) && aligned(a->q) && aligned(a->k) && aligned(a->v);
    if (tensor && rs_att_bwd_dnn(c, &p, d))
        return;
    if (!rs_cuda_workspace(c, dots_bytes(p)))
        return;
    p.dot = (float *)c->workspace;
    if (bf16)
        dots<rs_bf16>(c, p, a, d);
    else
        dots<float>(c, p, a, d);
    if (!tensor || !rs_att_bwd_tensor(c, p, d))
        rs_att_bwd_any(c, p, d, bf16);
}
