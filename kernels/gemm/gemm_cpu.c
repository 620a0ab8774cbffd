/* GEMM on the CPU: OpenBLAS on tiles of y whose borders depend on the shape only, epilogue on the
 * tile while it is in cache. */
#include <cblas.h>
#include <math.h>

#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"

enum { TILE_M = 512, TILE_N = 512 };

typedef struct job {
    const rs_gemm_args *g;
    int64_t m, n, k;
    int64_t tiles_n;
    float alpha;
} job;

static float act_of(float x, rs_act act)
{
    switch (act) {
    case RS_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case RS_ACT_GELU_ERF:
        return 0.5f * x * (1.0f + erff(0.7071067812f * x));
    case RS_ACT_SILU:
        return x / (1.0f + expf(-x));
    case RS_ACT_NONE:
        break;
    }
    return x;
}

static void epilogue(const rs_gemm_args *g, int64_t n_all, int64_t i0, int64_t j0, int64_t mb,
                     int64_t nb)
{
    const float *bias = rs_has(g->bias) ? rs_f32(g->bias) + j0 : NULL;
    for (int64_t i = i0; i < i0 + mb; i++) {
        float *y = rs_f32(g->y) + i * g->y.ld + j0;
        float *pre = rs_has(g->pre) ? rs_f32(g->pre) + i * n_all + j0 : NULL;
        for (int64_t j = 0; bias && j < nb; j++)
            y[j] += bias[j];
        for (int64_t j = 0; pre && j < nb; j++)
            pre[j] = y[j];
        for (int64_t j = 0; g->act != RS_ACT_NONE && j < nb; j++)
            y[j] = act_of(y[j], g->act);
    }
}

static void tile(void *arg, int64_t task, int thread)
{
    (void)thread;
    const job *t = arg;
    const rs_gemm_args *g = t->g;
    int64_t i0 = task / t->tiles_n * TILE_M, j0 = task % t->tiles_n * TILE_N;
    int64_t mb = rs_min_i64(TILE_M, t->m - i0), nb = rs_min_i64(TILE_N, t->n - j0);
    const float *a = rs_f32(g->a) + (g->trans_a ? i0 : i0 * g->a.ld);
    const float *b = rs_f32(g->b) + (g->trans_b ? j0 * g->b.ld : j0);
    float *y = rs_f32(g->y) + i0 * g->y.ld + j0;
    cblas_sgemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans,
                g->trans_b ? CblasTrans : CblasNoTrans, rs_i32(mb), rs_i32(nb), rs_i32(t->k),
                t->alpha, a, rs_i32(g->a.ld), b, rs_i32(g->b.ld), g->beta, y, rs_i32(g->y.ld));
    epilogue(g, t->n, i0, j0, mb, nb);
}

void rs_cpu_gemm(rs_kctx *k, const rs_gemm_args *g)
{
    job t = {.g = g,
             .m = rs_tensor_rows(g->y),
             .n = rs_tensor_cols(g->y),
             .k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a),
             .alpha = g->alpha == 0 ? 1.0f : g->alpha};
    t.tiles_n = rs_ceil_div(t.n, TILE_N);
    rs_parallel(k, rs_ceil_div(t.m, TILE_M) * t.tiles_n, tile, &t);
}
