/* appearance: training with every edited reference frame as a one-frame clip mixed with the motion
 * stage's samples (loraedit.md 3). Mode `continue`, as the authors' code: goes on from the motion
 * adapter. Mode `separate`, as the paper's claim that the two can be combined freely (loraedit.md
 * 6, row 4): a fresh adapter learns on top of the motion adapter, which is applied and stays as it
 * is. An epoch is one step on the clip (with motion.window on a window of it), then `repeats`
 * rounds over the references. Schedule `code`: `epochs` whole epochs; `paper`: cut after `steps`
 * steps. Fresh optimiser state. */
#include <string.h>

#include "base/num.h"
#include "stage/adapters.h"
#include "stage/common.h"
#include "stage/condition.h"
#include "stage/samples.h"
#include "stage/state_io.h"

int64_t rs_job_references(const rs_run *run, const rs_job *job)
{
    const rs_cfg_appearance_section *c = &run->cfg->appearance;
    int64_t n = job->edit ? job->edit->n_references : 0;
    if (c->when == RS_CFG_APPEARANCE_WHEN_NEVER ||
        (c->when == RS_CFG_APPEARANCE_WHEN_AUTO && run->cfg->motion.steps == 0))
        return 0;
    return c->max_references ? rs_min_i64(n, c->max_references) : n;
}

static bool applies(const rs_run *run, const rs_job *job)
{
    return rs_job_references(run, job) > 0;
}

static bool separate(const rs_run *run)
{
    return run->cfg->appearance.mode == RS_CFG_APPEARANCE_MODE_SEPARATE;
}

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    static const char *const sections[] = {"appearance.schedule",
                                           "appearance.repeats",
                                           "appearance.lr",
                                           "appearance.mode",
                                           "lora",
                                           "optimizer",
                                           "seed",
                                           "prompt",
                                           "condition"};
    bool code = run->cfg->appearance.schedule == RS_CFG_SCHEDULE_CODE;
    if (!applies(run, job))
        return RS_OK; /* the motion adapter is used as it is */
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        rs_config_hash_section(h, run->cfg, sections[i]);
    rs_config_hash_section(h, run->cfg, code ? "appearance.epochs" : "appearance.steps");
    if (separate(run))
        rs_config_hash_section(h, run->cfg, "appearance.motion_weight");
    rs_hash_string(h, job->name);
    for (int64_t i = 0; i < rs_job_references(run, job); i++) {
        const rs_catalog_reference *r = &job->edit->references[i];
        char hex[RS_HASH_HEX];
        rs_status st = rs_stage_hash_media(hex, r->image.path);
        if (st != RS_OK) {
            rs_error_context("%s", r->image.where);
            return st;
        }
        rs_hash_string(h, hex);
        rs_hash_i64(h, r->frame);
        rs_hash_string(h, r->prompt);
    }
    return RS_OK;
}

/* One-frame sample: condition is the source frame with its region painted (no frame is "given"
 * here), target is the edited frame, CLIP sees the source frame, the caption describes the edit. */
static rs_status reference_item(rs_train_item *item, rs_run *run, rs_job *job,
                                const rs_catalog_reference *r)
{
    rs_arena *a = job->scratch;
    const rs_ingest *s = &job->source;
    if (r->frame < 0 || r->frame >= s->frames.shape[0])
        return RS_FAIL(INPUT, "%s: reference frame %lld is outside the clip of %lld frames",
                       r->where, (long long)r->frame, (long long)s->frames.shape[0]);
    rs_tensor edited, latent, frame = rs_tensor_slice(s->frames, r->frame, r->frame + 1);
    rs_tensor mask = rs_tensor_slice(s->mask, r->frame, r->frame + 1), painted = frame;
    RS_TRY(rs_stage_load_edited(&edited, a, &r->image, &s->fit));
    painted.data = rs_arena_alloc(a, rs_tensor_bytes(frame), 1);
    rs_paint_condition(painted, frame, mask, rs_i32(run->cfg->condition.fill), false);
    RS_TRY(rs_models_encode_frames(&run->models, a, &latent, painted));
    RS_TRY(rs_stage_make_y(&item->y, a, mask, latent, false));
    RS_TRY(rs_models_encode_frames(&run->models, a, &item->x0, edited));
    RS_TRY(rs_models_encode_text(&run->models, a, &item->text, rs_stage_prompt(run, a, r->prompt)));
    return rs_models_encode_image(&run->models, a, &item->image, frame);
}

