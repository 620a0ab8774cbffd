#include "job/dispatch.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "comm/agree.h"

/* Ranks are called gangs by the director; a gang is one rank here. */
enum { LOOK_US = 1000 };

typedef enum note_kind {
    NOTE_ASK,    /* to rank 0: I am free */
    NOTE_REPORT, /* an edit has ended */
    NOTE_END,    /* a video has ended */
    NOTE_ANSWER  /* from rank 0: take this video; -1: there are no more */
} note_kind;

/* One shape for all messages. */
typedef struct note {
    int32_t kind;
    bool stopped; /* END, ASK: this rank was asked to stop */
    int64_t task, video, edit;
    rs_edit_report report;
} note;

struct rs_dispatch {
    const rs_world *w;
    rs_dispatch_opts o;
    int64_t task, video; /* that this rank works on */

    /* Rank 0 only; `lock` guards what follows: its worker and the thread that looks at messages. */
    rs_director *director;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    pthread_t thread;
    bool threaded, leave;
    bool has_answer; /* for rank 0's own worker */
    note answer;
    int dismissed; /* ranks that were told that there is no more */
};

/* ---- rank 0: the director's side ---- */

static rs_status answer_all(rs_dispatch *d)
{
    rs_answer a;
    while (rs_director_next(d->director, 0, &a)) {
        note n = {.kind = NOTE_ANSWER, .task = a.task, .video = a.video};
        if (a.kind == RS_ANSWER_DONE) {
            n.video = -1;
            d->dismissed++;
        }
        if (a.gang == d->w->rank) {
            d->answer = n;
            d->has_answer = true;
            pthread_cond_signal(&d->answered);
        } else {
            RS_TRY(rs_comm_send(d->w->comm, &n, sizeof n, (int)a.gang, RS_TAG_TO_RANK));
        }
    }
    return RS_OK;
}

/* An event of some rank, with the lock held. */
static rs_status take_note(rs_dispatch *d, int rank, const note *n)
{
    if (n->stopped)
        rs_director_stop(d->director);
    if (n->kind == NOTE_ASK)
        rs_director_ask(d->director, rank);
    else if (n->kind == NOTE_REPORT)
        d->o.on_report(d->o.ctx, n->video, n->edit, &n->report);
    else if (n->kind == NOTE_END)
        rs_director_end(d->director, rank, n->task, n->stopped ? RS_TASK_STOPPED : RS_TASK_OK,
                        NULL);
    else
        return RS_FAIL(INTERNAL, "rank %d sent a note of kind %d", rank, n->kind);
    return answer_all(d);
}

/* All messages that are there. */
static rs_status look(rs_dispatch *d)
{
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

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_US * 1000}, NULL);
}

static void *direct(void *arg)
{
    rs_dispatch *d = arg;
    bool leave = false;
    while (!leave) {
        pthread_mutex_lock(&d->lock);
        rs_status st = look(d);
        leave = d->leave || st != RS_OK;
        pthread_mutex_unlock(&d->lock);
        if (st != RS_OK) /* nobody would ever be answered again */
            rs_comm_abort(d->w->comm, rs_status_exit_code(st), rs_error_message());
        nap();
    }
    return NULL;
}

static rs_status open_director(rs_dispatch *d)
{
    rs_director_opts o = {.granularity = RS_GRANULARITY_CHAIN,
                          .videos = d->o.videos,
                          .n_videos = d->o.n_videos,
                          .n_gangs = d->w->size};
    RS_TRY(rs_director_create(&d->director, &o));
    if (d->w->size > 1 && pthread_create(&d->thread, NULL, direct, d) != 0)
        return RS_FAIL(NOMEM, "no thread for the director");
    d->threaded = d->w->size > 1;
    return RS_OK;
}

/* ---- every rank ---- */

