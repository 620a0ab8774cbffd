/* CLIP vision tower: configuration and weight layouts (names of wan21.md 2.4). The tower has what
 * the tokens need: no last layer, no final norm, no projection; the head has these. */
#include <string.h>

#include "model/clip/clip_priv.h"

rs_status rs_clip_config_read(rs_clip_config *c, const rs_json *config)
{
    enum { MOST = 1 << 24 };
    double eps;
    const char *act;
    int64_t channels;
    RS_TRY(rs_json_i64_in(&c->dim, config, "hidden_size", 1, MOST));
    RS_TRY(rs_json_i64_in(&c->ffn, config, "intermediate_size", 1, MOST));
    RS_TRY(rs_json_i64_in(&c->layers, config, "num_hidden_layers", 1, 4096));
    RS_TRY(rs_json_i64_in(&c->heads, config, "num_attention_heads", 1, 4096));
    RS_TRY(rs_json_i64_in(&c->image, config, "image_size", 1, 1 << 14));
    RS_TRY(rs_json_i64_in(&c->patch, config, "patch_size", 1, 1 << 14));
    RS_TRY(rs_json_i64_in_or(&c->projection, config, "projection_dim", 1, MOST, 512));
    RS_TRY(rs_json_i64_in_or(&channels, config, "num_channels", 3, 3, 3));
    RS_TRY(rs_json_f64_or(&eps, config, "layer_norm_eps", 1e-5));
    RS_TRY(rs_json_string_or(&act, config, "hidden_act", "quick_gelu"));
    const char *file = rs_json_file(config);
    if (strcmp(act, "gelu") != 0)
        return RS_FAIL(MODEL, "%s: hidden_act: \"%s\" is not supported, only \"gelu\"", file, act);
    if (c->dim % c->heads != 0)
        return RS_FAIL(MODEL, "%s: hidden_size: %lld does not divide into %lld heads", file,
                       (long long)c->dim, (long long)c->heads);
    if (c->image % c->patch != 0)
        return RS_FAIL(MODEL, "%s: image_size: %lld does not divide into patches of %lld", file,
                       (long long)c->image, (long long)c->patch);
    if (!(eps > 0.0))
        return RS_FAIL(MODEL, "%s: layer_norm_eps: expected a positive number", file);
    c->tokens = c->image / c->patch * (c->image / c->patch) + 1;
    c->eps = (float)eps;
    return RS_OK;
}

/* weight (rows, cols) at slot and bias (rows) at slot + 1; a norm has cols 0. `part` of the fused
 * original tensor's rows: 0, 1, 2, or -1 for the whole tensor. */
static void add_pair(rs_layout *l, rs_arena *a, int block, int slot, const char *name,
                     const char *original, int64_t rows, int64_t cols, int part)
{
    static const char *const k_kinds[] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        rs_weight_row row = {
            .slot = slot + i,
            .block = block,
            .diffusers = rs_arena_printf(a, "vision_model.%s.%s", name, k_kinds[i]),
            .original = rs_arena_printf(a, "visual.%s.%s", original, k_kinds[i]),
            .ndim = i == 0 && cols ? 2 : 1,
            .shape = {rows, i == 0 ? cols : 0},
            .matrix = i == 0 && cols,
        };
        if (part >= 0) {
            row.original_rows[0] = part * rows;
            row.original_rows[1] = (part + 1) * rows;
        }
        rs_layout_add(l, a, row);
    }
}

static void add_embeddings(rs_layout *l, rs_arena *a, const rs_clip_config *c)
{
    rs_weight_row cls = {.slot = RS_CLIP_CLASS,
                         .block = -1,
                         .diffusers = "vision_model.embeddings.class_embedding",
                         .original = "visual.cls_embedding",
                         .ndim = 1,
                         .shape = {c->dim}};
    rs_weight_row patch = {.slot = RS_CLIP_PATCH,
                           .block = -1,
                           .diffusers = "vision_model.embeddings.patch_embedding.weight",
                           .original = "visual.patch_embedding.weight",
                           .ndim = 4,
                           .shape = {c->dim, 3, c->patch, c->patch},
                           .matrix = true};
    rs_weight_row position = {.slot = RS_CLIP_POSITION,
                              .block = -1,
                              .diffusers = "vision_model.embeddings.position_embedding.weight",
                              .original = "visual.pos_embedding",
                              .ndim = 2,
                              .shape = {c->tokens, c->dim}};
    rs_layout_add(l, a, cls);
    rs_layout_add(l, a, patch);
    rs_layout_add(l, a, position);
}

