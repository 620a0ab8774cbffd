/* gemm on the CUDA backend with results in bf16: every mix of storage types against a double
 * reference over the operands as they are stored and rounded. Limits follow from the formats: one
 * rounding to bf16 is 2^-9 of a value at most, an fp32 sum of k terms sqrt(k) 2^-24 (kernels/
 * opcase.h). Includes converted operands in pieces, fused GELU with its input, odd sizes. */
#include <math.h>
#include <string.h>

#include "base/fp8.h"
#include "base/rng.h"
#include "device/device.h"
#include "harness/test.h"
#include "kernels/act/act_ref.h"

typedef struct mix {
    const char *name;
    int64_t m, n, k;
    bool a16, b16, y16, bf16, trans_a, trans_b, bias, pre;
    float alpha, beta;
    rs_act act;
    bool slope; /* times the slope of the activation at a given place */
} mix;

static const mix MIXES[] = {
    {"linear", 72, 96, 64, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, RS_ACT_NONE, 0},
    {"up", 72, 96, 64, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, RS_ACT_GELU_TANH, 0},
    {"gelu", 72, 96, 64, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, RS_ACT_GELU_TANH, 0},
    {"silu", 40, 64, 64, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, RS_ACT_SILU, 0},
    {"lora_down", 72, 16, 64, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, RS_ACT_NONE, 0},
    {"lora_up", 72, 96, 16, 1, 0, 1, 1, 0, 1, 0, 0, 0.5f, 1, RS_ACT_NONE, 0},
    {"lora_grad", 16, 96, 72, 1, 1, 0, 1, 1, 0, 0, 0, 2, 0, RS_ACT_NONE, 0},
    {"dgrad", 72, 64, 96, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, RS_ACT_NONE, 0},
    {"dgelu", 72, 96, 64, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, RS_ACT_GELU_TANH, 1},
    {"dgelu_added", 72, 96, 64, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, RS_ACT_GELU_TANH, 1},
    {"dgelu_fp32", 72, 96, 64, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, RS_ACT_GELU_TANH, 1},
    {"dsilu", 72, 96, 64, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, RS_ACT_SILU, 1},
    {"dgelu_odd", 37, 53, 29, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, RS_ACT_GELU_TANH, 1},
    {"latents", 72, 96, 64, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, RS_ACT_NONE, 0},
    {"head", 72, 64, 96, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, RS_ACT_GELU_ERF, 0},
    {"exact_mix", 72, 96, 64, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, RS_ACT_SILU, 0},
    {"odd", 37, 53, 29, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, RS_ACT_GELU_TANH, 0},
    {"one", 1, 301, 257, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, RS_ACT_NONE, 0},
    {"pieces_of_a", 1032, 16, 16384, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, RS_ACT_NONE, 0},
    {"pieces_of_b", 8, 1032, 16384, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, RS_ACT_NONE, 0},
};

static float value(uint32_t what, int64_t i)
{
    rs_rng r = rs_rng_stream(5, what, RS_RNG_TEST, 0);
    return (float)rs_rng_bits(&r, (uint64_t)i) * 0x1p-31f - 1;
}

static float rounded(float x, bool bf16)
{
    return bf16 ? rs_f32_from_bf16(rs_bf16_from_f32(x)) : x;
}

/* A device matrix with random content, whose stored values come back in host. */
static rs_tensor make(rs_device *d, float **host, uint32_t what, int64_t rows, int64_t cols,
                      bool bf16)
{
    rs_dtype type = bf16 ? RS_DTYPE_BF16 : RS_DTYPE_F32;
    void *memory;
    T_OK(rs_device_alloc(d, &memory, (size_t)(rows * cols) * rs_dtype_size(type)));
    rs_tensor t = rs_tensor_of(memory, type, RS_SHAPE(rows, cols));
    *host = RS_NEW(t_arena(), float, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++)
        (*host)[i] = rounded(value(what, i), bf16);
    char *stored = rs_arena_alloc(t_arena(), rs_tensor_bytes(t), 1);
    rs_convert_from_f32(stored, type, *host, rows * cols);
    rs_device_put(d, memory, stored, rs_tensor_bytes(t));
    return t;
}

static float *back(rs_device *d, rs_tensor t)
{
    char *stored = rs_arena_alloc(t_arena(), rs_tensor_bytes(t), 1);
    float *out = RS_NEW(t_arena(), float, rs_tensor_count(t));
    rs_device_get(d, stored, t.data, rs_tensor_bytes(t));
    rs_convert_to_f32(out, stored, t.dtype, rs_tensor_count(t));
    return out;
}

