/* Ranks as threads: each runs the same function on a communicator of its own. */
#include <stdio.h>
#include <string.h>

#include "comm/comm_hub_priv.h"

/* The first failure in time: the later ones are mostly its consequences. */
typedef struct thread_group {
    hub_world *world;
    rs_hub *hub;
    rs_comm_rank_fn *fn;
    void *ctx;
    pthread_mutex_t lock;
    rs_status st;
    int rank;
    char message[1024];
} thread_group;

typedef struct thread_rank {
    thread_group *group;
    rs_comm *comm;
    pthread_t thread;
} thread_rank;

static void *rank_main(void *arg)
{
    thread_rank *t = arg;
    thread_group *g = t->group;
    int rank = t->comm->rank;
    rs_status st = g->fn(t->comm, g->ctx);
    pthread_mutex_lock(&g->lock);
    if (st != RS_OK && g->st == RS_OK) {
        g->st = st;
        g->rank = rank;
        snprintf(g->message, sizeof g->message, "%s", rs_error_message());
    }
    pthread_mutex_unlock(&g->lock);
    rs_hub_rank_ended(g->world, rank);
    return NULL;
}

rs_status rs_comm_threads_run(int n, rs_comm_rank_fn *fn, void *ctx, const rs_comm_opts *opts)
{
    RS_ASSERT(n >= 1);
    thread_group g = {.world = rs_hub_world_create(n), .fn = fn, .ctx = ctx};
    thread_rank *ranks = rs_alloc((size_t)n, sizeof *ranks);
    int started = 0;
    g.hub = g.world->hubs;
    pthread_mutex_init(&g.lock, NULL);
    for (int i = 0; i < n; i++) {
        ranks[i].group = &g;
        ranks[i].comm = rs_comm_new_world(&rs_comm_ops_threads, i, n, opts);
        ranks[i].comm->state = rs_hub_sit(g.hub);
    }
    while (started < n &&
           pthread_create(&ranks[started].thread, NULL, rank_main, &ranks[started]) == 0)
        started++;
    for (int i = started; i < n; i++) /* who waits for them shall not wait for ever */
        rs_hub_rank_ended(g.world, i);
    for (int i = 0; i < started; i++)
        pthread_join(ranks[i].thread, NULL);
    for (int i = 0; i < n; i++)
        rs_comm_close(&ranks[i].comm);
    rs_hub_world_destroy(&g.world);
    pthread_mutex_destroy(&g.lock);
    rs_dealloc(ranks);
    if (started < n)
        return RS_FAIL(NOMEM, "cannot start thread %d of %d", started, n);
    if (g.st != RS_OK)
        return rs_fail_at(g.st, __FILE__, __LINE__, __func__, "rank %d: %s", g.rank, g.message);
    return RS_OK;
}
