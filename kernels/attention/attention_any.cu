/* Attention on CUDA cores: fp32 or bf16 storage, any head dim up to 256, fp32 arithmetic. For fp32
 * models and odd shapes, and as what the tensor core kernels are held against; not for speed.
 *
 * A warp owns one query (o, dq) or one key (dk, dv) of one head. It goes through the other side in
 * chunks of 32: each lane computes one score, leaves the weight in shared memory, and then sums
 * the dimensions lane, lane + 32, ... over the chunk in order. Operations 4 Sq Sk D forward, 14
 * backward; every passing row is read once per warp. */
#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_tile.cuh"

static const int WARPS = 4, CHUNK = 32, DIMS = 8; /* DIMS of a lane: D up to 256 */

/* fp32 in memory whose products are of bf16 values (the ops' `bf16`); so are weights then. */
struct rounded {
    float x;
};

static __device__ inline float round_bf16(float x)
{
    return __bfloat162float(__float2bfloat16_rn(x));
}

/* As an operand of a product. */
template <typename T> static __device__ inline float get(const T *x)
{
    return (float)*x;
}

static __device__ inline float get(const rounded *x)
{
    return round_bf16(x->x);
}

template <typename T> struct weights_of {
    static __device__ inline float get(float w)
    {
        return w;
    }
};
template <> struct weights_of<rounded> {
    static __device__ inline float get(float w)
    {
        return round_bf16(w);
    }
};

/* As it is, and into memory. */
template <typename T> static __device__ inline float load(const T *x)
{
    return (float)*x;
}

static __device__ inline float load(const rounded *x)
{
    return x->x;
}

template <typename T> static __device__ inline void put(T *x, float v)
{
    *x = (T)v;
}

static __device__ inline void put(rounded *x, float v)
{
    x->x = v;
}

template <typename T> static __device__ inline float dot(const T *a, const T *b, int d)
{
    float s = 0;
    for (int i = 0; i < d; i++)
        s += get(a + i) * get(b + i);
    return s;
}

static __device__ inline float warp_max(float x)
{
    for (int d = 16; d > 0; d >>= 1)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, d));
    return x;
}

static __device__ inline float warp_sum(float x)
{
    for (int d = 16; d > 0; d >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, d);
    return x;
}

/* acc[i] += sum over the chunk of w[j] * rows[j][lane + 32 i], in order. */
template <typename T>
static __device__ inline void weigh(float acc[DIMS], const float *w, const T *rows, int64_t ld,
                                    int n, int d)
{
    int lane = (int)threadIdx.x & 31;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < DIMS && lane + 32 * i < d; i++)
            acc[i] += w[j] * get(rows + j * ld + lane + 32 * i);
}

template <typename T>
static __device__ inline void store(T *dst, const float acc[DIMS], float m, int d, bool accumulate)
{
    int lane = (int)threadIdx.x & 31;
    for (int i = 0; i < DIMS && lane + 32 * i < d; i++) {
        T *at = dst + lane + 32 * i;
        put(at, acc[i] * m + (accumulate ? load(at) : 0));
    }
}

template <typename T> static __global__ void any_fwd_kernel(const rs_att_call p, int d)
{
    __shared__ float weights[WARPS][CHUNK];
    int lane = (int)threadIdx.x & 31, head = (int)blockIdx.y;
    float *w = weights[threadIdx.x / 32];
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (i >= p.sq)
        return;
    const T *q = (const T *)p.q + i * p.ldq + head * d;
    const T *k = (const T *)p.k + head * d, *v = (const T *)p.v + head * d;
    float acc[DIMS] = {}, max = -INFINITY, sum = 0;
    for (int64_t key = 0; key < p.sk; key += CHUNK) {
        int n = (int)(p.sk - key < CHUNK ? p.sk - key : CHUNK);
        int64_t j = key + lane;
        float x = -INFINITY;
        if (lane < n) {
            x = dot(q, k + j * p.ldk, d) * p.scale;
            x += p.bias ? p.bias[head * p.ldb + j - i + p.sq - 1] : 0;
            x = x * RS_LOG2E + (j == p.sk - 1 ? p.last_log2 : 0);
        }
        float m = fmaxf(max, warp_max(x)), shrink = exp2f(max - m), e = exp2f(x - m);
        sum = sum * shrink + warp_sum(e);
        max = m;
        w[lane] = weights_of<T>::get(e);
        __syncwarp();
        for (int f = 0; f < DIMS; f++)
            acc[f] *= shrink;
        weigh(acc, w, v + key * p.ldv, p.ldv, n, d);
        __syncwarp();
    }
    store((T *)p.o + i * p.ldo + head * d, acc, 1 / sum, d, p.accumulate);
    if (p.lse && lane == 0)
        p.lse[head * p.ldl + i] = max * RS_LN2 + logf(sum);
}

