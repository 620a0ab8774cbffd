/* A clip: the frames of a job's source, chosen, resized and counted by the LoRA-Edit rules, in
 * memory. */
#ifndef RS_MEDIA_CLIP_H
#define RS_MEDIA_CLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"
#include "media/fit.h"

/* A positive fraction in lowest terms; 0/1 means unknown. */
typedef struct rs_ratio {
    int64_t num, den;
} rs_ratio;

rs_ratio rs_ratio_of(int64_t num, int64_t den); /* reduced; 0/1 if not both positive */

typedef enum rs_sampling {
    RS_SAMPLING_EVEN, /* T frames spread over the whole source */
    RS_SAMPLING_FIRST /* the first T frames; decoding stops there */
} rs_sampling;

/* Asked between frames while a source is read; true: the load ends with RS_STOPPED. */
typedef struct rs_media_stop {
    bool (*asked)(const void *ctx);
    const void *ctx;
} rs_media_stop;

typedef struct rs_clip_opts {
    int64_t frames; /* T wanted, 4n+1; 0: every frame */
    int64_t width;  /* target size; both 0: the source's own */
    int64_t height;
    rs_sampling sampling;
    bool strict; /* a source too short for T, or not 4n+1, is an error instead of being trimmed */
    const rs_media_stop *stop; /* NULL: never */
} rs_clip_opts;
#define RS_CLIP_OPTS_DEFAULT                                                                       \
    {                                                                                              \
        .frames = 49, .width = 832, .height = 480                                                  \
    }

typedef struct rs_clip {
    rs_tensor rgb;  /* U8 (T, height, width, 3), T = 4n+1 */
    int64_t *index; /* [T] source frame of each frame, ascending */
    int64_t
        source_frames; /* frames in the source; -1 where RS_SAMPLING_FIRST stopped before the end */
    rs_fit fit;        /* source size -> target size */
    rs_ratio fps;      /* of the source; 0/1 for images */
    rs_ratio play_fps; /* at which these frames last as long as the source frames they stand for */
} rs_clip;

/* Frame choice of an n-frame source: all if T >= n, else index_i = min(trunc(i*(n/T)), n-1) in
 * double. Writes min(T, n) indices and returns how many. */
int64_t rs_frame_indices(int64_t *index, int64_t n, int64_t frames);
/* Largest 4k+1 not above n; 0 for n < 1. */
int64_t rs_frames_4n1(int64_t n);

/* Load a clip. `path`: any video or image that libav reads, or a folder of images (one per frame,
 * ordered by name with numbers compared as numbers; other files are ignored). Frames are counted by
 * decoding, not from metadata; only the chosen ones are kept. Alpha is dropped (with a warning
 * where it is not opaque), grey is expanded, deeper formats are reduced to 8 bits, rotation tags
 * are applied. A source with fewer than T frames gives its largest 4n+1 (logged as a warning)
 * unless `strict`. Memory of `out` is in `a`. Errors: RS_INPUT naming file and frame; RS_NOMEM;
 * RS_IO; RS_STOPPED. */
rs_status rs_clip_load(rs_clip *out, rs_arena *a, const char *path,
                       const rs_clip_opts *o) RS_NODISCARD;

/* What a source is, cheaply: opens it and decodes one frame. */
typedef struct rs_clip_info {
    int64_t width, height; /* upright */
    int64_t frames; /* from a scan of the container without decoding: an estimate for videos */
    rs_ratio fps;
} rs_clip_info;

rs_status rs_clip_probe(rs_clip_info *out, const char *path) RS_NODISCARD;
/* Frames of a source, exactly: a folder's files are counted, a video is decoded to its end. */
rs_status rs_clip_count(int64_t *frames, const char *path) RS_NODISCARD;

#endif
