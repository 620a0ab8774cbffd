#include "model/component.h"

#include <string.h>

#include "base/fsio.h"

enum { FILES = 4 };

typedef struct place {
    const char *folder;
    const char *files[FILES]; /* original file names, in order of preference */
    const char *config;       /* of the original file */
} place;

/* Wan2.1's configurations, where its original repository has none (wan21.md 3 to 5). */
#define VAE_CONFIG                                                                                 \
    "{\"base_dim\": 96, \"z_dim\": 16, \"dim_mult\": [1, 2, 4, 4], \"num_res_blocks\": 2,"         \
    " \"attn_scales\": [], \"temperal_downsample\": [false, true, true],"                          \
    " \"latents_mean\": [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,"     \
    " 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921],"                       \
    " \"latents_std\": [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,"           \
    " 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]}"
#define TEXT_CONFIG                                                                                \
    "{\"vocab_size\": 256384, \"d_model\": 4096, \"d_kv\": 64, \"d_ff\": 10240,"                   \
    " \"num_layers\": 24, \"num_heads\": 64, \"relative_attention_num_buckets\": 32,"              \
    " \"relative_attention_max_distance\": 128, \"layer_norm_epsilon\": 1e-6,"                     \
    " \"feed_forward_proj\": \"gated-gelu\"}"
#define IMAGE_CONFIG                                                                               \
    "{\"hidden_size\": 1280, \"intermediate_size\": 5120, \"num_hidden_layers\": 32,"              \
    " \"num_attention_heads\": 16, \"image_size\": 224, \"patch_size\": 14,"                       \
    " \"layer_norm_eps\": 1e-5, \"hidden_act\": \"gelu\", \"projection_dim\": 1024}"

static const place k_places[] = {
    [RS_COMPONENT_TRANSFORMER] = {"transformer", {NULL}, NULL},
    [RS_COMPONENT_VAE] = {"vae", {"Wan2.1_VAE.safetensors", "Wan2.1_VAE.pth"}, VAE_CONFIG},
    [RS_COMPONENT_TEXT] = {"text_encoder",
                           {"models_t5_umt5-xxl-enc-bf16.safetensors",
                            "models_t5_umt5-xxl-enc-bf16.pth"},
                           TEXT_CONFIG},
    [RS_COMPONENT_IMAGE] = {"image_encoder",
                            {"models_clip_open-clip-xlm-roberta-large-vit-huge-14.safetensors",
                             "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"},
                            IMAGE_CONFIG},
};

/* Where the component is: the configuration file (NULL: built in) and the weights. */
typedef struct found {
    const char *config_file, *weights;
    bool original;
} found;

static bool locate(found *f, rs_arena *a, const char *model_dir, rs_component_kind kind)
{
    const place *p = &k_places[kind];
    const char *folder = rs_path_join(a, model_dir, p->folder);
    *f = (found){rs_path_join(a, folder, "config.json"), folder, false};
    if (rs_path_exists(f->config_file))
        return true;
    if (kind == RS_COMPONENT_TRANSFORMER) {
        *f = (found){rs_path_join(a, model_dir, "config.json"), model_dir, true};
        return rs_path_exists(f->config_file);
    }
    for (int i = 0; i < FILES && p->files[i]; i++) {
        *f = (found){NULL, rs_path_join(a, model_dir, p->files[i]), true};
        if (rs_path_exists(f->weights))
            return true;
    }
    return false;
}

bool rs_component_present(const char *model_dir, rs_component_kind kind)
{
    found f;
    rs_arena *a = rs_arena_create();
    bool present = locate(&f, a, model_dir, kind);
    rs_arena_destroy(&a);
    return present;
}

rs_status rs_component_open(rs_component *out, rs_arena *a, const char *model_dir,
                            rs_component_kind kind)
{
    found f;
    const place *p = &k_places[kind];
    if (!rs_path_is_dir(model_dir))
        return RS_FAIL(MODEL, "%s: no such model directory", model_dir);
    if (!locate(&f, a, model_dir, kind))
        return RS_FAIL(MODEL, "%s: no %s: neither %s/config.json nor %s", model_dir, p->folder,
                       p->folder, p->files[0] ? p->files[1] : "config.json");
    rs_json *config = NULL;
    if (f.config_file)
        RS_TRY(rs_json_load(&config, f.config_file));
    else
        RS_TRY(rs_json_parse(&config, p->config, strlen(p->config), f.weights));
    *out = (rs_component){.weights = f.weights, .config = config, .original = f.original};
    return RS_OK;
}

void rs_component_close(rs_component *c)
{
    rs_json_destroy(&c->config);
}

rs_status rs_component_tokenizer(const char **path, rs_arena *a, const char *model_dir)
{
    static const char *const k_folders[] = {"tokenizer", "google/umt5-xxl"};
    for (size_t i = 0; i < sizeof k_folders / sizeof k_folders[0]; i++) {
        *path = rs_path_join(a, model_dir, k_folders[i]);
        if (rs_path_is_dir(*path))
            return RS_OK;
    }
    return RS_FAIL(MODEL, "%s: no tokenizer: neither %s nor %s", model_dir, k_folders[0],
                   k_folders[1]);
}
