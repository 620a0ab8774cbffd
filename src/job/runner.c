/* A catalog over the ranks of a run: who works on what (job/dispatch.h), and what becomes of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "job/check.h"
#include "job/dispatch.h"
#include "job/index.h"
#include "job/job.h"
#include "job/pin.h"
#include "job/record.h"
#include "job/report.h"
#include "job/summary.h"
#include "job/video.h"
#include "job/viewer.h"

/* One call of rs_run_jobs. */
typedef struct work {
    rs_run_session *s;
    rs_outcomes *l;
    rs_stage_id last;
    bool publish;
    rs_sched_video *todo;  /* (n) chosen videos */
    rs_sched_edit **edits; /* (n) theirs */
    int64_t *video;        /* (n) index in the catalog */
    int64_t *first;        /* (n) of its edits' outcomes */
    rs_sched_gang *ranks;  /* (world size) what they may do */
    const char **unusable; /* (n edits) what is wrong with its media, or NULL */
    int64_t n;
} work;

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

/* What stages cost in relation to each other, in full-length training steps: a one-frame step is
 * about a fifth of one, a pass of sampling a third. */
static void fill_costs(double seconds[RS_TASK_COUNT], const rs_run *run, const rs_catalog_video *v,
                       const rs_catalog_edit *e)
{
    const rs_config *c = run->cfg;
    rs_job job = {.video = v, .edit = e};
    double references = (double)rs_job_references(run, &job);
    seconds[RS_TASK_INGEST] = seconds[RS_TASK_DECODE] = seconds[RS_TASK_PUBLISH] = 1;
    seconds[RS_TASK_MOTION] = (double)c->motion.steps;
    seconds[RS_TASK_APPEARANCE] =
        (double)c->appearance.epochs * (1 + (double)c->appearance.repeats * references / 5);
    if (c->appearance.schedule != RS_CFG_SCHEDULE_CODE)
        seconds[RS_TASK_APPEARANCE] = (double)c->appearance.steps / 3;
    seconds[RS_TASK_EDIT] = (double)c->edit.steps * (c->edit.guidance == 1 ? 1 : 2) / 3;
}

/* Stages behind the last wanted one are left out. */
static uint32_t skipped(const work *w)
{
    uint32_t skip = w->publish ? 0 : RS_TASK_BIT(RS_TASK_PUBLISH);
    for (int s = (int)w->last + 1; s < RS_TASK_PUBLISH; s++)
        skip |= RS_TASK_BIT(s);
    return skip;
}

static rs_sched_video tasks_of(const work *w, const rs_catalog_video *v, rs_sched_edit *edits)
{
    const rs_run *run = &w->s->run;
    rs_sched_video t = {.edits = edits, .n_edits = v->n_edits, .skip = skipped(w)};
    fill_costs(t.seconds, run, v, NULL);
    for (int64_t e = 0; e < v->n_edits; e++) {
        rs_job job = {.video = v, .edit = &v->edits[e]};
        fill_costs(edits[e].seconds, run, v, job.edit);
        edits[e].skip = t.skip;
        if (rs_job_references(run, &job) == 0)
            edits[e].skip |= RS_TASK_BIT(RS_TASK_APPEARANCE);
    }
    return t;
}

static rs_status choose(work *w, const char *glob)
{
    rs_arena *a = w->s->arena;
    const rs_catalog *c = w->s->catalog;
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

/* What is wrong with the media of the chosen jobs, said before hours are spent on the others. Rank
 * 0 looks, all know. */
static rs_status find_unusable(work *w, const char *glob)
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

/* For those who look on. */
static void tell_outcome(const work *w, const rs_outcome *o, int stage)
{
    rs_live_how how = rs_live_how_of(o->status);
    rs_live_outcome(w->s->run.live, o->video, o->edit,
                    how == RS_LIVE_DONE && !o->ran ? RS_LIVE_CACHED : how, stage, o->reason);
}

/* Edits that cannot be done have no tasks. */
static void mark_unusable(work *w)
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
                tell_outcome(w, o, -1);
        }
    }
}

/* What the ranks may do: all of it, but for pins and the time limit. */
static rs_status limit_ranks(work *w)
{
    const rs_run_session *s = w->s;
    w->ranks = RS_NEW(s->arena, rs_sched_gang, s->world.size);
    for (int r = 0; r < s->world.size; r++)
        w->ranks[r] = (rs_sched_gang){.stages = RS_TASK_ANY, .deadline = s->deadline};
    return rs_pin_parse(w->ranks, s->world.size, s->run.cfg->cluster.pin);
}

/* ---- reports to rank 0 ---- */

static rs_edit_report report_of(const rs_outcome *o)
{
    return (rs_edit_report){.status = o->status,
                            .stage = -1,
                            .ran = o->ran,
                            .movie = o->mp4 != NULL,
                            .archive = o->archive != NULL,
                            .train_s = o->train_s,
                            .sample_s = o->sample_s,
                            .measures = o->measures};
}

