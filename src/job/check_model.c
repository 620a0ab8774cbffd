/* A model directory against the settings. Components are opened as a run opens them, one after the
 * other and with their weights left in the files, so that what is checked is what will be used. */
#include "base/fsio.h"
#include "base/num.h"
#include "job/check.h"
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
    if (rs_tokenizer_create(&t, rs_path_join(c->arena, c->cfg->model.path, "tokenizer")) != RS_OK)
        add_error(c);
    else if (c->text_vocab && rs_tokenizer_vocab(t) > c->text_vocab)
        rs_problems_add(c->problems, (rs_where){c->cfg->file, 0, 0}, "model.path",
                        "%s: the tokenizer has %lld ids, but the text encoder only %lld",
                        c->cfg->model.path, (long long)rs_tokenizer_vocab(t),
                        (long long)c->text_vocab);
    rs_tokenizer_destroy(&t);
}

static void open_all(checker *c)
{
    open_vae(c);
    open_text(c);
    open_tokenizer(c);
    open_image(c);
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
