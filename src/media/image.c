#include "media/image.h"

#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "media/source_priv.h"

typedef struct loader {
    rs_tensor *rgb;
    rs_arena *arena;
    const char *path;
} loader;

static rs_status keep(void *ctx, int64_t slot, int64_t at, const rs_av_picture *picture)
{
    (void)slot, (void)at;
    loader *l = ctx;
    rs_av_picture p = *picture;
    if (!rs_picture_drop_alpha(&p))
        RS_LOG(WARN, "%s: has transparent pixels; their stored colours are used", l->path);
    void *data = rs_arena_memdup(l->arena, p.data, (size_t)(p.w * p.h * 3));
    *l->rgb = rs_tensor_of(data, RS_DTYPE_U8, RS_SHAPE(p.h, p.w, 3));
    return RS_OK;
}

rs_status rs_image_load(rs_tensor *rgb, rs_arena *a, const char *path)
{
    if (rs_path_is_dir(path))
        return RS_FAIL(INPUT, "%s: an image is wanted, this is a folder", path);
    rs_source s = {.path = path, .arena = a};
    loader l = {rgb, a, path};
    int64_t first = 0, given;
    return rs_source_walk(&given, &s, &first, 1, false, keep, &l);
}

rs_status rs_image_load_fit(rs_tensor *rgb, rs_arena *a, const char *path, const rs_fit *fit)
{
    rs_tensor image;
    RS_TRY(rs_image_load(&image, a, path));
    int64_t h = image.shape[0], w = image.shape[1];
    if (w == fit->width && h == fit->height) {
        *rgb = image;
        return RS_OK;
    }
    if (w != fit->src_w || h != fit->src_h)
        return RS_FAIL(INPUT,
                       "%s: is %lldx%lld; wanted %lldx%lld (the clip) or %lldx%lld (its source)",
                       path, (long long)w, (long long)h, (long long)fit->width,
                       (long long)fit->height, (long long)fit->src_w, (long long)fit->src_h);
    uint8_t *data = rs_arena_alloc(a, (size_t)(fit->width * fit->height * 3), 1);
    rs_fit_bilinear(data, a, image.data, 3, fit);
    *rgb = rs_tensor_of(data, RS_DTYPE_U8, RS_SHAPE(fit->height, fit->width, 3));
    return RS_OK;
}

static rs_status encode_png(AVPacket *packet, AVCodecContext *c, AVFrame *frame, const char *path,
                            rs_tensor image)
{
    bool grey = image.ndim == 2;
    frame->width = c->width = rs_i32(image.shape[1]);
    frame->height = c->height = rs_i32(image.shape[0]);
    c->pix_fmt = grey ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24;
    frame->format = c->pix_fmt;
    c->time_base = (AVRational){1, 1};
    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    int rc = avcodec_open2(c, c->codec, NULL);
    if (rc >= 0)
        rc = av_frame_get_buffer(frame, 0);
    if (rc < 0)
        return RS_FAIL(INTERNAL, "%s: PNG encoder: %s", path, rs_av_text(rc));
    size_t row = (size_t)image.shape[1] * (grey ? 1 : 3);
    for (int64_t y = 0; y < image.shape[0]; y++)
        memcpy(frame->data[0] + y * frame->linesize[0],
               (const uint8_t *)image.data + (size_t)y * row, row);
    rc = avcodec_send_frame(c, frame);
    if (rc >= 0)
        rc = avcodec_send_frame(c, NULL);
    if (rc >= 0)
        rc = avcodec_receive_packet(c, packet);
    if (rc < 0)
        return RS_FAIL(INTERNAL, "%s: PNG encoder: %s", path, rs_av_text(rc));
    return RS_OK;
}

rs_status rs_image_write_png(const char *path, rs_tensor image)
{
    RS_ASSERTF(image.dtype == RS_DTYPE_U8 && rs_tensor_contiguous(image) &&
                   (image.ndim == 2 || (image.ndim == 3 && image.shape[2] == 3)),
               "PNG of a U8 (h,w,3) or (h,w) tensor");
    rs_av_quiet();
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    if (!codec)
        return RS_FAIL(INTERNAL, "this libavcodec has no PNG encoder");
    AVCodecContext *c = avcodec_alloc_context3(codec);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    rs_status st = RS_OK;
    if (!c || !frame || !packet) {
        st = RS_FAIL(NOMEM, "%s: no memory for the PNG encoder", path);
        goto out;
    }
    RS_TRY_OUT(encode_png(packet, c, frame, path, image));
    RS_TRY_OUT(rs_write_file_atomic(path, packet->data, (size_t)packet->size));
out:
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&c);
    return st;
}
