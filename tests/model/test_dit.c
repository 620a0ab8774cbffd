/* The streamed denoiser: gradients against finite differences, equal bits whatever the memory
 * policy, weight home, file type and thread count; plan; conditions; errors. */
#include <math.h>
#include <stdio.h>

#include "model/dit_fixture.h"

static double dot(rs_tensor a, rs_tensor b)
{
    double s = 0;
    for (int64_t i = 0; i < rs_tensor_count(a); i++)
        s += (double)rs_f32(a)[i] * (double)rs_f32(b)[i];
    return s;
}

/* part += step * direction, on the device. */
static void move(t_dit *t, rs_tensor part, const float *direction, float step)
{
    int64_t n = rs_tensor_count(part);
    float *host = RS_NEW(t_arena(), float, n);
    rs_device_get(t->d, host, part.data, (size_t)n * sizeof *host);
    for (int64_t i = 0; i < n; i++)
        host[i] += step * direction[i];
    rs_device_put(t->d, part.data, host, (size_t)n * sizeof *host);
}

/* Central difference of the loss along `direction` in one factor. */
static double slope(t_dit *t, rs_tensor part, const float *direction, float step)
{
    move(t, part, direction, step);
    double up = t_dit_loss(t);
    move(t, part, direction, -2 * step);
    double down = t_dit_loss(t);
    move(t, part, direction, step);
    return (up - down) / (2 * (double)step);
}

/* Along each factor's own gradient the slope is its norm. */
static void check_slopes(const char *config, bool frozen)
{
    t_dit t = t_open_dit(t_make_dit("m", config, RS_DTYPE_F32), 2, NULL);
    t_dit_adapter(&t, 3, 4.0f);
    if (frozen)
        t_dit_frozen(&t, 0.75f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    t_dit_loss(&t);
    rs_tensor grads = t_dit_grads(&t);
    const float *at = rs_f32(grads);
    for (int64_t i = 0; i < t.a->n; i++) {
        const rs_tensor parts[2] = {t.a->items[i].a, t.a->items[i].b};
        for (int k = 0; k < 2; k++) {
            int64_t n = rs_tensor_count(parts[k]);
            rs_tensor g = rs_tensor_of((void *)at, RS_DTYPE_F32, RS_SHAPE(n));
            double norm = sqrt(dot(g, g));
            T_CHECKF(norm > 1e-5, "%s: gradient %g", t.a->items[i].module, norm);
            float *unit = RS_NEW(t_arena(), float, n);
            for (int64_t j = 0; j < n; j++)
                unit[j] = (float)((double)at[j] / norm);
            double got = slope(&t, parts[k], unit, 2e-2f);
            /* fp32 losses near 1 are known to 1e-7, over a step of 4e-2. */
            T_CHECKF(fabs(got - norm) <= 0.01 * norm + 1e-5, "%s %c: slope %g, gradient %g",
                     t.a->items[i].module, "AB"[k], got, norm);
            at += n;
        }
    }
    t_close_dit(&t);
}

static void t_gradients_are_slopes_i2v(void)
{
    check_slopes(t_i2v, false);
}

static void t_gradients_are_slopes_t2v(void)
{
    check_slopes(t_t2v, false);
}

static void t_gradients_are_slopes_over_a_frozen_adapter(void)
{
    check_slopes(t_i2v, true);
    check_slopes(t_t2v, true);
}

typedef struct result {
    rs_tensor v, grads, forward;
    double loss;
} result;

static result train_over(const char *dir, int threads, const rs_denoiser_opts *opts, bool frozen,
                         float weight)
{
    result r;
    t_dit t = t_open_dit(dir, threads, opts);
    t_dit_adapter(&t, 3, 4.0f);
    if (frozen)
        t_dit_frozen(&t, weight);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    r.loss = t_dit_loss(&t);
    r.v = t.v;
    r.grads = t_dit_grads(&t);
    r.forward = t_dit_forward(&t);
    t_close_dit(&t);
    return r;
}

static result train_once(const char *dir, int threads, const rs_denoiser_opts *opts)
{
    return train_over(dir, threads, opts, false, 0);
}

static void expect_equal(result a, result b, const char *what)
{
    T_CHECKF(a.loss == b.loss && t_same_bits(a.v, b.v), "%s: other loss or velocity", what);
    T_CHECKF(t_same_bits(a.grads, b.grads), "%s: other gradients", what);
    T_CHECKF(t_same_bits(a.forward, b.forward), "%s: other forward", what);
}

static void t_bits_do_not_depend_on_memory(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_F32);
    rs_denoiser_opts opts = {.home = RS_HOME_MAPPED};
    result first = train_once(dir, 2, &opts);
    T_CHECK(t_same_bits(first.v, first.forward));
    opts.kept = RS_KEPT_ALL;
    expect_equal(first, train_once(dir, 2, &opts), "store");
    opts.home = RS_HOME_RESIDENT;
    expect_equal(first, train_once(dir, 2, &opts), "resident");
    const char *half = t_make_dit("half", t_i2v, RS_DTYPE_BF16);
    expect_equal(first, train_once(half, 2, &opts), "bf16 on disk, resident");
    opts.home = RS_HOME_MAPPED;
    opts.kept = (rs_kept){0};
    expect_equal(first, train_once(half, 2, &opts), "bf16 on disk, mapped");
}

