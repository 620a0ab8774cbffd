/* Wan VAE: streaming a clip through encoder or decoder chunk by chunk. A chunk is one latent frame
 * (the first pixel frame, then scale_t of them), so memory does not grow with the clip; the caches
 * of the causal convolutions make the result that of the whole clip at once. */
#include "base/num.h"
#include "model/wan/wan_vae_priv.h"

/* ---- one chunk ---- */

/* Frames [lo,hi) of a host tensor (C,T,H,W) into (hi-lo,H,W,C), channels last, in buffer 0. */
static void put_frames(rs_vae *v, rs_tensor src, int64_t lo, int64_t hi)
{
    rs_vae_run *r = &v->run;
    int64_t c = src.shape[0], plane = src.shape[2] * src.shape[3], n = (hi - lo) * plane;
    float *first = rs_f32(r->buffer[1]);
    for (int64_t i = 0; i < c; i++)
        rs_device_put(r->dev, first + i * n, rs_f32(src) + (i * src.shape[1] + lo) * plane,
                      (size_t)n * sizeof(float));
    r->at = 0;
    r->x = rs_tensor_of(r->buffer[0].data, RS_DTYPE_F32,
                        RS_SHAPE(hi - lo, src.shape[2], src.shape[3], c));
    RS_OP(r->dev, transpose, .y = r->x, .x = rs_tensor_of(first, RS_DTYPE_F32, RS_SHAPE(c, n)),
          .rows = c, .cols = n);
}

/* The first C channels of x into frames [lo,..) of a host tensor (C,T,H,W); mul and add optional.
 */
static void get_frames(rs_vae *v, rs_tensor dst, int64_t lo, rs_tensor mul, rs_tensor add)
{
    rs_vae_run *r = &v->run;
    int64_t c = dst.shape[0], plane = dst.shape[2] * dst.shape[3];
    int64_t n = rs_tensor_rows(r->x), have = rs_tensor_cols(r->x);
    RS_ASSERT(n % plane == 0 && have >= c && lo + n / plane <= dst.shape[1]);
    rs_tensor flat = r->buffer[(r->at + 1) % RS_VAE_BUFFERS];
    rs_tensor all = rs_tensor_of(flat.data, RS_DTYPE_F32, RS_SHAPE(have, n));
    RS_OP(r->dev, transpose, .y = all, .x = r->x, .rows = n, .cols = have);
    rs_tensor out = rs_tensor_slice(all, 0, c);
    if (rs_has(mul))
        RS_OP(r->dev, affine, .y = out, .x = out, .mul = mul, .add = add, .channel_first = true);
    for (int64_t i = 0; i < c; i++)
        rs_device_get(r->dev, rs_f32(dst) + (i * dst.shape[1] + lo) * plane, rs_f32(out) + i * n,
                      (size_t)n * sizeof(float));
}

static void run_net(rs_vae_run *r, const rs_vae_net *net)
{
    for (int64_t i = 0; i < net->n; i++)
        rs_vae_layer_run(r, &net->layers[i]);
}

/* ---- encode and decode ---- */

static bool is_clip(rs_tensor t, int64_t channels)
{
    return t.ndim == 4 && t.dtype == RS_DTYPE_F32 && rs_tensor_contiguous(t) &&
           t.shape[0] == channels;
}

static rs_status check_video(const rs_vae *v, int64_t frames, int64_t h, int64_t w)
{
    int64_t st = v->info.scale_t, ss = v->info.scale_s;
    if (frames < 1 || (frames - 1) % st != 0)
        return RS_FAIL(INPUT, "video of %lld frames: the VAE takes %lldk+1 frames",
                       (long long)frames, (long long)st);
    if (h < ss || w < ss || h % ss != 0 || w % ss != 0)
        return RS_FAIL(INPUT, "video of %lldx%lld: the VAE takes sizes that divide by %lld",
                       (long long)w, (long long)h, (long long)ss);
    return RS_OK;
}

/* A clip, all of it (3,T,H,W), or frame by frame through `room` (3,n,H,W). */
typedef struct clip {
    rs_tensor all;
    rs_vae_frames_fn *fn;
    void *user;
    rs_tensor room;
} clip;

/* Room for the frames of a chunk of latent (z,F,h,w). */
static rs_tensor chunk_room(const rs_vae *v, rs_arena *a, rs_tensor latent)
{
    int64_t n = v->info.scale_t * v->chunk, s = v->info.scale_s;
    return rs_tensor_new(a, RS_SHAPE(RS_VAE_RGB, n, latent.shape[2] * s, latent.shape[3] * s));
}

