/* mse reads p and t and writes the gradient in one pass; sumsq reads x: count * (their sizes)
 * bytes. The floor is that over the measured copy bandwidth.
 *
 * Sums in double over segments whose length follows from the count alone; the block that finishes
 * last adds the segments up in order. One launch: training calls sumsq once per LoRA factor, which
 * are small. */
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256, SEGMENT = 4096, SEGMENTS = 1024 };

typedef struct cut {
    int64_t n;
    int64_t segment;
    unsigned blocks;
} cut;

static cut cut_of(int64_t n)
{
    cut c = {n, SEGMENT, 0};
    while (c.segment * SEGMENTS < n)
        c.segment *= 2;
    c.blocks = rs_blocks(n, c.segment);
    return c;
}

/* Blocks of the running launch that are done; the last one sets it back. All ops of a device run on
 * one stream, so one launch at a time counts. */
static __device__ unsigned done_blocks;

/* The block's sum into part[]; true in the last block, for all its threads. */
static __device__ inline bool hand_in(double sum, double *part)
{
    __shared__ double room[32];
    __shared__ unsigned before;
    sum = rs_block_sum(sum, room);
    if (threadIdx.x == 0) {
        part[blockIdx.x] = sum;
        __threadfence();
        before = atomicAdd(&done_blocks, 1u);
    }
    __syncthreads();
    return before == gridDim.x - 1;
}

/* All segments, to thread 0 of the last block. */
static __device__ inline double add_up(const double *part)
{
    __shared__ double room[32];
    double sum = 0;
    __threadfence();
    for (unsigned i = threadIdx.x; i < gridDim.x; i += THREADS)
        sum += part[i];
    if (threadIdx.x == 0)
        done_blocks = 0;
    return rs_block_sum(sum, room);
}

template <bool VEC, typename G, typename P, typename T>
static __global__ void mse_kernel(float *loss, G *grad, const P *p, const T *t, cut c, float scale,
                                  double *part)
{
    constexpr int V = rs_width<G, P, T>::value;
    int64_t lo = blockIdx.x * c.segment, hi = lo + c.segment < c.n ? lo + c.segment : c.n;
    double sum = 0;
    for (int64_t i = lo + (int64_t)threadIdx.x * V; i < hi; i += THREADS * V) {
        float v[V], w[V];
        rs_load<VEC>(v, p + i, hi - i);
        rs_load<VEC>(w, t + i, hi - i);
#pragma unroll
        for (int j = 0; j < V; j++) {
            v[j] -= w[j];
            sum += (double)v[j] * (double)v[j];
            v[j] *= scale;
        }
        if (grad)
            rs_store<VEC>(grad + i, v, hi - i);
    }
    if (hand_in(sum, part)) {
        sum = add_up(part);
        if (threadIdx.x == 0)
            *loss = (float)(sum / (double)c.n);
    }
}

template <bool VEC>
static __global__ void sumsq_kernel(float *out, const float *x, cut c, bool accumulate,
                                    double *part)
{
    constexpr int V = rs_width<>::value;
    int64_t lo = blockIdx.x * c.segment, hi = lo + c.segment < c.n ? lo + c.segment : c.n;
    double sum = 0;
    for (int64_t i = lo + (int64_t)threadIdx.x * V; i < hi; i += THREADS * V) {
        float v[V];
        rs_load<VEC>(v, x + i, hi - i);
#pragma unroll
        for (int j = 0; j < V; j++)
            sum += (double)v[j] * (double)v[j];
    }
    if (hand_in(sum, part)) {
        sum = add_up(part);
        if (threadIdx.x == 0)
            *out = (float)((accumulate ? (double)*out : 0.0) + sum);
    }
}

void rs_cuda_mse(rs_cuctx *c, const rs_mse_args *a)
{
    int64_t n = rs_tensor_count(a->p);
    cut k = cut_of(n);
    float scale = (float)(2.0 / (double)n);
    rs_typed(rs_has(a->grad) ? a->grad.dtype : a->p.dtype, [&](auto g0) {
        rs_typed(a->p.dtype, [&](auto p0) {
            rs_typed(a->t.dtype, [&](auto t0) {
                typedef decltype(g0) G;
                typedef decltype(p0) P;
                typedef decltype(t0) T;
                bool wide = rs_vec(rs_width<G, P, T>::value, n, a->grad, a->p, a->t);
                rs_flagged(wide, [&](auto vec) {
                    rs_launch(c, "mse", mse_kernel<decltype(vec)::value, G, P, T>, dim3(k.blocks),
                              dim3(THREADS), 0, rs_at<float>(a->loss), rs_at<G>(a->grad),
                              rs_at<const P>(a->p), rs_at<const T>(a->t), k, scale,
                              (double *)c->workspace);
                });
            });
        });
    });
}

void rs_cuda_sumsq(rs_cuctx *c, const rs_sumsq_args *a)
{
    int64_t n = rs_tensor_count(a->x);
    cut k = cut_of(n);
    rs_flagged(rs_vec(rs_width<>::value, n, a->x), [&](auto vec) {
        rs_launch(c, "sumsq", sumsq_kernel<decltype(vec)::value>, dim3(k.blocks), dim3(THREADS), 0,
                  rs_at<float>(a->out), rs_at<const float>(a->x), k, a->accumulate,
                  (double *)c->workspace);
    });
}
