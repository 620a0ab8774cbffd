/* A catalog over the ranks of a run: who works on what (job/dispatch.h), and what becomes of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "comm/agree.h"
#include "job/held.h"
#include "job/index.h"
#include "job/plan.h"
#include "job/record.h"
#include "job/report.h"
#include "job/summary.h"
#include "job/video.h"
#include "job/viewer.h"
#include "job/work.h"
#include "stage/ahead.h"

static rs_status publish(rs_work *w, rs_dispatch *d, rs_video_work *v, const rs_assignment *t,
                         rs_edit_report *end)
{
    int64_t n = w->todo[rs_work_picked(w, t->video)].n_edits;
    rs_outcome *o = rs_alloc((size_t)n + 1, sizeof *o);
    rs_status st = RS_OK;
    rs_video_publish(v, t->fates, o, end);
    for (int64_t e = 0; e < n && st == RS_OK; e++) {
        rs_edit_report r = rs_work_report_of(&o[e]);
        st = rs_dispatch_report(d, e, &r);
    }
    rs_dealloc(o);
    return st;
}

/* Seconds that the computation of this rank has waited for blocks of weights. */
static double exposed(const rs_work *w)
{
    rs_denoiser *m = w->s->run.models.denoiser;
    return m ? rs_denoiser_stream_stats(m).exposed_s : 0;
}

/* What the thread that decodes media ahead asks. */
typedef struct upcoming {
    const rs_work *w;
    rs_dispatch *d;
} upcoming;

static const rs_catalog_video *next_ingest(void *ctx)
{
    rs_assignment t;
    const upcoming *u = ctx;
    if (!rs_dispatch_peek(u->d, &t) || t.video < 0 || t.stage != RS_TASK_INGEST)
        return NULL;
    return rs_work_video(u->w, rs_work_picked(u->w, t.video));
}

/* ---- an appearance with companions ---- */

typedef struct company {
    rs_dispatch *d;
    rs_video_part parts[RS_SCHED_BATCH];
    rs_video_work *others[RS_SCHED_BATCH]; /* videos besides that of the first part */
    int n_others;
    rs_status told; /* of the exchange with rank 0 */
    char error[512];
} company;

static void tell_end(void *ctx, int k, const rs_edit_report *end)
{
    company *c = ctx;
    if (c->told != RS_OK)
        return;
    c->told = rs_dispatch_end(c->d, k, end);
    if (c->told != RS_OK)
        snprintf(c->error, sizeof c->error, "%s", rs_error_message());
}

/* Parts of one video share what this rank has of it. */
static rs_video_work *work_of(rs_work *w, company *c, const rs_assignment *t, int i)
{
    int64_t video = t->with[i].video, k = rs_work_picked(w, video);
    if (video == t->video)
        return c->parts[0].work;
    for (int before = 0; before < i; before++)
        if (t->with[before].video == video)
            return c->parts[before + 1].work;
    rs_video_work *v = c->others[c->n_others++] = rs_video_work_create(w->s);
    rs_video_work_open(v, rs_work_video(w, k), w->unusable + w->first[k]);
    return v;
}

static rs_status work_together(rs_work *w, rs_dispatch *d, rs_video_work *v, const rs_assignment *t)
{
    company c = {.d = d, .parts = {{.work = v, .edit = t->edit}}};
    for (int i = 0; i < t->n_with; i++)
        c.parts[i + 1] = (rs_video_part){.work = work_of(w, &c, t, i), .edit = t->with[i].edit};
    rs_video_stage_many(c.parts, t->n_with + 1, t->stage, tell_end, &c);
    while (c.n_others > 0)
        rs_video_work_destroy(&c.others[--c.n_others]);
    return c.told == RS_OK ? RS_OK
                           : rs_fail_at(c.told, __FILE__, __LINE__, __func__, "%s", c.error);
}

/* Whatever becomes of the task is in the reports; an error is of the exchange with rank 0. */
static rs_status work_on(rs_work *w, rs_dispatch *d, rs_video_work *v, const rs_assignment *t)
{
    rs_edit_report end;
    int64_t k = rs_work_picked(w, t->video);
    if (w->s->run.ahead)
        rs_ahead_look(w->s->run.ahead, rs_work_video(w, k));
    rs_video_work_open(v, rs_work_video(w, k), w->unusable + w->first[k]);
    if (t->n_with > 0)
        return work_together(w, d, v, t);
    if (t->width > 1)
        rs_session_use_lane(w->s, t->width, false);
    if (t->stage == RS_TASK_PUBLISH)
        RS_TRY(publish(w, d, v, t, &end));
    else
        rs_video_stage(v, t->edit, t->stage, &end);
    if (t->width > 1)
        rs_session_use_lane(w->s, 1, false);
    return rs_dispatch_end(d, 0, &end);
}

