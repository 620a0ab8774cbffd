#include "model/synth_dit.h"

#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/rng.h"
#include "model/layouts.h"
#include "store/json_writer.h"
#include "store/safetensors.h"

enum { PATCH = 4 }; /* cells of a token: 1 x 2 x 2 */

bool rs_dit_shape_find(rs_dit_shape *out, const char *name)
{
    static const struct {
        const char *name;
        rs_dit_shape shape;
    } k_known[] = {
        {"wan21-14b", {5120, 40, 13824, 40, 36, 4096, 1280}},
        {"wan21-1.3b", {1536, 12, 8960, 30, 16, 4096, 0}},
    };
    for (size_t i = 0; i < sizeof k_known / sizeof k_known[0]; i++)
        if (strcmp(k_known[i].name, name) == 0) {
            *out = k_known[i].shape;
            return true;
        }
    return false;
}

static const char *config_text(rs_arena *a, const rs_dit_shape *s)
{
    rs_jsonw *j = rs_jsonw_create(a, true);
    rs_jsonw_object(j, NULL);
    rs_jsonw_string(j, "_class_name", "WanTransformer3DModel");
    rs_jsonw_array(j, "patch_size");
    for (int i = 0; i < 3; i++)
        rs_jsonw_i64(j, NULL, i ? 2 : 1);
    rs_jsonw_end(j);
    rs_jsonw_i64(j, "num_attention_heads", s->heads);
    rs_jsonw_i64(j, "attention_head_dim", s->dim / s->heads);
    rs_jsonw_i64(j, "in_channels", s->in_channels);
    rs_jsonw_i64(j, "out_channels", 16);
    rs_jsonw_i64(j, "text_dim", s->text_dim);
    rs_jsonw_i64(j, "freq_dim", 256);
    rs_jsonw_i64(j, "ffn_dim", s->ffn);
    rs_jsonw_i64(j, "num_layers", s->blocks);
    rs_jsonw_bool(j, "cross_attn_norm", true);
    rs_jsonw_string(j, "qk_norm", "rms_norm_across_heads");
    rs_jsonw_f64(j, "eps", 1e-6);
    if (s->image_dim > 0) {
        rs_jsonw_i64(j, "image_dim", s->image_dim);
        rs_jsonw_i64(j, "added_kv_proj_dim", s->dim);
    } else {
        rs_jsonw_null(j, "image_dim");
        rs_jsonw_null(j, "added_kv_proj_dim");
    }
    rs_jsonw_i64(j, "rope_max_seq_len", 1024);
    rs_jsonw_null(j, "pos_embed_seq_len");
    rs_jsonw_end(j);
    return rs_jsonw_text(j);
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* One tensor by its pattern's name, so that all blocks are alike. */
static rs_tensor fill(rs_arena *a, const rs_weight_row *row, rs_dtype dtype)
{
    rs_tensor t = rs_tensor_new(a, row->ndim, row->shape), out = t;
    int64_t n = rs_tensor_count(t), fan_in = n / t.shape[0];
    if (strstr(row->diffusers, "patch_embedding") && t.ndim > 1)
        fan_in = t.shape[1] * PATCH;
    bool bias = ends_with(row->diffusers, ".bias");
    bool norm = strstr(row->diffusers, "norm") && !bias;
    double spread = bias || norm ? 0.02 : sqrt(3.0 / (double)fan_in);
    if (ends_with(row->diffusers, "scale_shift_table"))
        spread = sqrt(3.0 / (double)t.shape[t.ndim - 1]);
    rs_fill_rule(rs_f32(t), row->diffusers, 0, n, spread, norm ? 1.0 : 0.0);
    if (dtype == RS_DTYPE_F32)
        return t;
    out.dtype = dtype;
    out.data = rs_arena_alloc(a, (size_t)n, rs_dtype_size(dtype));
    rs_convert_from_f32(out.data, dtype, rs_f32(t), n);
    return out;
}

typedef struct dit_writer {
    rs_arena *arena;
    const char *folder;
    const rs_layout *layout;
    rs_dtype dtype;
    rs_jsonw *index;
} dit_writer;

/* Names of one file's tensors, those of `block` (-1: outside), and their values from `values`. */
static rs_status write_file(dit_writer *w, const rs_tensor *values, int block)
{
    const rs_layout *l = w->layout;
    const char *name = rs_arena_printf(w->arena, "diffusion_pytorch_model-%05d-of-%05d.safetensors",
                                       block + 2, l->blocks + 1);
    rs_tensor_list list = {0};
    for (int64_t i = 0; i < l->n; i++) {
        char text[RS_WEIGHT_NAME];
        if ((l->rows[i].block < 0) != (block < 0))
            continue;
        rs_layout_name(text, sizeof text, &l->rows[i], block, false);
        rs_tensor_list_add(&list, w->arena, rs_arena_strdup(w->arena, text), values[i]);
        rs_jsonw_string(w->index, text, name);
    }
    return rs_safetensors_write(rs_path_join(w->arena, w->folder, name), &list, NULL, 0);
}

static rs_status write_part(dit_writer *w, bool blocks)
{
    rs_arena *tmp = rs_arena_create();
    rs_tensor *values = RS_NEW(tmp, rs_tensor, w->layout->n);
    rs_status st = RS_OK;
    for (int64_t i = 0; i < w->layout->n; i++)
        if ((w->layout->rows[i].block >= 0) == blocks)
            values[i] = fill(tmp, &w->layout->rows[i], w->dtype);
    for (int b = blocks ? 0 : -1; st == RS_OK && b < (blocks ? w->layout->blocks : 0); b++)
        st = write_file(w, values, b);
    rs_arena_destroy(&tmp);
    return st;
}

static rs_status write_weights(dit_writer *w)
{
    w->index = rs_jsonw_create(w->arena, true);
    rs_jsonw_object(w->index, NULL);
    rs_jsonw_object(w->index, "weight_map");
    RS_TRY(write_part(w, false));
    RS_TRY(write_part(w, true));
    rs_jsonw_end(w->index);
    rs_jsonw_end(w->index);
    const char *text = rs_jsonw_text(w->index);
    return rs_write_file_atomic(
        rs_path_join(w->arena, w->folder, "diffusion_pytorch_model.safetensors.index.json"), text,
        strlen(text));
}

static rs_status write_dit(rs_arena *a, const char *dir, const rs_dit_shape *shape, rs_dtype dtype)
{
    const char *text = config_text(a, shape);
    rs_json *json = NULL;
    rs_layout layout;
    dit_writer w = {.arena = a,
                    .folder = rs_path_join(a, dir, "transformer"),
                    .layout = &layout,
                    .dtype = dtype};
    RS_TRY(rs_make_dirs(w.folder));
    RS_TRY(rs_write_file_atomic(rs_path_join(a, w.folder, "config.json"), text, strlen(text)));
    RS_TRY(rs_json_parse(&json, text, strlen(text), "transformer"));
    rs_status st = rs_dit_layout(&layout, a, json, false);
    if (st == RS_OK)
        st = write_weights(&w);
    rs_json_destroy(&json);
    return st;
}

rs_status rs_synth_dit(const char *dir, const rs_dit_shape *shape, rs_dtype dtype)
{
    if (shape->heads < 1 || shape->dim % shape->heads != 0 || shape->dim / shape->heads % 2 != 0)
        return RS_FAIL(CONFIG, "%lld heads do not divide a width of %lld into even parts",
                       (long long)shape->heads, (long long)shape->dim);
    rs_arena *a = rs_arena_create();
    rs_status st = write_dit(a, dir, shape, dtype);
    rs_arena_destroy(&a);
    return st == RS_OK ? st : rs_relay_at(st, __FILE__, __LINE__, __func__);
}
