/* Tensor cores, operands in bf16 and sums in fp32: tiles of 128 pixels by BN channels, 4 warps of
 * 64 x BN/2. The next step's operands are on their way to registers while one is multiplied; a
 * step is 64 bytes of each pixel's terms. */
#ifndef RS_KERNELS_CONV3D_CONV3D_TENSOR_CUH
#define RS_KERNELS_CONV3D_CONV3D_TENSOR_CUH

#include "kernels/conv3d/conv3d_cuda.cuh"
#include "kernels/cuda/ptx.cuh"

/* Rows are padded by 16 bytes: eight of them lie in different banks. */
template <int BN, typename X> struct rs_conv_tensor {
    static constexpr int THREADS = 128, BM = 128, BK = 64 / (int)sizeof(X);
    static constexpr int X_PARTS = BK / RS_CONV_CHUNK, X_ROWS = THREADS / X_PARTS;
    static constexpr int X_EACH = BM / X_ROWS; /* chunks of x a thread loads in a step */
    static constexpr int W_PARTS = BN / RS_CONV_CHUNK, W_CHUNKS = BK * W_PARTS;
    static constexpr int W_EACH = (W_CHUNKS + THREADS - 1) / THREADS;
    typedef struct tiles {
        rs_bf16 x[2][BM][BK + 8];
        rs_bf16 w[2][BK][BN + 8];
    } tiles;
};

/* A chunk as bf16 into shared memory. */
template <typename T>
static __device__ inline void rs_conv_put(rs_bf16 *dst, const rs_raw<T, RS_CONV_CHUNK> &v)
{
    float f[RS_CONV_CHUNK];
    rs_open(f, v);
    *reinterpret_cast<uint4 *>(dst) = rs_pack(f, dst);
}

/* acc += tile of x (rows from m) times tile of w (columns from n), 16 terms from k on. */
template <int MI, int NI, int PX, int PW>
static __device__ inline void rs_conv_multiply(float (&acc)[MI][NI][4], const rs_bf16 (*x)[PX],
                                               const rs_bf16 (*w)[PW], int m, int n, int k)
{
    const int lane = (int)threadIdx.x % 32, half = lane / 16 * 8;
    uint32_t a[MI][4], b[NI / 2][4];
#pragma unroll
    for (int i = 0; i < MI; i++)
        rs_ldmatrix_x4(a[i], &x[m + i * 16 + lane % 16][k + half]);
#pragma unroll
    for (int j = 0; j < NI / 2; j++)
        rs_ldmatrix_x4_trans(b[j], &w[k + lane % 16][n + j * 16 + half]);
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++)
            rs_mma_16816(acc[i][j], a[i], &b[j / 2][j % 2 * 2]);
}

template <int BN, typename X, typename W>
static __global__ void __launch_bounds__(128, 2) conv_tensor_kernel(rs_conv<X, W> c)
{
    typedef rs_conv_tensor<BN, X> S;
    constexpr int MI = 4, NI = BN / 16, E = RS_CONV_CHUNK;
    RS_DYN_SMEM(typename S::tiles, s);
    const int tid = (int)threadIdx.x, warp = tid / 32, lane = tid % 32;
    const int row = tid / S::X_PARTS, part = tid % S::X_PARTS * E;
    const int wm = warp / 2 * 64, wn = warp % 2 * (BN / 2);
    int64_t m0;
    int n0;
    rs_conv_tile(c, S::BM, BN, &m0, &n0);
    rs_conv_pixel pixel[S::X_EACH];
#pragma unroll
    for (int i = 0; i < S::X_EACH; i++)
        pixel[i] = rs_conv_pixel_of(c, m0 + row + i * S::X_ROWS);
    rs_conv_walk at = {0, 0, 0, 0};
    rs_conv_advance(at, c, part);
    const int steps = (int)((c.terms + S::BK - 1) / S::BK);
    float acc[MI][NI][4] = {};
    for (int step = -1; step < steps; step++) {
        const int next = (step + 1) & 1;
        rs_raw<X, E> xr[S::X_EACH] = {};
        rs_raw<W, E> wr[S::W_EACH] = {};
        if (step + 1 < steps) {
#pragma unroll
            for (int i = 0; i < S::X_EACH; i++)
                rs_conv_fetch_x(xr[i], c, pixel[i], at);
            rs_conv_advance(at, c, S::BK);
#pragma unroll
            for (int i = 0; i < S::W_EACH; i++) {
                int chunk = tid + i * S::THREADS;
                if (chunk < S::W_CHUNKS)
                    rs_conv_fetch_w(wr[i], c, (int64_t)(step + 1) * S::BK + chunk / S::W_PARTS,
                                    n0 + chunk % S::W_PARTS * E);
            }
        }
        if (step >= 0)
#pragma unroll
            for (int k = 0; k < S::BK; k += 16)
                rs_conv_multiply(acc, s->x[step & 1], s->w[step & 1], wm, wn, k);
        if (step + 1 < steps) {
#pragma unroll
            for (int i = 0; i < S::X_EACH; i++)
                rs_conv_put(&s->x[next][row + i * S::X_ROWS][part], xr[i]);
#pragma unroll
            for (int i = 0; i < S::W_EACH; i++) {
                int chunk = tid + i * S::THREADS;
                if (chunk < S::W_CHUNKS)
                    rs_conv_put(&s->w[next][chunk / S::W_PARTS][chunk % S::W_PARTS * E], wr[i]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++) {
            int64_t m = m0 + wm + i * 16 + lane / 4;
            int n = n0 + wn + j * 8 + lane % 4 * 2;
            rs_conv_finish(c, m, n, acc[i][j][0], acc[i][j][1]);
            rs_conv_finish(c, m + 8, n, acc[i][j][2], acc[i][j][3]);
        }
}

#endif