/* |got - want| in the mean against the mean of what it is a sum of. */
static void near(const mix *x, const char *what, const float *got, const double *want, int64_t n,
                 bool bf16)
{
    double diff = 0, norm = 0, limit = (16 + sqrt((double)x->k)) * 0x1p-24 + (bf16 ? 0x1p-8 : 0);
    for (int64_t i = 0; i < n; i++) {
        diff += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    T_CHECKF(sqrt(diff / norm) <= limit, "%s: %s is off by %.3g, limit %.3g", x->name, what,
             sqrt(diff / norm), limit);
}

static void check(rs_device *d, const mix *x)
{
    float *a, *b, *y0, *bias, *at;
    rs_tensor ta = make(d, &a, 1, x->trans_a ? x->k : x->m, x->trans_a ? x->m : x->k, x->a16);
    rs_tensor tb = make(d, &b, 2, x->trans_b ? x->n : x->k, x->trans_b ? x->k : x->n, x->b16);
    rs_tensor ty = make(d, &y0, 3, x->m, x->n, x->y16);
    rs_tensor tbias = make(d, &bias, 4, 1, x->n, false), tpre = make(d, &at, 5, x->m, x->n, x->y16);
    double *v = RS_NEW(t_arena(), double, x->m * x->n), *y = RS_NEW(t_arena(), double, x->m * x->n);
    for (int64_t i = 0; i < x->m; i++)
        for (int64_t j = 0; j < x->n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < x->k; k++)
                sum += (double)rounded(a[x->trans_a ? k * x->m + i : i * x->k + k], x->bf16) *
                       (double)rounded(b[x->trans_b ? j * x->k + k : k * x->n + j], x->bf16);
            double one = (x->alpha == 0 ? 1 : (double)x->alpha) * sum;
            one += (double)x->beta * (double)y0[i * x->n + j] + (x->bias ? (double)bias[j] : 0);
            v[i * x->n + j] = one;
            y[i * x->n + j] = x->slope ? one * rs_ref_slope_of((double)at[i * x->n + j], x->act)
                                       : rs_ref_act_of(one, x->act);
        }
    const rs_tensor none = {0};
    RS_OP(d, gemm, .y = ty, .a = ta, .b = tb, .bias = x->bias ? tbias : none,
          .pre = x->pre ? tpre : none, .act_at = x->slope ? tpre : none, .trans_a = x->trans_a,
          .trans_b = x->trans_b, .bf16 = x->bf16, .alpha = x->alpha, .beta = x->beta,
          .act = x->act);
    T_OK(rs_device_check(d));
    near(x, "y", back(d, ty), y, x->m * x->n, x->y16);
    if (x->pre)
        near(x, "pre", back(d, tpre), v, x->m * x->n, x->y16);
    void *all[] = {ta.data, tb.data, ty.data, tbias.data, tpre.data};
    for (int i = 0; i < 5; i++)
        rs_device_free(d, all[i]);
}

static void t_mixes(void)
{
    rs_device *d;
    T_OK(rs_device_open(&d, &(rs_device_opts){.backend = "cuda", .threads = 1}));
    for (size_t i = 0; i < sizeof MIXES / sizeof *MIXES; i++)
        check(d, &MIXES[i]);
    rs_device_destroy(&d);
}

/* The bits of a row are those that it has alone, however many rows are converted at a time. */
static void t_rows_do_not_see_each_other(void)
{
    enum { M = 1032, N = 24, K = 16384 };
    rs_device *d;
    float *unused;
    T_OK(rs_device_open(&d, &(rs_device_opts){.backend = "cuda", .threads = 1}));
    rs_tensor a = make(d, &unused, 1, M, K, false), b = make(d, &unused, 2, N, K, true);
    rs_tensor y = make(d, &unused, 3, M, N, true);
    RS_OP(d, gemm, .y = y, .a = a, .b = b, .trans_b = true, .bf16 = true);
    const float *all = back(d, y);
    static const int64_t at[][2] = {{0, 1}, {511, 513}, {1000, 1032}};
    for (int i = 0; i < 3; i++) {
        int64_t lo = at[i][0], hi = at[i][1];
        rs_tensor part = make(d, &unused, 4, hi - lo, N, true);
        RS_OP(d, gemm, .y = part, .a = rs_tensor_rows_view(a, lo, hi), .b = b, .trans_b = true,
              .bf16 = true);
        T_CHECK(memcmp(back(d, part), all + lo * N, (size_t)((hi - lo) * N) * sizeof(float)) == 0);
    }
    T_OK(rs_device_check(d));
    rs_device_destroy(&d);
}

/* ---- weights in 8 bits ---- */

