/* decode: latent to frames, optionally with the untouched source pixels pasted back
 * (loraedit.md 5.7). */
#include <string.h>

#include "stage/common.h"
#include "stage/edit.h"
#include "stage/condition.h"
#include "stage/state_io.h"

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    (void)job;
    rs_config_hash_section(h, run->cfg, "edit.paste_back");
    if (run->cfg->edit.paste_back)
        rs_config_hash_section(h, run->cfg, "edit.feather");
    rs_hash_string(h, run->vae_id);
    return RS_OK;
}

rs_status rs_decode_edit(rs_tensor *frames, rs_run *run, rs_job *job, rs_tensor latent)
{
    RS_TRY(rs_models_decode_frames(&run->models, job->scratch, frames, latent));
    if (run->cfg->edit.paste_back)
        rs_paste_back(*frames, job->source.frames, job->source.mask, run->cfg->edit.feather);
    return RS_OK;
}

static rs_status run_decode(rs_run *run, rs_job *job)
{
    rs_arena *a = job->scratch;
    rs_tensor_list in = {0}, out = {0};
    rs_meta_list meta = {0};
    rs_tensor latent, frames;
    RS_TRY(rs_job_load_source(run, job));
    RS_TRY(rs_stage_load(run, job, RS_STAGE_EDIT, a, &in, &meta));
    RS_TRY(rs_state_need(&latent, &in, "latent", rs_stage_path(run, job, RS_STAGE_EDIT)));
    RS_TRY(rs_decode_edit(&frames, run, job, latent));
    rs_tensor_list_add(&out, a, "frames", frames);
    return rs_stage_save(run, job, RS_STAGE_DECODE, &out, NULL);
}

const rs_stage rs_stage_decode = {
    .name = "decode",
    .version = 1,
    .per_edit = true,
    .upstream = RS_STAGE_EDIT,
    .hash = hash,
    .run = run_decode,
};
