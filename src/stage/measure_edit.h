/* All measures of the published edits of one video. Private to src/stage and src/job. */
#ifndef RS_STAGE_MEASURE_EDIT_H
#define RS_STAGE_MEASURE_EDIT_H

#include "stage/measure.h"
#include "stage/stage.h"

/* What the edits of a video share, made when first needed. init: video loaded. */
typedef struct rs_measuring {
    rs_run *run;
    rs_job *video;
    rs_arena *arena;      /* lifetime of this struct's tensors */
    rs_tensor object;     /* U8 (T,H,W): the mask as given */
    rs_tensor embeddings; /* (T,dim) of the source; ndim 0: not made yet */
    bool no_clip;         /* found out that the model cannot */
} rs_measuring;

rs_measuring rs_measuring_init(rs_run *run, rs_job *video, rs_arena *a);

/* Hash of everything that an edit's measures depend on, the frames by their stage's key. Reads the
 * truth. RS_IO / RS_INPUT names it. */
rs_status rs_measure_key(char out[RS_HASH_HEX], const rs_run *run, const rs_job *edit) RS_NODISCARD;
/* Everything but deqa. frames: U8 (T,H,W,3) of the edit, first: U8 (1,H,W,3) its edited first
 * frame. A model without an image encoder, or whose checkpoint ends before the last layer, gives
 * NAN and a warning. RS_INPUT: a truth that cannot be read or does not fit; RS_STOPPED. */
rs_status rs_measure_edit(rs_measures *out, rs_measuring *m, const rs_job *edit, rs_tensor frames,
                          rs_tensor first) RS_NODISCARD;
/* The measure deqa: runs measure.deqa_command (docs/measures.md) on a published movie. NAN without
 * a command, and, after a warning, when it fails. RS_STOPPED. */
rs_status rs_measure_deqa(double *score, const rs_run *run, const char *movie,
                          rs_tensor frames) RS_NODISCARD;

#endif
