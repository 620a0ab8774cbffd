/* Tensor cores, operands stored in bf16, sums in fp32: what a VAE's residual blocks run on.
 *
 * A block makes 16 x 16 pixels of one frame by BN channels with 8 warps of 64 x BN/2. The sum goes
 * over source frames, then over groups of 32 input channels, then over the taps of a frame: the
 * pixels that all these taps see (18 x 18 for 3 x 3) are copied to shared memory once per group and
 * every tap reads them shifted, so that only its weights are new. Copies run STAGES - 1 taps ahead
 * (cp.async), one barrier a tap.
 *
 * For 3 x 3 and BN = 96 a group brings 324 * 64 + 9 * 6144 = 76 kB from the L2 cache for 14.2
 * MFLOP: 187 FLOP a byte (55 if each tap fetched its pixels in a 128 x 96 tile). At the 2600 FLOP a
 * cycle and multiprocessor that mma.sync reaches on Hopper (five eighths of the peak, which needs
 * wgmma) that is 14 bytes a cycle of about 25; on Ampere (2048) 11 of about 40. Fragments: 3.5 kB
 * from shared memory for 24 products of a warp, 93 of 128 bytes a cycle on Hopper, 73 on Ampere. So
 * the products limit: to be expected are 55-60 % of Hopper's peak and 75-80 % of Ampere's, where
 * the image fills the tiles. */
#ifndef RS_KERNELS_CONV3D_CONV3D_PIPE_CUH
#define RS_KERNELS_CONV3D_CONV3D_PIPE_CUH

#include "kernels/conv3d/conv3d_cuda.cuh"
#include "kernels/cuda/ptx.cuh"

template <int BN> struct rs_conv_pipe {
    static constexpr int THREADS = 256, TILE = 16, BK = 32, STAGES = 4, PARTS = BK / RS_CONV_CHUNK;
    static constexpr int LDX = BK + 8, LDW = BN + 8; /* 16 bytes more: no bank conflicts */
    static constexpr int MI = 4, WN = BN / 2, NI = WN / 8;
    static constexpr int W_STAGE = BK * LDW, LDY = WN + 4;
    static_assert(STAGES * W_STAGE * 2 >= THREADS / 32 * 16 * LDY * 4, "results fit there, too");
};

typedef rs_conv<rs_bf16, rs_bf16> rs_conv_bf16;

/* How the image is cut. */
typedef struct rs_conv_tiles {
    int across, wide, high; /* tiles of channels, of a line, of a column */
    int rows, cols;         /* pixels that a tile's taps see in a frame */
    int taps;               /* of a frame */
    int buffers;            /* for these pixels: of groups in flight and the one in use */
    int groups;             /* of input channels */
} rs_conv_tiles;

/* A block's part: source frame of its first tap, position of that in the (doubled) grid; output. */
typedef struct rs_conv_place {
    int t, i, j;
    int frame, line, col, n;
} rs_conv_place;

static __device__ inline rs_conv_place rs_conv_place_of(const rs_conv_bf16 &c,
                                                        const rs_conv_tiles &g, int bn)
{
    rs_conv_place p;
    int at = (int)blockIdx.x;
    p.n = at % g.across * bn;
    at /= g.across;
    p.col = at % g.wide * 16;
    at /= g.wide;
    p.line = at % g.high * 16;
    p.frame = at / g.high;
    p.t = p.frame * c.st - (c.kt - 1);
    p.i = p.line * c.sy - c.top;
    p.j = p.col * c.sx - c.left;
    return p;
}

/* Where the sum is: source frame, group, tap, and how many groups and taps lie behind. */
typedef struct rs_conv_at {
    int dt, group, tap;
    int groups, taps;
} rs_conv_at;

static __device__ inline void rs_conv_step(rs_conv_at &k, const rs_conv_tiles &g)
{
    k.taps++;
    if (++k.tap < g.taps)
        return;
    k.tap = 0;
    k.groups++;
    if (++k.group < g.groups)
        return;
    k.group = 0;
    k.dt++;
}

