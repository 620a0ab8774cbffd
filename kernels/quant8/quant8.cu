/* Reads M*K*2 and writes M*K + 4*M bytes: the floor is that over the measured copy bandwidth; some
 * 15 instructions an element stay below it. A block a row, which stays in registers between its
 * largest value and its rounding up to 16384 columns; longer ones are read again, from the cache.
 */
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pack.cuh"

enum { QUANT_THREADS = 256, QUANT_V = 8, QUANT_ITEMS = 8, QUANT_MOST = 16384 };

/* base/fp8.h */
static __device__ inline uint32_t quant8_of(float x)
{
    uint32_t u = __float_as_uint(x), sign = u >> 24 & 0x80u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return sign | 0x7fu;
    if (u < 0x3c800000u)
        return sign | (__float_as_uint(__uint_as_float(u) + 16384.0f) - 0x46800000u);
    u -= 0x3c000000u;
    u = (u + 0x7ffffu + (u >> 20 & 1u)) >> 20;
    return sign | (u > 0x7eu ? 0x7eu : u);
}

/* The largest over the block. */
static __device__ inline float quant8_most(float v, float *room)
{
    for (int d = 16; d > 0; d >>= 1)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = v;
    __syncthreads();
    for (int w = 0; w < QUANT_THREADS / 32; w++)
        v = fmaxf(v, room[w]);
    return v;
}

template <bool VEC>
static __device__ inline void quant8_put(uint8_t *y, const float (&v)[QUANT_V], float inverse,
                                         int64_t n)
{
    uint32_t b[QUANT_V];
#pragma unroll
    for (int i = 0; i < QUANT_V; i++)
        b[i] = quant8_of(v[i] * inverse);
    if constexpr (VEC) {
        if (n > 0)
            *reinterpret_cast<uint2 *>(y) = make_uint2(b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24,
                                                       b[4] | b[5] << 8 | b[6] << 16 | b[7] << 24);
    } else {
#pragma unroll
        for (int i = 0; i < QUANT_V; i++)
            if (i < n)
                y[i] = (uint8_t)b[i];
    }
}

template <bool VEC, bool KEEP, typename T>
static __global__ void __launch_bounds__(QUANT_THREADS)
    quant8_kernel(uint8_t *y, float *scale, const T *x, int64_t ld, int64_t cols)
{
    __shared__ float room[QUANT_THREADS / 32];
    int items = KEEP ? QUANT_ITEMS
                     : (int)((cols + QUANT_THREADS * QUANT_V - 1) / (QUANT_THREADS * QUANT_V));
    rs_raw<T, QUANT_V> kept[KEEP ? QUANT_ITEMS : 1];
    const T *row = x + (int64_t)blockIdx.x * ld;
    float v[QUANT_V], most = 0;
#pragma unroll
    for (int i = 0; i < items; i++) {
        int64_t col = ((int64_t)i * QUANT_THREADS + threadIdx.x) * QUANT_V;
        rs_fetch<VEC>(kept[KEEP ? i : 0], row + col, cols - col);
        rs_open(v, kept[KEEP ? i : 0]);
#pragma unroll
        for (int e = 0; e < QUANT_V; e++)
            most = fmaxf(most, fabsf(v[e]));
    }
    most = quant8_most(most, room);
    float inverse = most > 0 ? 448.0f / most : 1.0f;
    if (threadIdx.x == 0)
        scale[blockIdx.x] = most > 0 ? most / 448.0f : 1.0f;
#pragma unroll
    for (int i = 0; i < items; i++) {
        int64_t col = ((int64_t)i * QUANT_THREADS + threadIdx.x) * QUANT_V;
        if (!KEEP)
            rs_fetch<VEC>(kept[0], row + col, cols - col);
        rs_open(v, kept[KEEP ? i : 0]);
        quant8_put<VEC>(y + (int64_t)blockIdx.x * cols + col, v, inverse, cols - col);
    }
}

void rs_cuda_quant8(rs_cuctx *c, const rs_quant8_args *a)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows == 0 || cols == 0)
        return;
    bool vec = rs_vec(QUANT_V, cols, a->x) && (uintptr_t)a->y.data % 8 == 0;
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        rs_flagged(vec, [&](auto v) {
            rs_flagged(cols <= QUANT_MOST, [&](auto keep) {
                rs_launch(c, "quant8", quant8_kernel<decltype(v)::value, decltype(keep)::value, T>,
                          dim3((unsigned)rows), dim3(QUANT_THREADS), 0, (uint8_t *)a->y.data,
                          rs_at<float>(a->scale), rs_at<const T>(a->x), a->x.ld, cols);
            });
        });
    });
}
