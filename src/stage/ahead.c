#include "stage/ahead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

enum { LOOK_MS = 10 };

typedef enum reading { NOTHING, WANTED, RUNNING, READ } reading;

struct rs_ahead {
    const rs_run *run;
    rs_ahead_next_fn *next;
    void *ctx;
    pthread_t thread;
    atomic_bool cancel;
    pthread_mutex_t lock; /* guards what follows, except what is read while it is RUNNING */
    pthread_cond_t changed;
    bool leave;
    reading state;
    const rs_catalog_video *video; /* whose media they are; NULL: NOTHING */
    char key[RS_HASH_HEX];         /* "": its ingest is done, or its files cannot be hashed */
    rs_stage_media media;
    rs_status status;
    char reason[1024];
    double seconds;
};

static void drop(rs_ahead *a)
{
    rs_arena_destroy(&a->media.arena);
    a->state = NOTHING;
    a->video = NULL;
}

/* ---- the thread ---- */

static bool asked_to_stop(const void *ctx)
{
    const rs_ahead *a = ctx;
    return atomic_load(&a->cancel) || *a->run->stop != 0;
}

/* The key comes first: should the files change after it, the stage will find another one. */
static void read_media(rs_ahead *a)
{
    double begin = rs_now();
    rs_arena *arena = rs_arena_create();
    rs_job job = {.video = a->video, .name = a->video->id, .arena = arena};
    rs_media_stop stop = {asked_to_stop, a};
    a->key[0] = 0;
    a->media = (rs_stage_media){0};
    a->status = RS_OK;
    rs_log_set_context(job.name);
    if (rs_job_keys(a->run, &job) == RS_OK && !rs_stage_is_done(a->run, &job, RS_STAGE_INGEST)) {
        memcpy(a->key, job.key[RS_STAGE_INGEST], sizeof a->key);
        a->status = rs_stage_load_media(&a->media, a->run, &job, &stop);
        if (a->status != RS_OK)
            snprintf(a->reason, sizeof a->reason, "%s", rs_error_message());
    }
    rs_log_set_context(NULL);
    rs_arena_destroy(&arena);
    a->seconds = rs_now() - begin;
}

/* With the lock held. What is held already stays: it may be for the task that is about to begin. */
static void look(rs_ahead *a)
{
    const rs_catalog_video *v = a->state == NOTHING ? a->next(a->ctx) : NULL;
    if (!v)
        return;
    a->video = v;
    a->state = WANTED;
    pthread_cond_broadcast(&a->changed);
}

static void rest(rs_ahead *a)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&a->changed, &a->lock, &until);
}

static void *work(void *arg)
{
    rs_ahead *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->leave) {
        if (a->state != WANTED) {
            rest(a);
            look(a);
            continue;
        }
        a->state = RUNNING;
        pthread_mutex_unlock(&a->lock);
        read_media(a);
        pthread_mutex_lock(&a->lock);
        a->state = READ;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the rank ---- */

rs_status rs_ahead_start(rs_ahead **out, const rs_run *run, rs_ahead_next_fn *next, void *ctx)
{
    sigset_t all, before;
    pthread_condattr_t clock;
    rs_ahead *a = rs_alloc(1, sizeof *a);
    *a = (rs_ahead){.run = run, .next = next, .ctx = ctx};
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&a->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&a->lock, NULL);
    sigfillset(&all); /* signals are the business of the threads that compute */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&a->thread, NULL, work, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *out = a;
    if (rc == 0)
        return RS_OK;
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    rs_dealloc(a);
    *out = NULL;
    return RS_FAIL(NOMEM, "no thread to decode media ahead");
}

void rs_ahead_stop(rs_ahead **out)
{
    rs_ahead *a = *out;
    if (!a)
        return;
    atomic_store(&a->cancel, true);
    pthread_mutex_lock(&a->lock);
    a->leave = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    drop(a);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    rs_dealloc(a);
    *out = NULL;
}

void rs_ahead_look(rs_ahead *a, const rs_catalog_video *present)
{
    pthread_mutex_lock(&a->lock);
    if (a->state == READ && a->video != present && a->video != a->next(a->ctx))
        drop(a);
    look(a);
    pthread_mutex_unlock(&a->lock);
}

rs_status rs_ahead_take(rs_stage_media *out, bool *there, rs_ahead *a, const rs_job *job)
{
    double begin = rs_now(), seconds = 0;
    rs_status st = RS_OK;
    *there = false;
    pthread_mutex_lock(&a->lock);
    if (a->video == job->video) {
        while (a->state != READ)
            pthread_cond_wait(&a->changed, &a->lock);
        if (strcmp(a->key, job->key[RS_STAGE_INGEST]) == 0) {
            st = a->status;
            if (st != RS_OK)
                rs_fail_at(st, __FILE__, __LINE__, __func__, "%s", a->reason);
            *there = st == RS_OK;
            *out = a->media;
            a->media.arena = NULL;
            seconds = a->seconds;
        }
        drop(a);
    }
    pthread_mutex_unlock(&a->lock);
    if (*there)
        RS_LOG(DETAIL, "frames and mask were decoded ahead in %.2f s, waited for %.2f s", seconds,
               rs_now() - begin);
    return st;
}