/* A stage of another rank, which leads, when it calls for it. */
static rs_status help(rs_work *w, rs_dispatch *d, rs_video_work *v, bool *called)
{
    rs_assignment t;
    RS_TRY(rs_dispatch_follow(d, &t));
    *called = t.video >= 0;
    if (!*called)
        return RS_OK;
    int64_t k = rs_work_picked(w, t.video);
    rs_video_work_open(v, rs_work_video(w, k), w->unusable + w->first[k]);
    if (t.width > 1) {
        rs_session_use_lane(w->s, t.width, true);
        RS_LOG(DETAIL, "helps with %s of %s, over %d ranks", rs_task_stage_name(t.stage),
               rs_work_video(w, k)->id, t.width);
    }
    rs_status st = rs_video_follow(v, t.edit, t.stage);
    if (t.width > 1)
        rs_session_use_lane(w->s, 1, false);
    return st;
}

static rs_status work_off_all(rs_work *w, rs_dispatch *d, rs_video_work *v)
{
    for (;;) {
        rs_assignment t;
        rs_live_doing(w->s->run.live, "waits for work");
        RS_TRY(rs_dispatch_next(d, &t));
        if (t.video < 0)
            return RS_OK;
        double before = exposed(w);
        bool called;
        RS_TRY(t.helps ? help(w, d, v, &called) : work_on(w, d, v, &t));
        rs_live_gather(w->s->run.live, exposed(w) - before);
    }
}

static rs_status work_off(rs_work *w, rs_dispatch *d, rs_video_work *v)
{
    upcoming u = {w, d};
    rs_status st = RS_OK;
    if (rs_session_reads_ahead(w->s))
        RS_TRY(rs_ahead_start(&w->s->run.ahead, &w->s->run, next_ingest, &u));
    st = work_off_all(w, d, v);
    rs_ahead_stop(&w->s->run.ahead);
    return st;
}

/* The ranks of a lane that do not lead it. */
static rs_status follow(rs_work *w, rs_dispatch *d, rs_video_work *v)
{
    for (bool called = true; called;) {
        rs_live_doing(w->s->run.live, "waits for work");
        RS_TRY(help(w, d, v, &called));
    }
    return RS_OK;
}

static rs_status call_lane(void *dispatch)
{
    return rs_dispatch_call_lane(dispatch);
}

/* The videos of the present list, once. *finished: no rank was asked to stop. */
static rs_status run_list(rs_work *w, bool *finished)
{
    rs_dispatch *d = NULL;
    int64_t batch = w->s->sizes.batch;
    RS_TRY(rs_comm_allreduce(&batch, w->s->world.comm, &batch, 1, RS_COMM_I64, RS_COMM_MIN,
                             "jobs of a batch"));
    rs_arena *a = rs_arena_create();
    int64_t n = w->pick ? w->n_pick : w->n;
    rs_sched_video *todo = RS_NEW(a, rs_sched_video, n);
    for (int64_t i = 0; i < n; i++)
        todo[i] = w->todo[rs_work_picked(w, i)];
    rs_dispatch_opts o = {.videos = todo,
                          .n_videos = n,
                          .ranks = w->ranks,
                          .in_step = w->s->sizes.home == RS_PLAN_SHARDED,
                          .widest = rs_plan_widest(w->s->run.cfg, &w->s->sizes),
                          .batch = rs_i32(batch),
                          .on_task = rs_work_take_end,
                          .on_report = rs_work_take_report,
                          .ctx = w,
                          .stop = w->s->run.stop};
    rs_status st = rs_dispatch_open(&d, &w->s->world, &o);
    if (st == RS_OK) {
        rs_video_work *v = rs_video_work_create(w->s);
        w->s->run.call_lane = call_lane;
        w->s->run.call_ctx = d;
        st = w->s->run.follows ? follow(w, d, v) : work_off(w, d, v);
        rs_video_work_destroy(&v);
        if (st != RS_OK) /* the others wait for this rank, or it for them */
            rs_comm_abort(w->s->world.comm, rs_status_exit_code(st), rs_error_message());
        st = rs_dispatch_close(&d, finished);
    }
    if (rs_tenancy_leases(w->s->tenancy))
        rs_leases_give_back(rs_tenancy_leases(w->s->tenancy));
    rs_arena_destroy(&a);
    return st;
}

