// reshoot probe: the components around the transformer, by files, and what they say of bad input.
#include "model/model.h"
#include "towers_fixture.h"

static const t_rule k_rules[] = {{"*norm*", 0.2, 1.0}, {"*bias", 0.05, 0.0}, {"*", 0.15, 0.0}};
static const t_model k_vae = {
    "vae",
    "{\"base_dim\": 4, \"z_dim\": 2, \"dim_mult\": [1, 2, 2], \"num_res_blocks\": 1,"
    "\"temperal_downsample\": [true, false], \"latents_mean\": [0.5, -1], \"latents_std\": [1, 2]}",
    rs_vae_layout,
    k_rules,
    NULL,
    NULL};
static const t_model k_text = {
    "text_encoder",
    "{\"vocab_size\": 50, \"d_model\": 16, \"d_kv\": 4, \"d_ff\": 20, \"num_layers\": 1,"
    "\"num_heads\": 2}",
    rs_umt5_layout,
    k_rules,
    NULL,
    NULL};
static const t_model k_image = {
    "image_encoder",
    "{\"hidden_size\": 16, \"intermediate_size\": 24, \"num_hidden_layers\": 2,"
    "\"num_attention_heads\": 2, \"image_size\": 8, \"patch_size\": 4, \"hidden_act\": \"gelu\"}",
    rs_clip_layout,
    k_rules,
    NULL,
    NULL};

