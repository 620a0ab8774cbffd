/* A catalog over the ranks of a run: who works on what (job/dispatch.h), and what becomes of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "job/check.h"
#include "job/dispatch.h"
#include "job/held.h"
#include "job/index.h"
#include "job/job.h"
#include "job/report.h"

/* One call of rs_run_jobs. */
typedef struct work {
    rs_run_session *s;
    rs_outcomes *l;
    rs_stage_id last;
    bool publish;
    rs_sched_video *todo;  /* (n) chosen videos */
    int64_t *video;        /* (n) index in the catalog */
    int64_t *first;        /* (n) of its edits' outcomes */
    const char **unusable; /* (n edits) what is wrong with its media, or NULL */
    int64_t n;
    const int64_t *pick; /* of these in the present list, NULL: all */
    int64_t n_pick;
} work;

/* The k-th of the present list. */
static int64_t picked(const work *w, int64_t k)
{
    return w->pick ? w->pick[k] : k;
}

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

/* What a video costs in relation to others: what its edits share counts as much as an edit. Failed
 * ones count too, as something says so in the archive. */
static rs_sched_video task_of(rs_arena *a, const rs_catalog_video *v)
{
    rs_sched_video t = {.edits = RS_NEW(a, rs_sched_edit, v->n_edits), .n_edits = v->n_edits};
    t.seconds[RS_TASK_CHAIN] = 1 + (double)v->n_edits;
    return t;
}

