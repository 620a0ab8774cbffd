/* A model directory against the settings. Components are opened as a run opens them, one after the
 * other and with their weights left in the files, so that what is checked is what will be used. */
#include <string.h>

#include "base/fsio.h"
#include "base/num.h"
#include "job/check.h"
#include "model/component.h"
#include "model/model.h"
#include "text/tokenizer.h"

typedef struct checker {
    rs_problems *problems;
    const rs_config *cfg;
    rs_check_model_info *info;
    rs_device *dev;
    rs_arena *arena;
    rs_vae_info vae;              /* z_dim 0: not opened */
    int64_t text_dim, text_vocab; /* 0: not opened */
    int64_t image_dim;
} checker;

/* Model problems belong to the setting that names the directory. */
static void add_error(checker *c)
{
    rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.path", "%s",
                    rs_error_message());
}

static void open_vae(checker *c)
{
    rs_vae *vae = NULL;
    if (rs_vae_open(&vae, c->dev, c->cfg->model.path) == RS_OK)
        c->vae = *rs_vae_get_info(vae);
    else
        add_error(c);
    rs_vae_close(&vae);
}

static void open_text(checker *c)
{
    rs_text_encoder *text = NULL;
    if (rs_text_encoder_open(&text, c->dev, c->cfg->model.path) == RS_OK) {
        c->text_dim = rs_text_encoder_dim(text);
        c->text_vocab = rs_text_encoder_vocab(text);
    } else {
        add_error(c);
    }
    rs_text_encoder_close(&text);
}

static void open_image(checker *c)
{
    rs_image_encoder *image = NULL;
    if (rs_image_encoder_open(&image, c->dev, c->cfg->model.path) == RS_OK)
        c->image_dim = rs_image_encoder_dim(image);
    else
        add_error(c);
    rs_image_encoder_close(&image);
}

static void open_tokenizer(checker *c)
{
    rs_tokenizer *t = NULL;
    const char *folder;
    if (rs_component_tokenizer(&folder, c->arena, c->cfg->model.path) != RS_OK ||
        rs_tokenizer_create(&t, folder) != RS_OK)
        add_error(c);
    else if (c->text_vocab && rs_tokenizer_vocab(t) > c->text_vocab)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.path",
                        "%s: the tokenizer has %lld ids, but the text encoder only %lld",
                        c->cfg->model.path, (long long)rs_tokenizer_vocab(t),
                        (long long)c->text_vocab);
    rs_tokenizer_destroy(&t);
}

static void check_targets(checker *c, rs_denoiser *m)
{
    const rs_cfg_lora_section *lora = &c->cfg->lora;
    rs_adapter *adapter = NULL;
    if (rs_adapter_create(&adapter, m, lora->rank, (float)lora->alpha, lora->targets.items,
                          rs_i32(lora->targets.n), false) != RS_OK)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "lora.targets", "%s",
                        rs_error_message());
    rs_adapter_destroy(&adapter);
}

/* What the settings' own rules refuse was reported with them. */
static void check_size(checker *c, const char *setting, int64_t pixels, int64_t cell)
{
    if (cell > 0 && pixels % 16 == 0 && pixels % cell != 0)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, setting,
                        "%lld is not a multiple of %lld, the model's patch in pixels",
                        (long long)pixels, (long long)cell);
}

static void check_frames(checker *c, const char *setting, int64_t frames)
{
    int64_t later = frames - 1;
    if (c->vae.z_dim && later % 4 == 0 && later % c->vae.scale_t != 0)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, setting,
                        "%lld is not %lldn+1, as the vae needs it", (long long)frames,
                        (long long)c->vae.scale_t);
}

static void disagree(checker *c, const char *what, int64_t denoiser, const char *component,
                     int64_t there)
{
    if (there && denoiser != there)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.path",
                        "%s: the transformer's %s is %lld, but %s has %lld", c->cfg->model.path,
                        what, (long long)denoiser, component, (long long)there);
}

static void check_agreement(checker *c, const rs_denoiser_info *d)
{
    const char *family = rs_cfg_family_text(c->cfg->model.family);
    if (strcmp(family, d->family) != 0)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.family",
                        "is %s, but %s holds a transformer of family %s", family,
                        c->cfg->model.path, d->family);
    disagree(c, "text width", d->text_dim, "text_encoder", c->text_dim);
    disagree(c, "image width", d->image_dim, "image_encoder", c->image_dim);
    disagree(c, "latent channels", d->out_channels, "vae", c->vae.z_dim);
    if (d->cond_channels == 0)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.path",
                        "%s: a text-to-video transformer (%lld input channels); editing needs an "
                        "image-to-video one",
                        c->cfg->model.path, (long long)d->in_channels);
    else if (c->vae.z_dim)
        disagree(c, "condition channels", d->cond_channels, "the mask and latent condition",
                 c->vae.scale_t + c->vae.z_dim);
    check_frames(c, "clip.frames", c->cfg->clip.frames);
    if (c->cfg->motion.window)
        check_frames(c, "motion.window", c->cfg->motion.window);
    check_size(c, "clip.width", c->cfg->clip.width, c->vae.scale_s * d->patch[2]);
    check_size(c, "clip.height", c->cfg->clip.height, c->vae.scale_s * d->patch[1]);
}

static void open_all(checker *c)
{
    rs_denoiser *m = NULL;
    rs_denoiser_opts opts = {.home = RS_HOME_MAPPED};
    open_vae(c);
    open_text(c);
    open_tokenizer(c);
    if (rs_denoiser_open(&m, c->dev, c->cfg->model.path, &opts) != RS_OK) {
        add_error(c);
        return;
    }
    rs_denoiser_info d = *rs_denoiser_get_info(m);
    c->info->family = d.family;
    c->info->blocks = d.blocks;
    c->info->dim = d.dim;
    c->info->params = d.params;
    if (d.image_dim)
        open_image(c);
    check_targets(c, m);
    check_agreement(c, &d);
    rs_denoiser_close(&m);
}

void rs_check_model(rs_problems *problems, rs_check_model_info *info, const rs_config *cfg)
{
    checker c = {.problems = problems, .cfg = cfg, .info = info, .arena = rs_arena_create()};
    rs_device_opts opts = {.threads = 1};
    *info = (rs_check_model_info){0};
    if (!rs_path_is_dir(cfg->model.path))
        rs_problems_add(problems, (rs_where){cfg->file, 0, 0}, "model.path",
                        "%s: no such model directory", cfg->model.path);
    else if (rs_device_open(&c.dev, &opts) != RS_OK)
        add_error(&c);
    else
        open_all(&c);
    rs_device_destroy(&c.dev);
    rs_arena_destroy(&c.arena);
}
