#include "job/plan.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "job/check.h"
#include "job/job.h"
#include "job/shapes.h"
#include "nn/lane.h"
#include "stage/stage.h"

_Static_assert((int)RS_TASK_DECODE == (int)RS_STAGE_DECODE &&
                   (int)RS_TASK_PUBLISH == (int)RS_STAGE_COUNT,
               "the stages of the director are those of stage/stage.h");

/* ---- sizes ---- */

static rs_status make_sizes(rs_plan *p, const rs_plan_opts *o)
{
    rs_plan_room room = {.machine = rs_plan_machine_bytes(""),
                         .ranks = o->per_node,
                         .limit = (int64_t)(p->cfg->memory.limit * 1e9)};
    if (o->device)
        return rs_plan_sizes_on(&p->sizes, p->cfg, p->catalog, &p->rates,
                                rs_min_i64(o->ranks, o->per_node), p->arena);
    int64_t gang = 0;
    if (rs_plan_sharded(p->cfg))
        gang = p->cfg->cluster.gang ? rs_min_i64(p->cfg->cluster.gang, room.ranks) : room.ranks;
    return rs_plan_sizes_make(&p->sizes, p->cfg, p->catalog, &room, sizeof(float), gang);
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
    rs_shapes shapes = {0};
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
                int64_t references = rs_job_references(&run, &job);
                fill_seconds(edits[e].seconds, &p->costs);
                edits[e].skip = references ? 0 : RS_TASK_BIT(RS_TASK_APPEARANCE);
                edits[e].shape = rs_shapes_find(&shapes, p->arena, references,
                                                from->frames ? from->frames : p->cfg->clip.frames);
            }
            v->edits = edits;
            v->n_edits = from->n_edits;
        }
        count_tasks(p, v);
    }
}

/* Mean of the edits that have references. */
static double mean_references(const rs_plan *p)
{
    rs_run run = {.cfg = p->cfg, .catalog = p->catalog};
    int64_t sum = 0, n = 0;
    for (int64_t i = 0; i < p->catalog->n_videos; i++)
        for (int64_t e = 0; e < p->catalog->videos[i].n_edits; e++) {
            rs_job job = {.video = &p->catalog->videos[i], .edit = &p->catalog->videos[i].edits[e]};
            int64_t references = rs_job_references(&run, &job);
            sum += references;
            n += references > 0;
        }
    return n ? (double)sum / (double)n : 0;
}

/* Mean number of optimizer steps of the catalog's appearance stages. */
static double appearance_steps(const rs_plan *p)
{
    const rs_cfg_appearance_section *c = &p->cfg->appearance;
    double references = mean_references(p);
    if (c->schedule != RS_CFG_SCHEDULE_CODE)
        return (double)c->steps;
    return references > 0 ? (double)c->epochs * (1 + (double)c->repeats * references) : 0;
}

static void find_steps(rs_plan *p)
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

/* What the settings and the model say; the model's files are checked where there are any. */
static rs_status load(rs_plan *p, const rs_plan_opts *o)
{
    rs_problems *problems = rs_problems_create();
    rs_check_model_info model;
    rs_status made = RS_OK;
    rs_check_load(&p->cfg, &p->catalog, problems, o->config, o->sets, o->n_sets);
    if (rs_problems_count(problems) == 0) {
        made = o->device ? rs_plan_rates_named(&p->rates, o->device) : RS_OK;
        if (made == RS_OK)
            made = make_sizes(p, o);
        if (made != RS_USAGE && (made != RS_OK || p->sizes.weights_present))
            rs_check_model(problems, &model, p->cfg);
    }
    rs_status st = rs_problems_status(problems);
    rs_problems_destroy(&problems);
    return st == RS_OK ? made : st;
}