/* Item of every step: the samples of the clip come first, then the references. */
static int32_t *make_order(const rs_run *run, const rs_job *job, int64_t references, int64_t *steps)
{
    const rs_cfg_appearance_section *c = &run->cfg->appearance;
    int64_t epoch = 1 + c->repeats * references, samples = rs_stage_clip_samples(run, job);
    *steps = c->schedule == RS_CFG_SCHEDULE_CODE ? c->epochs * epoch : c->steps;
    int64_t epochs = (*steps + epoch - 1) / epoch;
    int32_t *order = RS_NEW(job->scratch, int32_t, *steps);
    int32_t *clip = RS_NEW(job->scratch, int32_t, epochs);
    rs_stage_clip_order(clip, epochs, run, job, RS_STAGE_APPEARANCE);
    for (int64_t k = 0; k < *steps; k++) {
        int64_t in_epoch = k % epoch;
        order[k] = in_epoch == 0 ? clip[k / epoch] : rs_i32(samples + (in_epoch - 1) % references);
    }
    return order;
}

static rs_status init(rs_adapter *a, rs_run *run, rs_job *job)
{
    if (separate(run) || !rs_stage_has_adapter(run, job, RS_STAGE_MOTION)) {
        rs_adapter_init(a, (uint64_t)run->cfg->seed, rs_stage_stream(job, RS_STAGE_APPEARANCE));
        return RS_OK;
    }
    return rs_stage_adapter_load(a, run, job, RS_STAGE_MOTION);
}

/* The motion adapter, which stays as it is, in mode `separate`; else NULL. */
static rs_status load_motion(rs_adapter **motion, rs_run *run, rs_job *job)
{
    *motion = NULL;
    if (!separate(run) || !rs_stage_has_adapter(run, job, RS_STAGE_MOTION))
        return RS_OK;
    RS_TRY(rs_stage_adapter_create(motion, run, false));
    return rs_stage_adapter_load(*motion, run, job, RS_STAGE_MOTION);
}

static rs_status make_items(rs_train_item *items, rs_run *run, rs_job *job)
{
    int64_t n = rs_job_references(run, job), samples = rs_stage_clip_samples(run, job);
    RS_TRY(rs_stage_make_clip_samples(items, run, job));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(reference_item(&items[samples + i], run, job, &job->edit->references[i]));
    return RS_OK;
}

static rs_status prepare(rs_training *t)
{
    rs_run *run = t->run;
    rs_job *job = t->job;
    RS_TRY(rs_run_agree(run, rs_job_load_source(run, job)));
    int64_t n = rs_job_references(run, job), samples = rs_stage_clip_samples(run, job);
    rs_train_item *items = RS_NEW(job->scratch, rs_train_item, samples + n);
    RS_TRY(rs_run_agree(run, make_items(items, run, job)));
    t->loop = (rs_train_loop){.items = items,
                              .n_items = samples + n,
                              .optim = rs_stage_optim(run, run->cfg->appearance.lr)};
    t->loop.order = make_order(run, job, n, &t->loop.steps);
    RS_TRY(rs_run_agree(run, load_motion(&t->frozen, run, job)));
    t->frozen_weight = (float)run->cfg->appearance.motion_weight;
    return rs_training_open(t, init);
}

static rs_status run_appearance(rs_run *run, rs_job *job)
{
    rs_training t = {.run = run, .job = job, .id = RS_STAGE_APPEARANCE};
    rs_status st = prepare(&t);
    if (st == RS_OK)
        st = rs_training_run(&t);
    rs_training_close(&t);
    return st;
}

static void run_many(rs_run *run, rs_job *const *jobs, int n, rs_stage_ended_fn *ended, void *ctx)
{
    rs_stage_train_many(run, jobs, n, RS_STAGE_APPEARANCE, prepare, ended, ctx);
}

const rs_stage rs_stage_appearance = {
    .name = "appearance",
    .version = 2, /* sums over tokens in a tree of segments */
    .per_edit = true,
    .shared = true,
    .upstream = RS_STAGE_MOTION,
    .hash = hash,
    .applies = applies,
    .run = run_appearance,
    .run_many = run_many,
};
