/* A small randomly initialised Wan2.1-I2V model directory in the Diffusers layout: the real
 * architecture, small sizes. Every value is a function of the tensor's name, so the same files come
 * out everywhere. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/rng.h"
#include "datasets/world.h"
#include "model/layouts.h"
#include "store/safetensors.h"
#include "text/tokenizer.h"

enum { SEED = 20250611 };

static const char k_model_index[] =
    "{\"_class_name\": \"WanImageToVideoPipeline\", \"_diffusers_version\": \"0.35.0\",\n"
    " \"image_encoder\": [\"transformers\", \"CLIPVisionModel\"],\n"
    " \"image_processor\": [\"transformers\", \"CLIPImageProcessor\"],\n"
    " \"scheduler\": [\"diffusers\", \"UniPCMultistepScheduler\"],\n"
    " \"text_encoder\": [\"transformers\", \"UMT5EncoderModel\"], \"tokenizer\": "
    "[\"transformers\", \"T5TokenizerFast\"],\n"
    " \"transformer\": [\"diffusers\", \"WanTransformer3DModel\"], \"vae\": [\"diffusers\", "
    "\"AutoencoderKLWan\"]}\n";

static const char k_scheduler[] =
    "{\"_class_name\": \"UniPCMultistepScheduler\", \"flow_shift\": 3.0, \"num_train_timesteps\": "
    "1000,\n"
    " \"prediction_type\": \"flow_prediction\", \"solver_order\": 2, \"use_flow_sigmas\": true}\n";

static const char k_transformer[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"added_kv_proj_dim\": 96, "
    "\"attention_head_dim\": 24,\n"
    " \"cross_attn_norm\": true, \"eps\": 1e-06, \"ffn_dim\": 256, \"freq_dim\": 64, "
    "\"image_dim\": 64,\n"
    " \"in_channels\": 36, \"num_attention_heads\": 4, \"num_layers\": 4, \"out_channels\": 16,\n"
    " \"patch_size\": [1, 2, 2], \"pos_embed_seq_len\": null, \"qk_norm\": "
    "\"rms_norm_across_heads\",\n"
    " \"rope_max_seq_len\": 1024, \"text_dim\": 64}\n";

static const char k_vae[] = "{\"_class_name\": \"AutoencoderKLWan\", \"attn_scales\": [], "
                            "\"base_dim\": 8, \"dim_mult\": [1, 2, 4, 4],\n"
                            " \"dropout\": 0.0, \"num_res_blocks\": 2, \"temperal_downsample\": "
                            "[false, true, true], \"z_dim\": 16,\n"
                            " \"latents_mean\": [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, "
                            "0.9653, -0.1517, 1.5508, 0.4134, -0.0715,\n"
                            "  0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921],\n"
                            " \"latents_std\": [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, "
                            "2.6052, 2.0743, 3.2687, 2.1526, 2.8652,\n"
                            "  1.5579, 1.6382, 1.1253, 2.8251, 1.916]}\n";

static const char k_clip[] = "{\"architectures\": [\"CLIPVisionModel\"], \"hidden_act\": \"gelu\", "
                             "\"hidden_size\": 64, \"image_size\": 56,\n"
                             " \"intermediate_size\": 128, \"layer_norm_eps\": 1e-05, "
                             "\"model_type\": \"clip_vision_model\",\n"
                             " \"num_attention_heads\": 4, \"num_channels\": 3, "
                             "\"num_hidden_layers\": 3, \"patch_size\": 14,\n"
                             " \"projection_dim\": 64}\n";

static const char *umt5_config(rs_arena *a, int64_t vocab)
{
    return rs_arena_printf(a,
                           "{\"architectures\": [\"UMT5EncoderModel\"], \"d_ff\": 128, \"d_kv\": "
                           "16, \"d_model\": 64,\n"
                           " \"dense_act_fn\": \"gelu_new\", \"feed_forward_proj\": "
                           "\"gated-gelu\", \"is_gated_act\": true,\n"
                           " \"layer_norm_epsilon\": 1e-06, \"model_type\": \"umt5\", "
                           "\"num_heads\": 4, \"num_layers\": 2,\n"
                           " \"relative_attention_max_distance\": 128, "
                           "\"relative_attention_num_buckets\": 32, \"vocab_size\": %lld}\n",
                           (long long)vocab);
}

typedef rs_status layout_fn(rs_layout *, rs_arena *, const rs_json *, bool);

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Norm weights 1, biases small, everything else normal with standard deviation 1/sqrt(fan in). */
static void fill(float *dst, const char *name, rs_tensor t)
{
    int64_t n = rs_tensor_count(t), fan_in = t.ndim > 1 ? n / t.shape[0] : t.shape[0];
    rs_rng r = rs_rng_stream(SEED, rs_hash64_string(name), RS_RNG_WEIGHTS, 0);
    bool norm = ends_with(name, ".gamma") ||
                (t.ndim == 1 && strstr(name, "norm") && ends_with(name, ".weight"));
    double scale = 1.0 / sqrt((double)fan_in);
    if (ends_with(name, ".bias"))
        scale = 0.02;
    else if (strstr(name, "shared") || strstr(name, "relative_attention_bias"))
        scale = 0.5;
    else if (strstr(name, "scale_shift_table"))
        scale = 1.0 / sqrt((double)t.shape[t.ndim - 1]);
    rs_rng_fill_normal(dst, &r, 0, n);
    for (int64_t i = 0; i < n; i++)
        dst[i] = norm ? 1.0f : dst[i] * (float)scale;
}

