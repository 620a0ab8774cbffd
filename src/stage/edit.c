/* edit: samples the edited latent. The condition is the painted clip with the edited first frame in
 * front; caption and CLIP image are the edited ones (loraedit.md 1.7, 5.2, 5.3, 5.5). The latent
 * and the sampler's state are saved every checkpoint.every steps. Variants: what is given
 * (edit.condition), no adapter, latent blending (edit.blend). */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/rng.h"
#include "diffusion/flow.h"
#include "diffusion/sampler.h"
#include "stage/adapters.h"
#include "stage/common.h"
#include "stage/condition.h"
#include "stage/state_io.h"

static int64_t edit_seed(const rs_run *run, const rs_job *job)
{
    if (job->edit->seed >= 0)
        return job->edit->seed;
    return run->cfg->edit.seed >= 0 ? run->cfg->edit.seed : run->cfg->seed;
}

static rs_status hash(rs_hash *h, const rs_run *run, const rs_job *job)
{
    static const char *const keys[] = {"edit.sampler",  "edit.steps",           "edit.shift",
                                       "edit.guidance", "edit.negative_prompt", "prompt",
                                       "condition"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        rs_config_hash_section(h, run->cfg, keys[i]);
    if (run->cfg->edit.condition != RS_CFG_GIVEN_MASKED)
        rs_config_hash_section(h, run->cfg, "edit.condition");
    if (run->cfg->edit.blend)
        rs_config_hash_section(h, run->cfg, "edit.blend");
    rs_hash_i64(h, edit_seed(run, job));
    rs_hash_string(h, job->name);
    rs_hash_string(h, job->edit->prompt);
    char hex[RS_HASH_HEX];
    rs_status st = rs_stage_hash_media(hex, job->edit->first_frame.path);
    if (st != RS_OK) {
        rs_error_context("%s", job->edit->first_frame.where);
        return st;
    }
    rs_hash_string(h, hex);
    return RS_OK;
}

typedef struct sampling {
    rs_run *run;
    rs_job *job;
    rs_denoiser *m;
    rs_adapter *adapter;             /* NULL: the base model as it is */
    rs_denoiser_cond *cond, *uncond; /* uncond NULL at guidance 1 */
    rs_sampler sampler;
    rs_tensor x, v, spare;
    rs_tensor first;       /* edited first frame, U8 (1,H,W,3) */
    rs_tensor keep, noise; /* blending: cells of the source and the initial noise; else ndim 0 */
} sampling;

static void fini(sampling *s)
{
    rs_denoiser_cond_destroy(&s->cond);
    rs_denoiser_cond_destroy(&s->uncond);
    rs_adapter_destroy(&s->adapter);
}

/* y of the edited clip, its caption and its CLIP tokens. */
static rs_status encode_conditions(sampling *s, rs_arena *a)
{
    rs_run *run = s->run;
    const rs_ingest *src = &s->job->source;
    const rs_catalog_edit *e = s->job->edit;
    rs_tensor y, text, image, frames = src->frames;
    RS_TRY(rs_stage_load_edited(&s->first, a, &e->first_frame, &src->fit));
    frames.data = rs_arena_memdup(a, src->frames.data, rs_tensor_bytes(frames));
    memcpy(frames.data, s->first.data, rs_tensor_bytes(s->first));
    RS_TRY(rs_stage_encode_condition(&y, run, a, frames, src->mask, run->cfg->edit.condition));
    RS_TRY(rs_models_encode_text(&run->models, a, &text, rs_stage_prompt(run, a, e->prompt)));
    RS_TRY(rs_models_encode_image(&run->models, a, &image, s->first));
    RS_TRY(rs_denoiser_cond_create(&s->cond, s->m, y, text, image));
    if (run->cfg->edit.guidance != 1.0) {
        RS_TRY(rs_models_encode_text(&run->models, a, &text, run->cfg->edit.negative_prompt));
        RS_TRY(rs_denoiser_cond_create(&s->uncond, s->m, y, text, image));
    }
    return RS_OK;
}

/* The adapter of the last stage that left one. */
static rs_status set_adapter(sampling *s)
{
    const float one = 1.0f;
    rs_stage_id id = rs_stage_final_adapter(s->run, s->job);
    if (!rs_stage_has_adapter(s->run, s->job, id))
        return rs_denoiser_set_adapters(s->m, NULL, NULL, 0);
    RS_TRY(rs_stage_adapter_create(&s->adapter, s->run, false));
    RS_TRY(rs_stage_adapter_load(s->adapter, s->run, s->job, id));
    return rs_denoiser_set_adapters(s->m, &s->adapter, &one, 1);
}

static void fill_noise(const sampling *s, rs_tensor x)
{
    rs_rng noise = rs_rng_stream((uint64_t)edit_seed(s->run, s->job),
                                 rs_stage_stream(s->job, RS_STAGE_EDIT), RS_RNG_SAMPLE_NOISE, 0);
    rs_rng_fill_normal(rs_f32(x), &noise, 0, rs_tensor_count(x));
}

static void prepare_blend(sampling *s, rs_arena *a)
{
    const rs_ingest *src = &s->job->source;
    const int64_t *shape = src->x0.shape;
    s->keep = rs_tensor_new(a, 3, shape + 1);
    s->noise = rs_tensor_new(a, 4, shape);
    rs_keep_cells(s->keep, src->mask, src->mask.shape[1] / shape[2]);
    fill_noise(s, s->noise);
}

static rs_status prepare(sampling *s, rs_arena *a)
{
    rs_run *run = s->run;
    const rs_cfg_edit_section *c = &run->cfg->edit;
    rs_sampler_kind kind;
    rs_schedule schedule;
    const int64_t *shape = s->job->source.x0.shape;
    RS_TRY(rs_models_denoiser(&run->models, &s->m));
    RS_TRY(rs_denoiser_bind(s->m, shape[1], shape[2], shape[3], false));
    RS_TRY(set_adapter(s));
    RS_TRY(encode_conditions(s, a));
    RS_TRY(rs_sampler_parse(&kind, rs_cfg_sampler_text(c->sampler)));
    RS_TRY(rs_schedule_make(&schedule, a, kind, c->steps, c->shift));
    s->x = rs_tensor_new(a, 4, shape);
    s->v = rs_tensor_new(a, 4, shape);
    s->spare = rs_tensor_new(a, 4, shape);
    if (c->blend)
        prepare_blend(s, a);
    rs_sampler_init(&s->sampler, a, kind, &schedule, rs_tensor_count(s->x));
    return RS_OK;
}

/* Initial noise, or the latent and sampler state of an interrupted run. */
static rs_status start(sampling *s, rs_arena *a)
{
    int64_t step;
    rs_tensor_list l = {0};
    const char *path = rs_stage_checkpoint_path(s->run, s->job, RS_STAGE_EDIT);
    rs_checkpoint_load(s->run, s->job, RS_STAGE_EDIT, a, &step, &l);
    if (step > 0) {
        rs_tensor x;
        RS_TRY(rs_state_need(&x, &l, "x", path));
        RS_TRY(rs_sampler_restore(&s->sampler, step, &l));
        memcpy(s->x.data, x.data, rs_tensor_bytes(s->x));
        RS_LOG(INFO, "edit resumes after step %lld of %lld", (long long)step,
               (long long)s->sampler.schedule.steps);
        return RS_OK;
    }
    fill_noise(s, s->x);
    return RS_OK;
}

static rs_status one_step(sampling *s)
{
    float t = s->sampler.schedule.times[s->sampler.index];
    RS_TRY(rs_denoiser_forward(s->m, s->v, s->x, t, s->cond));
    if (s->uncond) {
        RS_TRY(rs_denoiser_forward(s->m, s->spare, s->x, t, s->uncond));
        rs_guide(rs_f32(s->v), rs_f32(s->v), rs_f32(s->spare), (float)s->run->cfg->edit.guidance,
                 rs_tensor_count(s->v));
    }
    rs_sampler_step(&s->sampler, rs_f32(s->x), rs_f32(s->v));
    if (rs_has(s->keep))
        rs_blend_source(s->x, s->keep, s->job->source.x0, s->noise,
                        s->sampler.schedule.sigmas[s->sampler.index]);
    for (int64_t i = 0; i < rs_tensor_count(s->x); i++)
        if (!isfinite(rs_f32(s->x)[i]))
            return RS_FAIL(NUMERIC, "latent is not finite after sampling step %lld",
                           (long long)s->sampler.index);
    return RS_OK;
}

static rs_status save_progress(sampling *s)
{
    rs_arena *a = rs_arena_create();
    rs_tensor_list l = {0};
    rs_sampler_state(&s->sampler, &l, a);
    rs_tensor_list_add(&l, a, "x", s->x);
    rs_status st = rs_checkpoint_save(s->run, s->job, RS_STAGE_EDIT, s->sampler.index, &l);
    rs_arena_destroy(&a);
    return st;
}

static rs_status sample(sampling *s)
{
    int64_t steps = s->sampler.schedule.steps, first = s->sampler.index;
    double begin = rs_now(), last = begin;
    while (s->sampler.index < steps) {
        RS_TRY(one_step(s));
        int64_t done = s->sampler.index;
        double now = rs_now(), rate = (now - begin) / (double)(done - first);
        if (now - last > 2.0 || done == steps) {
            last = now;
            RS_LOG(INFO, "edit step %lld/%lld  %.3f s/step  ETA %.0f s", (long long)done,
                   (long long)steps, rate, rate * (double)(steps - done));
        }
        bool stop = *s->run->stop != 0 && done < steps;
        if (stop || (done % s->run->cfg->checkpoint.every == 0 && done < steps))
            RS_TRY(save_progress(s));
        if (stop)
            return RS_FAIL(STOPPED, "stopped after sampling step %lld of %lld", (long long)done,
                           (long long)steps);
    }
    return RS_OK;
}

static rs_status run_edit(rs_run *run, rs_job *job)
{
    rs_status st = RS_OK;
    sampling s = {.run = run, .job = job};
    rs_meta_list meta = {0};
    rs_tensor_list out = {0};
    RS_TRY_OUT(rs_job_load_source(run, job));
    RS_TRY_OUT(prepare(&s, job->scratch));
    RS_TRY_OUT(start(&s, job->scratch));
    RS_TRY_OUT(sample(&s));
    rs_tensor_list_add(&out, job->scratch, "latent", s.x);
    rs_tensor_list_add(&out, job->scratch, "first_frame", s.first);
    rs_meta_add_i64(&meta, job->scratch, "seed", edit_seed(run, job));
    rs_meta_add_i64(&meta, job->scratch, "steps", run->cfg->edit.steps);
    RS_TRY_OUT(rs_stage_save(run, job, RS_STAGE_EDIT, &out, &meta));
out:
    fini(&s);
    return st;
}

const rs_stage rs_stage_edit = {
    .name = "edit",
    .version = 1,
    .per_edit = true,
    .upstream = RS_STAGE_APPEARANCE,
    .hash = hash,
    .run = run_edit,
};
