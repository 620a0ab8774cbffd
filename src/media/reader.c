/* Reading frames of one file. The file is opened through an own byte source with no name, so that
 * the format is found from the content alone ("frame%03d.png" or "a*.jpg" are ordinary names) and
 * formats that refer to other files or to the network cannot reach them. Decoding is strict: what
 * the decoder would conceal is an error that names the frame. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/display.h>
#include <libavutil/opt.h>

#include "base/fsio.h"
#include "media/av_priv.h"

enum { IO_BUFFER = 64 * 1024 };

struct rs_av_reader {
    char *path;
    FILE *file;
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    AVStream *stream;
    int64_t frames; /* handed out so far */
    bool draining;
};

static int read_bytes(void *opaque, uint8_t *buffer, int size)
{
    FILE *f = opaque;
    size_t n = fread(buffer, 1, (size_t)size, f);
    if (n == 0)
        return ferror(f) ? AVERROR(EIO) : AVERROR_EOF;
    return (int)n;
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    FILE *f = opaque;
    if (whence & AVSEEK_SIZE) {
        off_t here = ftello(f);
        if (here < 0 || fseeko(f, 0, SEEK_END) != 0)
            return AVERROR(EIO);
        off_t size = ftello(f);
        return fseeko(f, here, SEEK_SET) == 0 ? (int64_t)size : AVERROR(EIO);
    }
    whence &= ~AVSEEK_FORCE;
    return fseeko(f, (off_t)offset, whence) == 0 ? (int64_t)ftello(f) : AVERROR(errno);
}

static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **options)
{
    (void)s, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

static rs_status open_container(rs_av_reader *r)
{
    uint8_t *buffer = av_malloc(IO_BUFFER);
    r->io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, r->file, read_bytes, NULL, seek_bytes)
                   : NULL;
    r->format = avformat_alloc_context();
    char *no_protocol = av_strdup("none");
    if (!r->io || !r->format || !no_protocol) {
        if (!r->io)
            av_free(buffer);
        av_free(no_protocol);
        return RS_FAIL(NOMEM, "%s: no memory to open it", r->path);
    }
    r->format->pb = r->io;
    r->format->io_open = refuse_open;            /* formats that open files through this one */
    r->format->protocol_whitelist = no_protocol; /* and those that start a reader of their own */
    int rc = avformat_open_input(&r->format, "", NULL, NULL); /* frees the context on failure */
    if (rc < 0)
        return RS_FAIL(INPUT, "%s: not a video or image that can be read: %s", r->path,
                       rs_av_text(rc));
    rc = avformat_find_stream_info(r->format, NULL);
    if (rc < 0)
        return RS_FAIL(INPUT, "%s: no stream can be read: %s", r->path, rs_av_text(rc));
    return RS_OK;
}

static rs_status open_decoder(rs_av_reader *r)
{
    const AVCodec *decoder = NULL;
    int index = av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
    if (index == AVERROR_STREAM_NOT_FOUND)
        return RS_FAIL(INPUT, "%s: no video stream", r->path);
    if (index < 0 || !decoder)
        return RS_FAIL(INPUT, "%s: no decoder for its video stream", r->path);
    r->stream = r->format->streams[index];
    if (r->stream->codecpar->codec_id == AV_CODEC_ID_ANSI)
        return RS_FAIL(INPUT, "%s: not a video or image (text)", r->path);
    r->codec = avcodec_alloc_context3(decoder);
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    if (!r->codec || !r->packet || !r->frame)
        return RS_FAIL(NOMEM, "%s: no memory for a decoder", r->path);
    int rc = avcodec_parameters_to_context(r->codec, r->stream->codecpar);
    if (rc >= 0) {
        r->codec->thread_count = 1;
        r->codec->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
        r->codec->pkt_timebase = r->stream->time_base;
        rc = avcodec_open2(r->codec, decoder, NULL);
    }
    if (rc < 0)
        return RS_FAIL(INPUT, "%s: cannot start the %s decoder: %s", r->path, decoder->name,
                       rs_av_text(rc));
    return RS_OK;
}

