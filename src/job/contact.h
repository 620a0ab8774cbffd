/* The contact sheet of a video: what was read and what came out, as one PNG. */
#ifndef RS_JOB_CONTACT_H
#define RS_JOB_CONTACT_H

#include "stage/stage.h"

/* One edit as it is published. frames ndim 0: it failed, `reason` says why. */
typedef struct rs_contact_edit {
    const char *id;
    rs_tensor frames; /* U8 (T,H,W,3) */
    rs_tensor first;  /* U8 (1,H,W,3): the edited first frame, ndim 0 when it could not be read */
    rs_tensor latent; /* (z,F',h,w) */
    const char *seed, *reason;
    char movie_hash[RS_HASH_HEX]; /* of the mp4, once written */
    char metrics_key[RS_HASH_HEX];
} rs_contact_edit;

/* Strips: source, mask, condition video, then for every edit its frames. Scratch in `a`. */
rs_status rs_contact_write(const char *path, rs_arena *a, const rs_run *run, const rs_job *video,
                           const rs_contact_edit *edits, int64_t n) RS_NODISCARD;

#endif