/* Every mixture of policies over the three blocks, whether one binding follows another or not. */
static void t_bits_do_not_depend_on_what_is_kept(void)
{
    static const char *const k_configs[] = {t_i2v, t_t2v};
    for (int k = 0; k < 2; k++) {
        const char *dir = t_make_dit(k ? "t2v" : "i2v", k_configs[k], RS_DTYPE_F32);
        result first = train_once(dir, 2, NULL);
        t_dit t = t_open_dit(dir, 2, NULL);
        t_dit_adapter(&t, 3, 4.0f);
        size_t base = rs_device_bytes(t.d), last = 0;
        for (int64_t store = 1; store <= 3; store++)
            for (int64_t attention = 0; attention <= 3; attention++) {
                char name[64];
                snprintf(name, sizeof name, "%lld stored, attention of %lld", (long long)store,
                         (long long)attention);
                rs_denoiser_set_kept(t.m, (rs_kept){.store = store, .attention = attention});
                size_t plan = rs_denoiser_plan(t.m, T_F, T_H, T_W, true);
                T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
                T_CHECKF(rs_device_bytes(t.d) - base == plan, "%s: %zu bytes planned, %zu bound",
                         name, plan, rs_device_bytes(t.d) - base);
                rs_kept kept = rs_denoiser_kept(t.m);
                if (attention > 0 && kept.attention == attention)
                    T_CHECKF(plan > last, "%s: takes no more than with less", name);
                last = plan;
                result r = {.loss = t_dit_loss(&t), .v = t.v};
                r.grads = t_dit_grads(&t);
                r.forward = t_dit_forward(&t);
                expect_equal(first, r, name);
            }
        t_close_dit(&t);
    }
}

/* One of weight 0 is none; others count, whatever the memory policy, and stay as they are. */
static void t_frozen_adapters(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_F32);
    result alone = train_once(dir, 2, NULL), half = train_over(dir, 2, NULL, true, 0.5f);
    expect_equal(alone, train_over(dir, 2, NULL, true, 0.0f), "frozen adapter of weight 0");
    T_CHECK(!t_same_bits(half.v, alone.v) && !t_same_bits(half.grads, alone.grads));
    rs_denoiser_opts opts = {.kept = RS_KEPT_ALL};
    expect_equal(half, train_over(dir, 2, &opts, true, 0.5f), "store, frozen adapter");
    opts.kept = RS_KEPT_ATTENTION;
    expect_equal(half, train_over(dir, 2, &opts, true, 0.5f), "attention, frozen adapter");
}

static void t_bits_do_not_depend_on_threads(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_F32);
    result first = train_once(dir, 1, NULL);
    expect_equal(first, train_once(dir, 2, NULL), "2 threads");
    expect_equal(first, train_once(dir, 5, NULL), "5 threads");
}

static void t_forward_is_the_same_bound_for_inference(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_F32);
    result trained = train_once(dir, 2, NULL);
    t_dit t = t_open_dit(dir, 2, NULL);
    t_dit_adapter(&t, 3, 4.0f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
    T_CHECK(t_same_bits(t_dit_forward(&t), trained.forward));
    t_close_dit(&t);
}

