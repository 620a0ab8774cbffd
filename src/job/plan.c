#include "job/plan.h"

#include <math.h>

#include "base/num.h"
#include "job/check.h"
#include "stage/stage.h"

_Static_assert((int)RS_TASK_DECODE == (int)RS_STAGE_DECODE &&
                   (int)RS_TASK_PUBLISH == (int)RS_STAGE_COUNT,
               "the stages of the director are those of stage/stage.h");

/* ---- sizes ---- */

rs_kept rs_plan_kept(const rs_config *c)
{
    switch (c->memory.recompute) {
    case RS_CFG_RECOMPUTE_NONE:
        return RS_KEPT_ALL;
    case RS_CFG_RECOMPUTE_ATTENTION:
        return RS_KEPT_ATTENTION;
    case RS_CFG_RECOMPUTE_BLOCK:
        break;
    }
    return (rs_kept){0};
}

static rs_status transformer_sizes(rs_plan_sizes *z, rs_denoiser *m, const rs_vae_info *v,
                                   const rs_config *c)
{
    const rs_denoiser_info *i = rs_denoiser_get_info(m);
    rs_adapter *adapter;
    float one = 1;
    int64_t window =
        c->motion.window ? rs_min_i64(c->motion.window, c->clip.frames) : c->clip.frames;
    int64_t F = (c->clip.frames - 1) / v->scale_t + 1, H = c->clip.height / v->scale_s,
            W = c->clip.width / v->scale_s, Fw = (window - 1) / v->scale_t + 1;
    int64_t area = (H / i->patch[1]) * (W / i->patch[2]);
    RS_TRY(rs_adapter_create(&adapter, m, c->lora.rank, (float)c->lora.alpha, c->lora.targets.items,
                             rs_i32(c->lora.targets.n), false));
    rs_status st = rs_denoiser_set_adapters(m, &adapter, &one, 1);
    if (st == RS_OK) {
        int64_t values = rs_adapter_params(adapter), bytes = (int64_t)sizeof(float);
        *z = (rs_plan_sizes){.family = i->family,
                             .blocks = i->blocks,
                             .dim = i->dim,
                             .params = i->params,
                             .frames = {F, H, W},
                             .tokens = F * area,
                             .window_tokens = Fw * area,
                             .transformer_resident = i->params * bytes,
                             .transformer_mapped = (int64_t)rs_denoiser_weight_bytes(m),
                             .vae = v->params * bytes,
                             .train = (int64_t)rs_denoiser_plan(m, Fw, H, W, true),
                             .sample = (int64_t)rs_denoiser_plan(m, F, H, W, false),
                             .adapter = 4 * values * bytes,
                             .checkpoint = 3 * values * bytes};
        st = rs_denoiser_set_adapters(m, NULL, NULL, 0);
    }
    rs_adapter_destroy(&adapter);
    return st;
}

/* The models are opened with their weights left in the files. */
static rs_status read_sizes(rs_plan_sizes *z, const rs_config *c)
{
    rs_device *dev;
    rs_denoiser *m = NULL;
    rs_vae *vae = NULL;
    rs_device_opts device = {.threads = 1};
    rs_denoiser_opts opts = {.home = RS_HOME_MAPPED, .kept = rs_plan_kept(c)};
    RS_TRY(rs_device_open(&dev, &device));
    rs_status st = rs_vae_open(&vae, dev, c->model.path);
    if (st == RS_OK)
        st = rs_denoiser_open(&m, dev, c->model.path, &opts);
    if (st == RS_OK)
        st = transformer_sizes(z, m, rs_vae_get_info(vae), c);
    rs_denoiser_close(&m);
    rs_vae_close(&vae);
    rs_device_destroy(&dev);
    return st;
}

/* ---- work ---- */

static void count_tasks(rs_plan *p, const rs_sched_video *v)
{
    p->tasks[RS_TASK_INGEST]++;
    p->tasks[RS_TASK_MOTION]++;
    p->tasks[RS_TASK_PUBLISH]++;
    p->n_edits += v->n_edits;
    for (int64_t e = 0; e < v->n_edits; e++)
        for (int s = RS_TASK_APPEARANCE; s <= RS_TASK_DECODE; s++)
            p->tasks[s] += !(v->edits[e].skip & RS_TASK_BIT(s));
}

static void fill_seconds(double *seconds, const rs_plan_costs *c)
{
    for (int s = 0; s < RS_TASK_COUNT; s++)
        seconds[s] = isnan(c->stage[s].mean) ? 0 : c->stage[s].mean;
}

