/* umT5 encoder: configuration and weight layout (names of wan21.md 2.3). */
#include <string.h>

#include "model/umt5/umt5_priv.h"

rs_status rs_umt5_config_read(rs_umt5_config *c, const rs_json *config)
{
    enum { MOST = 1 << 24 };
    double eps;
    const char *ffn;
    RS_TRY(rs_json_i64_in(&c->vocab, config, "vocab_size", 1, INT32_MAX));
    RS_TRY(rs_json_i64_in(&c->dim, config, "d_model", 1, MOST));
    RS_TRY(rs_json_i64_in(&c->head_dim, config, "d_kv", 1, MOST));
    RS_TRY(rs_json_i64_in(&c->ffn, config, "d_ff", 1, MOST));
    RS_TRY(rs_json_i64_in(&c->layers, config, "num_layers", 1, 4096));
    RS_TRY(rs_json_i64_in(&c->heads, config, "num_heads", 1, 4096));
    RS_TRY(rs_json_i64_in_or(&c->buckets, config, "relative_attention_num_buckets", 4, 4096, 32));
    RS_TRY(rs_json_i64_in_or(&c->max_distance, config, "relative_attention_max_distance", 2, MOST,
                             128));
    RS_TRY(rs_json_f64_or(&eps, config, "layer_norm_epsilon", 1e-6));
    RS_TRY(rs_json_string_or(&ffn, config, "feed_forward_proj", "gated-gelu"));
    const char *file = rs_json_file(config);
    if (strcmp(ffn, "gated-gelu") != 0)
        return RS_FAIL(MODEL, "%s: feed_forward_proj: \"%s\" is not supported, only \"gated-gelu\"",
                       file, ffn);
    if (c->buckets % 4 != 0 || c->max_distance <= c->buckets / 4)
        return RS_FAIL(MODEL,
                       "%s: relative_attention_num_buckets: %lld buckets do not fit a maximal "
                       "distance of %lld",
                       file, (long long)c->buckets, (long long)c->max_distance);
    if (!(eps > 0.0))
        return RS_FAIL(MODEL, "%s: layer_norm_epsilon: expected a positive number", file);
    c->eps = (float)eps;
    return RS_OK;
}

static void add(rs_layout *l, rs_arena *a, int block, int slot, const char *diffusers,
                const char *original, int64_t rows, int64_t cols)
{
    rs_weight_row row = {.slot = slot,
                         .block = block,
                         .diffusers = diffusers,
                         .original = original,
                         .ndim = cols ? 2 : 1,
                         .shape = {rows, cols},
                         .matrix = cols && slot != RS_UMT5_BIAS};
    rs_layout_add(l, a, row);
}

rs_status rs_umt5_layout(rs_layout *out, rs_arena *a, const rs_json *config, bool original)
{
    (void)original; /* the original repository has no umT5 config: always transformers' form */
    rs_umt5_config c;
    RS_TRY(rs_umt5_config_read(&c, config));
    *out = (rs_layout){.blocks = (int)c.layers};
    int64_t inner = c.heads * c.head_dim;
    rs_weight_row table = {.slot = RS_UMT5_EMBEDDING,
                           .block = -1,
                           .diffusers = "shared.weight",
                           .original = "token_embedding.weight",
                           .ndim = 2,
                           .shape = {c.vocab, c.dim},
                           .raw = true}; /* a few rows of gigabytes are read */
    rs_layout_add(out, a, table);
    add(out, a, -1, RS_UMT5_FINAL_NORM, "encoder.final_layer_norm.weight", "norm.weight", c.dim, 0);
#define ROW(slot, name, original_name, rows, cols)                                                 \
    add(out, a, 0, slot, "encoder.block.%d.layer." name ".weight",                                 \
        "blocks.%d." original_name ".weight", rows, cols)
    ROW(RS_UMT5_NORM1, "0.layer_norm", "norm1", c.dim, 0);
    ROW(RS_UMT5_Q, "0.SelfAttention.q", "attn.q", inner, c.dim);
    ROW(RS_UMT5_K, "0.SelfAttention.k", "attn.k", inner, c.dim);
    ROW(RS_UMT5_V, "0.SelfAttention.v", "attn.v", inner, c.dim);
    ROW(RS_UMT5_O, "0.SelfAttention.o", "attn.o", c.dim, inner);
    ROW(RS_UMT5_BIAS, "0.SelfAttention.relative_attention_bias", "pos_embedding.embedding",
        c.buckets, c.heads);
    ROW(RS_UMT5_NORM2, "1.layer_norm", "norm2", c.dim, 0);
    ROW(RS_UMT5_GATE, "1.DenseReluDense.wi_0", "ffn.gate.0", c.ffn, c.dim);
    ROW(RS_UMT5_UP, "1.DenseReluDense.wi_1", "ffn.fc1", c.ffn, c.dim);
    ROW(RS_UMT5_DOWN, "1.DenseReluDense.wo", "ffn.fc2", c.dim, c.ffn);
#undef ROW
    return RS_OK;
}