static const char *path(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

static void write_input(const char *name, rs_tensor t)
{
    rs_tensor_list list = {0};
    rs_tensor_list_add(&list, t_arena(), name, t);
    T_OK(rs_safetensors_write(path("in.safetensors"), &list, NULL, 0));
}

/* Runs the component on in.safetensors; its exit status. */
static int probe(char **said, const char *model, const char *component)
{
    return t_reshoot(said, "probe %s --component %s --in %s --out %s --threads 2", model, component,
                     path("in.safetensors"), path("out.safetensors"));
}

/* The one run that must work; the outputs stay open for the case. */
static rs_safetensors *probe_ok(const char *model, const char *component)
{
    char *said = NULL;
    int rc = probe(&said, model, component);
    T_CHECKF(rc == 0, "exit %d: %s", rc, said);
    rs_safetensors *out = NULL;
    T_OK(rs_safetensors_open(&out, path("out.safetensors")));
    return out;
}

static void probe_fails(const char *model, const char *component, int exit_code, const char *text)
{
    char *said = NULL;
    T_EQ_I(probe(&said, model, component), exit_code);
    T_CHECKF(strstr(said, text), "said: %s", said);
}

static void want_shape(const rs_safetensors *f, const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t;
    T_OK(rs_safetensors_get(&t, f, name, ndim, shape));
}

static void t_vae_components(void)
{
    const char *m = t_write_model(&k_vae, "m", false);
    write_input("video", t_input("v", 1.0, RS_SHAPE(3, 5, 8, 12)));
    rs_safetensors *out = probe_ok(m, "vae-encode");
    want_shape(out, "latent", RS_SHAPE(2, 3, 2, 3));
    write_input("latent", *rs_safetensors_find(out, "latent"));
    rs_safetensors_close(&out);
    out = probe_ok(m, "vae-decode");
    want_shape(out, "video", RS_SHAPE(3, 5, 8, 12));
    want_shape(out, "video_raw", RS_SHAPE(3, 5, 8, 12));
    rs_safetensors_close(&out);
    write_input("video", t_input("v", 1.0, RS_SHAPE(3, 4, 8, 12)));
    probe_fails(m, "vae-encode", 3, "video of 4 frames: the VAE takes 2k+1 frames");
    probe_fails(m, "vae-decode", 3, "input \"latent\" is missing");
    write_input("latent", t_input("v", 1.0, RS_SHAPE(3, 4, 8, 12)));
    probe_fails(m, "vae-decode", 3, "input \"latent\" is F32[3,4,8,12], want [2,?,?,?]");
    probe_fails(t_tmpdir(), "vae-decode", 2, "no vae");
}

static void t_text_component(void)
{
    const char *m = t_write_model(&k_text, "m", false);
    int32_t ids[] = {3, 17, 42, 8, 1};
    write_input("ids", rs_tensor_of(ids, RS_DTYPE_I32, RS_SHAPE(5)));
    rs_safetensors *out = probe_ok(m, "text");
    want_shape(out, "states", RS_SHAPE(5, 16));
    rs_safetensors_close(&out);
    ids[2] = 50;
    write_input("ids", rs_tensor_of(ids, RS_DTYPE_I32, RS_SHAPE(5)));
    probe_fails(m, "text", 3, "token 2 has id 50");
    write_input("ids", t_input("v", 1.0, RS_SHAPE(5)));
    probe_fails(m, "text", 3, "input \"ids\" is F32[5], want I32[L]");
}

static void t_image_component(void)
{
    const char *m = t_write_model(&k_image, "m", false);
    write_input("image", t_input("v", 1.0, RS_SHAPE(3, 20, 9)));
    rs_safetensors *out = probe_ok(m, "image");
    want_shape(out, "states", RS_SHAPE(5, 16));
    rs_tensor states, again, pixels;
    T_OK(rs_safetensors_get(&states, out, "states", RS_SHAPE(5, 16)));
    T_OK(rs_safetensors_get(&pixels, out, "pixels", RS_SHAPE(3, 8, 8)));
    float *keep = rs_arena_memdup(t_arena(), states.data, rs_tensor_bytes(states));
    write_input("pixels", pixels);
    rs_safetensors_close(&out);
    out = probe_ok(m, "image");
    T_OK(rs_safetensors_get(&again, out, "states", RS_SHAPE(5, 16)));
    T_CHECK(memcmp(keep, again.data, rs_tensor_bytes(again)) == 0);
    rs_safetensors_close(&out);
    write_input("pixels", t_input("v", 1.0, RS_SHAPE(3, 8, 9)));
    probe_fails(m, "image", 3, "input \"pixels\" is F32[3,8,9], want [3,8,8]");
}

static void t_tokens_component(void)
{
    if (!t_shared_data())
        rs_test_skip("no SentencePiece model of T5 here");
    static const int32_t k_want[] = {3, 9, 1712, 1};
    const char *folder = path("m/tokenizer");
    T_OK(rs_make_dirs(folder));
    char *model = NULL;
    size_t bytes = 0;
    T_OK(rs_read_file(&model, &bytes, t_arena(),
                      rs_path_join(t_arena(), t_shared_data(), "tokenizer/t5_spiece.model")));
    T_OK(rs_write_file_atomic(path("m/tokenizer/spiece.model"), model, bytes));
    write_input("text", rs_tensor_of((char[]){"a cat"}, RS_DTYPE_U8, RS_SHAPE(5)));
    rs_safetensors *out = probe_ok(path("m"), "tokens");
    rs_tensor ids;
    T_OK(rs_safetensors_get(&ids, out, "ids", RS_SHAPE(4)));
    T_CHECK(ids.dtype == RS_DTYPE_I32 && memcmp(ids.data, k_want, sizeof k_want) == 0);
    rs_safetensors_close(&out);
    write_input("text", rs_tensor_of((char[]){"a\0cat"}, RS_DTYPE_U8, RS_SHAPE(5)));
    probe_fails(path("m"), "tokens", 3, "input \"text\" has a zero byte");
    write_input("text", rs_tensor_of((char[]){"a\xff"
                                              "cat"},
                                     RS_DTYPE_U8, RS_SHAPE(5)));
    probe_fails(path("m"), "tokens", 3, "UTF-8");
    probe_fails(t_tmpdir(), "tokens", 2, "no tokenizer");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_vae_components),
    T_CASE(t_text_component),
    T_CASE(t_image_component),
    T_CASE(t_tokens_component),
};
RS_TEST_MAIN(k_cases)
