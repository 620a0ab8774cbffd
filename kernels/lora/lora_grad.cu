/* Gradients of the factors: reads M*(K + C)*2 bytes and writes C*K*4. Sums and types are as lora.cu
 * says. */
#include "kernels/lora/lora_host.cuh"

/* A operand from a tile whose rows are the depth: columns [col,col+16), depth [row,row+16). */
static __device__ inline void lora_a_trans(uint32_t a[4], const rs_bf16 *s, int row, int col)
{
    int l = (int)threadIdx.x & 31;
    rs_ldmatrix_x4_trans(a, s + (row + (l & 7) + (l >> 4) * 8) * rs_att_dim<LORA_K>::LD + col +
                                (l >> 3 & 1) * 8);
}

/* Rows in steps of 64 that no segment's end is crossed by. */
struct lora_walk {
    int segment;
    int row, end; /* end of the segment; a part has fewer rows than an int counts */

    __device__ inline void settle(const lora_job &j) /* past empty segments, at the end too */
    {
        while (segment < j.segments && row >= (end = (int)j.at[segment + 1]))
            segment++;
    }
    __device__ inline void step(const lora_job &j)
    {
        row += LORA_ROWS;
        if (row > end)
            row = end;
        settle(j);
    }
};

/* The sum of segment s: added to what waits for it in the tree, and then left waiting. */
template <int NT>
static __device__ inline void lora_join(float (&c)[2 * NT][4], float (&wait)[3][2 * NT][4], int s)
{
#pragma unroll
    for (int level = 0; level < 3; level++) {
        bool add = true;
        for (int below = 0; below <= level; below++)
            add = add && (s >> below & 1);
        bool put = !(s >> level & 1);
        for (int below = 0; below < level; below++)
            put = put && (s >> below & 1);
#pragma unroll
        for (int n = 0; n < 2 * NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (add)
                    c[n][e] = wait[level][n][e] + c[n][e];
                if (put)
                    wait[level][n][e] = c[n][e];
            }
    }
}

template <int NT>
static __global__ void __launch_bounds__(LORA_THREADS)
    grad_kernel(const __grid_constant__ lora_job j)
{
    constexpr int X = LORA_ROWS * rs_att_dim<LORA_K>::LD;
    constexpr int STAGE = X + LORA_ROWS * rs_att_dim<NT * 16>::LD;
    RS_DYN_SMEM(rs_bf16, s);
    __shared__ lora_low lows[NT * 2];
    if (!j.mine[blockIdx.z])
        return;
    lora_find<NT>(lows, j);
    __syncthreads();
    int64_t col0 = (int64_t)blockIdx.x * LORA_K;
    int warp = (int)threadIdx.x / 32;
    float c[2 * NT][4], wait[3][2 * NT][4];
    lora_walk ahead = {0, 0, 0};
    ahead.settle(j);
    for (int i = 0; i < LORA_STAGES - 1; i++, ahead.step(j)) {
        lora_fetch(s + i * STAGE, j, ahead.row, ahead.end, col0);
        lora_lows<NT>(s + i * STAGE + X, lows, j.x, ahead.row, ahead.end);
        rs_cp_async_commit();
    }
    int i = 0;
    for (int segment = 0; segment < j.segments; segment++) {
        rs_att_clear<2 * NT>(c);
        int steps = (int)((j.at[segment + 1] - j.at[segment] + LORA_ROWS - 1) / LORA_ROWS);
        for (; steps > 0; steps--, ahead.step(j), i++) {
            rs_cp_async_wait<LORA_STAGES - 2>();
            __syncthreads();
            rs_bf16 *to = s + (i + LORA_STAGES - 1) % LORA_STAGES * STAGE;
            const rs_bf16 *x = s + i % LORA_STAGES * STAGE;
            lora_fetch(to, j, ahead.row, ahead.end, col0);
            lora_lows<NT>(to + X, lows, j.x, ahead.row, ahead.end);
            rs_cp_async_commit();
#pragma unroll
            for (int k = 0; k < LORA_ROWS; k += 16) {
                uint32_t a[4], b[4];
                lora_a_trans(a, x, k, warp * 16);
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    rs_att_bt<NT * 16>(b, x + X, k, 16 * n);
                    rs_mma_16816(c[2 * n], a, b);
                    rs_mma_16816(c[2 * n + 1], a, b + 2);
                }
            }
        }
        lora_join<NT>(c, wait, segment);
    }
    rs_cp_async_wait<0>();
    lora_put<NT>(j, c, col0 + warp * 16, j.cols,
                 [&j](const lora_pair *p, int r, int64_t k, float v) {
                     p->f[j.tall ? k * p->ld_f + r : r * p->ld_f + k] = v;
                 });
}

void rs_cuda_lora_grad(rs_cuctx *c, const rs_lora_grad_args *a)
{
    lora_job j = {};
    rs_lora_calls calls = calls_of(c);
    fill(&j, a, a->x, a->g, nullptr);
    j.segments = a->segments;
    for (int i = 0; i <= a->segments; i++)
        j.at[i] = a->at[i];
    for (int i = 0; i < a->parts; i++)
        if (!j.mine[i])
            rs_lora_any_grad(&calls, a, i);
    int tiles = tiles_of(&j, a->parts);
    if (tiles > 0)
        with_tiles(tiles, [&](auto n) {
            constexpr int N = decltype(n)::value, NT = N == 3 ? 4 : N; /* 3 would spill */
            size_t stage = (size_t)LORA_ROWS * (rs_att_dim<LORA_K>::LD + rs_att_dim<NT * 16>::LD);
            rs_launch(c, "lora_grad", grad_kernel<NT>,
                      dim3(rs_blocks(j.cols, LORA_K), 1, (unsigned)a->parts), dim3(LORA_THREADS),
                      LORA_STAGES * stage * sizeof(rs_bf16), j);
        });
}