static rs_tensor first_frames(rs_tensor room, int64_t n)
{
    const int64_t *s = room.shape;
    return rs_tensor_of(room.data, RS_DTYPE_F32, RS_SHAPE(s[0], n, s[2], s[3]));
}

static rs_status encode(rs_vae *v, rs_tensor latent, const clip *c)
{
    const int64_t *s = latent.shape;
    RS_TRY(rs_vae_bind(v, false, s[1], s[2], s[3]));
    for (int64_t f = 0; f < s[1]; f += v->chunk) {
        int64_t end = rs_min_i64(f + v->chunk, s[1]), lo = rs_vae_pixel_frame(v, f);
        int64_t hi = rs_vae_pixel_frame(v, end);
        v->run.first = f == 0;
        v->run.last = end == s[1];
        if (c->fn) {
            rs_tensor frames = first_frames(c->room, hi - lo);
            c->fn(c->user, frames, lo);
            put_frames(v, frames, 0, hi - lo);
        } else {
            put_frames(v, c->all, lo, hi);
        }
        run_net(&v->run, &v->encoder);
        get_frames(v, latent, f, v->encode_mul, v->encode_add);
        RS_TRY(rs_device_check(v->dev));
    }
    return RS_OK;
}

rs_status rs_vae_encode_from(rs_vae *v, rs_tensor latent, rs_vae_frames_fn *read, void *user)
{
    RS_ASSERT(is_clip(latent, v->info.z_dim) && latent.shape[1] >= 1);
    rs_arena *a = rs_arena_create();
    clip c = {.fn = read, .user = user, .room = chunk_room(v, a, latent)};
    rs_status st = encode(v, latent, &c);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_vae_encode(rs_vae *v, rs_tensor latent, rs_tensor video)
{
    RS_ASSERT(is_clip(video, RS_VAE_RGB) && is_clip(latent, v->info.z_dim));
    RS_TRY(check_video(v, video.shape[1], video.shape[2], video.shape[3]));
    const int64_t *s = latent.shape;
    RS_ASSERT(rs_vae_pixel_frame(v, s[1]) == video.shape[1] &&
              s[2] * v->info.scale_s == video.shape[2] && s[3] * v->info.scale_s == video.shape[3]);
    return encode(v, latent, &(clip){.all = video});
}

static void clamp(rs_tensor video)
{
    float *p = rs_f32(video);
    for (int64_t i = 0, n = rs_tensor_count(video); i < n; i++)
        p[i] = p[i] < -1.0f ? -1.0f : p[i] > 1.0f ? 1.0f : p[i];
}

static rs_status decode(rs_vae *v, const clip *c, rs_tensor latent, bool raw)
{
    const int64_t *s = latent.shape;
    RS_TRY(rs_vae_bind(v, true, s[1], s[2], s[3]));
    for (int64_t f = 0; f < s[1]; f += v->chunk) {
        int64_t end = rs_min_i64(f + v->chunk, s[1]);
        v->run.first = f == 0;
        v->run.last = end == s[1];
        put_frames(v, latent, f, end);
        RS_OP(v->dev, affine, .y = v->run.x, .x = v->run.x, .mul = v->decode_mul,
              .add = v->decode_add);
        run_net(&v->run, &v->decoder);
        int64_t lo = rs_vae_pixel_frame(v, f);
        rs_tensor to = c->fn ? first_frames(c->room, rs_vae_pixel_frame(v, end) - lo) : c->all;
        get_frames(v, to, c->fn ? 0 : lo, (rs_tensor){0}, (rs_tensor){0});
        RS_TRY(rs_device_check(v->dev));
        if (c->fn) {
            clamp(to);
            c->fn(c->user, to, lo);
        }
    }
    if (!raw && !c->fn)
        clamp(c->all);
    return RS_OK;
}

rs_status rs_vae_decode_to(rs_vae *v, rs_tensor latent, rs_vae_frames_fn *write, void *user)
{
    RS_ASSERT(is_clip(latent, v->info.z_dim) && latent.shape[1] >= 1);
    rs_arena *a = rs_arena_create();
    clip c = {.fn = write, .user = user, .room = chunk_room(v, a, latent)};
    rs_status st = decode(v, &c, latent, false);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_vae_decode(rs_vae *v, rs_tensor video, rs_tensor latent, bool raw)
{
    RS_ASSERT(is_clip(video, RS_VAE_RGB) && is_clip(latent, v->info.z_dim));
    const int64_t *s = latent.shape;
    RS_ASSERT(s[1] >= 1 && rs_vae_pixel_frame(v, s[1]) == video.shape[1] &&
              s[2] * v->info.scale_s == video.shape[2] && s[3] * v->info.scale_s == video.shape[3]);
    return decode(v, &(clip){.all = video}, latent, raw);
}