/* Weight of (query i, key j) and the gradient of its score, both as operands. */
template <typename T>
static __device__ inline void score(float *w, float *ds, const rs_att_call &p, int head, int d,
                                    int64_t i, int64_t j)
{
    const T *q = (const T *)p.q + i * p.ldq + head * d, *k = (const T *)p.k + j * p.ldk + head * d;
    const T *g = (const T *)p.d_o + i * p.lddo + head * d,
            *v = (const T *)p.v + j * p.ldv + head * d;
    float x = dot(q, k, d) * (p.scale * RS_LOG2E) + (j == p.sk - 1 ? p.last_log2 : 0);
    float e = exp2f(x - p.lse[head * p.ldl + i] * RS_LOG2E);
    *w = weights_of<T>::get(e);
    *ds = weights_of<T>::get(e * (dot(g, v, d) - p.dot[head * p.sq + i]) * p.scale);
}

template <typename T> static __global__ void any_dq_kernel(const rs_att_call p, int d)
{
    __shared__ float grads[WARPS][CHUNK];
    int lane = (int)threadIdx.x & 31, head = (int)blockIdx.y;
    float *ds = grads[threadIdx.x / 32], w;
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (i >= p.sq)
        return;
    float acc[DIMS] = {};
    for (int64_t key = 0; key < p.sk; key += CHUNK) {
        int n = (int)(p.sk - key < CHUNK ? p.sk - key : CHUNK);
        if (lane < n)
            score<T>(&w, ds + lane, p, head, d, i, key + lane);
        __syncwarp();
        weigh(acc, ds, (const T *)p.k + key * p.ldk + head * d, p.ldk, n, d);
        __syncwarp();
    }
    store((T *)p.dq + i * p.lddq + head * d, acc, 1, d, p.accumulate);
}

template <typename T> static __global__ void any_dkdv_kernel(const rs_att_call p, int d)
{
    __shared__ float weights[WARPS][CHUNK], grads[WARPS][CHUNK];
    int lane = (int)threadIdx.x & 31, head = (int)blockIdx.y;
    float *w = weights[threadIdx.x / 32], *ds = grads[threadIdx.x / 32];
    int64_t j = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    if (j >= p.sk)
        return;
    float dk[DIMS] = {}, dv[DIMS] = {};
    for (int64_t query = 0; query < p.sq; query += CHUNK) {
        int n = (int)(p.sq - query < CHUNK ? p.sq - query : CHUNK);
        if (lane < n)
            score<T>(w + lane, ds + lane, p, head, d, query + lane, j);
        __syncwarp();
        weigh(dv, w, (const T *)p.d_o + query * p.lddo + head * d, p.lddo, n, d);
        weigh(dk, ds, (const T *)p.q + query * p.ldq + head * d, p.ldq, n, d);
        __syncwarp();
    }
    store((T *)p.dk + j * p.lddk + head * d, dk, 1, d, false);
    store((T *)p.dv + j * p.lddv + head * d, dv, 1, d, false);
}

template <typename T> static void bwd(rs_cuctx *c, const rs_att_call &p, int d)
{
    unsigned heads = (unsigned)p.heads;
    if (p.dk)
        rs_launch(c, "attention_bwd dk dv", any_dkdv_kernel<T>, dim3(rs_blocks(p.sk, WARPS), heads),
                  dim3(32 * WARPS), 0, p, d);
    rs_launch(c, "attention_bwd dq", any_dq_kernel<T>, dim3(rs_blocks(p.sq, WARPS), heads),
              dim3(32 * WARPS), 0, p, d);
}

template <typename T> static void fwd(rs_cuctx *c, const rs_att_call &p, int d)
{
    rs_launch(c, "attention_fwd", any_fwd_kernel<T>,
              dim3(rs_blocks(p.sq, WARPS), (unsigned)p.heads), dim3(32 * WARPS), 0, p, d);
}

void rs_att_fwd_any(rs_cuctx *c, const rs_att_call &p, int64_t d, bool bf16)
{
    if (bf16)
        fwd<rs_bf16>(c, p, (int)d);
    else if (p.round)
        fwd<rounded>(c, p, (int)d);
    else
        fwd<float>(c, p, (int)d);
}

void rs_att_bwd_any(rs_cuctx *c, const rs_att_call &p, int64_t d, bool bf16)
{
    if (bf16)
        bwd<rs_bf16>(c, p, (int)d);
    else if (p.round)
        bwd<rounded>(c, p, (int)d);
    else
        bwd<float>(c, p, (int)d);
}