rs_status rs_dispatch_open(rs_dispatch **out, const rs_world *w, const rs_dispatch_opts *o)
{
    rs_dispatch *d = rs_alloc(1, sizeof *d);
    *d = (rs_dispatch){.w = w, .o = *o, .task = -1, .video = -1};
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->answered, NULL);
    *out = d;
    return rs_comm_agree(w->comm, rs_world_leads(w) ? open_director(d) : RS_OK);
}

/* To the director: by message, or directly on rank 0. */
static rs_status tell(rs_dispatch *d, const note *n)
{
    if (!rs_world_leads(d->w))
        return rs_comm_send(d->w->comm, n, sizeof *n, 0, RS_TAG_TO_DIRECTOR);
    pthread_mutex_lock(&d->lock);
    rs_status st = take_note(d, 0, n);
    pthread_mutex_unlock(&d->lock);
    return st;
}

/* Wait for a note from rank 0 that may be long in coming: not in a receive, which is watched. */
static rs_status await_note(rs_dispatch *d, note *n)
{
    for (;;) {
        rs_comm_message m;
        RS_TRY(rs_comm_probe(&m, d->w->comm, 0, RS_TAG_TO_RANK));
        if (m.found) {
            RS_ASSERTF(m.bytes == sizeof *n, "a note of %zu bytes", m.bytes);
            return rs_comm_take(d->w->comm, &m, n);
        }
        nap();
    }
}

static void await_own_answer(rs_dispatch *d, note *n)
{
    pthread_mutex_lock(&d->lock);
    while (!d->has_answer)
        pthread_cond_wait(&d->answered, &d->lock);
    *n = d->answer;
    d->has_answer = false;
    pthread_mutex_unlock(&d->lock);
}

rs_status rs_dispatch_next(rs_dispatch *d, int64_t *video)
{
    note n = {.kind = NOTE_ASK, .stopped = d->o.stop && *d->o.stop};
    RS_TRY(tell(d, &n));
    if (rs_world_leads(d->w))
        await_own_answer(d, &n);
    else
        RS_TRY(await_note(d, &n));
    d->task = n.task;
    *video = d->video = n.video;
    return RS_OK;
}

rs_status rs_dispatch_report(rs_dispatch *d, int64_t edit, const rs_edit_report *report)
{
    note n = {.kind = NOTE_REPORT, .video = d->video, .edit = edit, .report = *report};
    return tell(d, &n);
}

rs_status rs_dispatch_end(rs_dispatch *d, bool stopped)
{
    note n = {.kind = NOTE_END, .stopped = stopped, .task = d->task, .video = d->video};
    return tell(d, &n);
}

/* Rank 0: until every rank knows that there is no more. */
static void dismiss(rs_dispatch *d)
{
    for (int dismissed = 0; dismissed < d->w->size;) {
        pthread_mutex_lock(&d->lock);
        dismissed = d->dismissed;
        pthread_mutex_unlock(&d->lock);
        if (dismissed < d->w->size)
            nap();
    }
}

static void destroy(rs_dispatch **out)
{
    rs_dispatch *d = *out;
    *out = NULL;
    if (d->threaded) {
        pthread_mutex_lock(&d->lock);
        d->leave = true;
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    rs_director_destroy(&d->director);
    pthread_cond_destroy(&d->answered);
    pthread_mutex_destroy(&d->lock);
    rs_dealloc(d);
}

rs_status rs_dispatch_close(rs_dispatch **out, bool *finished)
{
    rs_dispatch *d = *out;
    const rs_world *w = d->w;
    if (rs_world_leads(w))
        dismiss(d);
    rs_status st = rs_world_await_lead(w);
    bool all = rs_world_leads(w) && rs_director_finished(d->director);
    destroy(out);
    RS_TRY(rs_comm_agree(w->comm, st));
    RS_TRY(rs_comm_broadcast(&all, w->comm, sizeof all, 0, "end of the jobs"));
    *finished = all;
    return RS_OK;
}
