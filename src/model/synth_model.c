/* The complete small model directory. */
#include <string.h>

#include "base/fsio.h"
#include "model/layouts.h"
#include "model/synth.h"
#include "store/json_writer.h"
#include "text/tokenizer.h"

typedef struct preset {
    const char *name;
    int64_t heads, head_dim, layers, ffn, freq_dim; /* transformer */
    int64_t text_dim, text_ffn, text_layers, text_heads;
    int64_t image_dim, image_ffn, image_layers, image_heads, image_size, image_patch;
    int64_t vae_dim, z_dim;
} preset;

static const preset k_presets[] = {
    {.name = "small",
     .heads = 4,
     .head_dim = 32,
     .layers = 4,
     .ffn = 384,
     .freq_dim = 64,
     .text_dim = 64,
     .text_ffn = 128,
     .text_layers = 2,
     .text_heads = 4,
     .image_dim = 64,
     .image_ffn = 256,
     .image_layers = 3,
     .image_heads = 4,
     .image_size = 56,
     .image_patch = 14,
     .vae_dim = 8,
     .z_dim = 16},
    {.name = "tiny",
     .heads = 2,
     .head_dim = 24,
     .layers = 2,
     .ffn = 96,
     .freq_dim = 32,
     .text_dim = 32,
     .text_ffn = 64,
     .text_layers = 2,
     .text_heads = 2,
     .image_dim = 32,
     .image_ffn = 64,
     .image_layers = 2,
     .image_heads = 2,
     .image_size = 28,
     .image_patch = 14,
     .vae_dim = 4,
     .z_dim = 16},
};

typedef struct writer {
    rs_arena *arena;
    const char *dir;
    const preset *p;
    rs_synth_seed seed;
    int64_t vocab;
} writer;

typedef rs_status layout_fn(rs_layout *out, rs_arena *a, const rs_json *config, bool original);

static rs_status write_text(const writer *w, const char *folder, const char *file, const char *text)
{
    const char *dir = *folder ? rs_path_join(w->arena, w->dir, folder) : w->dir;
    RS_TRY(rs_make_dirs(dir));
    return rs_write_file_atomic(rs_path_join(w->arena, dir, file), text, strlen(text));
}

/* config.json and weights of one component. */
static rs_status write_component(writer *w, const char *folder, rs_jsonw *config, layout_fn *layout,
                                 const char *stem)
{
    const char *text = rs_jsonw_text(config);
    const rs_synth_opts opts = {.dtype = RS_DTYPE_F32};
    rs_json *json = NULL;
    rs_layout l;
    RS_TRY(write_text(w, folder, "config.json", text));
    RS_TRY(rs_json_parse(&json, text, strlen(text), folder));
    rs_status st = layout(&l, w->arena, json, false);
    rs_json_destroy(&json);
    w->seed.component = folder;
    if (st == RS_OK)
        st = rs_synth_component(rs_path_join(w->arena, w->dir, folder), stem, &l, &opts,
                                rs_synth_random, &w->seed);
    return st;
}

static rs_jsonw *start(const writer *w, const char *class_key, const char *class_name)
{
    rs_jsonw *j = rs_jsonw_create(w->arena, true);
    rs_jsonw_object(j, NULL);
    if (strcmp(class_key, "architectures") == 0) {
        rs_jsonw_array(j, class_key);
        rs_jsonw_string(j, NULL, class_name);
        rs_jsonw_end(j);
    } else {
        rs_jsonw_string(j, class_key, class_name);
    }
    return j;
}

static void numbers(rs_jsonw *j, const char *key, const int64_t *v, int n)
{
    rs_jsonw_array(j, key);
    for (int i = 0; i < n; i++)
        rs_jsonw_i64(j, NULL, v[i]);
    rs_jsonw_end(j);
}

static rs_status write_transformer(writer *w)
{
    const preset *p = w->p;
    rs_jsonw *j = start(w, "_class_name", "WanTransformer3DModel");
    numbers(j, "patch_size", (int64_t[]){1, 2, 2}, 3);
    rs_jsonw_i64(j, "num_attention_heads", p->heads);
    rs_jsonw_i64(j, "attention_head_dim", p->head_dim);
    rs_jsonw_i64(j, "in_channels", 2 * p->z_dim + 4);
    rs_jsonw_i64(j, "out_channels", p->z_dim);
    rs_jsonw_i64(j, "text_dim", p->text_dim);
    rs_jsonw_i64(j, "freq_dim", p->freq_dim);
    rs_jsonw_i64(j, "ffn_dim", p->ffn);
    rs_jsonw_i64(j, "num_layers", p->layers);
    rs_jsonw_bool(j, "cross_attn_norm", true);
    rs_jsonw_string(j, "qk_norm", "rms_norm_across_heads");
    rs_jsonw_f64(j, "eps", 1e-6);
    rs_jsonw_i64(j, "image_dim", p->image_dim);
    rs_jsonw_i64(j, "added_kv_proj_dim", p->heads * p->head_dim);
    rs_jsonw_i64(j, "rope_max_seq_len", 1024);
    rs_jsonw_null(j, "pos_embed_seq_len");
    rs_jsonw_end(j);
    return write_component(w, "transformer", j, rs_dit_layout, "diffusion_pytorch_model");
}