/* The pixels of group k.group in frame k.dt that the tile's taps see; zeros outside. */
template <int BN>
static __device__ inline void rs_conv_copy_x(rs_bf16 *dst, const rs_conv_bf16 &c,
                                             const rs_conv_tiles &g, const rs_conv_place &p,
                                             const rs_conv_at &k)
{
    typedef rs_conv_pipe<BN> S;
    const int t = p.t + k.dt;
    const rs_bf16 *frame = t >= 0 ? c.x : c.prev;
    frame += (int64_t)(t >= 0 ? t : t + c.kt - 1) * c.h * c.w * c.ci;
    for (int e = (int)threadIdx.x; e < g.rows * g.cols * S::PARTS; e += S::THREADS) {
        const int at = e / S::PARTS, part = e % S::PARTS * RS_CONV_CHUNK;
        const int i = p.i + at / g.cols, j = p.j + at % g.cols, ci = k.group * S::BK + part;
        const bool there = i >= 0 && i < c.h << c.up && j >= 0 && j < c.w << c.up && ci < c.ci;
        const int64_t from = ((int64_t)(i >> c.up) * c.w + (j >> c.up)) * c.ci + ci;
        rs_cp_async_16(dst + at * S::LDX + part, there ? frame + from : c.x, there);
    }
}

/* The weights of one tap for the group, of the block's channels. */
template <int BN>
static __device__ inline void rs_conv_copy_w(rs_bf16 *dst, const rs_conv_bf16 &c,
                                             const rs_conv_tiles &g, const rs_conv_place &p,
                                             const rs_conv_at &k)
{
    typedef rs_conv_pipe<BN> S;
    constexpr int PARTS = BN / RS_CONV_CHUNK;
    const int64_t tap = (int64_t)k.dt * g.taps + k.tap;
    for (int e = (int)threadIdx.x; e < S::BK * PARTS; e += S::THREADS) {
        const int row = e / PARTS, part = e % PARTS * RS_CONV_CHUNK;
        const int ci = k.group * S::BK + row, n = p.n + part;
        const bool there = ci < c.ci && n < c.co;
        rs_cp_async_16(dst + row * S::LDW + part,
                       there ? c.weight + (tap * c.ci + ci) * c.co + n : c.weight, there);
    }
}

/* acc += the warp's pixels, seen through one tap, times the tap's weights. x: where the lane's
 * pixel of the warp's first line lies; next: from one line to the next. */
template <int BN>
static __device__ inline void rs_conv_tap(float (&acc)[4][rs_conv_pipe<BN>::NI][4],
                                          const rs_bf16 *x, int next, const rs_bf16 *w)
{
    typedef rs_conv_pipe<BN> S;
#pragma unroll
    for (int k = 0; k < S::BK; k += 16) {
        uint32_t a[S::MI][4], b[S::NI / 2 > 0 ? S::NI / 2 : 1][4];
#pragma unroll
        for (int i = 0; i < S::MI; i++)
            rs_ldmatrix_x4(a[i], x + i * next + k);
#pragma unroll
        for (int j = 0; j < S::NI / 2; j++)
            rs_ldmatrix_x4_trans(b[j], w + k * S::LDW + j * 16);
#pragma unroll
        for (int i = 0; i < S::MI; i++)
#pragma unroll
            for (int j = 0; j < S::NI; j++)
                rs_mma_16816(acc[i][j], a[i], &b[j / 2][j % 2 * 2]);
    }
}

/* Eight neighbouring channels of pixel m, with bias and residual. */
template <typename Y>
static __device__ inline void rs_conv_write(const rs_conv_bf16 &c, int64_t m, int n, const float *v)
{
    constexpr int E = RS_CONV_CHUNK;
    float sum[E], add[E];
    const int64_t at = m * c.co + n;
    rs_load_or<true>(sum, c.bias, n, E, 0.0f);
#pragma unroll
    for (int e = 0; e < E; e++)
        sum[e] += v[e];
    if (c.residual) {
        rs_load<true>(add, (const Y *)c.residual + at, E);
#pragma unroll
        for (int e = 0; e < E; e++)
            sum[e] += add[e];
    }
    rs_store<true>((Y *)c.y + at, sum, E);
}

/* A warp's 16 pixels of one line: from registers through its own shared memory (16, LDY), so that
 * they leave in words of 16 bytes. */