rs_status rs_av_reader_open(rs_av_reader **out, const char *path)
{
    rs_status st = RS_OK;
    *out = NULL;
    rs_av_quiet();
    if (!rs_path_exists(path))
        return RS_FAIL(INPUT, "%s: no such file or folder", path);
    if (rs_file_size(path) == 0)
        return RS_FAIL(INPUT, "%s: file is empty", path);
    rs_av_reader *r = rs_alloc(1, sizeof *r);
    r->path = rs_alloc(strlen(path) + 1, 1);
    memcpy(r->path, path, strlen(path));
    r->file = fopen(path, "rb");
    if (!r->file) {
        st = RS_FAIL(INPUT, "%s: cannot open: %s", path, strerror(errno));
        goto out;
    }
    RS_TRY_OUT(open_container(r));
    RS_TRY_OUT(open_decoder(r));
    *out = r;
    r = NULL;
out:
    rs_av_reader_close(&r);
    return st;
}

void rs_av_reader_close(rs_av_reader **r)
{
    if (!r || !*r)
        return;
    rs_av_reader *d = *r;
    av_frame_free(&d->frame);
    av_packet_free(&d->packet);
    avcodec_free_context(&d->codec);
    avformat_close_input(&d->format);
    if (d->io)
        av_freep(&d->io->buffer);
    avio_context_free(&d->io);
    if (d->file)
        fclose(d->file);
    rs_dealloc(d->path);
    rs_dealloc(d);
    *r = NULL;
}

rs_ratio rs_av_reader_fps(const rs_av_reader *r)
{
    const char *name = r->format->iformat->name; /* image demuxers invent a rate of 25 */
    if (strstr(name, "_pipe") || strstr(name, "image2"))
        return (rs_ratio){0, 1};
    AVRational q = av_guess_frame_rate(r->format, r->stream, NULL);
    if (q.num <= 0 || q.den <= 0)
        return (rs_ratio){0, 1};
    return (rs_ratio){q.num, q.den};
}

static bool is_picture(const rs_av_reader *r)
{
    return r->packet->stream_index == r->stream->index && r->packet->size > 0;
}

rs_status rs_av_reader_count_packets(int64_t *n, rs_av_reader *r)
{
    *n = 0;
    for (;;) {
        int rc = av_read_frame(r->format, r->packet);
        if (rc < 0) /* a damaged file is reported by the decoding pass, with the frame */
            return RS_OK;
        *n += is_picture(r) && !(r->packet->flags & AV_PKT_FLAG_DISCARD);
        av_packet_unref(r->packet);
    }
}

static rs_status feed(rs_av_reader *r)
{
    int rc;
    do {
        av_packet_unref(r->packet);
        rc = av_read_frame(r->format, r->packet);
    } while (rc >= 0 && !is_picture(r)); /* an empty packet would end the decoder */
    if (rc == AVERROR_EOF) {
        r->draining = true;
        rc = avcodec_send_packet(r->codec, NULL);
    } else if (rc >= 0 && (r->packet->flags & AV_PKT_FLAG_CORRUPT)) {
        av_packet_unref(r->packet);
        return RS_FAIL(INPUT, "%s: damaged or truncated at frame %lld", r->path,
                       (long long)r->frames);
    } else if (rc >= 0) {
        rc = avcodec_send_packet(r->codec, r->packet);
        av_packet_unref(r->packet);
    }
    if (rc < 0)
        return RS_FAIL(INPUT, "%s: cannot decode frame %lld: %s", r->path, (long long)r->frames,
                       rs_av_text(rc));
    return RS_OK;
}

rs_status rs_av_reader_next(const AVFrame **frame, rs_av_reader *r)
{
    *frame = NULL;
    for (;;) {
        int rc = avcodec_receive_frame(r->codec, r->frame);
        if (rc == 0)
            break;
        if (rc == AVERROR_EOF)
            return RS_OK;
        if (rc != AVERROR(EAGAIN))
            return RS_FAIL(INPUT, "%s: cannot decode frame %lld: %s", r->path, (long long)r->frames,
                           rs_av_text(rc));
        RS_TRY(feed(r));
    }
    if (r->frame->decode_error_flags || (r->frame->flags & AV_FRAME_FLAG_CORRUPT))
        return RS_FAIL(INPUT, "%s: frame %lld is damaged: %s", r->path, (long long)r->frames,
                       rs_av_text(AVERROR_INVALIDDATA));
    r->frames++;
    *frame = r->frame;
    return RS_OK;
}

const int32_t *rs_av_reader_display(const rs_av_reader *r, const AVFrame *frame)
{
    const AVFrameSideData *side = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (side && side->size >= 9 * sizeof(int32_t))
        return (const int32_t *)(const void *)side->data;
    size_t bytes = 0;
    const uint8_t *data = av_stream_get_side_data(r->stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    return data && bytes >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data : NULL;
}
