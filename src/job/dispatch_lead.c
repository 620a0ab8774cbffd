/* Rank 0's side of the dispatch: the director, and the thread that looks at the messages. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "job/dispatch_priv.h"

/* What the director calls a gang is a lane here: one rank, or several that share a job. */
typedef struct rs_lead {
    rs_director *director;
    pthread_mutex_t lock; /* guards what follows: rank 0's worker and the thread */
    pthread_cond_t heard;
    pthread_t thread;
    bool threaded, leave;
    note_box box; /* for rank 0's own worker */
    note_under_way *under_way;
    rs_sched_gang *lanes; /* what they may do: what their leaders may */
    int64_t *gang_of;     /* (lanes) gangs of their ranks */
    int n_lanes;
    int out;                /* lanes that say no more */
    rs_edit_report **fates; /* (videos) of each video's edits; NULL until one failed */
} rs_lead;

/* ---- to the ranks ---- */

static rs_status send(rs_dispatch *d, int64_t lane, const note *n)
{
    int64_t rank = lane * d->w->width;
    if (rank != d->w->rank)
        return rs_under_way_send(&d->lead->under_way, d->w->comm, n, (int)rank);
    rs_box_put(&d->lead->box, n);
    pthread_cond_signal(&d->lead->heard);
    return RS_OK;
}

/* What the publisher has to know. */
static rs_status send_fates(rs_dispatch *d, const rs_answer *a)
{
    const rs_edit_report *fates = d->lead->fates[a->video];
    for (int64_t e = 0; e < d->o.videos[a->video].n_edits; e++) {
        note n = {.kind = NOTE_FATE, .video = a->video, .edit = e, .report = {.stage = -1}};
        if (fates)
            n.report = fates[e];
        RS_TRY(send(d, a->gang, &n));
    }
    return RS_OK;
}

static rs_status answer_all(rs_dispatch *d)
{
    rs_answer a;
    while (rs_director_next(d->lead->director, rs_now(), &a)) {
        note n = {.kind = a.kind == RS_ANSWER_WITH ? NOTE_WITH : NOTE_ANSWER,
                  .task = a.task,
                  .follows = a.follows,
                  .video = a.kind == RS_ANSWER_DONE ? -1 : a.video,
                  .edit = a.edit,
                  .stage = a.stage,
                  .room = a.room,
                  .width = a.width,
                  .helps = a.kind == RS_ANSWER_HELP ? (int32_t)a.leader : -1};
        if (a.kind == RS_ANSWER_TASK && a.stage == RS_TASK_PUBLISH)
            RS_TRY(send_fates(d, &a));
        RS_TRY(send(d, a.gang, &n));
    }
    return RS_OK;
}

/* ---- from the ranks ---- */

/* A failed task: for whom. */
static void keep_fates(rs_dispatch *d, const note *n)
{
    rs_lead *l = d->lead;
    int64_t n_edits = d->o.videos[n->video].n_edits;
    if (!l->fates[n->video]) {
        l->fates[n->video] = rs_alloc((size_t)n_edits + 1, sizeof *l->fates[0]);
        for (int64_t e = 0; e < n_edits; e++)
            l->fates[n->video][e].stage = -1;
    }
    for (int64_t e = 0; e < n_edits; e++)
        if ((n->edit < 0 || n->edit == e) && l->fates[n->video][e].status == RS_OK)
            l->fates[n->video][e] = n->report;
}

static void take_end(rs_dispatch *d, int rank, const note *n)
{
    rs_status st = n->report.status;
    rs_task_end how = st == RS_OK        ? RS_TASK_OK
                      : st == RS_STOPPED ? RS_TASK_STOPPED
                                         : RS_TASK_FAILED;
    if (how == RS_TASK_FAILED)
        keep_fates(d, n);
    d->o.on_task(d->o.ctx, n->video, n->edit, n->stage, &n->report);
    if (!rs_director_end(d->lead->director, rank / d->w->width, n->task, how, n->report.reason))
        RS_LOG(WARN, "rank %d ended task %lld, which it did not hold", rank, (long long)n->task);
}

/* An event of some rank, with the lock held. */
static rs_status take_note(rs_dispatch *d, int rank, const note *n)
{
    rs_lead *l = d->lead;
    if (n->stopped)
        rs_director_stop(l->director);
    if (n->kind == NOTE_ASK)
        rs_director_ask(l->director, rank / d->w->width);
    else if (n->kind == NOTE_REPORT)
        d->o.on_report(d->o.ctx, n->video, n->edit, &n->report);
    else if (n->kind == NOTE_END)
        take_end(d, rank, n);
    else if (n->kind == NOTE_OUT)
        l->out++;
    else
        return RS_FAIL(INTERNAL, "rank %d sent a note of kind %d", rank, n->kind);
    return answer_all(d);
}

