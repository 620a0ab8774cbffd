#include "media/encode.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavutil/opt.h>

#include "base/fsio.h"
#include "base/num.h"
#include "media/av_priv.h"
#include "media/image.h"

typedef struct writer {
    const char *path; /* final name, for messages */
    const char *temp;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *sws;
} writer;

static void writer_fini(writer *w)
{
    if (w->format)
        avio_closep(&w->format->pb);
    avformat_free_context(w->format);
    avcodec_free_context(&w->codec);
    av_frame_free(&w->frame);
    av_packet_free(&w->packet);
    sws_freeContext(w->sws);
}

static bool is_preset(const char *name)
{
    static const char *const known[] = {"ultrafast", "superfast", "veryfast", "faster",
                                        "fast",      "medium",    "slow",     "slower",
                                        "veryslow",  "placebo"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static rs_status check(const char *path, rs_tensor rgb, rs_ratio fps, const rs_encode_opts *o)
{
    RS_ASSERTF(rgb.dtype == RS_DTYPE_U8 && rgb.ndim == 4 && rgb.shape[3] == 3 &&
                   rs_tensor_contiguous(rgb) && rgb.shape[0] > 0,
               "video of a U8 (T,h,w,3) tensor");
    if (rgb.shape[1] % 2 || rgb.shape[2] % 2)
        return RS_FAIL(INPUT, "%s: a video of %lldx%lld cannot be written; sides must be even",
                       path, (long long)rgb.shape[2], (long long)rgb.shape[1]);
    if (fps.num <= 0 || fps.den <= 0 || fps.num > INT_MAX || fps.den > INT_MAX)
        return RS_FAIL(INPUT, "%s: frame rate %lld/%lld cannot be written", path,
                       (long long)fps.num, (long long)fps.den);
    if (o->crf < 0 || o->crf > 51)
        return RS_FAIL(INPUT, "%s: crf %d is not in 0..51", path, o->crf);
    if (!is_preset(o->preset))
        return RS_FAIL(INPUT, "%s: x264 has no preset \"%s\"", path, o->preset);
    return RS_OK;
}

static rs_status open_codec(writer *w, rs_tensor rgb, rs_ratio fps, const rs_encode_opts *o)
{
    const AVCodec *x264 = avcodec_find_encoder_by_name("libx264");
    if (!x264)
        return RS_FAIL(INTERNAL, "this libavcodec has no libx264 encoder");
    AVCodecContext *c = w->codec = avcodec_alloc_context3(x264);
    if (!c)
        return RS_FAIL(NOMEM, "%s: no memory for the encoder", w->path);
    c->width = rs_i32(rgb.shape[2]);
    c->height = rs_i32(rgb.shape[1]);
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){(int)fps.den, (int)fps.num};
    c->framerate = (AVRational){(int)fps.num, (int)fps.den};
    c->colorspace = AVCOL_SPC_BT709;
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    c->color_range = AVCOL_RANGE_MPEG;
    c->thread_count = 1; /* the number of threads shows in the bytes */
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (w->format->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (av_opt_set(c->priv_data, "preset", o->preset, 0) < 0)
        return RS_FAIL(INTERNAL, "%s: the encoder has no preset option", w->path);
    av_opt_set_int(c->priv_data, "crf", o->crf, 0);
    int rc = avcodec_open2(c, x264, NULL);
    if (rc < 0)
        return RS_FAIL(INPUT, "%s: cannot start libx264 (preset %s): %s", w->path, o->preset,
                       rs_av_text(rc));
    return RS_OK;
}

static rs_status open_writer(writer *w, rs_tensor rgb, rs_ratio fps, const rs_encode_opts *o)
{
    int rc = avformat_alloc_output_context2(&w->format, NULL, "mp4", w->temp);
    if (rc < 0)
        return RS_FAIL(INTERNAL, "%s: no mp4 writer: %s", w->path, rs_av_text(rc));
    w->format->flags |= AVFMT_FLAG_BITEXACT;
    RS_TRY(open_codec(w, rgb, fps, o));
    w->stream = avformat_new_stream(w->format, NULL);
    w->frame = av_frame_alloc();
    w->packet = av_packet_alloc();
    if (!w->stream || !w->frame || !w->packet)
        return RS_FAIL(NOMEM, "%s: no memory for the encoder", w->path);
    w->stream->time_base = w->codec->time_base;
    w->stream->avg_frame_rate = w->codec->framerate;
    rc = avcodec_parameters_from_context(w->stream->codecpar, w->codec);
    char url[4096];
    if (rc >= 0 && snprintf(url, sizeof url, "file:%s", w->temp) >= (int)sizeof url)
        return RS_FAIL(IO, "%s: path too long", w->path);
    if (rc >= 0)
        rc = avio_open(&w->format->pb, url, AVIO_FLAG_WRITE);
    if (rc < 0)
        return RS_FAIL(IO, "%s: cannot create: %s", w->path, rs_av_text(rc));
    AVDictionary *options = NULL;
    av_dict_set(&options, "movflags", "+faststart", 0);
    rc = avformat_write_header(w->format, &options);
    av_dict_free(&options);
    if (rc < 0)
        return RS_FAIL(IO, "%s: cannot write: %s", w->path, rs_av_text(rc));
    return RS_OK;
}

static rs_status open_conversion(writer *w)
{
    AVCodecContext *c = w->codec;
    int flags =
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
    w->sws = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height, c->pix_fmt,
                            flags, NULL, NULL, NULL);
    if (!w->sws)
        return RS_FAIL(INTERNAL, "%s: no conversion from RGB to yuv420p", w->path);
    sws_setColorspaceDetails(w->sws, sws_getCoefficients(SWS_CS_DEFAULT), 1,
                             sws_getCoefficients(SWS_CS_ITU709), 0, 0, 1 << 16, 1 << 16);
    w->frame->format = c->pix_fmt;
    w->frame->width = c->width;
    w->frame->height = c->height;
    w->frame->colorspace = c->colorspace;
    w->frame->color_range = c->color_range;
    int rc = av_frame_get_buffer(w->frame, 0);
    if (rc < 0)
        return RS_FAIL(NOMEM, "%s: no memory for a frame: %s", w->path, rs_av_text(rc));
    return RS_OK;
}

/* Hand one frame (NULL: the end) to the encoder and write what comes out. */
static rs_status encode(writer *w, AVFrame *frame)
{
    int rc = avcodec_send_frame(w->codec, frame);
    while (rc >= 0) {
        rc = avcodec_receive_packet(w->codec, w->packet);
        if (rc < 0)
            break;
        av_packet_rescale_ts(w->packet, w->codec->time_base, w->stream->time_base);
        w->packet->duration = av_rescale_q(1, w->codec->time_base, w->stream->time_base);
        w->packet->stream_index = w->stream->index;
        rc = av_interleaved_write_frame(w->format, w->packet);
    }
    if (rc != AVERROR(EAGAIN) && rc != AVERROR_EOF)
        return RS_FAIL(IO, "%s: cannot write: %s", w->path, rs_av_text(rc));
    return RS_OK;
}

static rs_status write_frames(writer *w, rs_tensor rgb)
{
    int stride[4] = {w->codec->width * 3};
    for (int64_t t = 0; t < rgb.shape[0]; t++) {
        const uint8_t *src[4] = {rs_tensor_slice(rgb, t, t + 1).data};
        int rc = av_frame_make_writable(w->frame);
        if (rc >= 0)
            rc = sws_scale(w->sws, src, stride, 0, w->codec->height, w->frame->data,
                           w->frame->linesize);
        if (rc < 0)
            return RS_FAIL(INTERNAL, "%s: frame %lld: %s", w->path, (long long)t, rs_av_text(rc));
        w->frame->pts = t;
        RS_TRY(encode(w, w->frame));
    }
    RS_TRY(encode(w, NULL));
    int rc = av_write_trailer(w->format);
    if (rc >= 0)
        rc = avio_closep(&w->format->pb);
    if (rc < 0)
        return RS_FAIL(IO, "%s: cannot write: %s", w->path, rs_av_text(rc));
    return RS_OK;
}

rs_status rs_video_write(const char *path, rs_tensor rgb, rs_ratio fps, const rs_encode_opts *o)
{
    rs_av_quiet();
    RS_TRY(check(path, rgb, fps, o));
    rs_arena *a = rs_arena_create();
    writer w = {.path = path, .temp = rs_atomic_temp(a, path)};
    rs_status st = RS_OK;
    RS_TRY_OUT(open_writer(&w, rgb, fps, o));
    RS_TRY_OUT(open_conversion(&w));
    RS_TRY_OUT(write_frames(&w, rgb));
    RS_TRY_OUT(rs_atomic_commit(w.temp, path));
out:
    writer_fini(&w);
    if (st != RS_OK)
        unlink(w.temp);
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_frames_write_png(const char *folder, rs_tensor frames)
{
    RS_ASSERTF(frames.dtype == RS_DTYPE_U8 && frames.ndim >= 3, "frames of a U8 tensor");
    RS_TRY(rs_make_dirs(folder));
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    for (int64_t t = 0; t < frames.shape[0] && st == RS_OK; t++) {
        const char *name = rs_arena_printf(a, "%s/%05lld.png", folder, (long long)t);
        rs_tensor one = rs_tensor_slice(frames, t, t + 1);
        st = rs_image_write_png(name, rs_tensor_reshape(one, frames.ndim - 1, frames.shape + 1));
    }
    rs_arena_destroy(&a);
    return st;
}
