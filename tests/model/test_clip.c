// CLIP vision tower: layout counts, the spec's golden values, fused weights, preprocessing.
#include <math.h>

#include "model/clip/clip_priv.h"
#include "towers_fixture.h"

#define CONFIG(dim, ff, layers, heads, image, patch, act)                                          \
    "{\"hidden_size\": " #dim ", \"intermediate_size\": " #ff ", \"num_hidden_layers\": " #layers  \
    ", \"num_attention_heads\": " #heads ", \"image_size\": " #image ", \"patch_size\": " #patch   \
    ", \"hidden_act\": \"" act "\", \"layer_norm_eps\": 1e-5}"

static const t_rule k_rules[] = {
    {"*norm*weight", 0.2, 1.0}, {"*bias", 0.05, 0.0}, {"*", 0.15, 0.0}};
/* The spec fills by names relative to "visual.". */
static const t_model k_tiny = {"image_encoder", CONFIG(32, 128, 3, 2, 28, 14, "gelu"),
                               rs_clip_layout,  k_rules,
                               "visual.",       NULL};

typedef struct fixture {
    rs_device *dev;
    rs_image_encoder *enc;
} fixture;

static fixture open_encoder(const char *dir, int threads)
{
    fixture f;
    T_OK(rs_device_open(&f.dev, &(rs_device_opts){.threads = threads}));
    T_OK(rs_image_encoder_open(&f.enc, f.dev, dir));
    return f;
}

static void close_encoder(fixture *f)
{
    rs_image_encoder_close(&f->enc);
    T_EQ_I(rs_device_bytes(f->dev), 0);
    rs_device_destroy(&f->dev);
}

static rs_tensor encode(rs_image_encoder *e, rs_tensor pixels)
{
    rs_tensor s =
        rs_tensor_new(t_arena(), RS_SHAPE(rs_image_encoder_tokens(e), rs_image_encoder_dim(e)));
    T_OK(rs_image_encode(e, s, pixels));
    return s;
}

static void t_layout_has_the_real_counts(void)
{
    t_model real = k_tiny;
    real.config = CONFIG(1280, 5120, 32, 16, 224, 14, "gelu");
    rs_layout l = t_layout_of(&real);
    T_EQ_I(l.blocks, 31);
    /* with the last layer and the final norm, neither of which Wan uses */
    T_EQ_I(rs_layout_params(&l) + rs_layout_block_params(&l) + 2 * 1280, 630766080);
}

static void t_encode_gives_the_spec_values(void)
{
    static const float k_first[] = {1.04711051f, -0.47123174f, 0.93376158f, -0.53449339f};
    fixture f = open_encoder(t_write_model(&k_tiny, "original", true), 2);
    T_EQ_I(rs_image_encoder_tokens(f.enc), 5);
    T_EQ_I(rs_image_encoder_size(f.enc), 28);
    rs_tensor s = encode(f.enc, t_input("input.img", 2.0, RS_SHAPE(3, 28, 28)));
    T_NEAR(t_sum(s, 1), -9.0990732, 2e-5);
    T_NEAR(t_sum(s, 2), 185.9504311, 1e-4);
    for (int i = 0; i < 4; i++)
        T_NEAR(rs_f32(s)[i], k_first[i], 3e-6);
    T_NEAR(rs_f32(s)[5 * 32 - 2], 1.3260125, 3e-6);
    T_NEAR(rs_f32(s)[5 * 32 - 1], -0.64132108, 3e-6);
    close_encoder(&f);
}

/* The original keeps q, k and v in one tensor: split by hand under the other names, same bits. */
static void t_fused_and_split_weights_are_the_same(void)
{
    const char *fused = t_write_model(&k_tiny, "fused", true);
    const char *split = t_write_model(&k_tiny, "split", false);
    rs_safetensors *file = NULL;
    T_OK(rs_safetensors_open(&file, rs_path_join(t_arena(), fused, "image_encoder")));
    rs_layout l = t_layout_of(&k_tiny);
    rs_tensor_list list = {0};
    for (int64_t i = 0; i < l.n; i++)
        for (int b = 0; b < (l.rows[i].block < 0 ? 1 : l.blocks); b++) {
            char from[256], to[256];
            const rs_weight_row *r = &l.rows[i];
            rs_layout_name(from, sizeof from, r, b, true);
            rs_layout_name(to, sizeof to, r, b, false);
            rs_tensor t = *rs_safetensors_find(file, from);
            if (r->original_rows[1] > 0)
                t = rs_tensor_slice(t, r->original_rows[0], r->original_rows[1]);
            rs_tensor_list_add(&list, t_arena(), to, t);
        }
    T_OK(rs_safetensors_write(rs_path_join(t_arena(), split, "image_encoder/model.safetensors"),
                              &list, NULL, 0));
    rs_tensor pixels = t_input("input.img", 2.0, RS_SHAPE(3, 28, 28));
    fixture f = open_encoder(fused, 1), g = open_encoder(split, 1);
    t_same_bits(encode(f.enc, pixels), encode(g.enc, pixels));
    close_encoder(&f);
    close_encoder(&g);
    rs_safetensors_close(&file);
}

