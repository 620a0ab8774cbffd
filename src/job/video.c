/* Tasks of one video on this rank: its stages, those of its edits, and the archive. */
#include "job/video.h"

#include <math.h>
#include <stdio.h>

#include "base/fsio.h"
#include "base/log.h"

/* The video of the last task: the jobs with their keys, and what they have in memory. */
struct rs_video_work {
    rs_run_session *s;
    const rs_catalog_video *v;   /* NULL: none */
    const char *const *unusable; /* per edit: what is wrong with its media, or NULL */
    rs_job video;
    bool keyed;
    rs_lease *lease;    /* on the video; NULL: another run has it, or there are no leases */
    const char *holder; /* who has it */
    rs_job **edits;     /* (n_edits) NULL until first needed */
    rs_arena **arenas;  /* one per edit */
};

rs_video_work *rs_video_work_create(rs_run_session *s)
{
    rs_video_work *w = rs_alloc(1, sizeof *w);
    w->s = s;
    return w;
}

static void close_video(rs_video_work *w)
{
    rs_lease_leave(&w->lease); /* others of this run may work on it, or will */
    for (int64_t i = 0; w->v && i < w->v->n_edits; i++)
        rs_arena_destroy(&w->arenas[i]);
    rs_arena_destroy(&w->video.arena);
    *w = (rs_video_work){.s = w->s};
}

void rs_video_work_destroy(rs_video_work **w)
{
    if (!w || !*w)
        return;
    close_video(*w);
    rs_dealloc(*w);
    *w = NULL;
}

void rs_video_work_open(rs_video_work *w, const rs_catalog_video *v, const char *const *unusable)
{
    if (w->v == v)
        return;
    close_video(w);
    rs_arena *a = rs_arena_create();
    w->v = v;
    w->unusable = unusable;
    w->video = (rs_job){.video = v, .name = v->id, .arena = a};
    w->edits = RS_NEW(a, rs_job *, v->n_edits);
    w->arenas = RS_NEW(a, rs_arena *, v->n_edits);
}

static rs_status video_job(rs_video_work *w, rs_job **job)
{
    *job = &w->video;
    if (w->keyed)
        return RS_OK;
    RS_TRY(rs_job_keys(&w->s->run, &w->video));
    rs_used_states_add(&w->s->used, &w->s->run, &w->video);
    w->keyed = true;
    return RS_OK;
}

static rs_job *new_edit_job(rs_video_work *w, int64_t i)
{
    const rs_catalog_edit *e = &w->v->edits[i];
    w->arenas[i] = rs_arena_create();
    rs_job *job = RS_NEW(w->arenas[i], rs_job, 1);
    *job = (rs_job){.video = w->v,
                    .edit = e,
                    .parent = &w->video,
                    .fence = w->video.fence,
                    .arena = w->arenas[i]};
    job->name = rs_arena_printf(job->arena, "%s#%s", job->video->id, e->id);
    return job;
}

/* With its keys, unless its media are unusable. */
static rs_status edit_job(rs_video_work *w, int64_t i, rs_job **job)
{
    rs_job *parent;
    RS_TRY(video_job(w, &parent));
    if (!w->edits[i]) {
        rs_job *new = new_edit_job(w, i);
        if (!w->unusable[i]) {
            rs_status st = rs_job_keys(&w->s->run, new);
            if (st != RS_OK) {
                rs_arena_destroy(&w->arenas[i]);
                return st;
            }
            rs_used_states_add(&w->s->used, &w->s->run, new);
        }
        w->edits[i] = new;
    }
    *job = w->edits[i];
    return RS_OK;
}

/* ---- the lease: a video is worked on by one run at a time ---- */

