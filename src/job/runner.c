#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/check.h"
#include "job/index.h"
#include "job/job.h"
#include "job/report.h"

/* One video while it is being worked on. */
typedef struct video_work {
    rs_run *run;
    rs_used_states *used;
    rs_stage_id last; /* last stage wanted */
    bool publish;
    rs_job video;
    rs_job **edits;
    rs_outcome *outcomes;        /* n_edits of them, inside the run's list */
    rs_arena **arenas;           /* one per edit */
    const char *const *unusable; /* per edit: what is wrong with its media, or NULL */
} video_work;

static void fail(rs_outcome *o, rs_arena *a, rs_status st, const char *stage)
{
    o->status = st;
    o->stage = stage;
    o->reason = rs_arena_strdup(a, rs_error_message());
    if (st != RS_STOPPED)
        RS_LOG(ERROR, "%s#%s failed%s%s: %s", o->video, o->edit, stage ? " in " : "",
               stage ? stage : "", o->reason);
    RS_LOG(DEBUG, "%s", rs_error_trace());
}

/* Stages of one job in order, up to the last wanted one, per-video or per-edit as asked. */
static rs_status run_stages(video_work *w, rs_job *job, bool per_edit, bool *ran,
                            const char **stage)
{
    for (int id = 0; id <= (int)w->last; id++) {
        const rs_stage *s = rs_stage_get((rs_stage_id)id);
        bool did = false;
        if (s->per_edit != per_edit)
            continue;
        *stage = s->name;
        RS_TRY(rs_stage_run(w->run, job, (rs_stage_id)id, &did));
        *ran = *ran || did;
    }
    *stage = NULL;
    return RS_OK;
}

static rs_job *new_edit_job(video_work *w, int64_t i)
{
    const rs_catalog_edit *e = &w->video.video->edits[i];
    w->arenas[i] = rs_arena_create();
    rs_job *job = RS_NEW(w->arenas[i], rs_job, 1);
    *job = (rs_job){.video = w->video.video, .edit = e, .parent = &w->video, .arena = w->arenas[i]};
    job->name = rs_arena_printf(job->arena, "%s#%s", job->video->id, e->id);
    return job;
}

static rs_status run_edit_job(video_work *w, int64_t i, rs_arena *a)
{
    rs_outcome *o = &w->outcomes[i];
    w->edits[i] = new_edit_job(w, i);
    const char *stage = NULL;
    if (w->unusable[i])
        return RS_INPUT;
    rs_status st = rs_job_keys(w->run, w->edits[i]);
    if (st == RS_OK) {
        rs_used_states_add(w->used, w->run, w->edits[i]);
        st = run_stages(w, w->edits[i], true, &o->ran, &stage);
    }
    if (st != RS_OK) {
        fail(o, a, st, stage);
    } else {
        o->status = RS_OK;
        o->reason = NULL;
    }
    return st;
}

static void fail_all(video_work *w, rs_arena *a, rs_status st, const char *stage)
{
    for (int64_t i = 0; i < w->video.video->n_edits; i++)
        if (!w->unusable[i])
            fail(&w->outcomes[i], a, st, stage);
}

/* Edits whose media were found unusable have failed already. False if that is all of them. */
static bool mark_unusable(video_work *w)
{
    int64_t left = 0;
    for (int64_t i = 0; i < w->video.video->n_edits; i++) {
        if (!w->unusable[i]) {
            left++;
            continue;
        }
        w->outcomes[i].status = RS_INPUT;
        w->outcomes[i].reason = w->unusable[i];
    }
    return left > 0;
}

static rs_status publish(video_work *w, rs_arena *a)
{
    int64_t ok = 0, n = w->video.video->n_edits;
    bool ran = false;
    for (int64_t i = 0; i < n; i++)
        ok += w->outcomes[i].status == RS_OK;
    const char *archive =
        rs_arena_printf(w->video.arena, "%s/archive/%s.h5", w->run->output, w->video.video->id);
    if (ok == 0 && !rs_path_exists(archive))
        return RS_OK; /* nothing to show; an older archive must say that its edits fail now */
    rs_log_set_context(w->video.video->id);
    rs_status st = rs_publish_video(w->run, &w->video, w->edits, w->outcomes, n, &ran);
    rs_log_set_context(NULL);
    for (int64_t i = 0; i < n && st != RS_OK; i++)
        if (w->outcomes[i].status == RS_OK)
            fail(&w->outcomes[i], a, st, "publish");
    for (int64_t i = 0; i < n; i++)
        w->outcomes[i].ran = w->outcomes[i].ran || ran;
    return st == RS_STOPPED ? st : RS_OK;
}

static rs_status run_video(video_work *w, rs_arena *a)
{
    bool ran = false;
    const char *stage = NULL;
    if (!mark_unusable(w))
        return RS_OK;
    rs_status st = rs_atomic_sweep(rs_stage_folder(w->run, &w->video));
    if (st == RS_OK)
        st = rs_job_keys(w->run, &w->video);
    if (st == RS_OK) {
        rs_used_states_add(w->used, w->run, &w->video);
        st = run_stages(w, &w->video, false, &ran, &stage);
    }
    if (st != RS_OK) {
        fail_all(w, a, st, stage);
        return st == RS_STOPPED ? st : RS_OK;
    }
    for (int64_t i = 0; i < w->video.video->n_edits; i++) {
        w->outcomes[i].ran = ran;
        if (run_edit_job(w, i, a) == RS_STOPPED)
            return RS_STOPPED;
    }
    return w->publish ? publish(w, a) : RS_OK;
}

