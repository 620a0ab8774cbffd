/* Frames of a video file or an image folder, chosen by index, handed to a receiver one by one at
 * source size. Clips and masks are two receivers of the same walk. */
#ifndef RS_MEDIA_SOURCE_PRIV_H
#define RS_MEDIA_SOURCE_PRIV_H

#include "media/av_priv.h"
#include "media/clip.h"

typedef struct rs_source {
    const char *path;
    char **names;   /* of a folder, sorted; NULL for a file */
    int64_t frames; /* exact for a folder and after a whole walk; an estimate before; */
    bool exact;
    rs_ratio fps;
    rs_arena *arena;
    const rs_media_stop *stop; /* asked for every frame that is decoded; NULL after open */
} rs_source;

/* Opens what `path` is and estimates the frame count (RS_SAMPLING_FIRST callers need none of it).
 */
rs_status rs_source_open(rs_source *s, rs_arena *a, const char *path) RS_NODISCARD;
/* "folder/name" of frame i, or "file" itself: what an error message should call it. */
const char *rs_source_frame_name(const rs_source *s, int64_t i);

/* Called for each chosen frame in order; the picture is borrowed. All pictures of a walk have one
 * size. */
typedef rs_status (*rs_frame_fn)(void *ctx, int64_t slot, int64_t source_frame,
                                 const rs_av_picture *picture);

/* Decode in order and hand over frames index[0..n) (ascending). With `to_end` a video is decoded to
 * its end and s->frames becomes exact; else the walk stops after the last index. *given: how many
 * were handed over (fewer than n when the source ends early). */
rs_status rs_source_walk(int64_t *given, rs_source *s, const int64_t *index, int64_t n, bool to_end,
                         rs_frame_fn fn, void *ctx) RS_NODISCARD;

/* RGBA -> RGB in place; true if every pixel was opaque. */
bool rs_picture_drop_alpha(rs_av_picture *p);

#endif
