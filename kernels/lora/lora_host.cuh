/* From arguments to a launch: which parts the kernels take, and what makes the others. */
#ifndef RS_KERNELS_LORA_LORA_HOST_CUH
#define RS_KERNELS_LORA_LORA_HOST_CUH

#include "kernels/cuda/ops.h"
#include "kernels/lora/lora_any.h"
#include "kernels/lora/lora_cuda.cuh"

static inline void by_gemm(void *c, const rs_gemm_args *a)
{
    rs_cuda_gemm((rs_cuctx *)c, a);
}

static inline void by_gate_add(void *c, const rs_gate_add_args *a)
{
    rs_cuda_gate_add((rs_cuctx *)c, a);
}

static inline void by_memset(void *c, void *p, size_t bytes)
{
    rs_cuda_launched((rs_cuctx *)c, "lora", cudaMemsetAsync(p, 0, bytes, ((rs_cuctx *)c)->compute));
}

static inline rs_lora_calls calls_of(rs_cuctx *c)
{
    rs_lora_calls b = {c, by_gemm, by_gate_add, by_memset};
    return b;
}

static inline bool wide_bf16(rs_tensor x)
{
    return x.dtype == RS_DTYPE_BF16 && rs_tensor_cols(x) % 8 == 0 && x.ld % 8 == 0 &&
           (uintptr_t)x.data % 16 == 0;
}

/* Adds the pairs of a part to the job; false: not for these kernels. */
static inline bool add_part(lora_job *j, const rs_tensor *low, const rs_tensor *f,
                            const float *scale, int part, int each)
{
    int tile = 0;
    for (int t = 0; t < LORA_TILES; t++)
        j->of_tile[part][t] = -1;
    for (int p = part * each; p < part * each + each; p++) {
        if (!rs_has(low[p]))
            continue;
        lora_pair *q = &j->pair[p];
        q->low = (rs_bf16 *)low[p].data;
        q->f = (float *)f[p].data;
        q->ld_low = low[p].ld;
        q->ld_f = f[p].ld;
        q->rank = (int)rs_tensor_cols(low[p]);
        q->first = tile;
        q->scale = scale ? scale[p] : 1.0f;
        if (low[p].dtype != RS_DTYPE_BF16 || f[p].dtype != RS_DTYPE_F32 ||
            q->rank > (LORA_TILES - tile) * 16)
            return false;
        for (int e = 0; e < q->rank; e += 16)
            j->of_tile[part][tile++] = (signed char)p;
    }
    return true;
}

/* Tiles of the widest part that is the job's; 0: there is none. */
static inline int tiles_of(const lora_job *j, int parts)
{
    int most = 0;
    for (int i = 0; i < parts; i++)
        for (int t = 0; t < LORA_TILES && j->mine[i]; t++)
            most = j->of_tile[i][t] >= 0 && t >= most ? t + 1 : most;
    return most;
}

template <typename Args>
static void fill(lora_job *j, const Args *a, rs_tensor x, const rs_tensor *f, const float *scale)
{
    j->x = (rs_bf16 *)x.data;
    j->ld = x.ld;
    j->rows = rs_tensor_rows(x) / a->parts;
    j->cols = rs_tensor_cols(x);
    j->tall = a->tall;
    for (int i = 0; i < a->parts; i++)
        j->mine[i] = a->bf16 && wide_bf16(x) && add_part(j, a->low, f, scale, i, a->each);
}

/* f(tiles) with the number of tiles as a constant. */
template <int N> struct lora_count {
    static constexpr int value = N;
};
template <typename F> static void with_tiles(int n, F f)
{
    if (n <= 1)
        f(lora_count<1>());
    else if (n == 2)
        f(lora_count<2>());
    else if (n == 3)
        f(lora_count<3>());
    else
        f(lora_count<4>());
}

#endif
