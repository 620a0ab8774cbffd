/* Small helpers that several stages share: prompts, media hashes, condition tensors, logging of
 * progress. */
#ifndef RS_STAGE_COMMON_H
#define RS_STAGE_COMMON_H

#include "stage/stage.h"

/* prompt.prefix + " " + text. */
const char *rs_stage_prompt(const rs_run *run, rs_arena *a, const char *text);
/* Content hash of a media file, or of a folder's file names and contents. */
rs_status rs_stage_hash_media(char out[RS_HASH_HEX], const char *path) RS_NODISCARD;
/* y (4+z,F',h,w) from the shaped mask and the latent of the painted clip. */
rs_status rs_stage_make_y(rs_tensor *y, rs_arena *a, rs_tensor mask, rs_tensor latent,
                          bool keep_first) RS_NODISCARD;
/* The frames of the condition: U8 (T,H,W,3) under an edit mask, with what is not given painted in
 * condition.fill. */
rs_tensor rs_stage_condition_frames(rs_arena *a, const rs_config *cfg, rs_tensor frames,
                                    rs_tensor mask, rs_cfg_given given);
/* Their y (4+z,F',h,w). */
rs_status rs_stage_encode_condition(rs_tensor *y, rs_run *run, rs_arena *a, rs_tensor frames,
                                    rs_tensor mask, rs_cfg_given given) RS_NODISCARD;
/* An edited picture at the clip's size, U8 (1,H,W,3); errors carry the catalog's place. */
rs_status rs_stage_load_edited(rs_tensor *frame, rs_arena *a, const rs_catalog_path *p,
                               const rs_fit *fit) RS_NODISCARD;
/* The clip of a video, or of a truth of one of its edits, by the video's rules; errors carry the
 * catalog's place. */
rs_status rs_stage_load_clip(rs_clip *clip, rs_arena *a, const rs_run *run, const rs_job *job,
                             const rs_catalog_path *path) RS_NODISCARD;
/* What a video's media give. Tensors are in the arena, which is the caller's. */
typedef struct rs_stage_media {
    rs_arena *arena;
    rs_clip clip;
    rs_tensor mask; /* shaped: U8 (T,H,W) */
} rs_stage_media;
/* Reads the files of the video and nothing else of the run but its settings: any thread may. On
 * failure there is no arena. RS_STOPPED when `stop` says so. */
rs_status rs_stage_load_media(rs_stage_media *out, const rs_run *run, const rs_job *job,
                              const rs_media_stop *stop) RS_NODISCARD;
/* The mask of a loaded source as the catalog gives it, not shaped: U8 (T,H,W). */
rs_status rs_stage_object_mask(rs_tensor *mask, rs_arena *a, const rs_run *run,
                               const rs_job *job) RS_NODISCARD;
/* Identity of a job's stage in random streams. */
uint64_t rs_stage_stream(const rs_job *job, rs_stage_id id);

#endif
