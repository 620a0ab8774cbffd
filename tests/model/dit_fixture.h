/* A small random diffusion transformer on disk, with inputs, for the tests of the denoiser. */
#ifndef RS_TESTS_DIT_FIXTURE_H
#define RS_TESTS_DIT_FIXTURE_H

#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "harness/test.h"
#include "model/layouts.h"
#include "model/model.h"
#include "model/synth.h"

enum { T_F = 2, T_H = 4, T_W = 6, T_TEXT = 12, T_ROWS = 7, T_IMAGE = 20, T_IMAGE_ROWS = 5 };

static const char t_i2v[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 2, "
    "\"attention_head_dim\": 16,"
    " \"num_layers\": 3, \"ffn_dim\": 72, \"freq_dim\": 16,"
    " \"in_channels\": 36, \"out_channels\": 16, \"text_dim\": 12, \"image_dim\": 20,"
    " \"added_kv_proj_dim\": 32, \"patch_size\": [1, 2, 2], \"eps\": 1e-6}";
static const char t_t2v[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 2, "
    "\"attention_head_dim\": 16,"
    " \"num_layers\": 2, \"ffn_dim\": 72, \"freq_dim\": 16,"
    " \"in_channels\": 16, \"out_channels\": 16, \"text_dim\": 12, \"patch_size\": [1, 2, 2],"
    " \"eps\": 1e-6}";

/* Eight heads, for lanes of up to eight ranks. */
static const char t_lane_i2v[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 8, "
    "\"attention_head_dim\": 8, \"num_layers\": 3, \"ffn_dim\": 72, \"freq_dim\": 16,"
    " \"in_channels\": 36, \"out_channels\": 16, \"text_dim\": 12, \"image_dim\": 20,"
    " \"added_kv_proj_dim\": 64, \"patch_size\": [1, 2, 2], \"eps\": 1e-6}";

/* Random, norms not all alike, with values that bf16 holds exactly. */
static inline void t_fill_bf16(void *ctx, const char *name, rs_tensor t)
{
    rs_synth_random(ctx, name, t);
    if (strstr(name, "norm") && strstr(name, ".weight"))
        rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 0.4, 1.0);
    for (int64_t i = 0; i < rs_tensor_count(t); i++)
        rs_f32(t)[i] = rs_f32_from_bf16(rs_bf16_from_f32(rs_f32(t)[i]));
}

/* <tmp>/<name>/transformer; returns <tmp>/<name>. */
static inline const char *t_make_dit(const char *name, const char *config, rs_dtype type)
{
    rs_json *json;
    rs_layout l;
    rs_synth_seed seed = {.seed = 3, .component = "transformer"};
    rs_synth_opts opts = {.dtype = type};
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), name);
    const char *part = rs_path_join(t_arena(), dir, "transformer");
    T_OK(rs_json_parse(&json, config, strlen(config), "config.json"));
    T_OK(rs_dit_layout(&l, t_arena(), json, false));
    rs_json_destroy(&json);
    T_OK(rs_synth_component(part, "diffusion_pytorch_model", &l, &opts, t_fill_bf16, &seed));
    T_OK(
        rs_write_file_atomic(rs_path_join(t_arena(), part, "config.json"), config, strlen(config)));
    return dir;
}

