/* The source clip as training samples: whole, or cut into overlapping windows (LoRA-Edit's low-cost
 * training; loraedit.md 7, C.1). Private to src/stage.
 *
 * A window is a clip of its own: target and condition are encoded from its frames alone, its first
 * frame is the given one and what CLIP sees, as the first frame of the whole clip is when sampling.
 * Its mask is packed from its own first frame on. */
#ifndef RS_STAGE_SAMPLES_H
#define RS_STAGE_SAMPLES_H

#include "stage/stage.h"
#include "train/train.h"

/* Windows that cover `frames` frames, one every `stride`; the last one ends with the clip. window 0
 * or not below frames: one, the whole clip. */
int64_t rs_window_count(int64_t frames, int64_t window, int64_t stride);
/* First frame of window i. */
int64_t rs_window_first(int64_t i, int64_t frames, int64_t window, int64_t stride);

/* Samples of a job's clip under motion.window; the source must be loaded. */
int64_t rs_stage_clip_samples(const rs_run *run, const rs_job *job);
/* Fill items[0 .. rs_stage_clip_samples), tensors in the job's scratch or borrowed from its source.
 * Windows are encoded here, again after a restart: their latents and conditions together take
 * window/stride times the clip's. */
rs_status rs_stage_make_clip_samples(rs_train_item *items, rs_run *run, rs_job *job) RS_NODISCARD;
/* order[k] = sample of the k-th step on the clip, 0 <= k < n: passes over all samples, each
 * shuffled from (seed, job, stage, pass). */
void rs_stage_clip_order(int32_t *order, int64_t n, const rs_run *run, const rs_job *job,
                         rs_stage_id id);

#endif
