/* A block per token, its angles in shared memory: rows * N*D * 2 * size bytes, and the tables from
 * the cache. The floor is that over the measured copy bandwidth. */
#include "kernels/rope/rope_cuda.cuh"

template <bool VEC, typename T>
static __global__ void rope_kernel(T *y, int64_t ldy, const T *x, int64_t ldx, rs_rotation p,
                                   int cols)
{
    constexpr int V = rs_width<T>::value;
    RS_DYN_SMEM(float2, angle);
    x += (int64_t)blockIdx.x * ldx;
    y += (int64_t)blockIdx.x * ldy;
    rs_rotation_angles(angle, p, blockIdx.x, (int)threadIdx.x, (int)blockDim.x);
    __syncthreads();
    for (int col = (int)threadIdx.x * V; col < cols; col += (int)blockDim.x * V) {
        float v[V];
        rs_load<VEC>(v, x + col, cols - col);
        rs_rotate(v, angle, p.pairs, col);
        rs_store<VEC>(y + col, v, cols - col);
    }
}

static void rotate(rs_cuctx *c, const char *what, const rs_rope_fwd_args *a, float direction)
{
    int64_t rows = rs_tensor_rows(a->x), cols = rs_tensor_cols(a->x);
    if (rows * cols == 0)
        return;
    rs_rotation p = rs_rotation_of(a->table_f, a->table_h, a->table_w, a->first, direction);
    rs_typed(a->x.dtype, [&](auto t0) {
        typedef decltype(t0) T;
        constexpr int V = rs_width<T>::value;
        int64_t chunks = (cols + V - 1) / V, turns = (chunks + 255) / 256;
        int64_t threads = ((chunks + turns - 1) / turns + 31) / 32 * 32;
        rs_flagged(rs_vec(V, cols, a->y, a->x), [&](auto vec) {
            rs_launch(c, what, rope_kernel<decltype(vec)::value, T>, dim3((unsigned)rows),
                      dim3((unsigned)threads), (size_t)p.pairs * sizeof(float2), rs_at<T>(a->y),
                      a->y.ld, rs_at<const T>(a->x), a->x.ld, p, (int)cols);
        });
    });
}

void rs_cuda_rope_fwd(rs_cuctx *c, const rs_rope_fwd_args *a)
{
    rotate(c, "rope_fwd", a, 1.0f);
}

void rs_cuda_rope_bwd(rs_cuctx *c, const rs_rope_bwd_args *a)
{
    rotate(c, "rope_bwd", a, -1.0f);
}