static rs_status choose(work *w, const char *glob)
{
    rs_arena *a = w->s->arena;
    const rs_catalog *c = w->s->catalog;
    w->todo = RS_NEW(a, rs_sched_video, c->n_videos);
    w->video = RS_NEW(a, int64_t, c->n_videos);
    w->first = RS_NEW(a, int64_t, c->n_videos);
    for (int64_t i = 0; i < c->n_videos; i++) {
        if (!rs_check_chosen(glob, &c->videos[i]))
            continue;
        w->todo[w->n] = task_of(a, &c->videos[i]);
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

/* ---- reports: from outcomes on the rank that worked to outcomes on rank 0 ---- */

static int32_t stage_index(const char *name)
{
    for (int32_t id = 0; name && id < RS_STAGE_COUNT; id++)
        if (strcmp(rs_stage_get((rs_stage_id)id)->name, name) == 0)
            return id;
    return name ? RS_STAGE_COUNT : -1;
}

static rs_edit_report report_of(const rs_outcome *o)
{
    rs_edit_report r = {.status = o->status,
                        .stage = stage_index(o->stage),
                        .ran = o->ran,
                        .movie = o->mp4 != NULL,
                        .archive = o->archive != NULL,
                        .train_s = o->train_s,
                        .sample_s = o->sample_s,
                        .measures = o->measures};
    snprintf(r.reason, sizeof r.reason, "%s", o->reason ? o->reason : "");
    return r;
}

static void take_report(void *ctx, int64_t video, int64_t edit, const rs_edit_report *r)
{
    const work *w = ctx;
    rs_arena *a = w->s->reports;
    video = picked(w, video);
    const rs_catalog_video *v = &w->s->catalog->videos[w->video[video]];
    rs_outcome *o = &w->l->items[w->first[video] + edit];
    o->status = r->status;
    o->reason = *r->reason ? rs_arena_strdup(a, r->reason) : NULL;
    o->stage = r->stage < 0                ? NULL
               : r->stage < RS_STAGE_COUNT ? rs_stage_get((rs_stage_id)r->stage)->name
                                           : "publish";
    o->ran = r->ran;
    o->mp4 = r->movie ? rs_mp4_path_of(a, &w->s->run, v, &v->edits[edit]) : NULL;
    o->archive = r->archive ? rs_archive_path_of(a, &w->s->run, v) : NULL;
    o->measures = r->measures;
    o->train_s = r->train_s;
    o->sample_s = r->sample_s;
}

/* ---- work ---- */

/* Whatever becomes of the video is in the reports; an error is of the exchange with rank 0. */
static rs_status work_on(work *w, rs_dispatch *d, int64_t listed)
{
    int64_t k = picked(w, listed);
    const rs_catalog_video *v = &w->s->catalog->videos[w->video[k]];
    rs_outcome *outcomes = &w->l->items[w->first[k]];
    rs_status st = rs_run_video(w->s, v, outcomes, w->last, w->publish, w->unusable + w->first[k]);
    for (int64_t e = 0; e < v->n_edits; e++) {
        rs_edit_report r = report_of(&outcomes[e]);
        RS_TRY(rs_dispatch_report(d, e, &r));
    }
    return rs_dispatch_end(d, st == RS_STOPPED);
}

static rs_status work_off(work *w, rs_dispatch *d)
{
    for (;;) {
        int64_t k;
        RS_TRY(rs_dispatch_next(d, &k));
        if (k < 0)
            return RS_OK;
        RS_TRY(work_on(w, d, k));
    }
}

/* The videos of the present list, once. *finished: no rank was asked to stop. */
static rs_status run_list(work *w, bool *finished)
{
    rs_dispatch *d = NULL;
    rs_arena *a = rs_arena_create();
    int64_t n = w->pick ? w->n_pick : w->n;
    rs_sched_video *todo = RS_NEW(a, rs_sched_video, n);
    for (int64_t i = 0; i < n; i++)
        todo[i] = w->todo[picked(w, i)];
    rs_dispatch_opts o = {
        .videos = todo, .n_videos = n, .on_report = take_report, .ctx = w, .stop = w->s->run.stop};
    rs_status st = rs_dispatch_open(&d, &w->s->world, &o);
    if (st == RS_OK) {
        st = work_off(w, d);
        if (st != RS_OK) /* the others wait for this rank, or it for them */
            rs_comm_abort(w->s->world.comm, rs_status_exit_code(st), rs_error_message());
        st = rs_dispatch_close(&d, finished);
    }
    if (rs_tenancy_leases(w->s->tenancy))
        rs_leases_give_back(rs_tenancy_leases(w->s->tenancy));
    rs_arena_destroy(&a);
    return st;
}

/* Rank 0: videos that other runs hold. */
static int64_t list_held(const work *w, int64_t *at, const char **ids)
{
    int64_t n = 0;
    for (int64_t k = 0; k < w->n && rs_world_leads(&w->s->world); k++) {
        bool held = false;
        for (int64_t e = 0; e < w->todo[k].n_edits; e++)
            held = held || w->l->items[w->first[k] + e].status == RS_HELD;
        if (held) {
            ids[n] = w->s->catalog->videos[w->video[k]].id;
            at[n++] = k;
        }
    }
    return n;
}

/* Videos of other runs come back until they are done, by those or, when they are gone, by this one.
 */
static rs_status run_all_videos(work *w, bool *finished)
{
    rs_arena *a = w->s->arena;
    const char **ids = RS_NEW(a, const char *, w->n);
    int64_t *at = RS_NEW(a, int64_t, w->n), *pick = RS_NEW(a, int64_t, w->n);
    rs_held h = {0};
    for (;;) {
        bool stopped = false;
        RS_TRY(run_list(w, finished));
        if (!*finished)
            return RS_OK;
        int64_t n = list_held(w, at, ids);
        RS_TRY(rs_comm_broadcast(at, w->s->world.comm, (size_t)w->n * sizeof *at, 0, "videos"));
        RS_TRY(rs_held_await(&h, &stopped, w->s, ids, n));
        *finished = !stopped;
        if (h.n == 0)
            return RS_OK;
        for (int64_t i = 0; i < h.n; i++)
            pick[i] = at[h.at[i]];
        w->pick = pick;
        w->n_pick = h.n;
    }
}

/* catalog.h5 again unless it is newer than every archive. */
static rs_status update_index(const rs_run_session *s, const rs_outcomes *l)
{
    const char *index = rs_path_join(s->arena, s->run.output, "catalog.h5");
    bool stale = false;
    for (int64_t i = 0; i < l->n; i++)
        stale = stale || (l->items[i].archive && !rs_path_newer(index, l->items[i].archive));
    return stale ? rs_index_write(s->run.output) : RS_OK;
}

/* One run at a time; from the archives, so that it does not matter which comes last. */
static rs_status write_overview(const work *w)
{
    RS_TRY(rs_tenancy_enter(w->s->tenancy));
    rs_status st = update_index(w->s, w->l);
    if (st == RS_OK && w->publish)
        st = rs_report_write(w->s->catalog, w->s->run.output);
    rs_tenancy_leave(w->s->tenancy);
    return st;
}

/* Rank 0: what all ranks have done. */
static rs_status conclude(const work *w, bool finished)
{
    const rs_outcomes *l = w->l;
    int64_t failed = 0;
    if (!rs_world_leads(&w->s->world))
        return RS_OK;
    rs_status st = write_overview(w);
    if (st != RS_OK)
        RS_LOG(ERROR, "the overview of the run could not be written: %s", rs_error_message());
    rs_report_log(w->s, l);
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

rs_status rs_run_jobs(rs_run_session *s, const rs_run_opts *o, rs_outcomes *l)
{
    work w = {.s = s, .l = l};
    bool finished = false;
    RS_TRY(parse_only(&w.last, &w.publish, o->only));
    RS_TRY(choose(&w, o->videos));
    RS_TRY(find_unusable(&w, o->videos));
    RS_TRY(run_all_videos(&w, &finished));
    rs_status st = conclude(&w, finished);
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
    if (st != RS_OK)
        RS_LOG(DETAIL, "the run ends: %s", rs_error_message());
    if (st == RS_PEER && s.world.comm) /* no collective ends any more, closing neither */
        rs_comm_abort(s.world.comm, rs_status_exit_code(st), rs_error_message());
    rs_session_close(&s);
    return st;
}