template <int BN>
static __device__ inline void
rs_conv_leave(const rs_conv_bf16 &c, const rs_conv_place &p, float *room,
              const float (&acc)[rs_conv_pipe<BN>::NI][4], int line, int n)
{
    typedef rs_conv_pipe<BN> S;
    constexpr int PARTS = S::WN / RS_CONV_CHUNK;
    const int lane = (int)threadIdx.x % 32;
    __syncwarp();
#pragma unroll
    for (int j = 0; j < S::NI; j++) {
        float *to = room + lane / 4 * S::LDY + j * 8 + lane % 4 * 2;
        *reinterpret_cast<float2 *>(to) = make_float2(acc[j][0], acc[j][1]);
        *reinterpret_cast<float2 *>(to + 8 * S::LDY) = make_float2(acc[j][2], acc[j][3]);
    }
    __syncwarp();
    for (int e = lane; e < 16 * PARTS; e += 32) {
        const int row = e / PARTS, part = e % PARTS * RS_CONV_CHUNK, col = p.col + row;
        if (line >= c.oh || col >= c.ow || n + part >= c.co)
            continue;
        const int64_t m = ((int64_t)p.frame * c.oh + line) * c.ow + col;
        if (c.y_bf16)
            rs_conv_write<rs_bf16>(c, m, n + part, room + row * S::LDY + part);
        else
            rs_conv_write<float>(c, m, n + part, room + row * S::LDY + part);
    }
}

template <int BN>
static __global__ void __launch_bounds__(256, 1) conv_pipe_kernel(rs_conv_bf16 c, rs_conv_tiles g)
{
    typedef rs_conv_pipe<BN> S;
    RS_DYN_SMEM(rs_bf16, smem);
    rs_bf16 *const xs = smem + S::STAGES * S::W_STAGE;
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int wm = warp / 2 * S::MI, wn = warp % 2 * S::WN, half = lane / 16 * 8;
    const int x_size = g.rows * g.cols * S::LDX, next = c.sy * g.cols * S::LDX;
    const rs_conv_place p = rs_conv_place_of(c, g, BN);
    /* Without frames before the first, taps that would see them add nothing. */
    const int first = c.prev || p.t >= 0 ? 0 : -p.t;
    const int steps = (c.kt - first) * g.groups * g.taps;
    const rs_bf16 *const x_lane = xs + (wm * c.sy * g.cols + lane % 16 * c.sx) * S::LDX + half;
    const rs_bf16 *const w_lane = smem + lane % 16 * S::LDW + wn + half;
    rs_conv_at load = {first, 0, 0, 0, 0}, use = load;
    float acc[S::MI][S::NI][4] = {};
    for (int step = 1 - S::STAGES; step < steps; step++) {
        if (step >= 0) { /* its copies are there, and nobody reads what lies behind it any more */
            rs_cp_async_wait<S::STAGES - 2>();
            __syncthreads();
        }
        if (load.taps < steps) {
            if (load.tap == 0)
                rs_conv_copy_x<BN>(xs + load.groups % g.buffers * x_size, c, g, p, load);
            rs_conv_copy_w<BN>(smem + load.taps % S::STAGES * S::W_STAGE, c, g, p, load);
            rs_conv_step(load, g);
        }
        rs_cp_async_commit();
        if (step < 0)
            continue;
        const int seen = use.tap / c.kw * g.cols + use.tap % c.kw;
        rs_conv_tap<BN>(acc, x_lane + use.groups % g.buffers * x_size + seen * S::LDX, next,
                        w_lane + use.taps % S::STAGES * S::W_STAGE);
        rs_conv_step(use, g);
    }
    rs_cp_async_wait<0>();
    __syncthreads();
    float *room = reinterpret_cast<float *>(smem) + warp * 16 * S::LDY;
#pragma unroll
    for (int i = 0; i < S::MI; i++)
        rs_conv_leave<BN>(c, p, room, acc[i], p.line + wm + i, p.n + wn);
}

static inline rs_conv_tiles rs_conv_tiles_of(const rs_conv_bf16 &c, int bn)
{
    rs_conv_tiles g = {};
    g.across = (c.co + bn - 1) / bn;
    g.wide = (c.ow + 15) / 16;
    g.high = (c.oh + 15) / 16;
    g.rows = 15 * c.sy + c.kh;
    g.cols = 15 * c.sx + c.kw;
    g.taps = c.kh * c.kw;
    g.groups = (c.ci + 31) / 32;
    g.buffers = (rs_conv_pipe<32>::STAGES - 1 + g.taps - 1) / g.taps + 1;
    return g;
}

template <int BN> static inline size_t rs_conv_pipe_bytes(const rs_conv_tiles &g)
{
    typedef rs_conv_pipe<BN> S;
    return sizeof(rs_bf16) *
           ((size_t)S::STAGES * S::W_STAGE + (size_t)g.buffers * g.rows * g.cols * S::LDX);
}

#endif
