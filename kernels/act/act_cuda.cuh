/* Activations and their slopes for CUDA kernels. GELU-tanh is x*sigmoid(2u): it keeps its relative
 * accuracy for negative x, where 1 + tanh(u) cancels. */
#ifndef RS_KERNELS_ACT_ACT_CUDA_CUH
#define RS_KERNELS_ACT_ACT_CUDA_CUH

#include "kernels/cuda/pack.cuh"

static __device__ inline float rs_cuda_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static __device__ inline float rs_cuda_act(rs_act act, float x)
{
    switch (act) {
    case RS_ACT_GELU_TANH:
        return x * rs_cuda_sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));
    case RS_ACT_GELU_ERF:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case RS_ACT_SILU:
        return x * rs_cuda_sigmoid(x);
    default:
        return x;
    }
}

/* s and s * (1 - s) of s = sigmoid(x). 1 - s would cancel where s is near 1. */
static __device__ inline float rs_cuda_sigmoid_slope(float x, float *s)
{
    float e = expf(fminf(-x, 80.0f)); /* e * s stays finite */
    *s = 1.0f / (1.0f + e);
    return *s * (e * *s);
}

/* d act(x) / dx */
static __device__ inline float rs_cuda_slope(rs_act act, float x)
{
    float s, d;
    switch (act) {
    case RS_ACT_GELU_TANH:
        d = rs_cuda_sigmoid_slope(1.5957691216f * (x + 0.044715f * x * x * x), &s);
        return s + x * d * (1.5957691216f * (1.0f + 0.134145f * x * x));
    case RS_ACT_GELU_ERF:
        return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * expf(-0.5f * x * x) * 0.3989422804f;
    case RS_ACT_SILU:
        d = rs_cuda_sigmoid_slope(x, &s);
        return s + x * d;
    default:
        return 1.0f;
    }
}

/* One branch for V elements: `act` is the same for the whole grid. */
template <int V> static __device__ inline void rs_cuda_act_all(rs_act act, float (&x)[V])
{
    if (act == RS_ACT_GELU_TANH)
#pragma unroll
        for (int j = 0; j < V; j++)
            x[j] = rs_cuda_act(RS_ACT_GELU_TANH, x[j]);
    else if (act == RS_ACT_GELU_ERF)
#pragma unroll
        for (int j = 0; j < V; j++)
            x[j] = rs_cuda_act(RS_ACT_GELU_ERF, x[j]);
    else if (act == RS_ACT_SILU)
#pragma unroll
        for (int j = 0; j < V; j++)
            x[j] = rs_cuda_act(RS_ACT_SILU, x[j]);
}

#endif