/* The values that a matrix of weights has in 8 bits, and its memory. */
static rs_tensor weights8(rs_device *d, float **values, int64_t n, int64_t k)
{
    void *memory;
    uint8_t *host = rs_arena_alloc(t_arena(), rs_fp8_bytes(n, k), 1);
    rs_tensor t = rs_tensor_of(host, RS_DTYPE_U8, RS_SHAPE(n, k));
    *values = RS_NEW(t_arena(), float, n *k);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < k; j++)
            (*values)[i * k + j] = value(7, i * k + j) * (float)(1 + i % 5);
        float scale = rs_fp8_row(host + i * k, *values + i * k, k);
        rs_fp8_scales(t)[i] = scale;
        for (int64_t j = 0; j < k; j++)
            (*values)[i * k + j] = rs_f32_from_fp8(host[i * k + j]) * scale;
    }
    T_OK(rs_device_alloc(d, &memory, rs_fp8_bytes(n, k)));
    rs_device_put(d, memory, host, rs_fp8_bytes(n, k));
    t.data = memory;
    return t;
}

/* What is held against the products: the operands as 8 bits leave them, in double. */
static void check8(rs_device *d, const mix *x)
{
    float *w, *a, *y0, *bias, *at, *q = RS_NEW(t_arena(), float, x->k);
    int64_t rows = x->trans_b ? x->n : x->k, cols = x->trans_b ? x->k : x->n;
    uint8_t *bytes = RS_NEW(t_arena(), uint8_t, x->k);
    rs_tensor tb = weights8(d, &w, rows, cols), ta = make(d, &a, 1, x->m, x->k, true);
    rs_tensor ty = make(d, &y0, 3, x->m, x->n, true), tat = make(d, &at, 5, x->m, x->n, true);
    rs_tensor tbias = make(d, &bias, 4, 1, x->n, false);
    double *y = RS_NEW(t_arena(), double, x->m * x->n), *v = RS_NEW(t_arena(), double, x->m * x->n);
    for (int64_t i = 0; i < x->m; i++) {
        float scale = x->trans_b ? rs_fp8_row(bytes, a + i * x->k, x->k) : 1;
        for (int64_t k = 0; k < x->k; k++)
            q[k] = x->trans_b ? rs_f32_from_fp8(bytes[k]) * scale : a[i * x->k + k];
        for (int64_t j = 0; j < x->n; j++) {
            double sum = x->bias ? (double)rounded(bias[j], true) : 0;
            for (int64_t k = 0; k < x->k; k++)
                sum += (double)q[k] *
                       (double)(x->trans_b ? w[j * x->k + k] : rounded(w[k * x->n + j], true));
            sum += (double)x->beta * (double)y0[i * x->n + j];
            v[i * x->n + j] = sum;
            y[i * x->n + j] = x->slope ? sum * rs_ref_slope_of((double)at[i * x->n + j], x->act)
                                       : rs_ref_act_of(sum, x->act);
        }
    }
    const rs_tensor none = {0};
    RS_OP(d, gemm, .y = ty, .a = ta, .b = tb, .bias = x->bias ? tbias : none,
          .pre = x->pre ? tat : none, .act_at = x->slope ? tat : none, .trans_b = x->trans_b,
          .bf16 = true, .beta = x->beta, .act = x->act);
    T_OK(rs_device_check(d));
    near(x, "y", back(d, ty), y, x->m * x->n, true);
    if (x->pre)
        near(x, "pre", back(d, tat), v, x->m * x->n, true);
    void *all[] = {ta.data, tb.data, ty.data, tbias.data, tat.data};
    for (int i = 0; i < 5; i++)
        rs_device_free(d, all[i]);
}

static void t_weights_in_8_bits(void)
{
    static const mix k_mixes[] = {
        {"forward8", 72, 96, 64, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, RS_ACT_NONE, 0},
        {"added8", 72, 96, 64, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1, RS_ACT_NONE, 0},
        {"up8", 72, 96, 64, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, RS_ACT_GELU_TANH, 0},
        {"pieces8", 2060, 32, 16384, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, RS_ACT_GELU_TANH, 0},
        {"back8", 72, 96, 64, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, RS_ACT_NONE, 0},
        {"dgelu8", 72, 96, 64, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, RS_ACT_GELU_TANH, 1},
        {"columns8", 16, 1040, 16384, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, RS_ACT_GELU_TANH, 1},
    };
    rs_device *d;
    T_OK(rs_device_open(
        &d, &(rs_device_opts){
                .backend = "cuda", .threads = 1, .precision = RS_PRECISION_BF16, .fp8 = true}));
    for (size_t i = 0; i < sizeof k_mixes / sizeof *k_mixes; i++)
        check8(d, &k_mixes[i]);
    rs_device_destroy(&d);
}

static const rs_test_case k_cases[] = {T_CASE(t_mixes), T_CASE(t_rows_do_not_see_each_other),
                                       T_CASE(t_weights_in_8_bits)};
RS_TEST_MAIN(k_cases)