static inline rs_tensor t_values(const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(t_arena(), ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
    return t;
}

typedef struct t_dit {
    rs_device *d;
    rs_denoiser *m;
    rs_denoiser_cond *cond;
    rs_adapter *a, *frozen;
    rs_tensor x, target, v;
    size_t own; /* device bytes of the backend itself */
} t_dit;

static inline void t_dit_cond(t_dit *t)
{
    const rs_denoiser_info *n = rs_denoiser_get_info(t->m);
    rs_tensor y = {0}, image = {0}, text = t_values("text", RS_SHAPE(T_ROWS, T_TEXT));
    if (n->cond_channels)
        y = t_values("y", RS_SHAPE(n->cond_channels, T_F, T_H, T_W));
    if (n->image_dim)
        image = t_values("image", RS_SHAPE(T_IMAGE_ROWS, T_IMAGE));
    T_OK(rs_denoiser_cond_create(&t->cond, t->m, y, text, image));
}

static const char *t_dit_backend; /* NULL: what RS_BACKEND says */

static inline t_dit t_open_dit_in(const char *dir, int threads, const rs_denoiser_opts *opts,
                                  rs_precision precision)
{
    t_dit t = {0};
    rs_device_opts o = {.backend = t_dit_backend ? t_dit_backend : t_backend(),
                        .threads = threads,
                        .precision = precision};
    T_OK(rs_device_open(&t.d, &o));
    t.own = rs_device_bytes(t.d);
    T_OK(rs_denoiser_open(&t.m, t.d, dir, opts));
    t_dit_cond(&t);
    t.x = t_values("x", RS_SHAPE(16, T_F, T_H, T_W));
    t.target = t_values("target", RS_SHAPE(16, T_F, T_H, T_W));
    t.v = rs_tensor_new(t_arena(), RS_SHAPE(16, T_F, T_H, T_W));
    return t;
}

/* Opens the model and makes condition and inputs; not bound. */
static inline t_dit t_open_dit(const char *dir, int threads, const rs_denoiser_opts *opts)
{
    return t_open_dit_in(dir, threads, opts, RS_PRECISION_FP32);
}

static inline void t_close_dit(t_dit *t)
{
    rs_adapter_destroy(&t->a);
    rs_adapter_destroy(&t->frozen);
    rs_denoiser_cond_destroy(&t->cond);
    rs_denoiser_close(&t->m);
    T_EQ_I(rs_device_bytes(t->d), t->own);
    rs_device_destroy(&t->d);
}

/* Factors that are functions of their names, B not zero. */
static inline void t_dit_fill(t_dit *t, rs_adapter *adapter, const char *salt)
{
    for (int64_t i = 0; i < adapter->n; i++) {
        const rs_tensor parts[2] = {adapter->items[i].a, adapter->items[i].b};
        for (int k = 0; k < 2; k++) {
            const char *name =
                rs_arena_printf(t_arena(), "%s%s.%c", salt, adapter->items[i].module, "AB"[k]);
            rs_tensor v = t_values(name, parts[k].ndim, parts[k].shape);
            for (int64_t j = 0; j < rs_tensor_count(v); j++)
                rs_f32(v)[j] *= 0.3f;
            rs_device_put(t->d, parts[k].data, v.data, rs_tensor_bytes(v));
        }
    }
}

/* An adapter on all linears of the model whose B is not zero, applied with weight 1. */
static inline void t_dit_adapter(t_dit *t, int64_t rank, float alpha)
{
    static const char *const k_image[] = {"attn2.add_k_proj", "attn2.add_v_proj"};
    const char *targets[16];
    const float one = 1.0f;
    int n;
    const char *const *standard = rs_adapter_default_targets(&n);
    for (int i = 0; i < n; i++)
        targets[i] = standard[i];
    for (int i = 0; i < 2 && rs_denoiser_get_info(t->m)->image_dim; i++)
        targets[n++] = k_image[i];
    T_OK(rs_adapter_create(&t->a, t->m, rank, alpha, targets, n, true));
    t_dit_fill(t, t->a, "");
    T_OK(rs_denoiser_set_adapters(t->m, &t->a, &one, 1));
}

/* A second adapter of another rank beneath it, on some of the linears, without gradients. */
static inline void t_dit_frozen(t_dit *t, float weight)
{
    static const char *const k_targets[] = {"attn1.to_q", "attn1.to_out.0", "attn2.to_k",
                                            "attn2.to_v", "ffn.net.0.proj", "ffn.net.2"};
    T_OK(rs_adapter_create(&t->frozen, t->m, 5, 2.0f, k_targets, 6, false));
    t_dit_fill(t, t->frozen, "frozen ");
    T_OK(rs_denoiser_set_adapters(t->m, (rs_adapter *[]){t->frozen, t->a},
                                  (const float[]){weight, 1.0f}, 2));
}

static inline rs_tensor t_dit_forward(t_dit *t)
{
    rs_tensor v = rs_tensor_new(t_arena(), RS_SHAPE(16, T_F, T_H, T_W));
    T_OK(rs_denoiser_forward(t->m, v, t->x, 612.5f, t->cond));
    return v;
}

static inline double t_dit_loss(t_dit *t)
{
    float loss;
    T_OK(rs_denoiser_loss_grad(t->m, &loss, t->v, t->x, 612.5f, t->target, t->cond));
    return (double)loss;
}

/* All gradients, in item order, A before B. */
static inline rs_tensor t_dit_grads(const t_dit *t)
{
    rs_tensor all = rs_tensor_new(t_arena(), RS_SHAPE(rs_adapter_params(t->a)));
    float *at = rs_f32(all);
    for (int64_t i = 0; i < t->a->n; i++) {
        const rs_tensor parts[2] = {t->a->items[i].ga, t->a->items[i].gb};
        for (int k = 0; k < 2; k++) {
            rs_device_get(t->d, at, parts[k].data, rs_tensor_bytes(parts[k]));
            at += rs_tensor_count(parts[k]);
        }
    }
    return all;
}

static inline bool t_same_bits(rs_tensor a, rs_tensor b)
{
    return rs_tensor_same_shape(a, b) && memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0;
}

#endif
