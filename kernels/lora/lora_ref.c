#include "kernels/opcase.h"

static double rounded(double x, bool bf16)
{
    return bf16 ? (double)rs_f32_from_bf16(rs_bf16_from_f32((float)x)) : x;
}

/* Element (i,j) of rows `ld` apart. */
static double *at(rs_tensor t, int64_t i, int64_t j)
{
    return rs_f64(t) + i * t.ld + j;
}

/* f(r,k), whichever way it lies. */
static double *factor(rs_tensor f, bool tall, int64_t r, int64_t k)
{
    return tall ? at(f, k, r) : at(f, r, k);
}

void rs_ref_lora_down(const rs_lora_down_args *a)
{
    int64_t m = rs_tensor_rows(a->x) / a->parts, k = rs_tensor_cols(a->x);
    for (int p = 0; p < a->parts * a->each; p++)
        for (int64_t i = 0; rs_has(a->low[p]) && i < m; i++)
            for (int64_t r = 0; r < rs_tensor_cols(a->low[p]); r++) {
                double sum = 0;
                for (int64_t c = 0; c < k; c++)
                    sum += rounded(*at(a->x, p / a->each * m + i, c), a->bf16) *
                           rounded(*factor(a->f[p], a->tall, r, c), a->bf16);
                *at(a->low[p], i, r) = (double)a->scale[p] * sum;
            }
}

void rs_ref_lora_up(const rs_lora_up_args *a)
{
    int64_t m = rs_tensor_rows(a->y) / a->parts, k = rs_tensor_cols(a->y);
    for (int64_t i = 0; i < m * a->parts; i++)
        for (int64_t c = 0; c < k; c++) {
            double sum = 0;
            for (int64_t p = i / m * a->each; p < i / m * a->each + a->each; p++)
                for (int64_t r = 0; rs_has(a->low[p]) && r < rs_tensor_cols(a->low[p]); r++)
                    sum += rounded(*at(a->low[p], i % m, r), a->bf16) *
                           rounded(*factor(a->f[p], a->tall, r, c), a->bf16);
            double *y = at(a->y, i, c);
            *y = sum + (a->beta != 0 ? (double)a->beta * *y : 0);
        }
}

void rs_ref_lora_grad(const rs_lora_grad_args *a)
{
    int64_t m = rs_tensor_rows(a->x) / a->parts, k = rs_tensor_cols(a->x);
    for (int p = 0; p < a->parts * a->each; p++)
        for (int64_t r = 0; rs_has(a->low[p]) && r < rs_tensor_cols(a->low[p]); r++)
            for (int64_t c = 0; c < k; c++) {
                double sum = 0;
                for (int64_t i = 0; i < m; i++)
                    sum += rounded(*at(a->low[p], i, r), a->bf16) *
                           rounded(*at(a->x, p / a->each * m + i, c), a->bf16);
                *factor(a->g[p], a->tall, r, c) = sum;
            }
}
