#include "stage/models.h"

#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "model/component.h"
#include "stage/condition.h"

void rs_models_close(rs_models *m)
{
    rs_denoiser_close(&m->denoiser);
    rs_vae_close(&m->vae);
    rs_text_encoder_close(&m->text);
    rs_image_encoder_close(&m->image);
    rs_tokenizer_destroy(&m->tokenizer);
}

rs_status rs_models_denoiser(rs_models *m, rs_denoiser **out)
{
    if (!m->denoiser) {
        double begin = rs_now();
        RS_TRY(rs_denoiser_open(&m->denoiser, m->dev, m->dir, &m->denoiser_opts));
        const rs_denoiser_info *i = rs_denoiser_get_info(m->denoiser);
        RS_LOG(
            DETAIL,
            "opened transformer: %s, %lld blocks of width %lld, %.2f M parameters, %zu bytes held, "
            "%.2f s",
            i->family, (long long)i->blocks, (long long)i->dim, (double)i->params * 1e-6,
            rs_denoiser_weight_bytes(m->denoiser), rs_now() - begin);
    }
    *out = m->denoiser;
    return RS_OK;
}

rs_status rs_models_use_lane(rs_denoiser *m, rs_comm *lane, rs_comm *pair)
{
    if (rs_denoiser_lane(m) == lane && rs_denoiser_pair(m) == pair)
        return RS_OK;
    return rs_denoiser_set_lane(m, lane, pair);
}

void rs_models_rest(rs_models *m)
{
    if (rs_device_host_memory(m->dev))
        return;
    rs_vae_close(&m->vae);
    rs_text_encoder_close(&m->text);
    rs_image_encoder_close(&m->image);
}

/* Room for the others. */
static void rest_denoiser(rs_models *m)
{
    if (!rs_device_host_memory(m->dev) && m->denoiser)
        rs_denoiser_rest(m->denoiser);
}

rs_status rs_models_vae(rs_models *m, rs_vae **out)
{
    rest_denoiser(m);
    if (!m->vae)
        RS_TRY(rs_vae_open(&m->vae, m->dev, m->dir));
    *out = m->vae;
    return RS_OK;
}

rs_status rs_models_encode_text(rs_models *m, rs_arena *a, rs_tensor *states, const char *text)
{
    rs_tokens tokens;
    rs_denoiser *d = NULL;
    RS_TRY(rs_models_denoiser(m, &d));
    if (!m->tokenizer) {
        const char *folder;
        RS_TRY(rs_component_tokenizer(&folder, a, m->dir));
        RS_TRY(rs_tokenizer_create(&m->tokenizer, folder));
    }
    rest_denoiser(m);
    if (!m->text)
        RS_TRY(rs_text_encoder_open(&m->text, m->dev, m->dir));
    RS_TRY(rs_tokenizer_encode(&tokens, a, m->tokenizer, text, rs_denoiser_get_info(d)->text_len));
    if (tokens.dropped)
        RS_LOG(WARN, "prompt is too long: the last %lld tokens are cut off: \"%.40s...\"",
               (long long)tokens.dropped, text);
    *states = rs_tensor_new(a, RS_SHAPE(tokens.n, rs_text_encoder_dim(m->text)));
    return rs_text_encode(m->text, *states, tokens.ids, tokens.n);
}

/* What the image encoder takes of a frame. */
static rs_status image_pixels(rs_tensor *pixels, rs_models *m, rs_arena *scratch, rs_tensor frame)
{
    int64_t H = frame.shape[1], W = frame.shape[2], size = rs_image_encoder_size(m->image);
    rs_tensor video = rs_tensor_new(scratch, RS_SHAPE(3, 1, H, W));
    *pixels = rs_tensor_new(scratch, RS_SHAPE(3, size, size));
    rs_video_from_frames(video, frame);
    return rs_image_preprocess(m->image, *pixels, rs_tensor_reshape(video, RS_SHAPE(3, H, W)));
}

/* False, with OK, where the denoiser has no image branch. */
static rs_status open_image(bool *there, rs_models *m)
{
    rs_denoiser *d = NULL;
    RS_TRY(rs_models_denoiser(m, &d));
    *there = rs_denoiser_get_info(d)->image_dim > 0;
    if (*there)
        rest_denoiser(m);
    if (*there && !m->image)
        RS_TRY(rs_image_encoder_open(&m->image, m->dev, m->dir));
    return RS_OK;
}

