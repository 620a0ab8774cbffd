/* Moves 2 * M * N * size bytes: the floor is that over the measured copy bandwidth. Rows that are
 * multiples of 16 bytes travel in 16-byte words. */
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/ops.h"

template <typename T>
static __global__ void copy_kernel(T *y, int64_t ldy, const T *x, int64_t ldx, int64_t rows,
                                   int64_t cols)
{
    int64_t n = rows * cols, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        y[i / cols * ldy + i % cols] = x[i / cols * ldx + i % cols];
}

template <typename T> static void launch(rs_cuctx *c, const rs_copy_args *a, int64_t per)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x) / per;
    if (rows * cols == 0)
        return;
    rs_launch(c, "copy", copy_kernel<T>, dim3(rs_blocks(rows * cols, 1024)), dim3(256), 0,
              (T *)a->y.data, a->y.ld / per, (const T *)a->x.data, a->x.ld / per, rows, cols);
}

void rs_cuda_copy(rs_cuctx *c, const rs_copy_args *a)
{
    int64_t size = (int64_t)rs_dtype_size(a->x.dtype);
    uintptr_t bits = (uintptr_t)a->y.data | (uintptr_t)a->x.data | (uintptr_t)(a->y.ld * size) |
                     (uintptr_t)(a->x.ld * size) | (uintptr_t)(rs_tensor_cols(a->x) * size);
    if (bits % 16 == 0)
        launch<uint4>(c, a, 16 / size);
    else if (size == 4)
        launch<uint32_t>(c, a, 1);
    else
        launch<uint16_t>(c, a, 1);
}