static rs_status take_lease(rs_video_work *w)
{
    rs_leases *leases = rs_tenancy_leases(w->s->tenancy);
    if (!leases || w->lease)
        return RS_OK;
    if (!w->holder)
        RS_TRY(rs_lease_take(&w->lease, &w->holder, w->video.arena, leases, w->v->id));
    if (!w->lease) { /* what of it was ours before is not done on top of another run's work */
        RS_LOG(DETAIL, "%s: %s is working on it", w->v->id, w->holder);
        return RS_FAIL(HELD, "%s is working on it", w->holder);
    }
    w->video.fence = rs_lease_fence(w->lease);
    return RS_OK;
}

/* Whatever a run that has lost its lease fails with, that is the reason: its files may be swept and
 * replaced at any time. */
static rs_status or_lost(rs_video_work *w, rs_status st)
{
    if (st == RS_OK || st == RS_STOPPED || !w->lease)
        return st;
    if (st != RS_HELD)
        st = rs_lease_check(w->lease) == RS_HELD ? RS_HELD : st;
    if (st == RS_HELD)
        RS_LOG(WARN, "%s: %s; this run publishes nothing more of it", w->v->id, rs_error_message());
    return st;
}

/* Nothing more of this video is done here. */
static void give_back(rs_video_work *w)
{
    rs_lease_give_back(&w->lease);
    w->video.fence = NULL;
}

static void conclude(rs_edit_report *end, rs_status st)
{
    end->status = st;
    if (st == RS_OK) {
        end->stage = -1;
        return;
    }
    snprintf(end->reason, sizeof end->reason, "%s", rs_error_message());
    RS_LOG(DEBUG, "%s", rs_error_trace());
}

/* ---- stages ---- */

static rs_status run_stage(rs_video_work *w, int64_t edit, rs_task_stage stage, rs_edit_report *end)
{
    rs_job *job;
    RS_TRY(take_lease(w));
    const rs_fence *before = rs_fence_use(w->video.fence);
    rs_status st = edit >= 0 ? edit_job(w, edit, &job) : video_job(w, &job);
    if (st == RS_OK) {
        end->stage = (int32_t)stage;
        st = rs_stage_run(&w->s->run, job, (rs_stage_id)stage, &end->ran);
    }
    st = or_lost(w, st);
    rs_fence_use(before);
    return st;
}

void rs_video_stage(rs_video_work *w, int64_t edit, rs_task_stage stage, rs_edit_report *end)
{
    *end = (rs_edit_report){.stage = -1};
    conclude(end, run_stage(w, edit, stage, end));
    bool over = edit < 0 && end->status != RS_OK && end->status != RS_STOPPED;
    if (over)
        give_back(w);
}

/* ---- several edits ---- */

typedef struct parts {
    rs_video_part *all;
    int of[RS_SCHED_BATCH]; /* those that have begun */
    bool ran[RS_SCHED_BATCH];
    rs_task_stage stage;
    void (*ended)(void *ctx, int k, const rs_edit_report *end);
    void *ctx;
} parts;

static void end_part(parts *p, int k, rs_status st)
{
    rs_video_part *part = &p->all[k];
    conclude(&part->end, st);
    p->ended(p->ctx, k, &part->end);
}

static void part_ended(void *ctx, int i, rs_status st)
{
    parts *p = ctx;
    rs_video_part *part = &p->all[p->of[i]];
    part->end.stage = (int32_t)p->stage;
    part->end.ran = p->ran[i];
    end_part(p, p->of[i], or_lost(part->work, st));
}

/* With the lease and its keys. */
static rs_status begin_part(rs_video_part *part, rs_job **job)
{
    part->end = (rs_edit_report){.stage = -1};
    RS_TRY(take_lease(part->work));
    const rs_fence *before = rs_fence_use(part->work->video.fence);
    rs_status st = or_lost(part->work, edit_job(part->work, part->edit, job));
    rs_fence_use(before);
    return st;
}

