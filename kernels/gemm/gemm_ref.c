#include "base/num.h"
#include "kernels/act/act_ref.h"
#include "kernels/opcase.h"

static double at(rs_tensor t, bool trans, bool bf16, int64_t i, int64_t j)
{
    double x = trans ? rs_f64(t)[j * t.ld + i] : rs_f64(t)[i * t.ld + j];
    return bf16 ? (double)rs_f32_from_bf16(rs_bf16_from_f32((float)x)) : x;
}

void rs_ref_gemm(const rs_gemm_args *g)
{
    int64_t m = rs_tensor_rows(g->y), n = rs_tensor_cols(g->y);
    int64_t k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a);
    int64_t rows = rs_max_i64(1, m / rs_max_i64(1, g->parts));
    double alpha = g->alpha == 0 ? 1 : (double)g->alpha;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t c = 0; c < k; c++)
                sum += at(g->a, g->trans_a, g->bf16, i, c) * at(g->b, g->trans_b, g->bf16, c, j);
            int part = (int)(i / rows);
            for (int64_t c = 0; rs_has(g->ta[part]) && c < rs_tensor_cols(g->ta[part]); c++)
                sum += at(g->ta[part], false, g->bf16, i % rows, c) *
                       at(g->tb[part], g->trans_b, g->bf16, c, j);
            double *y = rs_f64(g->y) + i * g->y.ld + j;
            double v = alpha * sum + (g->beta != 0 ? (double)g->beta * *y : 0) +
                       (rs_has(g->bias) ? rs_f64(g->bias)[j] : 0);
            if (rs_has(g->pre))
                rs_f64(g->pre)[i * n + j] = v;
            v = rs_has(g->act_at) ? v * rs_ref_slope_of(rs_f64(g->act_at)[i * n + j], g->act)
                                  : rs_ref_act_of(v, g->act);
            double gate = rs_has(g->gate) ? rs_f64(g->gate)[part * g->gate.ld + j] : 1;
            *y = rs_has(g->res) ? rs_f64(g->res)[i * g->res.ld + j] + gate * v : v;
        }
}