static rs_status write_vae(writer *w)
{
    const preset *p = w->p;
    rs_jsonw *j = start(w, "_class_name", "AutoencoderKLWan");
    rs_jsonw_i64(j, "base_dim", p->vae_dim);
    rs_jsonw_i64(j, "z_dim", p->z_dim);
    numbers(j, "dim_mult", (int64_t[]){1, 2, 4, 4}, 4);
    rs_jsonw_i64(j, "num_res_blocks", 2);
    numbers(j, "attn_scales", NULL, 0);
    rs_jsonw_array(j, "temperal_downsample");
    for (int i = 0; i < 3; i++)
        rs_jsonw_bool(j, NULL, i > 0);
    rs_jsonw_end(j);
    rs_jsonw_f64(j, "dropout", 0.0);
    for (int k = 0; k < 2; k++) {
        rs_jsonw_array(j, k ? "latents_std" : "latents_mean");
        for (int64_t i = 0; i < p->z_dim; i++)
            rs_jsonw_f64(j, NULL, k);
        rs_jsonw_end(j);
    }
    rs_jsonw_end(j);
    return write_component(w, "vae", j, rs_vae_layout, "diffusion_pytorch_model");
}

static rs_status write_text_encoder(writer *w)
{
    const preset *p = w->p;
    rs_jsonw *j = start(w, "architectures", "UMT5EncoderModel");
    rs_jsonw_string(j, "model_type", "umt5");
    rs_jsonw_i64(j, "vocab_size", w->vocab);
    rs_jsonw_i64(j, "d_model", p->text_dim);
    rs_jsonw_i64(j, "d_kv", p->text_dim / p->text_heads);
    rs_jsonw_i64(j, "d_ff", p->text_ffn);
    rs_jsonw_i64(j, "num_layers", p->text_layers);
    rs_jsonw_i64(j, "num_heads", p->text_heads);
    rs_jsonw_i64(j, "relative_attention_num_buckets", 32);
    rs_jsonw_i64(j, "relative_attention_max_distance", 128);
    rs_jsonw_f64(j, "layer_norm_epsilon", 1e-6);
    rs_jsonw_string(j, "feed_forward_proj", "gated-gelu");
    rs_jsonw_end(j);
    return write_component(w, "text_encoder", j, rs_umt5_layout, "model");
}

/* All that a checkpoint of the tower has. */
static rs_status whole_clip_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                                   bool original)
{
    rs_layout head;
    RS_TRY(rs_clip_layout(out, a, config, original));
    RS_TRY(rs_clip_head_layout(&head, a, config, original));
    const int first = out->global_slots;
    for (int64_t i = 0; i < head.n; i++) {
        rs_weight_row row = head.rows[i];
        row.slot += first;
        if (!row.optional)
            rs_layout_add(out, a, row);
    }
    return RS_OK;
}

static rs_status write_image_encoder(writer *w)
{
    const preset *p = w->p;
    rs_jsonw *j = start(w, "architectures", "CLIPVisionModel");
    rs_jsonw_string(j, "model_type", "clip_vision_model");
    rs_jsonw_i64(j, "hidden_size", p->image_dim);
    rs_jsonw_i64(j, "intermediate_size", p->image_ffn);
    rs_jsonw_i64(j, "num_hidden_layers", p->image_layers);
    rs_jsonw_i64(j, "num_attention_heads", p->image_heads);
    rs_jsonw_i64(j, "num_channels", 3);
    rs_jsonw_i64(j, "image_size", p->image_size);
    rs_jsonw_i64(j, "patch_size", p->image_patch);
    rs_jsonw_string(j, "hidden_act", "gelu");
    rs_jsonw_f64(j, "layer_norm_eps", 1e-5);
    rs_jsonw_end(j);
    return write_component(w, "image_encoder", j, whole_clip_layout, "model");
}

static rs_status write_scheduler(const writer *w)
{
    rs_jsonw *j = start(w, "_class_name", "UniPCMultistepScheduler");
    rs_jsonw_i64(j, "num_train_timesteps", 1000);
    rs_jsonw_string(j, "prediction_type", "flow_prediction");
    rs_jsonw_bool(j, "use_flow_sigmas", true);
    rs_jsonw_f64(j, "flow_shift", 3.0);
    rs_jsonw_i64(j, "solver_order", 2);
    rs_jsonw_string(j, "solver_type", "bh2");
    rs_jsonw_end(j);
    return write_text(w, "scheduler", "scheduler_config.json", rs_jsonw_text(j));
}

