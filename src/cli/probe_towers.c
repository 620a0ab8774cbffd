/* Probe components of the towers around the transformer: VAE, text encoder, image encoder,
 * tokenizer. */
#include <string.h>

#include "base/num.h"
#include "cli/probe.h"
#include "model/component.h"
#include "model/model.h"
#include "text/tokenizer.h"

/* ---- VAE ---- */

static rs_status encode_video(rs_probe *p, rs_vae *v)
{
    rs_tensor video;
    const rs_vae_info *info = rs_vae_get_info(v);
    RS_TRY(rs_probe_input(&video, p, "video", 4, (int64_t[]){3, 0, 0, 0}));
    const int64_t *s = video.shape;
    rs_tensor latent =
        rs_tensor_new(p->arena, RS_SHAPE(info->z_dim, (s[1] - 1) / info->scale_t + 1,
                                         s[2] / info->scale_s, s[3] / info->scale_s));
    RS_TRY(rs_vae_encode(v, latent, video));
    rs_tensor_list_add(&p->out, p->arena, "latent", latent);
    return RS_OK;
}

static rs_status run_vae_encode(rs_probe *p)
{
    rs_vae *v = NULL;
    RS_TRY(rs_vae_open(&v, p->dev, p->model_dir));
    rs_status st = encode_video(p, v);
    rs_vae_close(&v);
    return st;
}

static rs_status decode_latent(rs_probe *p, rs_vae *v)
{
    rs_tensor latent;
    const rs_vae_info *info = rs_vae_get_info(v);
    RS_TRY(rs_probe_input(&latent, p, "latent", 4, (int64_t[]){info->z_dim, 0, 0, 0}));
    const int64_t *s = latent.shape;
    if (rs_tensor_count(latent) == 0)
        return RS_FAIL(INPUT, "input \"latent\" is empty");
    rs_tensor raw = rs_tensor_new(p->arena, RS_SHAPE(3, (s[1] - 1) * info->scale_t + 1,
                                                     s[2] * info->scale_s, s[3] * info->scale_s));
    rs_tensor video = rs_tensor_new(p->arena, raw.ndim, raw.shape);
    RS_TRY(rs_vae_decode(v, raw, latent, true));
    RS_TRY(rs_vae_decode(v, video, latent, false));
    rs_tensor_list_add(&p->out, p->arena, "video", video);
    rs_tensor_list_add(&p->out, p->arena, "video_raw", raw);
    return RS_OK;
}

static rs_status run_vae_decode(rs_probe *p)
{
    rs_vae *v = NULL;
    RS_TRY(rs_vae_open(&v, p->dev, p->model_dir));
    rs_status st = decode_latent(p, v);
    rs_vae_close(&v);
    return st;
}

/* ---- text ---- */

static rs_status read_ids(const int32_t **ids, int64_t *n, rs_probe *p)
{
    char text[RS_TENSOR_TEXT];
    const rs_tensor *t = rs_safetensors_find(p->in, "ids");
    if (!t)
        return RS_FAIL(INPUT, "input \"ids\" is missing");
    if (t->ndim != 1 || t->dtype != RS_DTYPE_I32 || t->shape[0] < 1)
        return RS_FAIL(INPUT, "input \"ids\" is %s, want I32[L] with L >= 1",
                       rs_tensor_text(text, *t));
    *ids = t->data;
    *n = t->shape[0];
    return RS_OK;
}

static rs_status run_text(rs_probe *p)
{
    rs_text_encoder *e = NULL;
    const int32_t *ids = NULL;
    int64_t n = 0;
    RS_TRY(read_ids(&ids, &n, p));
    RS_TRY(rs_text_encoder_open(&e, p->dev, p->model_dir));
    rs_tensor states = rs_tensor_new(p->arena, RS_SHAPE(n, rs_text_encoder_dim(e)));
    rs_status st = rs_text_encode(e, states, ids, n);
    rs_text_encoder_close(&e);
    if (st == RS_OK)
        rs_tensor_list_add(&p->out, p->arena, "states", states);
    return st;
}

static rs_status read_text(const char **text, rs_probe *p)
{
    char shape[RS_TENSOR_TEXT];
    const rs_tensor *t = rs_safetensors_find(p->in, "text");
    if (!t)
        return RS_FAIL(INPUT, "input \"text\" is missing");
    if (t->ndim != 1 || t->dtype != RS_DTYPE_U8)
        return RS_FAIL(INPUT, "input \"text\" is %s, want U8[n]", rs_tensor_text(shape, *t));
    size_t n = (size_t)t->shape[0];
    if (n > 0 && memchr(t->data, 0, n))
        return RS_FAIL(INPUT, "input \"text\" has a zero byte");
    *text = rs_arena_strndup(p->arena, n > 0 ? t->data : "", n);
    return RS_OK;
}

