/* Moves rows * cols * (size x + size y) bytes; the floor is that over the measured copy bandwidth.
 * Tiles of 32x32 through shared memory, so that both sides are touched along their rows. With few
 * rows or columns (pixels of 3 channels) a tile would be mostly empty: then a thread moves one
 * whole short side, and the cache joins the pieces. A warp moves 128 bytes at once (64 of bf16): 16
 * bytes a thread would want transposes in registers; only the ends of the VAE come here. */
#include "kernels/cuda/pack.cuh"

enum { TILE = 32, LINES = 8, NARROW = 8 };

template <typename Y, typename X>
static __global__ void tile_kernel(Y *y, const X *x, int64_t rows, int64_t cols)
{
    __shared__ float tile[TILE][TILE + 1];
    for (int64_t r0 = (int64_t)blockIdx.y * TILE; r0 < rows; r0 += (int64_t)gridDim.y * TILE) {
        int64_t col = (int64_t)blockIdx.x * TILE + threadIdx.x, to = r0 + threadIdx.x;
        for (int i = (int)threadIdx.y; i < TILE; i += LINES)
            if (r0 + i < rows && col < cols)
                tile[i][threadIdx.x] = rs_widen(x[(r0 + i) * cols + col]);
        __syncthreads();
        for (int i = (int)threadIdx.y; i < TILE; i += LINES) {
            int64_t row = (int64_t)blockIdx.x * TILE + i; /* of y */
            if (row < cols && to < rows)
                rs_narrow(y + row * rows + to, tile[threadIdx.x][i]);
        }
        __syncthreads();
    }
}

/* y[i][j] = x[j][i]: j < few steps by (1, many) with ROWS few, by (many, 1) otherwise. */
template <bool ROWS, typename Y, typename X>
static __global__ void narrow_kernel(Y *y, const X *x, int few, int64_t many)
{
    int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= many)
        return;
    for (int j = 0; j < few; j++) {
        int64_t thin = at * few + j, flat = j * many + at;
        rs_narrow(y + (ROWS ? thin : flat), rs_widen(x[ROWS ? flat : thin]));
    }
}

void rs_cuda_transpose(rs_cuctx *c, const rs_transpose_args *a)
{
    int64_t few = a->rows < a->cols ? a->rows : a->cols, many = a->rows + a->cols - few;
    if (few == 0)
        return;
    rs_typed(a->y.dtype, [&](auto y0) {
        rs_typed(a->x.dtype, [&](auto x0) {
            typedef decltype(y0) Y;
            typedef decltype(x0) X;
            Y *y = rs_at<Y>(a->y);
            const X *x = rs_at<const X>(a->x);
            if (few > NARROW) {
                unsigned down = rs_blocks(a->rows, TILE);
                rs_launch(c, "transpose", tile_kernel<Y, X>,
                          dim3(rs_blocks(a->cols, TILE), down < 65535 ? down : 65535),
                          dim3(TILE, LINES), 0, y, x, a->rows, a->cols);
                return;
            }
            rs_flagged(few == a->rows, [&](auto rows) {
                rs_launch(c, "transpose", narrow_kernel<decltype(rows)::value, Y, X>,
                          dim3(rs_blocks(many, 256)), dim3(256), 0, y, x, (int)few, many);
            });
        });
    });
}