static rs_status write_image_processor(const writer *w)
{
    static const double mean[] = {0.48145466, 0.4578275, 0.40821073};
    static const double std[] = {0.26862954, 0.26130258, 0.27577711};
    rs_jsonw *j = start(w, "image_processor_type", "CLIPImageProcessor");
    rs_jsonw_object(j, "crop_size");
    rs_jsonw_i64(j, "height", w->p->image_size);
    rs_jsonw_i64(j, "width", w->p->image_size);
    rs_jsonw_end(j);
    rs_jsonw_object(j, "size");
    rs_jsonw_i64(j, "shortest_edge", w->p->image_size);
    rs_jsonw_end(j);
    for (int k = 0; k < 2; k++) {
        rs_jsonw_array(j, k ? "image_std" : "image_mean");
        for (int i = 0; i < 3; i++)
            rs_jsonw_f64(j, NULL, k ? std[i] : mean[i]);
        rs_jsonw_end(j);
    }
    rs_jsonw_end(j);
    return write_text(w, "image_processor", "preprocessor_config.json", rs_jsonw_text(j));
}

static rs_status write_index(const writer *w)
{
    static const char *const k_parts[][3] = {
        {"image_encoder", "transformers", "CLIPVisionModel"},
        {"image_processor", "transformers", "CLIPImageProcessor"},
        {"scheduler", "diffusers", "UniPCMultistepScheduler"},
        {"text_encoder", "transformers", "UMT5EncoderModel"},
        {"tokenizer", "transformers", "T5TokenizerFast"},
        {"transformer", "diffusers", "WanTransformer3DModel"},
        {"vae", "diffusers", "AutoencoderKLWan"},
    };
    rs_jsonw *j = start(w, "_class_name", "WanImageToVideoPipeline");
    for (size_t i = 0; i < sizeof k_parts / sizeof k_parts[0]; i++) {
        rs_jsonw_array(j, k_parts[i][0]);
        rs_jsonw_string(j, NULL, k_parts[i][1]);
        rs_jsonw_string(j, NULL, k_parts[i][2]);
        rs_jsonw_end(j);
    }
    rs_jsonw_end(j);
    return write_text(w, "", "model_index.json", rs_jsonw_text(j));
}

/* Copies the tokenizer and learns how many ids it can give. */
static rs_status copy_tokenizer(writer *w, const char *from)
{
    char **names;
    int64_t n;
    rs_tokenizer *t = NULL;
    const char *to = rs_path_join(w->arena, w->dir, "tokenizer");
    RS_TRY(rs_make_dirs(to));
    RS_TRY(rs_list_dir(&names, &n, w->arena, from));
    for (int64_t i = 0; i < n; i++) {
        char *data;
        size_t bytes;
        RS_TRY(rs_read_file(&data, &bytes, w->arena, rs_path_join(w->arena, from, names[i])));
        RS_TRY(rs_write_file_atomic(rs_path_join(w->arena, to, names[i]), data, bytes));
    }
    RS_TRY(rs_tokenizer_create(&t, to));
    w->vocab = rs_tokenizer_vocab(t);
    rs_tokenizer_destroy(&t);
    return RS_OK;
}

static rs_status write_all(writer *w, const char *tokenizer_dir)
{
    RS_TRY(copy_tokenizer(w, tokenizer_dir));
    RS_TRY(write_transformer(w));
    RS_TRY(write_vae(w));
    RS_TRY(write_text_encoder(w));
    RS_TRY(write_image_encoder(w));
    RS_TRY(write_image_processor(w));
    RS_TRY(write_scheduler(w));
    return write_index(w); /* last: its presence says that the model is complete */
}

rs_status rs_synth_model(const char *dir, const char *preset_name, uint64_t seed,
                         const char *tokenizer_dir)
{
    const preset *p = NULL;
    for (size_t i = 0; i < sizeof k_presets / sizeof k_presets[0]; i++)
        if (strcmp(k_presets[i].name, preset_name) == 0)
            p = &k_presets[i];
    if (!p)
        return RS_FAIL(CONFIG, "unknown model preset \"%s\"; small and tiny are known",
                       preset_name);
    writer w = {.arena = rs_arena_create(), .dir = dir, .p = p, .seed = {.seed = seed}};
    rs_status st = write_all(&w, tokenizer_dir);
    rs_arena_destroy(&w.arena);
    return st == RS_OK ? st : rs_relay_at(st, __FILE__, __LINE__, __func__);
}
