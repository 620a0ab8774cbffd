/* Configuration and weight table of the Wan2.1 transformer. */
#include "model/wan/wan_dit.h"

#include <string.h>

enum { DIM_MAX = 1 << 20 };

static rs_status read_diffusers(rs_wan_config *c, const rs_json *j)
{
    RS_TRY(rs_json_i64_in(&c->heads, j, "num_attention_heads", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->head_dim, j, "attention_head_dim", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->blocks, j, "num_layers", 1, 4096));
    RS_TRY(rs_json_i64_in(&c->ffn, j, "ffn_dim", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->in_channels, j, "in_channels", 1, 4096));
    RS_TRY(rs_json_i64_in_or(&c->out_channels, j, "out_channels", 1, 4096, 16));
    RS_TRY(rs_json_i64_in(&c->text_dim, j, "text_dim", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in_or(&c->freq_dim, j, "freq_dim", 2, DIM_MAX, 256));
    RS_TRY(rs_json_i64_in_or(&c->image_dim, j, "image_dim", 1, DIM_MAX, 0));
    c->text_len = 512;
    c->dim = c->heads * c->head_dim;
    int64_t added = 0;
    RS_TRY(rs_json_i64_or(&added, j, "added_kv_proj_dim", 0));
    if (added != (c->image_dim ? c->dim : 0))
        return RS_FAIL(MODEL, "%s: added_kv_proj_dim is %lld; expected %lld", rs_json_file(j),
                       (long long)added, (long long)(c->image_dim ? c->dim : 0));
    if (rs_json_has(j, "pos_embed_seq_len"))
        return RS_FAIL(MODEL,
                       "%s: pos_embed_seq_len is set: models for a first and a last frame "
                       "(FLF2V) are not supported",
                       rs_json_file(j));
    const char *norm = NULL;
    RS_TRY(rs_json_string_or(&norm, j, "qk_norm", "rms_norm_across_heads"));
    if (strcmp(norm, "rms_norm_across_heads") != 0)
        return RS_FAIL(MODEL, "%s: qk_norm \"%s\" is not supported", rs_json_file(j), norm);
    bool cross_norm = true;
    RS_TRY(rs_json_bool_or(&cross_norm, j, "cross_attn_norm", true));
    if (!cross_norm)
        return RS_FAIL(MODEL, "%s: cross_attn_norm false is not supported", rs_json_file(j));
    return RS_OK;
}

static rs_status read_original(rs_wan_config *c, const rs_json *j)
{
    const char *type = NULL;
    RS_TRY(rs_json_string(&type, j, "model_type"));
    if (strcmp(type, "i2v") != 0 && strcmp(type, "t2v") != 0)
        return RS_FAIL(MODEL, "%s: model_type \"%s\" is not supported; i2v and t2v are",
                       rs_json_file(j), type);
    RS_TRY(rs_json_i64_in(&c->dim, j, "dim", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->heads, j, "num_heads", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->blocks, j, "num_layers", 1, 4096));
    RS_TRY(rs_json_i64_in(&c->ffn, j, "ffn_dim", 1, DIM_MAX));
    RS_TRY(rs_json_i64_in(&c->in_channels, j, "in_dim", 1, 4096));
    RS_TRY(rs_json_i64_in_or(&c->out_channels, j, "out_dim", 1, 4096, 16));
    RS_TRY(rs_json_i64_in_or(&c->freq_dim, j, "freq_dim", 2, DIM_MAX, 256));
    RS_TRY(rs_json_i64_in_or(&c->text_len, j, "text_len", 1, 65536, 512));
    RS_TRY(rs_json_i64_in_or(&c->text_dim, j, "text_dim", 1, DIM_MAX, 4096));
    if (strcmp(type, "i2v") == 0)
        RS_TRY(rs_json_i64_in_or(&c->image_dim, j, "image_dim", 1, DIM_MAX, 1280));
    if (c->dim % c->heads != 0)
        return RS_FAIL(MODEL, "%s: dim %lld does not divide by num_heads %lld", rs_json_file(j),
                       (long long)c->dim, (long long)c->heads);
    c->head_dim = c->dim / c->heads;
    return RS_OK;
}

static rs_status read_patch(rs_wan_config *c, const rs_json *j)
{
    const rs_json *patch = rs_json_find(j, "patch_size");
    const int64_t standard[3] = {1, 2, 2};
    for (int i = 0; i < 3; i++) {
        c->patch[i] = standard[i];
        if (patch && rs_json_size(patch) != 3)
            return RS_FAIL(MODEL, "%s: patch_size: expected three numbers", rs_json_file(j));
        if (patch)
            RS_TRY(rs_json_as_i64(&c->patch[i], rs_json_at(patch, i)));
        if (c->patch[i] < 1 || c->patch[i] > 64)
            return RS_FAIL(MODEL, "%s: patch_size: %lld is out of range", rs_json_file(j),
                           (long long)c->patch[i]);
    }
    return RS_OK;
}

static rs_status check(const rs_wan_config *c, const rs_json *j)
{
    const char *file = rs_json_file(j);
    if (c->head_dim < 6 || c->head_dim % 2 != 0)
        return RS_FAIL(MODEL, "%s: head dimension %lld: expected an even number from 6", file,
                       (long long)c->head_dim);
    if (c->freq_dim % 2 != 0)
        return RS_FAIL(MODEL, "%s: freq_dim %lld is odd", file, (long long)c->freq_dim);
    if (c->in_channels < c->out_channels)
        return RS_FAIL(MODEL, "%s: %lld input channels, fewer than the %lld latent channels", file,
                       (long long)c->in_channels, (long long)c->out_channels);
    return RS_OK;
}

static rs_status read_any(rs_wan_config *c, const rs_json *j, bool original)
{
    *c = (rs_wan_config){0};
    double eps = 0;
    RS_TRY(rs_json_f64_or(&eps, j, "eps", 1e-6));
    c->eps = (float)eps;
    RS_TRY(original ? read_original(c, j) : read_diffusers(c, j));
    RS_TRY(read_patch(c, j));
    return check(c, j);
}

rs_status rs_wan_config_read(rs_wan_config *out, const rs_json *config, bool original)
{
    rs_status st = read_any(out, config, original);
    /* A wrong value in a model's configuration is a model error, whatever the JSON layer calls it.
     */
    if (st == RS_FORMAT)
        st = RS_MODEL;
    return st == RS_OK ? st : rs_relay_at(st, __FILE__, __LINE__, __func__);
}

typedef struct builder {
    rs_layout *l;
    rs_arena *a;
    int block;
} builder;

static void linear(builder *b, int slot, const char *name, const char *original, int64_t out,
                   int64_t in)
{
    rs_layout_add_linear(b->l, b->a, b->block, slot, name, original, out, in);
}

static void norm(builder *b, int slot, const char *name, const char *original, int64_t n)
{
    rs_layout_add_norm(b->l, b->a, b->block, slot, name, original, n);
}

static void scale(builder *b, int slot, const char *name, const char *original, int64_t n)
{
    rs_weight_row row = {slot, b->block, name, original, 1, {n}, {0, 0}, false, false, false};
    rs_layout_add(b->l, b->a, row);
}

static void table(builder *b, int slot, const char *name, const char *original, int64_t n,
                  int64_t dim)
{
    rs_weight_row row = {slot,        b->block, name,  original, 3,
                         {1, n, dim}, {0, 0},   false, false,    false};
    rs_layout_add(b->l, b->a, row);
}

static void add_globals(builder *b, const rs_wan_config *c)
{
    int64_t D = c->dim;
    int64_t features = c->out_channels * c->patch[0] * c->patch[1] * c->patch[2];
    rs_weight_row patch = {
        .slot = WAN_G_PATCH,
        .block = -1,
        .diffusers = "patch_embedding.weight",
        .ndim = 5,
        .shape = {D, c->in_channels, c->patch[0], c->patch[1], c->patch[2]},
        .matrix = true,
    };
    rs_layout_add(b->l, b->a, patch);
    scale(b, WAN_G_PATCH + 1, "patch_embedding.bias", NULL, D);
#define CE "condition_embedder."
    linear(b, WAN_G_TEXT1, CE "text_embedder.linear_1", "text_embedding.0", D, c->text_dim);
    linear(b, WAN_G_TEXT2, CE "text_embedder.linear_2", "text_embedding.2", D, D);
    linear(b, WAN_G_TIME1, CE "time_embedder.linear_1", "time_embedding.0", D, c->freq_dim);
    linear(b, WAN_G_TIME2, CE "time_embedder.linear_2", "time_embedding.2", D, D);
    linear(b, WAN_G_TIME_PROJ, CE "time_proj", "time_projection.1", 6 * D, D);
    linear(b, WAN_G_HEAD, "proj_out", "head.head", features, D);
    table(b, WAN_G_HEAD_TABLE, "scale_shift_table", "head.modulation", 2, D);
    if (c->image_dim) {
        int64_t I = c->image_dim;
        norm(b, WAN_G_IMAGE_NORM1, CE "image_embedder.norm1", "img_emb.proj.0", I);
        linear(b, WAN_G_IMAGE1, CE "image_embedder.ff.net.0.proj", "img_emb.proj.1", I, I);
        linear(b, WAN_G_IMAGE2, CE "image_embedder.ff.net.2", "img_emb.proj.3", D, I);
        norm(b, WAN_G_IMAGE_NORM2, CE "image_embedder.norm2", "img_emb.proj.4", D);
    }
#undef CE
}

static void add_block(builder *b, const rs_wan_config *c)
{
    int64_t D = c->dim;
#define B "blocks.%d."
    table(b, WAN_B_TABLE, B "scale_shift_table", B "modulation", 6, D);
    linear(b, WAN_B_Q1, B "attn1.to_q", B "self_attn.q", D, D);
    linear(b, WAN_B_K1, B "attn1.to_k", B "self_attn.k", D, D);
    linear(b, WAN_B_V1, B "attn1.to_v", B "self_attn.v", D, D);
    linear(b, WAN_B_O1, B "attn1.to_out.0", B "self_attn.o", D, D);
    scale(b, WAN_B_NORM_Q1, B "attn1.norm_q.weight", B "self_attn.norm_q.weight", D);
    scale(b, WAN_B_NORM_K1, B "attn1.norm_k.weight", B "self_attn.norm_k.weight", D);
    /* The two schemes swap the numbers of these norms (wan21.md 1.3). */
    norm(b, WAN_B_NORM, B "norm2", B "norm3", D);
    linear(b, WAN_B_Q2, B "attn2.to_q", B "cross_attn.q", D, D);
    linear(b, WAN_B_K2, B "attn2.to_k", B "cross_attn.k", D, D);
    linear(b, WAN_B_V2, B "attn2.to_v", B "cross_attn.v", D, D);
    linear(b, WAN_B_O2, B "attn2.to_out.0", B "cross_attn.o", D, D);
    scale(b, WAN_B_NORM_Q2, B "attn2.norm_q.weight", B "cross_attn.norm_q.weight", D);
    scale(b, WAN_B_NORM_K2, B "attn2.norm_k.weight", B "cross_attn.norm_k.weight", D);
    linear(b, WAN_B_FFN1, B "ffn.net.0.proj", B "ffn.0", c->ffn, D);
    linear(b, WAN_B_FFN2, B "ffn.net.2", B "ffn.2", D, c->ffn);
    if (c->image_dim) {
        linear(b, WAN_B_KI, B "attn2.add_k_proj", B "cross_attn.k_img", D, D);
        linear(b, WAN_B_VI, B "attn2.add_v_proj", B "cross_attn.v_img", D, D);
        scale(b, WAN_B_NORM_KI, B "attn2.norm_added_k.weight", B "cross_attn.norm_k_img.weight", D);
    }
#undef B
}

rs_status rs_dit_layout(rs_layout *out, rs_arena *a, const rs_json *config, bool original)
{
    rs_wan_config c;
    RS_TRY(rs_wan_config_read(&c, config, original));
    *out = (rs_layout){.blocks = (int)c.blocks, .fp8 = true};
    add_globals(&(builder){out, a, -1}, &c);
    add_block(&(builder){out, a, 0}, &c);
    return RS_OK;
}
