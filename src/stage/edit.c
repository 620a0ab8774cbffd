/* edit: samples the edited latent with the trained adapters, mixed by their weights. The condition
 * is the painted clip with the edited first frame in front; caption and CLIP image are the edited
 * ones (loraedit.md 1.7, 5.2, 5.3, 5.5). The latent and the sampler's state are saved every
 * checkpoint.every steps. Variants: what is given (edit.condition), no adapter, latent blending
 * (edit.blend). */
#include "stage/edit.h"

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

rs_adapter_mix rs_stage_mix(const rs_cfg_edit_section *e, bool appearance, bool separate)
{
    if (!appearance)
        return (rs_adapter_mix){.motion = (float)e->motion_weight};
    return (rs_adapter_mix){
        .motion = (float)(separate ? e->motion_weight : e->motion_weight - e->appearance_weight),
        .appearance = (float)e->appearance_weight};
}

static rs_adapter_mix mix_of(const rs_run *run, const rs_job *job)
{
    return rs_stage_mix(&run->cfg->edit, rs_stage_appearance.applies(run, job),
                        run->cfg->appearance.mode == RS_CFG_APPEARANCE_MODE_SEPARATE);
}

/* Nothing at weights of 1: what the appearance stage trained is in its key. */
static void hash_mix(rs_hash *h, const rs_run *run, const rs_job *job)
{
    const rs_cfg_edit_section *e = &run->cfg->edit;
    bool appearance = rs_stage_appearance.applies(run, job);
    if (e->motion_weight == 1.0 && (e->appearance_weight == 1.0 || !appearance))
        return;
    rs_adapter_mix mix = mix_of(run, job);
    rs_hash_f64(h, (double)mix.motion);
    rs_hash_f64(h, (double)mix.appearance);
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
    hash_mix(h, run, job);
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
    const rs_sample_opts *o;
    rs_denoiser *m;
    rs_tensor y, text, image, other_text; /* other_text: of the negative prompt, ndim 0 without */
    rs_denoiser_cond *cond, *uncond;      /* uncond NULL at guidance 1 */
    rs_sampler sampler;
    rs_tensor x, v, spare;
    rs_tensor keep, noise; /* blending: cells of the source and the initial noise; else ndim 0 */
} sampling;

static void fini(sampling *s)
{
    rs_denoiser_cond_destroy(&s->cond);
    rs_denoiser_cond_destroy(&s->uncond);
}

/* y of the edited clip, its captions and its CLIP tokens. */
static rs_status encode(sampling *s, rs_arena *a)
{
    rs_run *run = s->run;
    const rs_ingest *src = &s->job->source;
    rs_tensor frames = src->frames, first = s->o->first;
    frames.data = rs_arena_memdup(a, src->frames.data, rs_tensor_bytes(frames));
    memcpy(frames.data, first.data, rs_tensor_bytes(first));
    RS_TRY(rs_stage_encode_condition(&s->y, run, a, frames, src->mask, run->cfg->edit.condition));
    const char *prompt = rs_stage_prompt(run, a, s->job->edit->prompt);
    RS_TRY(rs_models_encode_text(&run->models, a, &s->text, prompt));
    RS_TRY(rs_models_encode_image(&run->models, a, &s->image, first));
    if (run->cfg->edit.guidance == 1.0)
        return RS_OK;
    return rs_models_encode_text(&run->models, a, &s->other_text, run->cfg->edit.negative_prompt);
}

/* All ranks of a lane (or of their half of it) make these calls, each of which ends in an
 * agreement: what a rank does by itself, and may fail in alone, comes before. */
