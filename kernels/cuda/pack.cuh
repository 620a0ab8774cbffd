/* How the memory-bound kernels touch memory: V neighbouring elements at a time, fp32 in registers
 * whatever the storage type. V is 4 when every tensor is F32, 8 when one is BF16, so that the
 * narrowest tensor moves in 16-byte words.
 *
 * Which thread works on which elements follows from the shape alone. VEC only says how they are
 * loaded: 16 bytes at once where pointers and row lengths allow it, else one by one; so bits never
 * depend on alignment. */
#ifndef RS_KERNELS_CUDA_PACK_CUH
#define RS_KERNELS_CUDA_PACK_CUH

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"

typedef __nv_bfloat16 rs_bf16;

static __device__ inline float rs_widen(float x)
{
    return x;
}

static __device__ inline float rs_widen(rs_bf16 x)
{
    return __bfloat162float(x);
}

static __device__ inline void rs_narrow(float *dst, float x)
{
    *dst = x;
}

static __device__ inline void rs_narrow(rs_bf16 *dst, float x)
{
    *dst = __float2bfloat16_rn(x);
}

template <typename... T> struct rs_width;
template <> struct rs_width<> {
    static constexpr int value = 4;
};
template <typename T, typename... Rest> struct rs_width<T, Rest...> {
    static constexpr int value = sizeof(T) == 2 ? 8 : rs_width<Rest...>::value;
};

/* 16-byte words to floats and back. */
static __device__ inline void rs_unpack(float *out, uint4 w, const float *)
{
    const float *f = reinterpret_cast<const float *>(&w);
    for (int i = 0; i < 4; i++)
        out[i] = f[i];
}

static __device__ inline void rs_unpack(float *out, uint4 w, const rs_bf16 *)
{
    const __nv_bfloat162 *h = reinterpret_cast<const __nv_bfloat162 *>(&w);
    for (int i = 0; i < 4; i++) {
        float2 f = __bfloat1622float2(h[i]);
        out[2 * i] = f.x;
        out[2 * i + 1] = f.y;
    }
}

static __device__ inline uint4 rs_pack(const float *in, const float *)
{
    uint4 w;
    float *f = reinterpret_cast<float *>(&w);
    for (int i = 0; i < 4; i++)
        f[i] = in[i];
    return w;
}

static __device__ inline uint4 rs_pack(const float *in, const rs_bf16 *)
{
    uint4 w;
    __nv_bfloat162 *h = reinterpret_cast<__nv_bfloat162 *>(&w);
    for (int i = 0; i < 4; i++)
        h[i] = __floats2bfloat162_rn(in[2 * i], in[2 * i + 1]);
    return w;
}

/* V elements as they lie in memory: registers of rows that are kept. */
template <typename T, int V> struct rs_raw {
    static constexpr int each = 16 / (int)sizeof(T), words = V / each;
    static_assert(V % each == 0, "whole words");
    uint4 w[words];
};

/* v = p[i] for i < n, zeros behind (n may be negative). With VEC: n >= V, or nothing. */
template <bool VEC, typename T, int V>
static __device__ inline void rs_fetch(rs_raw<T, V> &v, const T *p, int64_t n)
{
    if constexpr (VEC) {
#pragma unroll
        for (int i = 0; i < rs_raw<T, V>::words; i++)
            v.w[i] = n > 0 ? reinterpret_cast<const uint4 *>(p)[i] : make_uint4(0, 0, 0, 0);
    } else {
        float f[V];
#pragma unroll
        for (int i = 0; i < V; i++)
            f[i] = i < n ? rs_widen(p[i]) : 0.0f;
#pragma unroll
        for (int i = 0; i < rs_raw<T, V>::words; i++)
            v.w[i] = rs_pack(f + i * rs_raw<T, V>::each, p);
    }
}

template <typename T, int V>
static __device__ inline void rs_open(float (&out)[V], const rs_raw<T, V> &v)
{
#pragma unroll
    for (int i = 0; i < rs_raw<T, V>::words; i++)
        rs_unpack(out + i * rs_raw<T, V>::each, v.w[i], static_cast<const T *>(nullptr));
}

template <bool VEC, int V, typename T>
static __device__ inline void rs_load(float (&out)[V], const T *p, int64_t n)
{
    if constexpr (VEC) {
        rs_raw<T, V> v;
        rs_fetch<VEC>(v, p, n);
        rs_open(out, v);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++)
            out[i] = i < n ? rs_widen(p[i]) : 0.0f;
    }
}

