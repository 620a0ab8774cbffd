/* AVFrame -> packed, upright 8-bit RGB or RGBA. Rules: a tagged colour matrix and range are
 * honoured, an untagged YUV picture is BT.601 limited range (what ffmpeg and OpenCV assume); grey
 * becomes R=G=B; more than 8 bits are reduced without dither; alpha is kept beside the colours as
 * stored, never blended here. */
#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#include "base/num.h"
#include "media/av_priv.h"

enum { MAX_SIDE = 32768 };

void rs_av_converter_fini(rs_av_converter *c)
{
    sws_freeContext(c->sws);
    rs_dealloc(c->buffer);
    rs_dealloc(c->upright);
    *c = (rs_av_converter){0};
}

static rs_status reserve(uint8_t **buffer, size_t *have, size_t want)
{
    if (*have >= want)
        return RS_OK;
    rs_dealloc(*buffer);
    *have = 0;
    *buffer = rs_alloc_large(want);
    if (!*buffer)
        return RS_FAIL(NOMEM, "no memory for a picture of %zu bytes", want);
    *have = want;
    return RS_OK;
}

/* The yuvj formats are old names for full range; libswscale warns about them. */
static enum AVPixelFormat plain_format(enum AVPixelFormat f, bool *full_range)
{
    static const enum AVPixelFormat table[][2] = {
        {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P}, {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
        {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P}, {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
        {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (f == table[i][0]) {
            *full_range = true;
            return table[i][1];
        }
    }
    return f;
}

static int matrix_of(const AVFrame *frame)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    default:
        return SWS_CS_ITU601;
    }
}

static rs_status to_packed(rs_av_converter *c, const AVFrame *frame, int channels)
{
    bool full = frame->color_range == AVCOL_RANGE_JPEG;
    enum AVPixelFormat from = plain_format(frame->format, &full);
    enum AVPixelFormat to = channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    int flags =
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
    c->sws = sws_getCachedContext(c->sws, frame->width, frame->height, from, frame->width,
                                  frame->height, to, flags, NULL, NULL, NULL);
    if (!c->sws)
        return RS_FAIL(INPUT, "pixel format %s cannot be converted",
                       av_get_pix_fmt_name(frame->format));
    const int *coefficients = sws_getCoefficients(matrix_of(frame));
    /* RGB and grey sources have no matrix; libswscale answers -1 for them and that is fine. */
    sws_setColorspaceDetails(c->sws, coefficients, full, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0,
                             1 << 16, 1 << 16);
    uint8_t *dst[4] = {c->buffer};
    int stride[4] = {frame->width * channels};
    int rc = sws_scale(c->sws, (const uint8_t *const *)frame->data, frame->linesize, 0,
                       frame->height, dst, stride);
    if (rc != frame->height)
        return RS_FAIL(INPUT, "pixel format %s: conversion failed: %s",
                       av_get_pix_fmt_name(frame->format),
                       rs_av_text(rc < 0 ? rc : AVERROR_UNKNOWN));
    return RS_OK;
}

static int sign_of(int32_t v)
{
    return v > 0 ? 1 : v < 0 ? -1 : 0;
}

/* x' = a x + c y, y' = b x + d y with one of the eight right-angled matrices. */
static rs_status turn(rs_av_picture *p, rs_av_converter *c, const int32_t *display)
{
    int a = sign_of(display[0]), b = sign_of(display[1]);
    int k = sign_of(display[3]), d = sign_of(display[4]);
    if (a == 1 && b == 0 && k == 0 && d == 1)
        return RS_OK;
    bool upright = a && d && !b && !k, sideways = b && k && !a && !d;
    if (!upright && !sideways)
        return RS_FAIL(INPUT, "display matrix is not a multiple of 90 degrees");
    int64_t w = upright ? p->w : p->h, h = upright ? p->h : p->w;
    RS_TRY(reserve(&c->upright, &c->upright_bytes, (size_t)(w * h * p->channels)));
    int64_t x0 = a < 0 || k < 0 ? w - 1 : 0, y0 = b < 0 || d < 0 ? h - 1 : 0;
    const uint8_t *in = p->data;
    for (int64_t y = 0; y < p->h; y++) {
        for (int64_t x = 0; x < p->w; x++, in += p->channels) {
            int64_t to = (y0 + b * x + d * y) * w + x0 + a * x + k * y;
            memcpy(c->upright + to * p->channels, in, (size_t)p->channels);
        }
    }
    p->data = c->upright;
    p->w = w;
    p->h = h;
    return RS_OK;
}

rs_status rs_av_convert(rs_av_picture *out, rs_av_converter *c, const AVFrame *frame,
                        const int32_t *display)
{
    if (frame->width < 1 || frame->height < 1 || frame->width > MAX_SIDE ||
        frame->height > MAX_SIDE)
        return RS_FAIL(INPUT, "picture of %dx%d; sides may be 1 to %d", frame->width, frame->height,
                       MAX_SIDE);
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    if (!desc || (desc->flags & AV_PIX_FMT_FLAG_HWACCEL))
        return RS_FAIL(INPUT, "unknown pixel format %d", frame->format);
    int channels = desc->flags & AV_PIX_FMT_FLAG_ALPHA ? 4 : 3;
    size_t bytes = (size_t)frame->width * (size_t)frame->height * (size_t)channels + 64;
    RS_TRY(reserve(&c->buffer, &c->bytes, bytes)); /* 64: vector stores past the last row */
    RS_TRY(to_packed(c, frame, channels));
    *out = (rs_av_picture){c->buffer, frame->width, frame->height, channels};
    return display ? turn(out, c, display) : RS_OK;
}