static void make_work(rs_plan *p, int64_t copies)
{
    const rs_catalog *c = p->catalog;
    rs_run run = {.cfg = p->cfg, .catalog = c};
    p->n_videos = copies ? copies : c->n_videos;
    p->videos = RS_NEW(p->arena, rs_sched_video, p->n_videos);
    for (int64_t i = 0; i < p->n_videos; i++) {
        rs_sched_video *v = &p->videos[i];
        if (i >= c->n_videos) {
            *v = p->videos[i % c->n_videos]; /* read-only: edits are shared */
        } else {
            const rs_catalog_video *from = &c->videos[i];
            rs_sched_edit *edits = RS_NEW(p->arena, rs_sched_edit, from->n_edits);
            fill_seconds(v->seconds, &p->costs);
            for (int64_t e = 0; e < from->n_edits; e++) {
                rs_job job = {.video = from, .edit = &from->edits[e]};
                fill_seconds(edits[e].seconds, &p->costs);
                edits[e].skip = rs_job_references(&run, &job) ? 0 : RS_TASK_BIT(RS_TASK_APPEARANCE);
            }
            v->edits = edits;
            v->n_edits = from->n_edits;
        }
        count_tasks(p, v);
    }
}

/* Mean number of optimizer steps of the catalog's appearance stages. */
static double appearance_steps(const rs_plan *p)
{
    const rs_cfg_appearance_section *c = &p->cfg->appearance;
    rs_run run = {.cfg = p->cfg, .catalog = p->catalog};
    int64_t sum = 0, n = 0;
    if (c->schedule != RS_CFG_SCHEDULE_CODE)
        return (double)c->steps;
    for (int64_t i = 0; i < p->catalog->n_videos; i++)
        for (int64_t e = 0; e < p->catalog->videos[i].n_edits; e++) {
            rs_job job = {.video = &p->catalog->videos[i], .edit = &p->catalog->videos[i].edits[e]};
            int64_t references = rs_job_references(&run, &job);
            sum += references ? c->epochs * (1 + c->repeats * references) : 0;
            n += references > 0;
        }
    return n ? (double)sum / (double)n : 0;
}

static void find_rates(rs_plan *p)
{
    double steps[RS_TASK_COUNT] = {[RS_TASK_MOTION] = (double)p->cfg->motion.steps,
                                   [RS_TASK_APPEARANCE] = appearance_steps(p),
                                   [RS_TASK_EDIT] = (double)p->cfg->edit.steps};
    p->costs_known = true;
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        double mean = p->costs.stage[s].mean;
        p->step_s[s] = steps[s] > 0 ? mean / steps[s] : NAN;
        p->between_s[s] = isnan(p->step_s[s]) ? 0 : p->step_s[s] * (double)p->cfg->checkpoint.every;
        if (p->costs_known && isnan(mean) && p->tasks[s] > 0 && s != RS_TASK_PUBLISH) {
            p->costs_known = false;
            p->first_unknown = rs_task_stage_name((rs_task_stage)s);
        }
    }
}

static rs_status load(rs_plan *p, const rs_plan_opts *o)
{
    rs_problems *problems = rs_problems_create();
    rs_check_model_info model;
    rs_check_load(&p->cfg, &p->catalog, problems, o->config, o->sets, o->n_sets);
    if (rs_problems_count(problems) == 0)
        rs_check_model(problems, &model, p->cfg);
    rs_status st = rs_problems_status(problems);
    rs_problems_destroy(&problems);
    return st;
}

rs_status rs_plan_init(rs_plan *p, const rs_plan_opts *o)
{
    *p = (rs_plan){.arena = rs_arena_create()};
    RS_TRY(load(p, o));
    RS_TRY(rs_plan_read_costs(&p->costs, p->arena, o->costs));
    RS_TRY(read_sizes(&p->sizes, p->cfg));
    make_work(p, o->copies);
    find_rates(p);
    return RS_OK;
}

void rs_plan_fini(rs_plan *p)
{
    rs_catalog_destroy(&p->catalog);
    rs_config_destroy(&p->cfg);
    rs_arena_destroy(&p->arena);
}

rs_status rs_plan_sim_opts(rs_sim_opts *o, const rs_plan *p, int64_t ranks)
{
    if (!p->costs.from)
        return RS_FAIL(USAGE, "the seconds of the stages are not known: give them with --costs, a "
                              "JSON file or the folder of a finished run");
    if (!p->costs_known)
        return RS_FAIL(USAGE, "%s: no seconds of the stage %s, which the catalog has",
                       p->costs.from, p->first_unknown);
    *o = (rs_sim_opts){.work = {.videos = p->videos, .n_videos = p->n_videos, .n_gangs = ranks},
                       .seed = (uint64_t)p->cfg->seed,
                       .per_node = 1};
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        o->cv[s] = isnan(p->costs.stage[s].cv) ? 0 : p->costs.stage[s].cv;
        o->checkpoint[s] = p->between_s[s];
    }
    return RS_OK;
}