/* The same from an optional tensor: `absent` everywhere when p is NULL. */
template <bool VEC, int V>
static __device__ inline void rs_load_or(float (&out)[V], const float *p, int64_t at, int64_t n,
                                         float absent)
{
    if (p) {
        rs_load<VEC>(out, p + at, n);
        return;
    }
#pragma unroll
    for (int i = 0; i < V; i++)
        out[i] = absent;
}

template <bool VEC, int V, typename T>
static __device__ inline void rs_store(T *p, const float (&in)[V], int64_t n)
{
    if constexpr (VEC) {
        constexpr int E = 16 / (int)sizeof(T);
#pragma unroll
        for (int i = 0; i < V / E; i++)
            if (n > 0)
                reinterpret_cast<uint4 *>(p)[i] = rs_pack(in + i * E, p);
    } else {
#pragma unroll
        for (int i = 0; i < V; i++)
            if (i < n)
                rs_narrow(p + i, in[i]);
    }
}

/* A thread's place in a map over (rows, cols): V columns from col on, of rows row, row + step, ...
 * What belongs to a column is loaded once and used for all of them. */
typedef struct rs_cell {
    int64_t col;
    int64_t n; /* columns left, from col on; nothing to do when <= 0 */
    int64_t row;
    int64_t step;
} rs_cell;

template <int V> static __device__ inline rs_cell rs_cell_of(int64_t cols)
{
    rs_cell c;
    c.col = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
    c.n = cols - c.col;
    c.row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y;
    c.step = (int64_t)gridDim.y * blockDim.y;
    return c;
}

typedef struct rs_grid {
    dim3 grid;
    dim3 block;
} rs_grid;

/* Threads of such a map: 256 a block, as few idle ones as possible, about 4 rows each. */
static inline rs_grid rs_grid_of(int64_t rows, int64_t cols, int v)
{
    int64_t chunks = (cols + v - 1) / v, best = 1;
    while (best < 32 && best < chunks)
        best *= 2;
    int64_t waste = (chunks + best - 1) / best * best - chunks;
    for (int64_t x = 64; x <= 256 && chunks > 32; x *= 2) {
        int64_t w = (chunks + x - 1) / x * x - chunks;
        if (w <= waste) {
            best = x;
            waste = w;
        }
    }
    int64_t y = 256 / best, groups = (rows + 4 * y - 1) / (4 * y);
    rs_grid g = {dim3(rs_blocks(chunks, best), (unsigned)(groups < 65535 ? groups : 65535)),
                 dim3((unsigned)best, (unsigned)y)};
    return g;
}

/* A flat array: no columns to share, one chunk a thread. */
static inline rs_grid rs_grid_flat(int64_t n, int v)
{
    rs_grid g = {dim3(rs_blocks(n, (int64_t)v * 256)), dim3(256)};
    return g;
}

/* Whether 16-byte words do for these tensors, rows of `cols` elements, V at a time; tensors left
 * out do not count. */
static inline bool rs_wide(rs_tensor t)
{
    int64_t size = (int64_t)rs_dtype_size(t.dtype);
    return !rs_has(t) ||
           ((uintptr_t)t.data % 16 == 0 && (rs_tensor_contiguous(t) || t.ld * size % 16 == 0));
}

template <typename... Tensors> static inline bool rs_vec(int v, int64_t cols, Tensors... tensors)
{
    bool wide = cols % v == 0;
    const bool each[] = {rs_wide(tensors)...};
    for (bool one : each)
        wide = wide && one;
    return wide;
}

/* f(float()) or f(rs_bf16()) by storage type; f is a generic lambda. */
template <typename F> static inline void rs_typed(rs_dtype type, F f)
{
    if (type == RS_DTYPE_BF16)
        f(rs_bf16());
    else
        f(float());
}

/* Two storage types; the residual stream is never narrower than what branches off it, so (BF16,
 * F32) does not occur. */
template <typename F> static inline void rs_pair(rs_dtype stream, rs_dtype branch, F f)
{
    if (stream == RS_DTYPE_BF16)
        f(rs_bf16(), rs_bf16());
    else if (branch == RS_DTYPE_BF16)
        f(float(), rs_bf16());
    else
        f(float(), float());
}

/* f(rs_flag<flag>()). */
template <bool B> struct rs_flag {
    static constexpr bool value = B;
};
template <typename F> static inline void rs_flagged(bool flag, F f)
{
    if (flag)
        f(rs_flag<true>());
    else
        f(rs_flag<false>());
}

template <typename T> static inline T *rs_at(rs_tensor t)
{
    return static_cast<T *>(t.data); /* NULL when left out */
}

#endif
