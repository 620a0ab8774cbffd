#include "job/work.h"

#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/check.h"
#include "job/limit.h"
#include "job/pin.h"

static rs_status parse_only(rs_stage_id *last, bool *publish_too, const char *only)
{
    *last = RS_STAGE_DECODE;
    *publish_too = !only;
    if (!only)
        return RS_OK;
    for (int id = 0; id < RS_STAGE_COUNT; id++) {
        if (strcmp(rs_stage_get((rs_stage_id)id)->name, only) == 0) {
            *last = (rs_stage_id)id;
            return RS_OK;
        }
    }
    return RS_FAIL(USAGE,
                   "--only: unknown stage \"%s\"; known: ingest, motion, appearance, edit, decode",
                   only);
}

/* Outcomes of one video's edits, appended to the list. */
static void add_outcomes(rs_outcomes *l, rs_arena *a, const rs_catalog_video *v)
{
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)(l->n + v->n_edits), sizeof *l->items);
    for (int64_t i = 0; i < v->n_edits; i++)
        l->items[l->n + i] = (rs_outcome){.video = v->id,
                                          .edit = v->edits[i].id,
                                          .status = RS_STOPPED,
                                          .reason = "not reached",
                                          .measures = rs_measures_none(),
                                          .train_s = NAN,
                                          .sample_s = NAN};
    l->n += v->n_edits;
}

/* Before a time limit it matters that a stage whose state is there takes no time. Whether it is of
 * the present settings is known when it is taken up; states that are shared by arms cannot be
 * found without that. */
static bool seems_done(const rs_run_session *s, const rs_catalog_video *v, const rs_catalog_edit *e,
                       int stage)
{
    bool own = stage >= RS_TASK_APPEARANCE && stage <= RS_TASK_DECODE;
    if (!rs_world_leads(&s->world) || !isfinite(s->deadline) || s->run.shared_states ||
        stage > RS_TASK_PUBLISH || own != (e != NULL))
        return false;
    rs_arena *a = rs_arena_create();
    rs_job job = {.video = v, .edit = e, .arena = a};
    bool there =
        rs_path_exists(stage == RS_TASK_PUBLISH ? rs_archive_path_of(a, &s->run, v)
                                                : rs_stage_path(&s->run, &job, (rs_stage_id)stage));
    rs_arena_destroy(&a);
    return there;
}

/* What stages cost: seconds as rank 0 expects them (only the director reads them), where an edit's
 * appearance counts by its own references: a one-frame step is about a fifth of a full one. room:
 * what must be left of the time for them. */
static void fill_costs(double seconds[RS_TASK_COUNT], double room[RS_TASK_COUNT],
                       const rs_run_session *s, const rs_catalog_video *v, const rs_catalog_edit *e)
{
    const rs_run *run = &s->run;
    const rs_config *c = run->cfg;
    const rs_plan_prediction *p = &s->expected;
    rs_job job = {.video = v, .edit = e};
    double references = (double)rs_job_references(run, &job);
    double steps =
        (double)c->appearance.epochs * (1 + (double)c->appearance.repeats * references / 5);
    if (c->appearance.schedule != RS_CFG_SCHEDULE_CODE)
        steps = (double)c->appearance.steps / 3;
    for (int t = 0; t < RS_TASK_COUNT; t++)
        seconds[t] = p->task[t];
    seconds[RS_TASK_APPEARANCE] = p->clip_step * steps;
    for (int t = 0; t < RS_TASK_COUNT; t++) {
        if (seems_done(s, v, e, t))
            seconds[t] = 0;
        room[t] = rs_limit_room(c, p, (rs_task_stage)t, seconds[t]);
    }
}

/* Stages behind the last wanted one are left out. */
static uint32_t skipped(const rs_work *w)
{
    uint32_t skip = w->publish ? 0 : RS_TASK_BIT(RS_TASK_PUBLISH);
    for (int s = (int)w->last + 1; s < RS_TASK_PUBLISH; s++)
        skip |= RS_TASK_BIT(s);
    return skip;
}

