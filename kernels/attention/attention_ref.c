#include <math.h>

#include "kernels/opcase.h"

/* As an operand of a product. */
static double operand(double x, bool bf16)
{
    return bf16 ? (double)rs_f32_from_bf16(rs_bf16_from_f32((float)x)) : x;
}

static double dot(const double *x, const double *y, int64_t n, bool bf16)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += operand(x[i], bf16) * operand(y[i], bf16);
    return sum;
}

static double *row(rs_tensor t, int64_t i, int64_t col)
{
    return rs_f64(t) + i * t.ld + col;
}

static void fwd_row(const rs_attention_fwd_args *a, int64_t head, int64_t i)
{
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k);
    int64_t d = rs_tensor_cols(a->q) / a->heads, c0 = head * d;
    double top = -INFINITY, sum = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int64_t j = 0; j < sk; j++) {
            double s = (double)a->scale * dot(row(a->q, i, c0), row(a->k, j, c0), d, a->bf16);
            if (j == sk - 1 && a->last_key_count > 1)
                s += log((double)a->last_key_count);
            if (rs_has(a->bias_rel))
                s += rs_f64(a->bias_rel)[head * (sq + sk - 1) + j - i + sq - 1];
            if (pass == 0)
                top = fmax(top, s);
            else if (pass == 1)
                sum += exp(s - top);
            for (int64_t c = 0; pass == 2 && c < d; c++) {
                double *o = row(a->o, i, c0 + c);
                *o = (j || a->o_accumulate ? *o : 0) +
                     exp(s - top) / sum * operand(*row(a->v, j, c0 + c), a->bf16);
            }
        }
    if (rs_has(a->lse))
        rs_f64(a->lse)[head * a->lse.ld + i] = top + log(sum);
}

void rs_ref_attention_fwd(const rs_attention_fwd_args *a)
{
    for (int64_t head = 0; head < a->heads; head++)
        for (int64_t i = 0; i < rs_tensor_rows(a->q); i++)
            fwd_row(a, head, i);
}

static void add_row(rs_tensor t, int64_t i, int64_t c0, double factor, const double *x, int64_t d,
                    bool bf16)
{
    for (int64_t c = 0; rs_has(t) && c < d; c++)
        *row(t, i, c0 + c) += factor * operand(x[c], bf16);
}

static void zero(rs_tensor t)
{
    for (int64_t i = 0; rs_has(t) && i < rs_tensor_rows(t); i++)
        for (int64_t c = 0; c < rs_tensor_cols(t); c++)
            *row(t, i, c) = 0;
}

void rs_ref_attention_bwd(const rs_attention_bwd_args *a)
{
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k);
    int64_t d = rs_tensor_cols(a->q) / a->heads;
    if (!a->dq_accumulate)
        zero(a->dq);
    zero(a->dk);
    zero(a->dv);
    for (int64_t head = 0; head < a->heads; head++)
        for (int64_t i = 0; i < sq; i++) {
            int64_t c0 = head * d;
            const double *q = row(a->q, i, c0), *d_o = row(a->d_o, i, c0);
            double delta = dot(d_o, row(a->o, i, c0), d, false);
            for (int64_t j = 0; j < sk; j++) {
                const double *k = row(a->k, j, c0);
                double s = (double)a->scale * dot(q, k, d, a->bf16);
                if (j == sk - 1 && a->last_key_count > 1)
                    s += log((double)a->last_key_count);
                double p = exp(s - rs_f64(a->lse)[head * a->lse.ld + i]);
                double ds = p * (dot(d_o, row(a->v, j, c0), d, a->bf16) - delta) * (double)a->scale;
                add_row(a->dq, i, c0, ds, k, d, a->bf16);
                add_row(a->dk, j, c0, ds, q, d, a->bf16);
                add_row(a->dv, j, c0, p, d_o, d, a->bf16);
            }
        }
}