rs_status rs_models_encode_image(rs_models *m, rs_arena *a, rs_tensor *states, rs_tensor frame)
{
    rs_tensor pixels;
    bool there;
    *states = (rs_tensor){0};
    RS_TRY(open_image(&there, m));
    if (!there)
        return RS_OK;
    *states = rs_tensor_new(
        a, RS_SHAPE(rs_image_encoder_tokens(m->image), rs_image_encoder_dim(m->image)));
    rs_arena *scratch = rs_arena_create();
    rs_status st = image_pixels(&pixels, m, scratch, frame);
    if (st == RS_OK)
        st = rs_image_encode(m->image, *states, pixels);
    rs_arena_destroy(&scratch);
    return st;
}

rs_status rs_models_embed_image(rs_models *m, rs_arena *a, rs_tensor *embedding, rs_tensor frame)
{
    rs_tensor pixels;
    int64_t dim;
    bool there;
    *embedding = (rs_tensor){0};
    RS_TRY(open_image(&there, m));
    if (!there)
        return RS_OK;
    RS_TRY(rs_image_embed_dim(&dim, m->image));
    *embedding = rs_tensor_new(a, RS_SHAPE(dim));
    rs_arena *scratch = rs_arena_create();
    rs_status st = image_pixels(&pixels, m, scratch, frame);
    if (st == RS_OK)
        st = rs_image_embed(m->image, *embedding, pixels);
    rs_arena_destroy(&scratch);
    return st;
}

static void read_frames(void *user, rs_tensor chunk, int64_t first)
{
    const rs_tensor *frames = user;
    rs_video_from_frames(chunk, rs_tensor_slice(*frames, first, first + chunk.shape[1]));
}

rs_status rs_models_encode_frames(rs_models *m, rs_arena *a, rs_tensor *latent, rs_tensor frames)
{
    rs_vae *vae = NULL;
    RS_TRY(rs_models_vae(m, &vae));
    const rs_vae_info *v = rs_vae_get_info(vae);
    int64_t T = frames.shape[0], H = frames.shape[1], W = frames.shape[2];
    *latent = rs_tensor_new(
        a, RS_SHAPE(v->z_dim, (T - 1) / v->scale_t + 1, H / v->scale_s, W / v->scale_s));
    if ((T - 1) % v->scale_t != 0 || H % v->scale_s != 0 || W % v->scale_s != 0)
        return RS_FAIL(INPUT, "%lld frames of %lldx%lld are none that the VAE takes", (long long)T,
                       (long long)W, (long long)H);
    return rs_vae_encode_from(vae, *latent, read_frames, &frames);
}

static void write_frames(void *user, rs_tensor chunk, int64_t first)
{
    const rs_tensor *frames = user;
    rs_frames_from_video(rs_tensor_slice(*frames, first, first + chunk.shape[1]), chunk);
}

rs_status rs_models_decode_frames(rs_models *m, rs_arena *a, rs_tensor *frames, rs_tensor latent)
{
    rs_vae *vae = NULL;
    RS_TRY(rs_models_vae(m, &vae));
    const rs_vae_info *v = rs_vae_get_info(vae);
    int64_t T = (latent.shape[1] - 1) * v->scale_t + 1;
    int64_t H = latent.shape[2] * v->scale_s, W = latent.shape[3] * v->scale_s;
    *frames =
        rs_tensor_of(rs_arena_alloc(a, (size_t)(T * H * W), 3), RS_DTYPE_U8, RS_SHAPE(T, H, W, 3));
    return rs_vae_decode_to(vae, latent, write_frames, frames);
}

rs_status rs_model_component_id(char out[RS_HASH_HEX], const char *dir, const char *component)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    const char *folder = rs_path_join(a, dir, component);
    char **names;
    int64_t n;
    rs_hash h;
    if (strcmp(component, "tokenizer") == 0)
        RS_TRY_OUT(rs_component_tokenizer(&folder, a, dir));
    else if (!rs_path_is_dir(folder))
        folder = dir;
    RS_TRY_OUT(rs_list_dir(&names, &n, a, folder));
    rs_hash_init(&h);
    for (int64_t i = 0; i < n; i++) {
        char hex[RS_HASH_HEX];
        RS_TRY_OUT(rs_hash_file_sampled(hex, rs_path_join(a, folder, names[i])));
        rs_hash_string(&h, names[i]);
        rs_hash_string(&h, hex);
    }
    rs_hash_final_hex(&h, out);
out:
    rs_arena_destroy(&a);
    return st;
}
