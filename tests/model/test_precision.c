/* The transformer with products of bf16 operands against the same one in fp32: how far results may
 * be apart follows from the format; and the bits depend on as little as in fp32.
 *
 * An operand is rounded with a relative error of at most u = 2^-9. One product in a row adds up to
 * 2u to the relative error of its result (weights of these models are exact, so it is less), and
 * errors of independent roundings add up like the root of their number. On the longest way through
 * a block there are eight products of linears, two of them in a LoRA term, and those of attention.
 */
#include <math.h>
#include <stdio.h>

#include "device/device_priv.h"
#include "model/dit_fixture.h"
#include "train/train.h"

static const double U2 = 0x1p-8;

/* Products in a row: 10 in a block, 4 around them; the backward goes the way again, and back. */
static double limit(const rs_denoiser *m, bool gradient)
{
    double products = 10.0 * (double)rs_denoiser_get_info(m)->blocks + 4;
    return U2 * sqrt(gradient ? 2 * products : products);
}

static double distance(rs_tensor a, rs_tensor b)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < rs_tensor_count(a); i++) {
        double x = (double)rs_f32(a)[i], y = (double)rs_f32(b)[i];
        diff += (x - y) * (x - y);
        norm += y * y;
    }
    return sqrt(diff / norm);
}

typedef struct result {
    rs_tensor v, grads;
    double loss, limit_v, limit_grads;
} result;

static bool g_separate; /* LoRA terms as products of their own, as devices without them do */
static bool g_gated;    /* and residuals added by gate_add */
static bool g_one_term; /* a trained adapter only */

static result run(const char *dir, int threads, const rs_denoiser_opts *opts, rs_precision p)
{
    result r;
    t_dit t = t_open_dit_in(dir, threads, opts, p);
    t.d->gemm_terms = t.d->gemm_terms && !g_separate;
    t.d->gemm_residual = t.d->gemm_residual && !g_gated;
    t_dit_adapter(&t, 3, 4.0f);
    if (!g_one_term)
        t_dit_frozen(&t, 0.7f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    r.loss = t_dit_loss(&t);
    r.v = t.v;
    r.grads = t_dit_grads(&t);
    r.limit_v = limit(t.m, false);
    r.limit_grads = limit(t.m, true);
    t_close_dit(&t);
    return r;
}

static void t_errors_are_those_of_the_format(void)
{
    static const char *const k_configs[] = {t_i2v, t_t2v};
    for (int k = 0; k < 2; k++) {
        const char *dir = t_make_dit(k ? "t2v" : "i2v", k_configs[k], RS_DTYPE_BF16);
        result fp32 = run(dir, 1, NULL, RS_PRECISION_FP32);
        result bf16 = run(dir, 1, NULL, RS_PRECISION_BF16);
        double v = distance(bf16.v, fp32.v), g = distance(bf16.grads, fp32.grads);
        double loss = fabs(bf16.loss - fp32.loss) / fp32.loss;
        printf("    velocity %.2e of %.2e, gradients %.2e of %.2e, loss %.2e\n", v, fp32.limit_v, g,
               fp32.limit_grads, loss);
        T_CHECKF(v < fp32.limit_v, "velocity differs by %.3e", v);
        T_CHECKF(g < fp32.limit_grads, "gradients differ by %.3e", g);
        T_CHECKF(loss < 2 * fp32.limit_v, "loss differs by %.3e", loss);
        T_CHECKF(v > 0x1p-15, "operands were not rounded: %.3e", v); /* fp32: about 2^-20 */
    }
}

/* Terms in the frozen product's pass, or after it: other roundings, of fp32. */
static void t_terms_may_be_products_of_their_own(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_BF16);
    result with = run(dir, 1, NULL, RS_PRECISION_FP32);
    g_separate = true;
    result apart = run(dir, 1, NULL, RS_PRECISION_FP32);
    g_separate = false;
    double v = distance(apart.v, with.v), g = distance(apart.grads, with.grads);
    T_CHECKF(v > 0 && v < 1e-5 && g < 1e-5, "velocity differs by %.3e, gradients by %.3e", v, g);
}

static void expect_equal(result a, result b, const char *what)
{
    T_CHECKF(t_same_bits(a.v, b.v) && t_same_bits(a.grads, b.grads) && a.loss == b.loss,
             "other bits: %s", what);
}

/* Threads, what is kept, home and type of the weights. */
static void t_bits_depend_on_nothing_else(void)
{
    const char *half = t_make_dit("half", t_i2v, RS_DTYPE_BF16);
    const char *full = t_make_dit("full", t_i2v, RS_DTYPE_F32);
    for (int p = 0; p < 2; p++) {
        rs_precision precision = (rs_precision)p;
        rs_denoiser_opts opts = {.home = RS_HOME_MAPPED};
        result first = run(half, 1, &opts, precision);
        expect_equal(first, run(half, 3, &opts, precision), "three threads");
        opts.kept = RS_KEPT_ALL;
        expect_equal(first, run(half, 2, &opts, precision), "stored");
        opts.kept = RS_KEPT_ATTENTION;
        expect_equal(first, run(half, 1, &opts, precision), "attention kept");
        expect_equal(first, run(full, 1, &opts, precision), "fp32 on disk");
        opts.home = RS_HOME_RESIDENT;
        expect_equal(first, run(half, 1, &opts, precision), "resident");
        expect_equal(first, run(full, 1, &opts, precision), "fp32 on disk, resident");
    }
}

