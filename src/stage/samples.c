#include "stage/samples.h"

#include "base/log.h"
#include "base/num.h"
#include "base/rng.h"
#include "stage/common.h"

int64_t rs_window_count(int64_t frames, int64_t window, int64_t stride)
{
    if (window == 0 || window >= frames)
        return 1;
    return 1 + (frames - window + stride - 1) / stride;
}

int64_t rs_window_first(int64_t i, int64_t frames, int64_t window, int64_t stride)
{
    return i == 0 ? 0 : rs_min_i64(i * stride, frames - window);
}

int64_t rs_stage_clip_samples(const rs_run *run, const rs_job *job)
{
    const rs_cfg_motion_section *c = &run->cfg->motion;
    return rs_window_count(job->source.frames.shape[0], c->window, c->window_stride);
}

/* What ingest made, where it is what is asked for. */
static rs_status whole_clip(rs_train_item *item, rs_run *run, rs_job *job)
{
    const rs_ingest *s = &job->source;
    rs_cfg_given given = run->cfg->motion.condition;
    *item = (rs_train_item){.x0 = s->x0, .y = s->y, .text = s->text, .image = s->image};
    if (given == RS_CFG_GIVEN_MASKED)
        return RS_OK;
    return rs_stage_encode_condition(&item->y, run, job->scratch, s->frames, s->mask, given);
}

static rs_status window_of(rs_train_item *item, rs_run *run, rs_job *job, int64_t first)
{
    rs_arena *a = job->scratch;
    const rs_ingest *s = &job->source;
    const rs_cfg_motion_section *c = &run->cfg->motion;
    rs_tensor frames = rs_tensor_slice(s->frames, first, first + c->window);
    rs_tensor mask = rs_tensor_slice(s->mask, first, first + c->window);
    *item = (rs_train_item){.text = s->text};
    RS_TRY(rs_models_encode_frames(&run->models, a, &item->x0, frames));
    RS_TRY(rs_stage_encode_condition(&item->y, run, a, frames, mask, c->condition));
    return rs_models_encode_image(&run->models, a, &item->image, rs_tensor_slice(frames, 0, 1));
}

rs_status rs_stage_make_clip_samples(rs_train_item *items, rs_run *run, rs_job *job)
{
    const rs_cfg_motion_section *c = &run->cfg->motion;
    int64_t frames = job->source.frames.shape[0], n = rs_stage_clip_samples(run, job);
    if (n == 1) {
        if (c->window)
            RS_LOG(INFO, "one window: the clip has %lld frames, motion.window is %lld",
                   (long long)frames, (long long)c->window);
        return whole_clip(&items[0], run, job);
    }
    RS_LOG(INFO, "encoding %lld windows of %lld frames", (long long)n, (long long)c->window);
    for (int64_t i = 0; i < n; i++) {
        int64_t first = rs_window_first(i, frames, c->window, c->window_stride);
        RS_TRY(window_of(&items[i], run, job, first));
    }
    return RS_OK;
}

void rs_stage_clip_order(int32_t *order, int64_t n, const rs_run *run, const rs_job *job,
                         rs_stage_id id)
{
    int64_t samples = rs_stage_clip_samples(run, job);
    int64_t *pass = rs_alloc((size_t)samples, sizeof *pass);
    for (int64_t k = 0; k < n; k++) {
        if (k % samples == 0) {
            rs_rng r = rs_rng_stream((uint64_t)run->cfg->seed, rs_stage_stream(job, id),
                                     RS_RNG_ORDER, (uint32_t)(k / samples));
            rs_rng_permute(pass, &r, samples);
        }
        order[k] = rs_i32(pass[k % samples]);
    }
    rs_dealloc(pass);
}