static const rs_catalog_video *video_of(const work *w, int64_t k)
{
    return &w->s->catalog->videos[w->video[k]];
}

static void take_report(void *ctx, int64_t k, int64_t edit, const rs_edit_report *r)
{
    const work *w = ctx;
    rs_arena *a = w->s->reports;
    const rs_catalog_video *v = video_of(w, k);
    rs_outcome *o = &w->l->items[w->first[k] + edit];
    o->ran = o->ran || r->ran;
    o->mp4 = r->movie ? rs_mp4_path_of(a, &w->s->run, v, &v->edits[edit]) : NULL;
    o->archive = r->archive ? rs_archive_path_of(a, &w->s->run, v) : NULL;
    o->measures = r->measures;
    o->train_s = r->train_s;
    o->sample_s = r->sample_s;
}

static void fail(const work *w, rs_outcome *o, const rs_edit_report *end)
{
    o->status = end->status;
    o->reason = rs_arena_strdup(w->s->reports, end->reason);
    o->stage = end->stage >= 0 ? rs_task_stage_name((rs_task_stage)end->stage) : NULL;
    if (end->status != RS_STOPPED)
        RS_LOG(ERROR, "%s#%s failed%s%s: %s", o->video, o->edit, o->stage ? " in " : "",
               o->stage ? o->stage : "", o->reason);
    tell_outcome(w, o, end->stage);
}

/* Is this the last task of an edit? */
static bool completes(const work *w, rs_task_stage stage)
{
    return w->publish ? stage == RS_TASK_PUBLISH : (int)stage == (int)w->last;
}

static void take_end(void *ctx, int64_t k, int64_t edit, rs_task_stage stage,
                     const rs_edit_report *end)
{
    const work *w = ctx;
    for (int64_t e = 0; e < w->todo[k].n_edits; e++) {
        rs_outcome *o = &w->l->items[w->first[k] + e];
        bool over = o->status != RS_OK && o->status != RS_STOPPED; /* failed before */
        if ((edit >= 0 && edit != e) || over)
            continue;
        o->ran = o->ran || end->ran;
        if (end->status != RS_OK) {
            fail(w, o, end);
        } else if (completes(w, stage)) {
            o->status = RS_OK;
            o->reason = NULL;
            o->stage = NULL;
            tell_outcome(w, o, -1);
        }
    }
}

/* ---- work ---- */

static rs_status publish(work *w, rs_dispatch *d, rs_video_work *v, const rs_assignment *t,
                         rs_edit_report *end)
{
    int64_t n = w->todo[t->video].n_edits;
    rs_outcome *o = rs_alloc((size_t)n + 1, sizeof *o);
    rs_status st = RS_OK;
    rs_video_publish(v, t->fates, o, end);
    for (int64_t e = 0; e < n && st == RS_OK; e++) {
        rs_edit_report r = report_of(&o[e]);
        st = rs_dispatch_report(d, e, &r);
    }
    rs_dealloc(o);
    return st;
}

/* Seconds that the computation of this rank has waited for blocks of weights. */
static double exposed(const work *w)
{
    rs_denoiser *m = w->s->run.models.denoiser;
    return m ? rs_denoiser_stream_stats(m).exposed_s : 0;
}

/* Whatever becomes of the task is in the reports; an error is of the exchange with rank 0. */
static rs_status work_on(work *w, rs_dispatch *d, rs_video_work *v, const rs_assignment *t)
{
    rs_edit_report end;
    rs_video_work_open(v, video_of(w, t->video), w->unusable + w->first[t->video]);
    if (t->stage == RS_TASK_PUBLISH)
        RS_TRY(publish(w, d, v, t, &end));
    else
        rs_video_stage(v, t->edit, t->stage, &end);
    return rs_dispatch_end(d, &end);
}

static rs_status work_off(work *w, rs_dispatch *d, rs_video_work *v)
{
    for (;;) {
        rs_assignment t;
        rs_live_doing(w->s->run.live, "waits for work");
        RS_TRY(rs_dispatch_next(d, &t));
        if (t.video < 0)
            return RS_OK;
        double before = exposed(w);
        RS_TRY(work_on(w, d, v, &t));
        rs_live_gather(w->s->run.live, exposed(w) - before);
    }
}

static rs_status run_all_videos(work *w, const volatile sig_atomic_t *stop, bool *finished)
{
    rs_dispatch *d = NULL;
    rs_dispatch_opts o = {.videos = w->todo,
                          .n_videos = w->n,
                          .ranks = w->ranks,
                          .on_task = take_end,
                          .on_report = take_report,
                          .ctx = w,
                          .stop = stop};
    RS_TRY(rs_dispatch_open(&d, &w->s->world, &o));
    rs_video_work *v = rs_video_work_create(w->s);
    rs_status st = work_off(w, d, v);
    rs_video_work_destroy(&v);
    if (st != RS_OK) /* the others wait for this rank, or it for them */
        rs_comm_abort(w->s->world.comm, rs_status_exit_code(st), rs_error_message());
    return rs_dispatch_close(&d, finished);
}

