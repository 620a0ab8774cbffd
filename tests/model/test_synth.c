/* Synthetic models: every component opens, outputs are finite, files do not depend on anything but
 * the arguments; names, fusion, types and shards of single components. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/rng.h"
#include "harness/test.h"
#include "model/layouts.h"
#include "model/model.h"
#include "model/synth.h"
#include "store/safetensors.h"

static const char k_tokenizer[] = RS_SOURCE_DIR "/datasets/smallmodel/tokenizer";

static const char *path(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static rs_tensor filled(int ndim, const int64_t *shape, const char *name)
{
    rs_tensor t = rs_tensor_new(t_arena(), ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
    return t;
}

static void expect_sane(rs_tensor t, const char *what)
{
    double sumsq = 0;
    for (int64_t i = 0; i < rs_tensor_count(t); i++)
        sumsq += (double)rs_f32(t)[i] * (double)rs_f32(t)[i];
    double rms = sqrt(sumsq / (double)rs_tensor_count(t));
    T_CHECKF(isfinite(rms) && rms > 1e-3 && rms < 1e3, "%s: rms %g", what, rms);
}

/* VAE, text, image and transformer of the directory, once each. */
static void run_model(rs_device *d, const char *dir)
{
    rs_vae *vae;
    rs_text_encoder *text;
    rs_image_encoder *image;
    rs_denoiser *m;
    rs_denoiser_cond *cond;
    rs_denoiser_opts opts = {0};
    const int32_t ids[3] = {3, 4, 1};
    T_OK(rs_vae_open(&vae, d, dir));
    int64_t z = rs_vae_get_info(vae)->z_dim;
    rs_tensor latent = rs_tensor_new(t_arena(), RS_SHAPE(z, 2, 4, 4));
    T_OK(rs_vae_encode(vae, latent, filled(RS_SHAPE(3, 5, 32, 32), "video")));
    rs_vae_close(&vae);
    expect_sane(latent, "latent");
    T_OK(rs_text_encoder_open(&text, d, dir));
    rs_tensor states = rs_tensor_new(t_arena(), RS_SHAPE(3, rs_text_encoder_dim(text)));
    T_OK(rs_text_encode(text, states, ids, 3));
    rs_text_encoder_close(&text);
    expect_sane(states, "text");
    T_OK(rs_image_encoder_open(&image, d, dir));
    int64_t side = rs_image_encoder_size(image);
    rs_tensor tokens = rs_tensor_new(
        t_arena(), RS_SHAPE(rs_image_encoder_tokens(image), rs_image_encoder_dim(image)));
    T_OK(rs_image_encode(image, tokens, filled(RS_SHAPE(3, side, side), "image")));
    rs_image_encoder_close(&image);
    expect_sane(tokens, "image");
    T_OK(rs_denoiser_open(&m, d, dir, &opts));
    T_OK(rs_denoiser_bind(m, 2, 4, 4, false));
    T_OK(rs_denoiser_cond_create(&cond, m, filled(RS_SHAPE(z + 4, 2, 4, 4), "y"), states, tokens));
    rs_tensor v = rs_tensor_new(t_arena(), RS_SHAPE(z, 2, 4, 4));
    T_OK(rs_denoiser_forward(m, v, latent, 500.0f, cond));
    expect_sane(v, "velocity");
    rs_denoiser_cond_destroy(&cond);
    rs_denoiser_close(&m);
}

static void check_preset(const char *preset, int64_t least, int64_t most)
{
    static const char *const k_files[] = {"transformer/diffusion_pytorch_model.safetensors",
                                          "vae/diffusion_pytorch_model.safetensors",
                                          "text_encoder/model.safetensors",
                                          "image_encoder/model.safetensors"};
    const char *a = path(t_tmpdir(), "a"), *b = path(t_tmpdir(), "b"), *c = path(t_tmpdir(), "c");
    int64_t bytes = 0;
    rs_device *d;
    T_OK(rs_synth_model(a, preset, 7, k_tokenizer));
    T_OK(rs_synth_model(b, preset, 7, k_tokenizer));
    T_OK(rs_synth_model(c, preset, 8, k_tokenizer));
    for (int i = 0; i < 4; i++) {
        char ha[RS_HASH_HEX], hb[RS_HASH_HEX], hc[RS_HASH_HEX];
        T_OK(rs_hash_file(ha, path(a, k_files[i])));
        T_OK(rs_hash_file(hb, path(b, k_files[i])));
        T_OK(rs_hash_file(hc, path(c, k_files[i])));
        T_EQ_S(ha, hb);
        T_CHECKF(strcmp(ha, hc) != 0, "%s does not depend on the seed", k_files[i]);
        bytes += rs_file_size(path(a, k_files[i]));
    }
    T_CHECKF(bytes / 4 >= least && bytes / 4 <= most, "%lld parameters", (long long)bytes / 4);
    T_CHECK(rs_path_exists(path(a, "model_index.json")));
    T_CHECK(rs_path_exists(path(a, "tokenizer/spiece.model")));
    T_OK(rs_device_open(&d, NULL));
    run_model(d, a);
    rs_device_destroy(&d);
}

static void t_small(void)
{
    check_preset("small", 1000000, 3000000);
}

static void t_tiny(void)
{
    check_preset("tiny", 100000, 600000);
}

static void t_unknown_preset(void)
{
    T_FAILS(rs_synth_model(path(t_tmpdir(), "x"), "huge", 1, k_tokenizer), CONFIG, "\"huge\"");
}

static void fill_by_name(void *ctx, const char *name, rs_tensor t)
{
    (void)ctx;
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
}

static void t_original_fused_sharded_half(void)
{
    static const char config[] =
        "{\"hidden_size\": 32, \"intermediate_size\": 64, \"num_hidden_layers\": 3,"
        " \"num_attention_heads\": 2, \"image_size\": 28, \"patch_size\": 14,"
        " \"hidden_act\": \"gelu\"}";
    rs_json *json;
    rs_layout l;
    rs_safetensors *f;
    rs_synth_opts opts = {.original = true, .dtype = RS_DTYPE_BF16, .shard_bytes = 10000};
    T_OK(rs_json_parse(&json, config, strlen(config), "config"));
    T_OK(rs_clip_layout(&l, t_arena(), json, false));
    rs_json_destroy(&json);
    T_OK(rs_synth_component(t_tmpdir(), "model", &l, &opts, fill_by_name, NULL));
    T_OK(rs_safetensors_open(&f, t_tmpdir()));
    T_CHECK(rs_safetensors_file_count(f) > 2);
    const rs_tensor *t = rs_safetensors_find(f, "visual.transformer.1.attn.to_qkv.weight");
    T_CHECK(t && t->dtype == RS_DTYPE_BF16 && t->shape[0] == 96 && t->shape[1] == 32);
    T_CHECK(!rs_safetensors_find(f, "vision_model.pre_layrnorm.weight"));
    rs_safetensors_close(&f);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_small),
    T_CASE(t_tiny),
    T_CASE(t_unknown_preset),
    T_CASE(t_original_fused_sharded_half),
};
RS_TEST_MAIN(k_cases)