static void t_plan_is_what_bind_takes(void)
{
    for (int k = 0; k < 6; k++) {
        rs_denoiser_opts opts = {.kept = k % 2 ? RS_KEPT_ALL : (rs_kept){0}};
        t_dit t = t_open_dit(t_make_dit("m", k < 3 ? t_i2v : t_t2v, RS_DTYPE_F32), 1, &opts);
        if (k >= 2)
            t_dit_adapter(&t, 5, 5.0f);
        size_t before = rs_device_bytes(t.d);
        size_t plan = rs_denoiser_plan(t.m, 3, 6, 4, k != 4);
        T_EQ_I(rs_device_bytes(t.d), before);
        T_OK(rs_denoiser_bind(t.m, 3, 6, 4, k != 4));
        T_EQ_I(rs_device_bytes(t.d) - before, plan);
        T_EQ_I(rs_denoiser_plan(t.m, 3, 6, 4, k != 4), plan);
        T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
        T_EQ_I(rs_device_bytes(t.d) - before, rs_denoiser_plan(t.m, T_F, T_H, T_W, false));
        t_close_dit(&t);
    }
}

/* Floats of what grows with the tokens, as text to video of width D = 32, two blocks, fp32. Of the
 * scratch rows two of D lie in the feed-forward's 72, and the gradient where the stream ended. */
static void t_scratch_lies_in_the_feed_forward(void)
{
    enum { D = 32, FFN = 72, HEADS = 2, PATCH = 4, CHANNELS = 16, TOKENS = 2 * 2 * 32 };
    const int64_t ends = 2 * CHANNELS * PATCH; /* tokens and head */
    const int64_t sampling = D + 3 * D + FFN + ends + 2 * CHANNELS * PATCH;
    const int64_t acts = 8 * D + 2 * HEADS + FFN,
                  training = 3 * D + acts + 4 * D + FFN + ends + 4 * CHANNELS * PATCH;
    t_dit t = t_open_dit(t_make_dit("m", t_t2v, RS_DTYPE_F32), 1, NULL);
    for (int k = 0; k < 2; k++) {
        size_t small = rs_denoiser_plan(t.m, 2, 4, 64, k),
               large = rs_denoiser_plan(t.m, 2, 4, 128, k);
        double floats = (double)(large - small) / 4 / TOKENS;
        double most = (double)(k ? training : sampling) + 2; /* a row of the table of positions */
        T_CHECKF(floats <= most, "%g floats per token, %g expected", floats, most);
    }
    t_close_dit(&t);
}

/* The model sees text_len rows: true ones and, from its encoder on, equal ones for the rest. */
static void t_padding_rows_count(void)
{
    t_dit t = t_open_dit(t_make_dit("m", t_t2v, RS_DTYPE_F32), 2, NULL);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
    rs_tensor few = t_dit_forward(&t), none = {0};
    const int64_t rows[] = {T_ROWS + 1, 511, 512};
    for (int k = 0; k < 3; k++) {
        rs_tensor text = rs_tensor_new(t_arena(), RS_SHAPE(rows[k], T_TEXT));
        rs_fill_rule(rs_f32(text), "text", 0, (int64_t)T_ROWS * T_TEXT, 1.0, 0.0);
        rs_denoiser_cond_destroy(&t.cond);
        T_OK(rs_denoiser_cond_create(&t.cond, t.m, none, text, none));
        rs_tensor all = t_dit_forward(&t);
        T_REL_L2(rs_f32(all), rs_f32(few), rs_tensor_count(few), 2e-6);
    }
    rs_tensor more = rs_tensor_new(t_arena(), RS_SHAPE(513, T_TEXT));
    rs_denoiser_cond_destroy(&t.cond);
    T_FAILS(rs_denoiser_cond_create(&t.cond, t.m, none, more, none), INPUT, "text");
    t_close_dit(&t);
}