/* Rows of a transformer layer, at names that begin with `name` and `original`. */
static void add_layer(rs_layout *out, rs_arena *a, int block, const char *name,
                      const char *original, const rs_clip_config *c)
{
    const struct {
        int slot;
        const char *name, *original;
        int64_t rows, cols;
        int part;
    } pairs[] = {
        {RS_CLIP_NORM1, "layer_norm1", "norm1", c->dim, 0, -1},
        {RS_CLIP_Q, "self_attn.q_proj", "attn.to_qkv", c->dim, c->dim, 0},
        {RS_CLIP_K, "self_attn.k_proj", "attn.to_qkv", c->dim, c->dim, 1},
        {RS_CLIP_V, "self_attn.v_proj", "attn.to_qkv", c->dim, c->dim, 2},
        {RS_CLIP_O, "self_attn.out_proj", "attn.proj", c->dim, c->dim, -1},
        {RS_CLIP_NORM2, "layer_norm2", "norm2", c->dim, 0, -1},
        {RS_CLIP_FC1, "mlp.fc1", "mlp.0", c->ffn, c->dim, -1},
        {RS_CLIP_FC2, "mlp.fc2", "mlp.2", c->dim, c->ffn, -1},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        add_pair(out, a, block, pairs[i].slot, rs_arena_printf(a, "%s.%s", name, pairs[i].name),
                 rs_arena_printf(a, "%s.%s", original, pairs[i].original), pairs[i].rows,
                 pairs[i].cols, pairs[i].part);
}

rs_status rs_clip_layout(rs_layout *out, rs_arena *a, const rs_json *config, bool original)
{
    (void)original; /* the original repository has no CLIP config: always transformers' form */
    rs_clip_config c;
    RS_TRY(rs_clip_config_read(&c, config));
    *out = (rs_layout){.blocks = (int)c.layers - 1};
    add_embeddings(out, a, &c);
    add_pair(out, a, -1, RS_CLIP_NORM_W, "pre_layrnorm", "pre_norm", c.dim, 0, -1);
    add_layer(out, a, 0, "encoder.layers.%d", "transformer.%d", &c);
    return RS_OK;
}

rs_status rs_clip_head_layout(rs_layout *out, rs_arena *a, const rs_json *config, bool original)
{
    (void)original;
    rs_clip_config c;
    RS_TRY(rs_clip_config_read(&c, config));
    *out = (rs_layout){0};
    rs_weight_row projection = {.slot = RS_CLIP_PROJECTION,
                                .block = -1,
                                .diffusers = "visual_projection.weight",
                                .original = "visual_projection.weight",
                                .ndim = 2,
                                .shape = {c.projection, c.dim},
                                .matrix = true,
                                .optional = true};
    rs_weight_row transposed = {.slot = RS_CLIP_PROJECTION_T,
                                .block = -1,
                                .diffusers = "visual.head",
                                .original = "visual.head",
                                .ndim = 2,
                                .shape = {c.dim, c.projection},
                                .matrix = true,
                                .optional = true};
    add_layer(out, a, -1, rs_arena_printf(a, "encoder.layers.%lld", (long long)c.layers - 1),
              rs_arena_printf(a, "transformer.%lld", (long long)c.layers - 1), &c);
    add_pair(out, a, -1, RS_CLIP_POST_NORM, "post_layernorm", "post_norm", c.dim, 0, -1);
    rs_layout_add(out, a, projection);
    rs_layout_add(out, a, transposed);
    return RS_OK;
}
