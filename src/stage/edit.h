/* Sampling and decoding of one edit, apart from where its inputs come from and where its results
 * go: the stages edit and decode, and `reshoot edit`, which samples again from an archive. */
#ifndef RS_STAGE_EDIT_H
#define RS_STAGE_EDIT_H

#include "stage/stage.h"

/* Weights of an edit's trained adapters; one of weight 0 is not applied. */
typedef struct rs_adapter_mix {
    float motion, appearance;
} rs_adapter_mix;

/* edit.motion_weight of what the motion stage learned and edit.appearance_weight of what the
 * appearance stage added to it. `appearance`: is there an appearance adapter; `separate`: does it
 * hold its own part only (appearance.mode separate)? A continued one holds both: with M and A the
 * two stages' updates, m M + a (A - M) = (m - a) M + a A. */
rs_adapter_mix rs_stage_mix(const rs_cfg_edit_section *e, bool appearance, bool separate);

typedef struct rs_sample_opts {
    rs_tensor first;             /* the edited first frame, U8 (1,H,W,3), at the clip's size */
    rs_adapter *const *adapters; /* applied with their weights */
    const float *weights;
    int n_adapters;
    bool checkpoints; /* go on from the job's checkpoint, save one every checkpoint.every steps */
} rs_sample_opts;

/* latent (z,F',h,w) in job->scratch. Reads of the job: its name (which names the random stream),
 * prompt and seed of its edit, frames, mask and latents of its source, which is loaded. RS_STOPPED
 * when the run is asked to stop. */
rs_status rs_sample_edit(rs_tensor *latent, rs_run *run, rs_job *job,
                         const rs_sample_opts *o) RS_NODISCARD;
/* frames U8 (T,H,W,3) in job->scratch, with the source pasted back when the settings say so. */
rs_status rs_decode_edit(rs_tensor *frames, rs_run *run, rs_job *job,
                         rs_tensor latent) RS_NODISCARD;

#endif