static void t_bits_do_not_depend_on_threads(void)
{
    t_model m = k_tiny;
    m.config = CONFIG(60, 100, 4, 5, 70, 7, "gelu");
    const char *dir = t_write_model(&m, "m", false);
    rs_tensor pixels = t_input("input.img", 2.0, RS_SHAPE(3, 70, 70)), want = {0};
    for (int threads = 1; threads <= 3; threads++) {
        fixture f = open_encoder(dir, threads);
        rs_tensor s = encode(f.enc, pixels);
        if (threads > 1)
            t_same_bits(s, want);
        want = s;
        close_encoder(&f);
    }
}

static void t_bicubic_gives_the_spec_values(void)
{
    static const float k_want[] = {0.35585737f, -0.38975243f, 0.65202991f, 0.29566349f};
    float out[12];
    rs_clip_bicubic(out, 4, 3, t_input("input.bicubic", 1.0, RS_SHAPE(3, 5)).data, 3, 5);
    for (int i = 0; i < 4; i++)
        T_NEAR(out[i], k_want[i], 1e-7);
    float same[15];
    rs_tensor in = t_input("input.bicubic", 1.0, RS_SHAPE(3, 5));
    rs_clip_bicubic(same, 3, 5, in.data, 3, 5);
    T_CHECK(memcmp(same, in.data, sizeof same) == 0);
}

static void t_preprocessing_squashes_and_normalises(void)
{
    static const double k_mean[] = {0.48145466, 0.4578275, 0.40821073};
    static const double k_std[] = {0.26862954, 0.26130258, 0.27577711};
    fixture f = open_encoder(t_write_model(&k_tiny, "m", false), 1);
    rs_tensor image = rs_tensor_new(t_arena(), RS_SHAPE(3, 11, 50));
    rs_tensor pixels = rs_tensor_new(t_arena(), RS_SHAPE(3, 28, 28));
    for (int i = 0; i < 3 * 11 * 50; i++) /* a ramp along the width: linear away from the edges */
        rs_f32(image)[i] = (float)(i % 50) / 25.0f - 1.0f;
    T_OK(rs_image_preprocess(f.enc, pixels, image));
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 28; y++)
            for (int x = 3; x < 25; x++) {
                double at = (x + 0.5) * 50.0 / 28.0 - 0.5, v = at / 25.0 - 1.0;
                T_NEAR(rs_f32(pixels)[(c * 28 + y) * 28 + x],
                       (v * 0.5 + 0.5 - k_mean[c]) / k_std[c],
                       0.05); /* cubic with a = -0.75 bends a ramp a little between samples */
            }
    for (int i = 0; i < 3 * 11 * 50; i++)
        rs_f32(image)[i] = 0.25f;
    T_OK(rs_image_preprocess(f.enc, pixels, image));
    for (int i = 0; i < 3 * 28 * 28; i++)
        T_NEAR(rs_f32(pixels)[i], (0.625 - k_mean[i / 784]) / k_std[i / 784], 1e-6);
    close_encoder(&f);
}

static void config_fails(const char *text, const char *message)
{
    rs_clip_config c;
    rs_json *json = NULL;
    T_OK(rs_json_parse(&json, text, strlen(text), "a/config.json"));
    rs_status st = rs_clip_config_read(&c, json);
    T_CHECKF(st == RS_MODEL && strstr(rs_error_message(), message), "%s: %s", rs_status_name(st),
             rs_error_message());
    rs_json_destroy(&json);
}

static void t_bad_models_are_named(void)
{
    config_fails(CONFIG(32, 64, 3, 2, 28, 14, "quick_gelu"),
                 "a/config.json: hidden_act: \"quick_gelu\" is not supported");
    config_fails(CONFIG(32, 64, 3, 5, 28, 14, "gelu"), "hidden_size: 32 does not divide into 5");
    config_fails(CONFIG(32, 64, 3, 2, 30, 14, "gelu"), "image_size: 30 does not divide");
    rs_device *d = NULL;
    rs_image_encoder *e = NULL;
    T_OK(rs_device_open(&d, NULL));
    t_model m = k_tiny;
    m.skip = "visual.transformer.1.attn.to_qkv.bias";
    T_FAILS(rs_image_encoder_open(&e, d, t_write_model(&m, "hole", true)), MODEL, m.skip);
    T_FAILS(rs_image_encoder_open(&e, d, t_tmpdir()), MODEL, "no image_encoder");
    T_CHECK(!e && rs_device_bytes(d) == 0);
    rs_device_destroy(&d);
}

/* A checkpoint that ends with the layer that Wan uses gives tokens, and says what an embedding
 * lacks. */
static void t_embedding_needs_the_head(void)
{
    int64_t dim;
    fixture f = open_encoder(t_write_model(&k_tiny, "m", false), 1);
    (void)encode(f.enc, t_input("input.img", 2.0, RS_SHAPE(3, 28, 28)));
    T_FAILS(rs_image_embed_dim(&dim, f.enc), MODEL,
            "\"vision_model.encoder.layers.2.layer_norm1.weight\" is missing");
    close_encoder(&f);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_layout_has_the_real_counts),
    T_CASE(t_encode_gives_the_spec_values),
    T_CASE(t_fused_and_split_weights_are_the_same),
    T_CASE(t_bits_do_not_depend_on_threads),
    T_CASE(t_bicubic_gives_the_spec_values),
    T_CASE(t_preprocessing_squashes_and_normalises),
    T_CASE(t_embedding_needs_the_head),
    T_CASE(t_bad_models_are_named),
};
RS_TEST_MAIN(k_cases)