/* Bound for inference, where the residual lies in the result's place. */
static rs_tensor sample(const char *dir, rs_precision p)
{
    t_dit t = t_open_dit_in(dir, 1, NULL, p);
    t.d->gemm_residual = t.d->gemm_residual && !g_gated;
    t_dit_adapter(&t, 3, 4.0f);
    if (!g_one_term)
        t_dit_frozen(&t, 0.7f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
    rs_tensor v = t_dit_forward(&t);
    t_close_dit(&t);
    return v;
}

/* A residual goes with its product, or after it: the same bits. Two adapters always take the second
 * way. */
static void t_residuals_may_be_added_later(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_BF16);
    for (int p = 0; p < 2; p++)
        for (int one = 0; one < 2; one++) {
            g_one_term = one;
            result with = run(dir, 2, NULL, (rs_precision)p);
            rs_tensor in_place = sample(dir, (rs_precision)p);
            g_gated = true;
            result apart = run(dir, 1, NULL, (rs_precision)p);
            T_CHECKF(t_same_bits(in_place, sample(dir, (rs_precision)p)), "bound for inference");
            g_gated = g_one_term = false;
            expect_equal(with, apart, one ? "one adapter" : "two adapters");
        }
}

/* Matrices of a bf16 file are never widened. */
static void t_weights_take_half(void)
{
    const char *half = t_make_dit("half", t_i2v, RS_DTYPE_BF16);
    const char *full = t_make_dit("full", t_i2v, RS_DTYPE_F32);
    size_t bytes[2];
    for (int k = 0; k < 2; k++) {
        rs_denoiser_opts opts = {.home = RS_HOME_RESIDENT};
        t_dit t = t_open_dit_in(k ? full : half, 1, &opts, RS_PRECISION_BF16);
        bytes[k] = rs_denoiser_weight_bytes(t.m);
        t_close_dit(&t);
    }
    T_CHECKF(bytes[0] < bytes[1] * 6 / 10, "%zu of %zu bytes", bytes[0], bytes[1]);
}

enum { STEPS = 20 };

static void train(float *losses, const char *dir, rs_precision precision)
{
    t_dit t = t_open_dit_in(dir, 2, NULL, precision);
    const float one = 1.0f;
    int n;
    const char *const *targets = rs_adapter_default_targets(&n);
    int32_t order[STEPS] = {0};
    T_OK(rs_adapter_create(&t.a, t.m, 4, 4.0f, targets, n, true));
    T_OK(rs_denoiser_set_adapters(t.m, &t.a, &one, 1));
    rs_adapter_init(t.a, 7, 1);
    rs_train_item item = {.x0 = t.x,
                          .y = t_values("y", RS_SHAPE(20, T_F, T_H, T_W)),
                          .text = t_values("text", RS_SHAPE(T_ROWS, T_TEXT)),
                          .image = t_values("image", RS_SHAPE(T_IMAGE_ROWS, T_IMAGE))};
    rs_train_loop l = {.items = &item,
                       .n_items = 1,
                       .order = order,
                       .steps = STEPS,
                       .optim = RS_OPTIM_OPTS_DEFAULT,
                       .seed = 5,
                       .job = 9};
    int64_t step = 0;
    l.optim.lr = 1e-2;
    T_OK(rs_train_run(&l, t.m, t.a, losses, &step));
    t_close_dit(&t);
}

/* Both see the same noise and times, so losses can be held against each other step by step. */
static void t_twenty_steps(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_BF16);
    float fp32[STEPS], bf16[STEPS];
    double worst = 0, down = 0;
    train(fp32, dir, RS_PRECISION_FP32);
    train(bf16, dir, RS_PRECISION_BF16);
    for (int i = 0; i < STEPS; i++)
        worst = fmax(worst, fabs((double)bf16[i] / (double)fp32[i] - 1));
    for (int i = 0; i < 5; i++)
        down += (double)(bf16[i] - bf16[STEPS - 1 - i]);
    printf("    losses differ by %.2e at most; %.4f to %.4f, in fp32 %.4f to %.4f\n", worst,
           (double)bf16[0], (double)bf16[STEPS - 1], (double)fp32[0], (double)fp32[STEPS - 1]);
    T_CHECKF(worst < 2 * U2 * sqrt(34), "losses differ by %.3e", worst); /* as of one step */
    T_CHECK(down > 0);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_errors_are_those_of_the_format),
    T_CASE(t_terms_may_be_products_of_their_own),
    T_CASE(t_bits_depend_on_nothing_else),
    T_CASE(t_residuals_may_be_added_later),
    T_CASE(t_weights_take_half),
    T_CASE(t_twenty_steps),
};
RS_TEST_MAIN(k_cases)