static rs_status run_tokens(rs_probe *p)
{
    enum { TEXT_LEN = 512 };
    rs_tokenizer *t = NULL;
    const char *text = NULL, *folder;
    rs_tokens tokens = {0};
    RS_TRY(read_text(&text, p));
    RS_TRY(rs_component_tokenizer(&folder, p->arena, p->model_dir));
    RS_TRY(rs_tokenizer_create(&t, folder));
    rs_status st = rs_tokenizer_encode(&tokens, p->arena, t, text, TEXT_LEN);
    rs_tokenizer_destroy(&t);
    if (st == RS_OK)
        rs_tensor_list_add(&p->out, p->arena, "ids",
                           rs_tensor_of(tokens.ids, RS_DTYPE_I32, RS_SHAPE(tokens.n)));
    return st;
}

/* ---- image ---- */

/* The input "pixels", or the preprocessed input "image". */
static rs_status read_pixels(rs_tensor *pixels, rs_probe *p, const rs_image_encoder *e)
{
    int64_t size = rs_image_encoder_size(e);
    if (rs_probe_has(p, "pixels"))
        return rs_probe_input(pixels, p, "pixels", 3, (int64_t[]){3, size, size});
    rs_tensor image;
    RS_TRY(rs_probe_input(&image, p, "image", 3, (int64_t[]){3, 0, 0}));
    *pixels = rs_tensor_new(p->arena, RS_SHAPE(3, size, size));
    RS_TRY(rs_image_preprocess(e, *pixels, image));
    rs_tensor_list_add(&p->out, p->arena, "pixels", *pixels);
    return RS_OK;
}

static rs_status encode_image(rs_probe *p, rs_image_encoder *e)
{
    rs_tensor pixels;
    RS_TRY(read_pixels(&pixels, p, e));
    rs_tensor states =
        rs_tensor_new(p->arena, RS_SHAPE(rs_image_encoder_tokens(e), rs_image_encoder_dim(e)));
    RS_TRY(rs_image_encode(e, states, pixels));
    rs_tensor_list_add(&p->out, p->arena, "states", states);
    return RS_OK;
}

static rs_status run_image(rs_probe *p)
{
    rs_image_encoder *e = NULL;
    RS_TRY(rs_image_encoder_open(&e, p->dev, p->model_dir));
    rs_status st = encode_image(p, e);
    rs_image_encoder_close(&e);
    return st;
}

static rs_status embed_image(rs_probe *p, rs_image_encoder *e)
{
    rs_tensor pixels;
    int64_t dim;
    RS_TRY(read_pixels(&pixels, p, e));
    RS_TRY(rs_image_embed_dim(&dim, e));
    rs_tensor embedding = rs_tensor_new(p->arena, RS_SHAPE(dim));
    RS_TRY(rs_image_embed(e, embedding, pixels));
    rs_tensor_list_add(&p->out, p->arena, "embedding", embedding);
    return RS_OK;
}

static rs_status run_image_embed(rs_probe *p)
{
    rs_image_encoder *e = NULL;
    RS_TRY(rs_image_encoder_open(&e, p->dev, p->model_dir));
    rs_status st = embed_image(p, e);
    rs_image_encoder_close(&e);
    return st;
}

const rs_probe_component rs_probe_vae_encode = {
    .name = "vae-encode",
    .help = "  video (3,T,H,W) in [-1,1], T = 4k+1, H and W multiples of 8\n"
            "  ->  latent (z,F,H/8,W/8), F = (T-1)/4+1: mean of the posterior, normalised\n",
    .run = run_vae_encode,
};
const rs_probe_component rs_probe_vae_decode = {
    .name = "vae-decode",
    .help = "  latent (z,F,h,w), normalised\n"
            "  ->  video (3,4(F-1)+1,8h,8w) clamped to [-1,1], video_raw before the clamp\n",
    .run = run_vae_decode,
};
const rs_probe_component rs_probe_text = {
    .name = "text",
    .help = "  ids I32 (L), the end token included  ->  states (L,dim) of the umT5 encoder\n",
    .run = run_text,
};
const rs_probe_component rs_probe_image = {
    .name = "image",
    .help = "  pixels (3,S,S), preprocessed  ->  states (tokens,dim), the last but one layer's\n"
            "  or image (3,H,W) in [-1,1]  ->  pixels (3,S,S), states\n",
    .run = run_image,
};
const rs_probe_component rs_probe_image_embed = {
    .name = "image-embed",
    .help =
        "  pixels (3,S,S) or image (3,H,W) as above  ->  embedding (dim): the class token of the\n"
        "  last layer, normalised, and projected where the checkpoint has a projection\n",
    .run = run_image_embed,
};
const rs_probe_component rs_probe_tokens = {
    .name = "tokens",
    .help = "  text U8 (n), UTF-8  ->  ids I32 (L), L <= 512, the end token last\n",
    .run = run_tokens,
};