/* On this machine, with the threads that a rank will have. */
static rs_status find_rates(rs_plan *p, const rs_plan_opts *o)
{
    rs_device *dev;
    int64_t threads = p->cfg->cluster.threads;
    if (o->device)
        return RS_OK;
    if (threads == 0)
        threads = rs_max_i64(1, sysconf(_SC_NPROCESSORS_ONLN) / o->per_node);
    RS_TRY(rs_device_open(&dev, &(rs_device_opts){.threads = rs_i32(threads),
                                                  .precision = rs_plan_precision(p->cfg)}));
    rs_status st = rs_plan_rates_measure(&p->rates, dev, &p->sizes);
    rs_device_destroy(&dev);
    return st;
}

static void predict(rs_plan *p, double references)
{
    rs_plan_predict(&p->predicted, p->cfg, &p->sizes, &p->rates, references);
    if (p->costs.from)
        return;
    for (int s = 0; s < RS_TASK_CHAIN; s++)
        p->costs.stage[s] = (rs_plan_cost){.mean = p->predicted.task[s]};
}

rs_status rs_plan_init(rs_plan *p, const rs_plan_opts *o)
{
    *p = (rs_plan){.arena = rs_arena_create(), .per_node = o->per_node};
    RS_TRY(load(p, o));
    RS_TRY(rs_plan_read_costs(&p->costs, p->arena, o->costs));
    RS_TRY(find_rates(p, o));
    predict(p, mean_references(p));
    make_work(p, o->copies);
    find_steps(p);
    return RS_OK;
}

void rs_plan_fini(rs_plan *p)
{
    rs_catalog_destroy(&p->catalog);
    rs_config_destroy(&p->cfg);
    rs_arena_destroy(&p->arena);
}

int rs_plan_widest(const rs_config *c, const rs_plan_sizes *z)
{
    int widest = rs_session_lanes(c) == 0 ? RS_LANE_MAX : 1;
    while (widest > 1 && (z->heads % widest || z->tokens / z->frames[0] < widest))
        widest /= 2; /* steps on one frame have the fewest tokens */
    return widest;
}

_Static_assert((int)RS_SIM_WIDTHS == (int)RS_PLAN_WIDTHS, "1, 2, 4 and 8");

/* As rs_world_make_gangs. What the simulation calls a gang is a lane. */
static void add_groups(rs_director_opts *o, const rs_plan *p, int64_t width)
{
    bool sharded = p->sizes.home == RS_PLAN_SHARDED && p->sizes.gang > 1;
    int64_t size = rs_max_i64(1, (sharded ? p->sizes.gang : p->per_node) / width);
    int64_t *groups = RS_NEW(p->arena, int64_t, o->n_gangs);
    for (int64_t g = 0; g < o->n_gangs; g++)
        groups[g] = g / size;
    o->groups = groups;
    o->in_step = sharded;
    o->widest = rs_plan_widest(p->cfg, &p->sizes);
    o->batch = p->sizes.batch;
}

rs_status rs_plan_sim_opts(rs_sim_opts *o, const rs_plan *p, int64_t ranks)
{
    if (!p->costs_known)
        return RS_FAIL(USAGE, "%s: no seconds of the stage %s, which the catalog has",
                       p->costs.from, p->first_unknown);
    int64_t width = rs_max_i64(1, rs_session_lanes(p->cfg));
    if (ranks % width)
        return RS_FAIL(USAGE, "cluster.lanes: lanes of %lld ranks do not divide %lld",
                       (long long)width, (long long)ranks);
    *o = (rs_sim_opts){.work = {.videos = p->videos, .n_videos = p->n_videos},
                       .seed = (uint64_t)p->cfg->seed,
                       .per_node = rs_max_i64(1, p->per_node / width)};
    o->work.n_gangs = ranks / width;
    add_groups(&o->work, p, width);
    memcpy(o->together, p->predicted.together, sizeof o->together);
    memcpy(o->wider, p->predicted.wider, sizeof o->wider);
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        o->pass[s] = p->predicted.pass[s]; /* only their ratios count */
        o->cv[s] = isnan(p->costs.stage[s].cv) ? 0 : p->costs.stage[s].cv;
        o->checkpoint[s] = p->between_s[s];
    }
    return RS_OK;
}