static void t_bindings_grow_and_change(void)
{
    t_dit t = t_open_dit(t_make_dit("m", t_i2v, RS_DTYPE_F32), 2, NULL);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    rs_tensor plain = t_dit_forward(&t);
    t_dit_adapter(&t, 9, 9.0f);
    T_CHECK(!t_same_bits(t_dit_forward(&t), plain));
    T_OK(rs_denoiser_set_adapters(t.m, NULL, NULL, 0));
    rs_denoiser_cond *other;
    rs_tensor y = t_values("y", RS_SHAPE(20, 1, 2, 2));
    rs_tensor text = t_values("text", RS_SHAPE(T_ROWS, T_TEXT));
    rs_tensor image = t_values("image", RS_SHAPE(300, T_IMAGE));
    T_OK(rs_denoiser_cond_create(&other, t.m, y, text, image));
    T_CHECK(t_same_bits(t_dit_forward(&t), plain));
    T_FAILS(rs_denoiser_forward(t.m, t.v, t.x, 1.0f, other), INPUT, "condition of 1 x 2 x 2");
    T_OK(rs_denoiser_bind(t.m, 1, 2, 2, false));
    rs_tensor x = t_values("x", RS_SHAPE(16, 1, 2, 2)), v = t_values("v", RS_SHAPE(16, 1, 2, 2));
    T_OK(rs_denoiser_forward(t.m, v, x, 1.0f, other));
    T_FAILS(rs_denoiser_forward(t.m, t.v, t.x, 1.0f, t.cond), INPUT, "bound to a latent");
    T_FAILS(rs_denoiser_bind(t.m, 1, 3, 2, false), INPUT, "does not divide");
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
    T_CHECK(t_same_bits(t_dit_forward(&t), plain));
    rs_denoiser_cond_destroy(&other);
    t_close_dit(&t);
}

static void expect_refused(const char *from, const char *to, const char *message)
{
    char config[1024];
    const char *at = strstr(t_i2v, from);
    rs_json *json;
    rs_layout l;
    T_CHECK(at);
    int n = snprintf(config, sizeof config, "%.*s%s%s", (int)(at - t_i2v), t_i2v, to,
                     at + strlen(from));
    T_OK(rs_json_parse(&json, config, (size_t)n, "config.json"));
    T_FAILS(rs_dit_layout(&l, t_arena(), json, false), MODEL, message);
    T_CHECK(strstr(rs_error_message(), "config.json"));
    rs_json_destroy(&json);
}

static void t_configurations_that_are_refused(void)
{
    expect_refused("\"eps\"", "\"pos_embed_seq_len\": 514, \"eps\"", "FLF2V");
    expect_refused("\"eps\"", "\"qk_norm\": \"rms_norm\", \"eps\"", "qk_norm");
    expect_refused("\"eps\"", "\"cross_attn_norm\": false, \"eps\"", "cross_attn_norm");
    expect_refused("\"num_layers\": 3", "\"num_layers\": \"3\"", "num_layers");
    expect_refused("\"num_layers\": 3,", "", "num_layers");
    expect_refused("\"attention_head_dim\": 16", "\"attention_head_dim\": 15",
                   "added_kv_proj_dim is 32");
    expect_refused("\"added_kv_proj_dim\": 32", "\"added_kv_proj_dim\": 31", "added_kv_proj_dim");
    expect_refused("\"num_attention_heads\": 2, \"attention_head_dim\": 16",
                   "\"num_attention_heads\": 8, \"attention_head_dim\": 4", "head dimension 4");
    expect_refused("[1, 2, 2]", "[1, 2]", "patch_size");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_gradients_are_slopes_i2v),
    T_CASE(t_gradients_are_slopes_t2v),
    T_CASE(t_gradients_are_slopes_over_a_frozen_adapter),
    T_CASE(t_frozen_adapters),
    T_CASE(t_bits_do_not_depend_on_memory),
    T_CASE(t_bits_do_not_depend_on_what_is_kept),
    T_CASE(t_bits_do_not_depend_on_threads),
    T_CASE(t_forward_is_the_same_bound_for_inference),
    T_CASE(t_plan_is_what_bind_takes),
    T_CASE(t_scratch_lies_in_the_feed_forward),
    T_CASE(t_padding_rows_count),
    T_CASE(t_bindings_grow_and_change),
    T_CASE(t_configurations_that_are_refused),
};
RS_TEST_MAIN(k_cases)