/* Outcomes of one video's edits, appended to the list. */
static rs_outcome *add_outcomes(rs_outcomes *l, rs_arena *a, const rs_catalog_video *v)
{
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)(l->n + v->n_edits), sizeof *l->items);
    rs_outcome *first = &l->items[l->n];
    for (int64_t i = 0; i < v->n_edits; i++)
        first[i] = (rs_outcome){.video = v->id,
                                .edit = v->edits[i].id,
                                .status = RS_STOPPED,
                                .reason = "not reached",
                                .measures = rs_measures_none(),
                                .train_s = NAN,
                                .sample_s = NAN};
    l->n += v->n_edits;
    return first;
}

/* Paths were made in the video's arena; the report outlives it. */
static void keep_paths(rs_outcome *o, rs_arena *a)
{
    o->mp4 = o->mp4 ? rs_arena_strdup(a, o->mp4) : NULL;
    o->archive = o->archive ? rs_arena_strdup(a, o->archive) : NULL;
    o->reason = o->reason ? rs_arena_strdup(a, o->reason) : NULL;
}

static rs_status work_on(rs_run_session *s, const rs_catalog_video *v, rs_outcomes *l,
                         rs_stage_id last, bool publish_too, const char *const *unusable)
{
    rs_arena *arena = rs_arena_create();
    video_work w = {.run = &s->run,
                    .used = &s->used,
                    .last = last,
                    .publish = publish_too,
                    .unusable = unusable};
    w.video = (rs_job){.video = v, .name = v->id, .arena = arena};
    w.edits = RS_NEW(arena, rs_job *, v->n_edits);
    w.arenas = RS_NEW(arena, rs_arena *, v->n_edits);
    w.outcomes = add_outcomes(l, s->arena, v);
    rs_status st = run_video(&w, s->arena);
    for (int64_t i = 0; i < v->n_edits; i++)
        keep_paths(&w.outcomes[i], s->arena);
    for (int64_t i = 0; i < v->n_edits; i++)
        rs_arena_destroy(&w.arenas[i]);
    rs_arena_destroy(&arena);
    return st;
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

/* catalog.h5 again unless it is newer than every archive. */
static rs_status update_index(const rs_run_session *s, const rs_outcomes *l)
{
    const char *index = rs_path_join(s->arena, s->run.output, "catalog.h5");
    bool stale = false;
    for (int64_t i = 0; i < l->n; i++)
        stale = stale || (l->items[i].archive && !rs_path_newer(index, l->items[i].archive));
    return stale ? rs_index_write(s->run.output) : RS_OK;
}

/* What is wrong with the media of the chosen jobs, said before hours are spent on the others. */
static const char *const *find_unusable(rs_run_session *s, const char *glob)
{
    const rs_catalog *c = s->catalog;
    const char **reasons = RS_NEW(s->arena, const char *, rs_check_count_jobs(c) + 1);
    rs_check_jobs(reasons, s->arena, s->run.cfg, c, glob);
    for (int64_t i = 0, k = 0; i < c->n_videos; i++)
        for (int64_t e = 0; e < c->videos[i].n_edits; e++, k++)
            if (reasons[k])
                RS_LOG(ERROR, "%s#%s failed: %s", c->videos[i].id, c->videos[i].edits[e].id,
                       reasons[k]);
    return reasons;
}

rs_status rs_run_jobs(rs_run_session *s, const rs_run_opts *o, rs_outcomes *l)
{
    rs_stage_id last;
    bool publish_too;
    int64_t matched = 0;
    rs_status st = RS_OK;
    RS_TRY(parse_only(&last, &publish_too, o->only));
    const char *const *unusable = find_unusable(s, o->videos);
    for (int64_t i = 0; i < s->catalog->n_videos && st == RS_OK; i++) {
        const rs_catalog_video *v = &s->catalog->videos[i];
        if (rs_check_chosen(o->videos, v)) {
            matched++;
            st = work_on(s, v, l, last, publish_too, unusable);
        }
        unusable += v->n_edits;
    }
    if (matched == 0)
        return RS_FAIL(USAGE, "--videos: \"%s\" matches none of the %lld videos", o->videos,
                       (long long)s->catalog->n_videos);
    rs_status indexed = update_index(s, l);
    if (indexed == RS_OK && publish_too)
        indexed = rs_report_write(s->catalog, s->run.output);
    if (indexed != RS_OK)
        RS_LOG(ERROR, "the overview of the run could not be written: %s", rs_error_message());
    rs_report_log(s, l);
    if (st != RS_OK)
        return st;
    int64_t failed = 0;
    for (int64_t i = 0; i < l->n; i++)
        failed += l->items[i].status != RS_OK;
    if (indexed != RS_OK && !failed)
        return RS_FAIL(IO, "the overview of %s could not be written", s->run.output);
    if (failed)
        return RS_FAIL(JOBS, "%lld of %lld edits failed", (long long)failed, (long long)l->n);
    return RS_OK;
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
    rs_session_close(&s);
    return st;
}
