/* One video: its stages, those of its edits, and the archive. */
#include <math.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/job.h"

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
    rs_lease *lease;             /* on the video, or NULL: no leases */
} video_work;

/* Whatever a run that has lost its lease fails with, that is the reason: its files may be swept and
 * replaced at any time. */
static rs_status or_lost(video_work *w, rs_status st)
{
    bool failed = st != RS_OK && st != RS_STOPPED && st != RS_HELD;
    return failed && w->lease && rs_lease_check(w->lease) == RS_HELD ? RS_HELD : st;
}

/* No other edit of the video is begun after these. */
static bool ends_video(rs_status st)
{
    return st == RS_STOPPED || st == RS_HELD;
}

static void fail(rs_outcome *o, rs_arena *a, rs_status st, const char *stage)
{
    o->status = st;
    o->stage = stage;
    o->reason = rs_arena_strdup(a, rs_error_message());
    if (!ends_video(st))
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
    *job = (rs_job){.video = w->video.video,
                    .edit = e,
                    .parent = &w->video,
                    .fence = w->video.fence,
                    .arena = w->arenas[i]};
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
        st = or_lost(w, run_stages(w, w->edits[i], true, &o->ran, &stage));
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
    const char *archive = rs_archive_path_of(w->video.arena, w->run, w->video.video);
    if (ok == 0 && !rs_path_exists(archive))
        return RS_OK; /* nothing to show; an older archive must say that its edits fail now */
    rs_log_set_context(w->video.video->id);
    rs_status st = or_lost(w, rs_publish_video(w->run, &w->video, w->edits, w->outcomes, n, &ran));
    rs_log_set_context(NULL);
    for (int64_t i = 0; i < n && st != RS_OK; i++)
        if (w->outcomes[i].status == RS_OK)
            fail(&w->outcomes[i], a, st, "publish");
    for (int64_t i = 0; i < n; i++)
        w->outcomes[i].ran = w->outcomes[i].ran || ran;
    return ends_video(st) ? st : RS_OK;
}

static rs_status run_video(video_work *w, rs_arena *a)
{
    bool ran = false;
    const char *stage = NULL;
    rs_status st = rs_atomic_sweep(rs_stage_folder(w->run, &w->video), NULL);
    if (st == RS_OK)
        st = rs_job_keys(w->run, &w->video);
    if (st == RS_OK) {
        rs_used_states_add(w->used, w->run, &w->video);
        st = run_stages(w, &w->video, false, &ran, &stage);
    }
    st = or_lost(w, st);
    if (st != RS_OK) {
        fail_all(w, a, st, stage);
        return ends_video(st) ? st : RS_OK;
    }
    for (int64_t i = 0; i < w->video.video->n_edits; i++) {
        w->outcomes[i].ran = ran;
        rs_status ended = run_edit_job(w, i, a);
        if (ends_video(ended))
            return ended;
    }
    return w->publish ? publish(w, a) : RS_OK;
}

/* Another run has the video: all of its edits wait, whatever they had come to. */
static void mark_held(video_work *w, const char *reason)
{
    for (int64_t i = 0; i < w->video.video->n_edits; i++) {
        rs_outcome *o = &w->outcomes[i];
        if (w->unusable[i])
            continue;
        *o = (rs_outcome){.video = o->video,
                          .edit = o->edit,
                          .status = RS_HELD,
                          .reason = reason,
                          .measures = rs_measures_none(),
                          .train_s = NAN,
                          .sample_s = NAN};
    }
}

/* With the lease on the video, inside its fence from the first sweep to the archive. */
static rs_status run_leased(video_work *w, rs_arena *a)
{
    w->video.fence = rs_lease_fence(w->lease);
    const rs_fence *before = rs_fence_use(w->video.fence);
    rs_status st = run_video(w, a);
    rs_fence_use(before);
    if (st != RS_HELD)
        return st;
    RS_LOG(WARN, "%s; this run publishes nothing more of it", rs_error_message());
    mark_held(w, rs_arena_strdup(a, rs_error_message()));
    return RS_OK;
}

/* Takes the video for as long as it is worked on. */
static rs_status lease_and_run(video_work *w, rs_leases *leases, rs_arena *a)
{
    const char *id = w->video.video->id, *holder;
    if (!mark_unusable(w))
        return RS_OK;
    if (!leases)
        return run_video(w, a);
    rs_status st = rs_lease_take(&w->lease, &holder, w->video.arena, leases, id);
    if (st != RS_OK) {
        fail_all(w, a, st, NULL);
        return RS_OK;
    }
    if (!w->lease) {
        mark_held(w, rs_arena_printf(a, "%s is working on it", holder));
        RS_LOG(DETAIL, "%s: %s is working on it", id, holder);
        return RS_OK;
    }
    st = run_leased(w, a);
    rs_lease_give_back(&w->lease);
    return st;
}

/* Paths were made in the video's arena; the report outlives it. */
static void keep_paths(rs_outcome *o, rs_arena *a)
{
    o->mp4 = o->mp4 ? rs_arena_strdup(a, o->mp4) : NULL;
    o->archive = o->archive ? rs_arena_strdup(a, o->archive) : NULL;
    o->reason = o->reason ? rs_arena_strdup(a, o->reason) : NULL;
}

rs_status rs_run_video(rs_run_session *s, const rs_catalog_video *v, rs_outcome *outcomes,
                       rs_stage_id last, bool publish_too, const char *const *unusable)
{
    rs_arena *arena = rs_arena_create();
    video_work w = {.run = &s->run,
                    .used = &s->used,
                    .last = last,
                    .publish = publish_too,
                    .unusable = unusable,
                    .outcomes = outcomes};
    w.video = (rs_job){.video = v, .name = v->id, .arena = arena};
    w.edits = RS_NEW(arena, rs_job *, v->n_edits);
    w.arenas = RS_NEW(arena, rs_arena *, v->n_edits);
    rs_status st = lease_and_run(&w, rs_tenancy_leases(s->tenancy), s->arena);
    for (int64_t i = 0; i < v->n_edits; i++)
        keep_paths(&outcomes[i], s->arena);
    for (int64_t i = 0; i < v->n_edits; i++)
        rs_arena_destroy(&w.arenas[i]);
    rs_arena_destroy(&arena);
    return st;
}
