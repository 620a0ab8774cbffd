/* fp32 on CUDA cores: tiles of 128 pixels by BN channels, 256 threads with 8 x BN/16 sums each,
 * terms in steps of 16, the next step's operands on their way while one is summed. */
#ifndef RS_KERNELS_CONV3D_CONV3D_SIMT_CUH
#define RS_KERNELS_CONV3D_CONV3D_SIMT_CUH

#include "kernels/conv3d/conv3d_cuda.cuh"

template <int BN> struct rs_conv_simt {
    static constexpr int THREADS = 256, BM = 128, BK = 16, PAIRS = BN / 32;
    static constexpr int W_CHUNKS = BK * BN / RS_CONV_CHUNK;
    static_assert(W_CHUNKS <= THREADS, "one chunk of the weight a thread");
    typedef struct tiles {
        float x[2][BK][BM + 4];
        float w[2][BK][BN];
    } tiles;
};

template <int BN, typename X, typename W>
static __global__ void __launch_bounds__(256, 2) conv_simt_kernel(rs_conv<X, W> c)
{
    typedef rs_conv_simt<BN> S;
    constexpr int E = RS_CONV_CHUNK;
    RS_DYN_SMEM(typename S::tiles, s);
    const int tid = (int)threadIdx.x, tx = tid % 16, ty = tid / 16;
    const int row = tid / 2, part = tid % 2 * E;                  /* of x to load */
    const int w_row = tid / (BN / E), w_col = tid % (BN / E) * E; /* of the weight */
    int64_t m0;
    int n0;
    rs_conv_tile(c, S::BM, BN, &m0, &n0);
    const rs_conv_pixel pixel = rs_conv_pixel_of(c, m0 + row);
    rs_conv_walk at = {0, 0, 0, 0};
    rs_conv_advance(at, c, part);
    const int steps = (int)((c.terms + S::BK - 1) / S::BK);
    float sum[8][2 * S::PAIRS] = {};
    for (int step = -1; step < steps; step++) {
        const int next = (step + 1) & 1;
        rs_raw<X, E> xr = {};
        rs_raw<W, E> wr = {};
        if (step + 1 < steps) {
            rs_conv_fetch_x(xr, c, pixel, at);
            rs_conv_advance(at, c, S::BK);
            if (tid < S::W_CHUNKS)
                rs_conv_fetch_w(wr, c, (int64_t)(step + 1) * S::BK + w_row, n0 + w_col);
        }
        if (step >= 0)
#pragma unroll
            for (int k = 0; k < S::BK; k++) {
                float a[8], b[2 * S::PAIRS];
#pragma unroll
                for (int i = 0; i < 8; i++)
                    a[i] = s->x[step & 1][k][ty * 4 + i / 4 * 64 + i % 4];
#pragma unroll
                for (int j = 0; j < 2 * S::PAIRS; j++)
                    b[j] = s->w[step & 1][k][tx * 2 + j / 2 * 32 + j % 2];
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 2 * S::PAIRS; j++)
                        sum[i][j] += a[i] * b[j];
            }
        if (step + 1 < steps) {
            float v[E];
            rs_open(v, xr);
#pragma unroll
            for (int e = 0; e < E; e++)
                s->x[next][part + e][row] = v[e];
            if (tid < S::W_CHUNKS) {
                rs_open(v, wr);
#pragma unroll
                for (int e = 0; e < E; e++)
                    s->w[next][w_row][w_col + e] = v[e];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < S::PAIRS; j++)
            rs_conv_finish(c, m0 + ty * 4 + i / 4 * 64 + i % 4, n0 + tx * 2 + j * 32, sum[i][2 * j],
                           sum[i][2 * j + 1]);
}

#endif