static rs_status bind(sampling *s)
{
    const int64_t *shape = s->job->source.x0.shape;
    RS_TRY(rs_denoiser_bind(s->m, shape[1], shape[2], shape[3], false));
    RS_TRY(rs_denoiser_set_adapters(s->m, s->o->adapters, s->o->weights, s->o->n_adapters));
    RS_TRY(rs_denoiser_cond_create(&s->cond, s->m, s->y, s->text, s->image));
    if (!rs_has(s->other_text))
        return RS_OK;
    return rs_denoiser_cond_create(&s->uncond, s->m, s->y, s->other_text, s->image);
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
    bool split = run->pair && c->guidance != 1.0; /* a half of the lane for each pass */
    RS_TRY(rs_models_denoiser(&run->models, &s->m));
    RS_TRY(rs_models_use_lane(s->m, split ? run->half : run->lane, split ? run->pair : NULL));
    RS_TRY(encode(s, a));
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

/* Initial noise, or the latent and sampler state of an interrupted run. Local, as prepare is. */
static rs_status start(sampling *s, rs_arena *a)
{
    int64_t step = 0;
    rs_tensor_list l = {0};
    const char *path = rs_stage_checkpoint_path(s->run, s->job, RS_STAGE_EDIT);
    if (s->o->checkpoints)
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
    if (s->uncond) {
        RS_TRY(rs_denoiser_guided(s->m, s->v, s->spare, s->x, t, s->cond, s->uncond));
        rs_guide(rs_f32(s->v), rs_f32(s->v), rs_f32(s->spare), (float)s->run->cfg->edit.guidance,
                 rs_tensor_count(s->v));
    } else {
        RS_TRY(rs_denoiser_forward(s->m, s->v, s->x, t, s->cond));
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
    if (!s->o->checkpoints)
        return RS_OK;
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
    rs_models_rest(&s->run->models);
    double begin = rs_now();
    rs_log_pace pace = {0};
    while (s->sampler.index < steps) {
        RS_TRY(one_step(s));
        int64_t done = s->sampler.index;
        double rate = (rs_now() - begin) / (double)(done - first);
        rs_live_step(s->run->live, s->job->live_task, &(rs_live_steps){done, steps, NAN, rate});
        if (rs_log_due(&pace) || done == steps)
            RS_LOG_STEP("edit step %lld/%lld  %.3f s/step  ETA %.0f s", (long long)done,
                        (long long)steps, rate, rate * (double)(steps - done));
        bool stop;
        RS_TRY(rs_run_stops(&stop, s->run));
        stop = stop && done < steps;
        if (stop || (done % s->run->cfg->checkpoint.every == 0 && done < steps))
            RS_TRY(rs_run_agree(s->run, save_progress(s)));
        if (stop)
            return RS_FAIL(STOPPED, "stopped after sampling step %lld of %lld", (long long)done,
                           (long long)steps);
    }
    return RS_OK;
}

rs_status rs_sample_edit(rs_tensor *latent, rs_run *run, rs_job *job, const rs_sample_opts *o)
{
    rs_status st = RS_OK;
    sampling s = {.run = run, .job = job, .o = o};
    RS_ASSERT(job->loaded && job->edit);
    st = prepare(&s, job->scratch);
    if (st == RS_OK)
        st = start(&s, job->scratch);
    RS_TRY_OUT(rs_run_agree(run, st));
    RS_TRY_OUT(rs_stage_same_step(run, s.sampler.index));
    RS_TRY_OUT(rs_run_agree(run, bind(&s))); /* a half of the lane has agreed for itself only */
    rs_denoiser_join(s.m);
    st = sample(&s);
    rs_denoiser_leave(s.m);
    RS_TRY_OUT(st);
    *latent = s.x;
out:
    fini(&s);
    return st;
}

/* ---- the stage ---- */

enum { MAX_ADAPTERS = 2 };

/* Adds the adapter of a stage unless it has none or its weight is 0. */
static rs_status add_adapter(rs_adapter **adapters, float *weights, int *n, rs_run *run,
                             const rs_job *job, rs_stage_id id, float weight)
{
    if (weight == 0 || !rs_stage_has_adapter(run, job, id))
        return RS_OK;
    RS_TRY(rs_stage_adapter_create(&adapters[*n], run, false));
    weights[*n] = weight;
    *n += 1;
    return rs_stage_adapter_load(adapters[*n - 1], run, job, id);
}

static rs_status sample_and_save(rs_run *run, rs_job *job, rs_sample_opts *o)
{
    rs_tensor latent;
    rs_meta_list meta = {0};
    rs_tensor_list out = {0};
    rs_arena *a = job->scratch;
    RS_TRY(rs_sample_edit(&latent, run, job, o));
    rs_tensor_list_add(&out, a, "latent", latent);
    rs_tensor_list_add(&out, a, "first_frame", o->first);
    rs_meta_add_i64(&meta, a, "seed", edit_seed(run, job));
    rs_meta_add_i64(&meta, a, "steps", run->cfg->edit.steps);
    return rs_run_agree(run, rs_stage_save(run, job, RS_STAGE_EDIT, &out, &meta));
}

/* Source, adapters and the edited frame. */
static rs_status load(rs_sample_opts *o, rs_adapter **adapters, float *weights, rs_run *run,
                      rs_job *job)
{
    rs_adapter_mix mix = mix_of(run, job);
    int *n = &o->n_adapters;
    RS_TRY(rs_job_load_source(run, job));
    RS_TRY(add_adapter(adapters, weights, n, run, job, RS_STAGE_MOTION, mix.motion));
    RS_TRY(add_adapter(adapters, weights, n, run, job, RS_STAGE_APPEARANCE, mix.appearance));
    return rs_stage_load_edited(&o->first, job->scratch, &job->edit->first_frame, &job->source.fit);
}

static rs_status run_edit(rs_run *run, rs_job *job)
{
    rs_status st = RS_OK;
    rs_adapter *adapters[MAX_ADAPTERS] = {NULL};
    float weights[MAX_ADAPTERS];
    rs_sample_opts o = {.adapters = adapters, .weights = weights, .checkpoints = true};
    RS_TRY_OUT(rs_run_agree(run, load(&o, adapters, weights, run, job)));
    RS_TRY_OUT(sample_and_save(run, job, &o));
out:
    for (int i = 0; i < MAX_ADAPTERS; i++)
        rs_adapter_destroy(&adapters[i]);
    return st;
}

const rs_stage rs_stage_edit = {
    .name = "edit",
    .version = 1,
    .per_edit = true,
    .shared = true,
    .upstream = RS_STAGE_APPEARANCE,
    .hash = hash,
    .run = run_edit,
};