/* catalog.h5 again unless it is newer than every archive and says what became of every edit. */
static rs_status update_index(const work *w)
{
    const rs_run_session *s = w->s;
    const char *index = rs_path_join(s->arena, s->run.output, "catalog.h5");
    bool stale = w->publish && !rs_index_agrees(index, w->l);
    for (int64_t i = 0; i < w->l->n; i++) {
        const char *archive = w->l->items[i].archive;
        stale = stale || (archive && !rs_path_newer(index, archive));
    }
    return stale ? rs_index_rebuild(s->run.output, s->cfg->output, s->arm) : RS_OK;
}

/* Rank 0: what all ranks have done. */
static rs_status conclude(const work *w, const rs_live_summary *sum, bool finished)
{
    const rs_outcomes *l = w->l;
    int64_t failed = 0;
    if (!rs_world_leads(&w->s->world))
        return RS_OK;
    rs_live_doing(w->s->run.live, "writes the overview");
    rs_status st = update_index(w);
    if (st == RS_OK && w->publish)
        st = rs_report_write(w->s->catalog, w->s->run.output);
    if (st != RS_OK)
        RS_LOG(ERROR, "the overview of the run could not be written: %s", rs_error_message());
    rs_report_log(w->s, l);
    rs_summary_log(w->s, sum);
    if (!finished)
        return RS_FAIL(STOPPED, "stopped; the same command goes on");
    for (int64_t i = 0; i < l->n; i++)
        failed += l->items[i].status != RS_OK;
    if (failed)
        return RS_FAIL(JOBS, "%lld of %lld edits failed", (long long)failed, (long long)l->n);
    if (st != RS_OK)
        return RS_FAIL(IO, "the overview of %s could not be written", w->s->run.output);
    return RS_OK;
}

static rs_status run_watched(work *w, const volatile sig_atomic_t *stop, bool *finished)
{
    const rs_run_session *s = w->s;
    rs_viewer *viewer = NULL;
    rs_status st = RS_OK;
    rs_viewer_opts o = {.live = s->cfg->output,
                        .output = s->run.output,
                        .arm = s->arm,
                        .progress = s->cfg->log.progress,
                        .catalog_every = w->publish ? s->cfg->log.catalog_every : 0};
    if (rs_world_leads(&s->world))
        st = rs_viewer_start(&viewer, &o);
    st = rs_comm_agree(s->world.comm, st);
    if (st == RS_OK)
        st = run_all_videos(w, stop, finished);
    rs_viewer_stop(&viewer);
    return st;
}

rs_status rs_run_jobs(rs_run_session *s, const rs_run_opts *o, rs_outcomes *l)
{
    work w = {.s = s, .l = l};
    rs_live_summary sum;
    double begin = rs_now();
    bool finished = false;
    RS_TRY(parse_only(&w.last, &w.publish, o->only));
    RS_TRY(choose(&w, o->videos));
    RS_TRY(rs_comm_agree(s->world.comm, rs_record_jobs(s, w.video, w.n, w.last, w.publish)));
    rs_live_doing(s->run.live, "waits for the check of all media");
    RS_TRY(find_unusable(&w, o->videos));
    mark_unusable(&w);
    RS_TRY(limit_ranks(&w));
    RS_TRY(run_watched(&w, o->stop, &finished));
    RS_TRY(rs_summary_make(&sum, s, l, begin));
    rs_status st = conclude(&w, &sum, finished);
    RS_TRY(rs_world_await_lead(&s->world));
    return rs_comm_agree(s->world.comm, st);
}

static rs_status run_all(rs_run_session *s, const rs_run_opts *o)
{
    rs_outcomes outcomes = {0};
    if (s->arms)
        return rs_run_arms(s, o);
    if (o->arms)
        return RS_FAIL(USAGE, "--arms: %s has no arms", o->config);
    return rs_run_jobs(s, o, &outcomes);
}

rs_status rs_run_catalog(const rs_run_opts *o)
{
    rs_run_session s;
    rs_status st = rs_session_open(&s, o);
    if (st == RS_OK)
        st = run_all(&s, o);
    rs_session_record_end(&s, st);
    if (st != RS_OK)
        RS_LOG(DETAIL, "the run ends: %s", rs_error_message());
    if (st == RS_PEER && s.world.comm) /* no collective ends any more, closing neither */
        rs_comm_abort(s.world.comm, rs_status_exit_code(st), rs_error_message());
    rs_session_close(&s);
    return st;
}