static rs_status write_text(rs_arena *a, const char *out, const char *name, const char *text)
{
    const char *path = rs_path_join(a, out, name);
    RS_TRY(rs_make_dirs(rs_path_dirname(a, path)));
    return rs_write_file_atomic(path, text, strlen(text));
}

static void add_tensors(rs_tensor_list *list, rs_arena *a, const rs_layout *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        const rs_weight_row *row = &l->rows[i];
        for (int b = 0; b < (row->block < 0 ? 1 : l->blocks); b++) {
            char name[256];
            rs_layout_name(name, sizeof name, row, b, false);
            rs_tensor t = rs_tensor_new(a, row->ndim, row->shape);
            fill(rs_f32(t), name, t);
            rs_tensor_list_add(list, a, name, t);
        }
    }
}

static rs_status component(rs_arena *a, const char *out, const char *folder, const char *config,
                           const char *file, layout_fn *layout)
{
    rs_json *json;
    rs_layout l = {0};
    rs_tensor_list list = {0};
    RS_TRY(write_text(a, out, rs_arena_printf(a, "%s/config.json", folder), config));
    RS_TRY(rs_json_parse(&json, config, strlen(config), folder));
    rs_status st = layout(&l, a, json, false);
    rs_json_destroy(&json);
    RS_TRY(st);
    add_tensors(&list, a, &l);
    rs_meta format = {"format", "pt"};
    return rs_safetensors_write(rs_arena_printf(a, "%s/%s/%s", out, folder, file), &list, &format,
                                1);
}

static rs_status copy_tokenizer(int64_t *vocab, rs_arena *a, const char *out, const char *from)
{
    static const char *const files[] = {"spiece.model", "tokenizer_config.json"};
    rs_tokenizer *t;
    for (int i = 0; i < 2; i++) {
        char *data;
        size_t bytes;
        const char *to = rs_arena_printf(a, "%s/tokenizer/%s", out, files[i]);
        RS_TRY(rs_make_dirs(rs_path_dirname(a, to)));
        RS_TRY(rs_read_file(&data, &bytes, a, rs_path_join(a, from, files[i])));
        RS_TRY(rs_write_file_atomic(to, data, bytes));
    }
    RS_TRY(rs_tokenizer_create(&t, rs_path_join(a, out, "tokenizer")));
    *vocab = rs_tokenizer_vocab(t);
    rs_tokenizer_destroy(&t);
    return RS_OK;
}

rs_status world_model(const char *out, const char *tokenizer)
{
    static const char diffusion[] = "diffusion_pytorch_model.safetensors",
                      plain[] = "model.safetensors";
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    int64_t vocab = 0;
    RS_TRY_OUT(copy_tokenizer(&vocab, a, out, tokenizer));
    RS_TRY_OUT(write_text(a, out, "model_index.json", k_model_index));
    RS_TRY_OUT(write_text(a, out, "scheduler/scheduler_config.json", k_scheduler));
    RS_TRY_OUT(component(a, out, "transformer", k_transformer, diffusion, rs_dit_layout));
    RS_TRY_OUT(component(a, out, "vae", k_vae, diffusion, rs_vae_layout));
    RS_TRY_OUT(component(a, out, "image_encoder", k_clip, plain, rs_clip_layout));
    RS_TRY_OUT(component(a, out, "text_encoder", umt5_config(a, vocab), plain, rs_umt5_layout));
out:
    rs_arena_destroy(&a);
    return st;
}
