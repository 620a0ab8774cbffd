/* Implicit GEMM of a convolution: rows are output pixels, columns output channels, and the sum runs
 * over (tap, input channel) in the weight's order. Nothing is unfolded in memory: a thread walks
 * along the sum and knows at each tap where its pixels' inputs lie. */
#ifndef RS_KERNELS_CONV3D_CONV3D_CUDA_CUH
#define RS_KERNELS_CONV3D_CONV3D_CUDA_CUH

#include "kernels/cuda/pack.cuh"

enum { RS_CONV_CHUNK = 8 }; /* neighbouring terms, or channels, moved at once */

template <typename X, typename W> struct rs_conv {
    void *y; /* F32, or BF16 */
    const X *x;
    const X *prev;
    const W *weight;
    const float *bias;
    const void *residual; /* as y */
    int64_t pixels;       /* of y */
    int64_t terms;        /* kt*kh*kw*ci */
    int ci, co;
    int kt, kh, kw;
    int h, w;       /* of x */
    int oh, ow;     /* of y */
    int up;         /* 1: x is read at doubled resolution */
    int st, sy, sx; /* strides */
    int top, left;  /* padding */
    bool wide_x;    /* chunks of x lie in one pixel and on 16 bytes */
    bool wide_w;    /* so do chunks of the weight's rows */
    bool wide_y;    /* and chunks of y, residual and bias */
    bool pairs;     /* neighbouring channels of y may be written together */
    bool y_bf16;
};

/* Where a sum is: tap and input channel. dt = kt behind its end. */
typedef struct rs_conv_walk {
    int dt, dy, dx, ci;
} rs_conv_walk;

template <typename C>
static __device__ inline void rs_conv_advance(rs_conv_walk &k, const C &c, int by)
{
    k.ci += by;
    while (k.ci >= c.ci && k.dt < c.kt) {
        k.ci -= c.ci;
        if (++k.dx == c.kw) {
            k.dx = 0;
            if (++k.dy == c.kh) {
                k.dy = 0;
                k.dt++;
            }
        }
    }
}

/* An output pixel: the input position of its first tap, in the padded (doubled) grid. */
typedef struct rs_conv_pixel {
    int t, i, j;
} rs_conv_pixel;

template <typename C> static __device__ inline rs_conv_pixel rs_conv_pixel_of(const C &c, int64_t m)
{
    rs_conv_pixel p = {0, INT32_MIN / 2, 0}; /* nowhere */
    if (m < c.pixels) {
        int64_t line = m / c.ow;
        p.j = (int)(m % c.ow) * c.sx - c.left;
        p.i = (int)(line % c.oh) * c.sy - c.top;
        p.t = (int)(line / c.oh) * c.st - (c.kt - 1);
    }
    return p;
}

/* The pixel's input at tap k: its channels, or NULL for zeros. */
template <typename X, typename W>
static __device__ inline const X *rs_conv_input(const rs_conv<X, W> &c, rs_conv_pixel p,
                                                const rs_conv_walk &k)
{
    int t = p.t + k.dt, i = p.i + k.dy, j = p.j + k.dx;
    const X *from = t >= 0 ? c.x : c.prev;
    t = t >= 0 ? t : t + c.kt - 1;
    if (k.dt >= c.kt || i < 0 || i >= c.h << c.up || j < 0 || j >= c.w << c.up || !from)
        return nullptr;
    return from + (((int64_t)t * c.h + (i >> c.up)) * c.w + (j >> c.up)) * c.ci;
}

/* A chunk of a pixel's terms from k on. */
template <typename X, typename W>
static __device__ inline void rs_conv_fetch_x(rs_raw<X, RS_CONV_CHUNK> &v, const rs_conv<X, W> &c,
                                              rs_conv_pixel p, const rs_conv_walk &k)
{
    if (c.wide_x) {
        const X *from = rs_conv_input(c, p, k);
        rs_fetch<true>(v, from ? from + k.ci : c.x, from ? RS_CONV_CHUNK : 0);
        return;
    }
    X one[RS_CONV_CHUNK];
    rs_conv_walk at = k;
#pragma unroll
    for (int e = 0; e < RS_CONV_CHUNK; e++) {
        const X *from = rs_conv_input(c, p, at);
        rs_narrow(&one[e], from ? rs_widen(from[at.ci]) : 0.0f);
        rs_conv_advance(at, c, 1);
    }
    rs_fetch<false>(v, one, RS_CONV_CHUNK);
}

/* A chunk of the weight: term k, output channels from n on. */
template <typename X, typename W>
static __device__ inline void rs_conv_fetch_w(rs_raw<W, RS_CONV_CHUNK> &v, const rs_conv<X, W> &c,
                                              int64_t k, int n)
{
    const W *from = c.weight + k * c.co + n;
    int left = k < c.terms ? c.co - n : 0;
    if (c.wide_w)
        rs_fetch<true>(v, from, left);
    else
        rs_fetch<false>(v, from, left);
}

/* Two neighbouring output channels of pixel m, with bias and residual. */
template <typename Y, typename C>
static __device__ inline void rs_conv_finish_as(const C &c, int64_t m, int n, float a, float b)
{
    float v[2] = {a, b};
    Y out[2];
    int64_t at = m * c.co + n;
#pragma unroll
    for (int j = 0; j < 2; j++)
        if (n + j < c.co) {
            if (c.bias)
                v[j] += c.bias[n + j];
            if (c.residual)
                v[j] += rs_widen(((const Y *)c.residual)[at + j]);
            rs_narrow(&out[j], v[j]);
            if (!c.pairs)
                ((Y *)c.y)[at + j] = out[j];
        }
    if (c.pairs && n < c.co) {
        typedef struct alignas(2 * sizeof(Y)) {
            Y v[2];
        } pair;
        pair both = {{out[0], out[1]}};
        *reinterpret_cast<pair *>((Y *)c.y + at) = both;
    }
}

template <typename C>
static __device__ inline void rs_conv_finish(const C &c, int64_t m, int n, float a, float b)
{
    if (m >= c.pixels)
        return;
    if (c.y_bf16)
        rs_conv_finish_as<rs_bf16>(c, m, n, a, b);
    else
        rs_conv_finish_as<float>(c, m, n, a, b);
}

/* Tile of this block, of `bm` rows and `bn` columns: first row, first column. Tiles of the same
 * rows are neighbours, so that their inputs are still in the L2 cache. */
template <typename C>
static __device__ inline void rs_conv_tile(const C &c, int bm, int bn, int64_t *m, int *n)
{
    int across = (c.co + bn - 1) / bn;
    *m = (int64_t)(blockIdx.x / across) * bm;
    *n = (int)(blockIdx.x % across) * bn;
}

static inline unsigned rs_conv_blocks(int64_t pixels, int64_t co, int64_t bm, int64_t bn)
{
    return (unsigned)(((pixels + bm - 1) / bm) * ((co + bn - 1) / bn));
}

#endif