void rs_video_stage_many(rs_video_part *all, int n, rs_task_stage stage,
                         void (*ended)(void *ctx, int k, const rs_edit_report *end), void *ctx)
{
    rs_job *jobs[RS_SCHED_BATCH];
    parts p = {.all = all, .stage = stage, .ended = ended, .ctx = ctx};
    int begun = 0;
    RS_ASSERT(n >= 1 && n <= RS_SCHED_BATCH);
    for (int k = 0; k < n; k++) {
        rs_status st = begin_part(&all[k], &jobs[begun]);
        if (st == RS_OK)
            p.of[begun++] = k;
        else
            end_part(&p, k, st);
    }
    if (begun > 0)
        rs_stage_run_many(&all[0].work->s->run, jobs, begun, (rs_stage_id)stage, p.ran, part_ended,
                          &p);
}

rs_status rs_video_follow(rs_video_work *w, int64_t edit, rs_task_stage stage)
{
    rs_job *job = &w->video;
    rs_status st = edit >= 0 ? edit_job(w, edit, &job) : video_job(w, &job);
    rs_live_doing(w->s->run.live, "shares a job");
    st = rs_stage_follow(&w->s->run, job, (rs_stage_id)stage, st);
    return st == RS_PEER ? st : RS_OK;
}

/* ---- publish ---- */

/* Edits that nothing has gone wrong with so far; of the others: what and where. */
static int64_t make_outcomes(rs_video_work *w, rs_outcome *o, const rs_edit_report *fates)
{
    int64_t ok = 0;
    for (int64_t i = 0; i < w->v->n_edits; i++) {
        const rs_edit_report *f = &fates[i];
        o[i] = (rs_outcome){.video = w->v->id,
                            .edit = w->v->edits[i].id,
                            .status = w->unusable[i] ? RS_INPUT : f->status,
                            .measures = rs_measures_none(),
                            .train_s = NAN,
                            .sample_s = NAN};
        if (w->unusable[i])
            o[i].reason = w->unusable[i];
        else if (f->status != RS_OK)
            o[i].reason = f->reason;
        if (!w->unusable[i] && f->stage >= 0)
            o[i].stage = rs_task_stage_name((rs_task_stage)f->stage);
        ok += o[i].status == RS_OK;
    }
    return ok;
}

static rs_status publish(rs_video_work *w, rs_outcome *o, int64_t ok, bool *ran)
{
    rs_job *job;
    for (int64_t i = 0; i < w->v->n_edits; i++)
        if (o[i].status == RS_HELD)
            return RS_FAIL(HELD, "%s", o[i].reason);
    RS_TRY(video_job(w, &job));
    for (int64_t i = 0; i < w->v->n_edits; i++) {
        rs_status st = edit_job(w, i, &job);
        if (st != RS_OK && o[i].status == RS_OK)
            return st;
        if (st != RS_OK) /* it has failed of that before */
            w->edits[i] = new_edit_job(w, i);
    }
    const char *archive = rs_archive_path_of(w->video.arena, &w->s->run, w->v);
    if (ok == 0 && !rs_path_exists(archive))
        return RS_OK; /* nothing to show; an older archive must say that its edits fail now */
    RS_TRY(rs_atomic_sweep(rs_stage_folder(&w->s->run, &w->video), NULL));
    return rs_publish_video(&w->s->run, &w->video, w->edits, o, w->v->n_edits, ran);
}

static rs_status publish_leased(rs_video_work *w, rs_outcome *o, int64_t ok, bool *ran)
{
    RS_TRY(take_lease(w));
    const rs_fence *before = rs_fence_use(w->video.fence);
    rs_status st = or_lost(w, publish(w, o, ok, ran));
    rs_fence_use(before);
    return st;
}

void rs_video_publish(rs_video_work *w, const rs_edit_report *fates, rs_outcome *o,
                      rs_edit_report *end)
{
    *end = (rs_edit_report){.stage = RS_TASK_PUBLISH};
    int64_t ok = make_outcomes(w, o, fates);
    rs_log_set_context(w->v->id);
    conclude(end, publish_leased(w, o, ok, &end->ran));
    rs_log_set_context(NULL);
    for (int64_t i = 0; i < w->v->n_edits; i++)
        o[i].ran = end->ran;
    if (end->status != RS_STOPPED)
        give_back(w);
}
