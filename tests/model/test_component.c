// Components of a model directory: Diffusers folders, original files with built-in configurations.
#include "model/component.h"
#include "towers_fixture.h"

static void put(const char *name, const char *text)
{
    const char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), path)));
    T_OK(rs_write_file_atomic(path, text, strlen(text)));
}

static void want(rs_component_kind kind, const char *weights, bool original)
{
    rs_component c;
    T_CHECK(rs_component_present(t_tmpdir(), kind));
    T_OK(rs_component_open(&c, t_arena(), t_tmpdir(), kind));
    T_EQ_S(c.weights, weights ? rs_path_join(t_arena(), t_tmpdir(), weights) : t_tmpdir());
    T_CHECK(c.original == original && c.config);
    rs_component_close(&c);
}

static void t_original_files_have_the_published_configs(void)
{
    static const struct {
        rs_component_kind kind;
        const char *file;
        t_layout_fn *layout;
        int64_t params;
    } k_rows[] = {
        {RS_COMPONENT_VAE, "Wan2.1_VAE.pth", rs_vae_layout, 126892531},
        {RS_COMPONENT_TEXT, "models_t5_umt5-xxl-enc-bf16.pth", rs_umt5_layout, 5680910336},
        /* all of the vision tower but its last layer and final norm */
        {RS_COMPONENT_IMAGE, "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
         rs_clip_layout, 630766080 - 19677440 - 2560},
    };
    for (int i = 0; i < 3; i++) {
        rs_component c;
        rs_layout l;
        T_CHECK(!rs_component_present(t_tmpdir(), k_rows[i].kind));
        put(k_rows[i].file, "x");
        want(k_rows[i].kind, k_rows[i].file, true);
        T_OK(rs_component_open(&c, t_arena(), t_tmpdir(), k_rows[i].kind));
        T_OK(k_rows[i].layout(&l, t_arena(), c.config, c.original));
        T_EQ_I(rs_layout_params(&l), k_rows[i].params);
        rs_component_close(&c);
    }
}

static void t_folders_win_and_safetensors_win(void)
{
    put("Wan2.1_VAE.pth", "x");
    put("Wan2.1_VAE.safetensors", "x");
    want(RS_COMPONENT_VAE, "Wan2.1_VAE.safetensors", true);
    put("vae/config.json", "{}");
    want(RS_COMPONENT_VAE, "vae", false);
    put("config.json", "{}");
    want(RS_COMPONENT_TRANSFORMER, NULL, true);
    put("transformer/config.json", "{}");
    want(RS_COMPONENT_TRANSFORMER, "transformer", false);
}

static void t_what_is_missing_or_broken_is_named(void)
{
    rs_component c;
    const char *path;
    T_FAILS(rs_component_open(&c, t_arena(), "/nowhere", RS_COMPONENT_VAE), MODEL,
            "/nowhere: no such model directory");
    T_FAILS(rs_component_open(&c, t_arena(), t_tmpdir(), RS_COMPONENT_IMAGE), MODEL,
            "no image_encoder: neither image_encoder/config.json nor models_clip");
    T_FAILS(rs_component_open(&c, t_arena(), t_tmpdir(), RS_COMPONENT_TRANSFORMER), MODEL,
            "no transformer: neither transformer/config.json nor config.json");
    put("vae/config.json", "{\"base_dim\": 96,\n oops}");
    T_FAILS(rs_component_open(&c, t_arena(), t_tmpdir(), RS_COMPONENT_VAE), FORMAT,
            "vae/config.json:2:");
    T_FAILS(rs_component_tokenizer(&path, t_arena(), t_tmpdir()), MODEL, "no tokenizer");
    put("google/umt5-xxl/spiece.model", "x");
    T_OK(rs_component_tokenizer(&path, t_arena(), t_tmpdir()));
    T_EQ_S(path, rs_path_join(t_arena(), t_tmpdir(), "google/umt5-xxl"));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_original_files_have_the_published_configs),
    T_CASE(t_folders_win_and_safetensors_win),
    T_CASE(t_what_is_missing_or_broken_is_named),
};
RS_TEST_MAIN(k_cases)