/* Videos of other runs come back until they are done, by those or, when they are gone, by this one.
 */
static rs_status run_all_videos(rs_work *w, bool *finished)
{
    rs_arena *a = w->s->arena;
    const char **ids = RS_NEW(a, const char *, w->n);
    int64_t *at = RS_NEW(a, int64_t, w->n), *pick = RS_NEW(a, int64_t, w->n);
    rs_held h = {0};
    for (;;) {
        bool stopped = false;
        RS_TRY(run_list(w, finished));
        if (!*finished) {
            RS_TRY(rs_world_any(&stopped, &w->s->world, *w->s->run.stop != 0, "requests to stop"));
            w->limited = !stopped;
            return RS_OK;
        }
        int64_t n = rs_work_list_held(w, at, ids);
        RS_TRY(rs_comm_broadcast(at, w->s->world.comm, (size_t)w->n * sizeof *at, 0, "videos"));
        RS_TRY(rs_held_await(&h, &stopped, w->s, ids, n));
        *finished = !stopped;
        if (h.n == 0)
            return RS_OK;
        for (int64_t i = 0; i < h.n; i++)
            pick[i] = at[h.at[i]];
        for (int64_t i = 0; i < h.n && rs_world_leads(&w->s->world); i++)
            rs_work_begin_again(w, pick[i]);
        w->pick = pick;
        w->n_pick = h.n;
    }
}

/* catalog.h5 again unless it is newer than every archive and says what became of every edit. */
static rs_status update_index(const rs_work *w)
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

/* One run at a time; from the archives, so that it does not matter which comes last. */
static rs_status write_overview(const rs_work *w)
{
    RS_TRY(rs_tenancy_enter(w->s->tenancy));
    rs_status st = update_index(w);
    if (st == RS_OK && w->publish)
        st = rs_report_write(w->s->catalog, w->s->run.output);
    rs_tenancy_leave(w->s->tenancy);
    return st;
}

/* Rank 0: what all ranks have done. */
static rs_status conclude(const rs_work *w, const rs_live_summary *sum, bool finished)
{
    const rs_outcomes *l = w->l;
    int64_t failed = 0;
    if (!rs_world_leads(&w->s->world))
        return RS_OK;
    rs_live_doing(w->s->run.live, "writes the overview");
    rs_status st = write_overview(w);
    if (st != RS_OK)
        RS_LOG(ERROR, "the overview of the run could not be written: %s", rs_error_message());
    rs_report_log(w->s, l);
    rs_summary_log(w->s, sum);
    if (!finished && w->limited)
        return RS_FAIL(STOPPED,
                       "nothing that is left fits into the %.0f s before the time limit; the same "
                       "command goes on",
                       fmax(0, w->s->deadline - rs_now()));
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

static rs_status run_watched(rs_work *w, bool *finished)
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
        st = run_all_videos(w, finished);
    rs_viewer_stop(&viewer);
    return st;
}

rs_status rs_run_jobs(rs_run_session *s, const rs_run_opts *o, rs_outcomes *l)
{
    rs_work w = {.s = s, .l = l};
    rs_live_summary sum;
    double begin = rs_now();
    bool finished = false;
    RS_TRY(rs_work_choose(&w, o));
    RS_TRY(rs_comm_agree(s->world.comm, rs_record_jobs(s, w.video, w.n, w.last, w.publish)));
    rs_live_doing(s->run.live, "waits for the check of all media");
    RS_TRY(rs_work_check_media(&w, o));
    RS_TRY(rs_work_limit_ranks(&w));
    RS_TRY(run_watched(&w, &finished));
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
    char why[1024]; /* to be said at the end, whatever fails on the way there */
    snprintf(why, sizeof why, "%s", st == RS_OK ? "" : rs_error_message());
    rs_session_record_end(&s, st);
    if (st != RS_OK)
        RS_LOG(DETAIL, "the run ends: %s", why);
    if (st == RS_PEER && s.world.comm) /* no collective ends any more, closing neither */
        rs_comm_abort(s.world.comm, rs_status_exit_code(st), why);
    rs_session_close(&s);
    return st == RS_OK ? st : rs_fail_at(st, __FILE__, __LINE__, __func__, "%s", why);
}
