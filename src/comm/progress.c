#include "comm/progress.h"

#include <time.h>

#include "comm/comm_priv.h"

struct rs_progress {
    rs_comm *comm;
    double interval_s;
    pthread_t thread;
    bool stop; /* under lock of shared */
};

/* True while there is something to do; sleeps until there is. */
static bool wait_for_work(rs_progress *p)
{
    rs_comm_shared *s = p->comm->shared;
    pthread_mutex_lock(&s->lock);
    while (!p->stop && !s->requests)
        pthread_cond_wait(&s->opened, &s->lock);
    bool go = !p->stop;
    pthread_mutex_unlock(&s->lock);
    return go;
}

static void *run(void *arg)
{
    rs_progress *p = arg;
    struct timespec pause = {.tv_sec = (time_t)p->interval_s};
    pause.tv_nsec = (long)((p->interval_s - (double)pause.tv_sec) * 1e9);
    while (wait_for_work(p)) {
        rs_comm_progress(p->comm);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

rs_status rs_progress_start(rs_progress **out, rs_comm *c, double interval_s)
{
    rs_progress *p = rs_alloc(1, sizeof *p);
    p->comm = c;
    p->interval_s = interval_s;
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        rs_dealloc(p);
        return RS_FAIL(NOMEM, "cannot start the progress thread");
    }
    *out = p;
    return RS_OK;
}

void rs_progress_stop(rs_progress **at)
{
    rs_progress *p = *at;
    if (!p)
        return;
    rs_comm_shared *s = p->comm->shared;
    pthread_mutex_lock(&s->lock);
    p->stop = true;
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
    pthread_join(p->thread, NULL);
    rs_dealloc(p);
    *at = NULL;
}