/* All messages that are there. */
static rs_status look(rs_dispatch *d)
{
    RS_TRY(rs_under_way_look(&d->lead->under_way, false));
    for (;;) {
        rs_comm_message m;
        note n;
        RS_TRY(rs_comm_probe(&m, d->w->comm, RS_COMM_ANY, RS_TAG_TO_DIRECTOR));
        if (!m.found)
            return RS_OK;
        RS_ASSERTF(m.bytes == sizeof n, "a note of %zu bytes", m.bytes);
        int from = m.from; /* m is empty once it is taken */
        RS_TRY(rs_comm_take(d->w->comm, &m, &n));
        RS_TRY(take_note(d, from, &n));
    }
}

static void *direct(void *arg)
{
    rs_dispatch *d = arg;
    bool leave = false;
    while (!leave) {
        pthread_mutex_lock(&d->lead->lock);
        rs_status st = look(d);
        leave = d->lead->leave || st != RS_OK;
        pthread_mutex_unlock(&d->lead->lock);
        if (st != RS_OK) /* nobody would ever be answered again */
            rs_comm_abort(d->w->comm, rs_status_exit_code(st), rs_error_message());
        rs_dispatch_nap();
    }
    return NULL;
}

/* ---- for dispatch.c ---- */

rs_status rs_lead_open(rs_dispatch *d)
{
    rs_lead *l = d->lead = rs_alloc(1, sizeof *l);
    rs_director_opts o = {.granularity = RS_GRANULARITY_STAGE,
                          .videos = d->o.videos,
                          .n_videos = d->o.n_videos,
                          .n_gangs = d->w->size / d->w->width,
                          .batch = d->o.batch};
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->heard, NULL);
    l->fates = rs_alloc((size_t)d->o.n_videos + 1, sizeof *l->fates);
    l->n_lanes = (int)o.n_gangs;
    l->gang_of = rs_alloc((size_t)o.n_gangs, sizeof *l->gang_of);
    for (int i = 0; i < l->n_lanes; i++)
        l->gang_of[i] = d->w->gang_of[i * d->w->width];
    o.groups = l->gang_of;
    o.in_step = d->o.in_step;
    o.widest = d->o.widest;
    if (o.in_step && rs_comm_size(d->w->gang) > 1)
        RS_LOG(DETAIL, "gangs keep to one kind of pass");
    if (o.widest > 1)
        RS_LOG(DETAIL, "lanes of up to %d ranks, where some would wait", o.widest);
    if (d->o.ranks) {
        l->lanes = rs_alloc((size_t)o.n_gangs, sizeof *l->lanes);
        for (int i = 0; i < l->n_lanes; i++)
            l->lanes[i] = d->o.ranks[i * d->w->width];
        o.gangs = l->lanes;
    }
    RS_TRY(rs_director_create(&l->director, &o));
    if (d->w->size > 1 && pthread_create(&l->thread, NULL, direct, d) != 0)
        return RS_FAIL(NOMEM, "no thread for the director");
    l->threaded = d->w->size > 1;
    return RS_OK;
}

void rs_lead_close(rs_dispatch *d)
{
    rs_lead *l = d->lead;
    if (l->threaded) {
        pthread_mutex_lock(&l->lock);
        l->leave = true;
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    if (rs_under_way_look(&l->under_way, true) != RS_OK) /* every rank is out, or the run is over */
        rs_error_clear();
    rs_director_destroy(&l->director);
    pthread_cond_destroy(&l->heard);
    pthread_mutex_destroy(&l->lock);
    for (int64_t v = 0; v < d->o.n_videos; v++)
        rs_dealloc(l->fates[v]);
    rs_dealloc(l->fates);
    rs_box_free(&l->box);
    rs_dealloc(l->lanes);
    rs_dealloc(l->gang_of);
    rs_dealloc(l);
    d->lead = NULL;
}

rs_status rs_lead_tell(rs_dispatch *d, const note *n)
{
    pthread_mutex_lock(&d->lead->lock);
    rs_status st = take_note(d, 0, n);
    pthread_mutex_unlock(&d->lead->lock);
    return st;
}

void rs_lead_hear(rs_dispatch *d, note *n)
{
    rs_lead *l = d->lead;
    pthread_mutex_lock(&l->lock);
    while (!rs_box_take(&l->box, n))
        pthread_cond_wait(&l->heard, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

bool rs_lead_peek(rs_dispatch *d, note *n)
{
    pthread_mutex_lock(&d->lead->lock);
    bool there = rs_box_peek(&d->lead->box, n);
    pthread_mutex_unlock(&d->lead->lock);
    return there;
}

void rs_lead_wait(rs_dispatch *d)
{
    for (int out = 0; out < d->lead->n_lanes;) {
        pthread_mutex_lock(&d->lead->lock);
        out = d->lead->out;
        pthread_mutex_unlock(&d->lead->lock);
        if (out < d->lead->n_lanes)
            rs_dispatch_nap();
    }
}

bool rs_lead_finished(const rs_dispatch *d)
{
    return rs_director_finished(d->lead->director);
}
