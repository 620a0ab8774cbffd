/* libav plumbing shared by the files of this folder: error text, quiet logging, byte input, frame
 * reading and conversion. The only header that names libav types. */
#ifndef RS_MEDIA_AV_PRIV_H
#define RS_MEDIA_AV_PRIV_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

#include "base/arena.h"
#include "base/status.h"
#include "media/clip.h"

/* From now on this thread's libav messages go to a small record instead of stderr; the record is
 * emptied. */
void rs_av_quiet(void);
/* Text for a libav error code followed by the last message of the library, in a thread-local
 * buffer. */
const char *rs_av_text(int code);

/* Decoded pictures of one file, in presentation order. */
typedef struct rs_av_reader rs_av_reader;
/* Opens by content, never by name; reads nothing but this file. */
rs_status rs_av_reader_open(rs_av_reader **out, const char *path) RS_NODISCARD;
void rs_av_reader_close(rs_av_reader **r); /* accepts NULL, nulls the pointer */
/* Frames per second of the container, 0/1 for still images and where it does not say. */
rs_ratio rs_av_reader_fps(const rs_av_reader *r);
/* Packets of the video stream by demuxing to the end: a good guess of the frame count, no decoding.
 * Leaves the reader at the end. */
rs_status rs_av_reader_count_packets(int64_t *n, rs_av_reader *r) RS_NODISCARD;
/* Next frame, borrowed until the next call; *frame NULL at the end. */
rs_status rs_av_reader_next(const AVFrame **frame, rs_av_reader *r) RS_NODISCARD;

/* One picture in memory: (h, w, channels) U8, RGB or RGBA, upright. */
typedef struct rs_av_picture {
    uint8_t *data;
    int64_t w, h;
    int channels; /* 3, or 4 where the source has alpha */
} rs_av_picture;

/* Frame -> picture, buffers reused from call to call. */
typedef struct rs_av_converter {
    struct SwsContext *sws;
    uint8_t *buffer; /* rs_alloc_large */
    size_t bytes;
    uint8_t *upright; /* second buffer, only for rotated sources */
    size_t upright_bytes;
} rs_av_converter;

void rs_av_converter_fini(rs_av_converter *c);
/* picture borrows the converter's memory until the next call. `display`: 3x3 display matrix or
 * NULL. */
rs_status rs_av_convert(rs_av_picture *out, rs_av_converter *c, const AVFrame *frame,
                        const int32_t *display) RS_NODISCARD;
/* Display matrix of a frame, or that of its stream, or NULL. */
const int32_t *rs_av_reader_display(const rs_av_reader *r, const AVFrame *frame);

#endif