static rs_sched_video tasks_of(rs_work *w, const rs_catalog_video *v, rs_sched_edit *edits)
{
    const rs_run *run = &w->s->run;
    rs_sched_video t = {.edits = edits, .n_edits = v->n_edits, .skip = skipped(w)};
    int64_t frames = v->frames ? v->frames : run->cfg->clip.frames;
    fill_costs(t.seconds, t.room, w->s, v, NULL);
    for (int64_t e = 0; e < v->n_edits; e++) {
        rs_job job = {.video = v, .edit = &v->edits[e]};
        fill_costs(edits[e].seconds, edits[e].room, w->s, v, job.edit);
        edits[e].skip = t.skip;
        int64_t references = rs_job_references(run, &job);
        edits[e].shape = rs_shapes_find(&w->shapes, w->s->arena, references, frames);
        if (references == 0)
            edits[e].skip |= RS_TASK_BIT(RS_TASK_APPEARANCE);
    }
    return t;
}

rs_status rs_work_choose(rs_work *w, const rs_run_opts *opts)
{
    const char *glob = opts->videos;
    rs_arena *a = w->s->arena;
    const rs_catalog *c = w->s->catalog;
    RS_TRY(parse_only(&w->last, &w->publish, opts->only));
    w->todo = RS_NEW(a, rs_sched_video, c->n_videos);
    w->edits = RS_NEW(a, rs_sched_edit *, c->n_videos);
    w->video = RS_NEW(a, int64_t, c->n_videos);
    w->first = RS_NEW(a, int64_t, c->n_videos);
    for (int64_t i = 0; i < c->n_videos; i++) {
        if (!rs_check_chosen(glob, &c->videos[i]))
            continue;
        w->edits[w->n] = RS_NEW(a, rs_sched_edit, c->videos[i].n_edits);
        w->todo[w->n] = tasks_of(w, &c->videos[i], w->edits[w->n]);
        w->video[w->n] = i;
        w->first[w->n++] = w->l->n;
        add_outcomes(w->l, a, &c->videos[i]);
    }
    if (w->n == 0)
        return RS_FAIL(USAGE, "--videos: \"%s\" matches none of the %lld videos", glob,
                       (long long)c->n_videos);
    return RS_OK;
}

static rs_status find_unusable(rs_work *w, const char *glob)
{
    const rs_catalog *c = w->s->catalog;
    int64_t jobs = rs_check_count_jobs(c);
    const char **all = RS_NEW(w->s->arena, const char *, jobs + 1);
    if (rs_world_leads(&w->s->world))
        rs_check_jobs(all, w->s->arena, w->s->run.cfg, c, glob);
    RS_TRY(rs_world_await_lead(&w->s->world));
    RS_TRY(rs_world_share(all, jobs, w->s->arena, &w->s->world));
    w->unusable = RS_NEW(w->s->arena, const char *, w->l->n);
    for (int64_t i = 0, k = 0, j = 0; i < c->n_videos; i++) {
        bool chosen = rs_check_chosen(glob, &c->videos[i]);
        for (int64_t e = 0; e < c->videos[i].n_edits; e++, k++) {
            if (chosen)
                w->unusable[j++] = all[k];
            if (all[k] && rs_world_leads(&w->s->world))
                RS_LOG(ERROR, "%s#%s failed: %s", c->videos[i].id, c->videos[i].edits[e].id,
                       all[k]);
        }
    }
    return RS_OK;
}

/* Edits that cannot be done have no tasks. */
static void mark_unusable(rs_work *w)
{
    for (int64_t k = 0; k < w->n; k++) {
        rs_sched_edit *edits = w->edits[k];
        for (int64_t e = 0; e < w->todo[k].n_edits; e++) {
            rs_outcome *o = &w->l->items[w->first[k] + e];
            if (!w->unusable[w->first[k] + e])
                continue;
            edits[e].failed = true;
            o->status = RS_INPUT;
            o->reason = w->unusable[w->first[k] + e];
            if (rs_world_leads(&w->s->world))
                rs_work_tell_outcome(w, o, -1);
        }
    }
}

rs_status rs_work_check_media(rs_work *w, const rs_run_opts *o)
{
    RS_TRY(find_unusable(w, o->videos));
    mark_unusable(w);
    return RS_OK;
}

rs_status rs_work_limit_ranks(rs_work *w)
{
    const rs_run_session *s = w->s;
    w->ranks = RS_NEW(s->arena, rs_sched_gang, s->world.size);
    for (int r = 0; r < s->world.size; r++)
        w->ranks[r] = (rs_sched_gang){.stages = RS_TASK_ANY, .deadline = s->deadline};
    return rs_pin_parse(w->ranks, s->world.size, s->run.cfg->cluster.pin);
}
