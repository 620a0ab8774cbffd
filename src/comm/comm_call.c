/* The way of every call: request, layers, number, backend, wait. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "comm/comm_priv.h"

enum { SPINS = 200, YIELDS = 400, SLEEP_NS = 50000 };

rs_comm *rs_comm_new_world(const rs_comm_ops *ops, int rank, int size, const rs_comm_opts *opts)
{
    rs_comm_shared *s = rs_alloc(1, sizeof *s);
    s->rank = rank;
    s->size = size;
    s->chunk_bytes = opts && opts->chunk_bytes ? opts->chunk_bytes : (size_t)1 << 30;
    s->window_bytes = opts && opts->window_bytes ? opts->window_bytes : (size_t)16 << 20;
    RS_ASSERTF(s->chunk_bytes <= INT32_MAX, "chunk of %zu bytes", s->chunk_bytes);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->opened, NULL);
    pthread_mutex_init(&s->board, NULL);
    rs_comm *c = rs_alloc(1, sizeof *c);
    c->ops = ops;
    c->shared = s;
    c->owns_shared = true;
    c->rank = rank;
    c->size = size;
    c->world_rank = rs_alloc((size_t)size, sizeof(int));
    for (int i = 0; i < size; i++)
        c->world_rank[i] = i;
    c->id = 1;
    snprintf(c->name, sizeof c->name, "world");
    s->comms = c;
    return c;
}

void rs_comm_free(rs_comm *c)
{
    rs_comm_shared *s = c->shared;
    pthread_mutex_lock(&s->board);
    rs_comm **at = &s->comms;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    pthread_mutex_unlock(&s->board);
    if (c->work)
        c->ops->space->release(c->work);
    if (c->owns_shared) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->opened);
        pthread_mutex_destroy(&s->board);
        rs_dealloc(s);
    }
    rs_dealloc(c->world_rank);
    rs_dealloc(c);
}

void rs_comm_add_layer(rs_comm *c, const rs_comm_layer *layer)
{
    rs_comm_shared *s = c->shared;
    RS_ASSERT(s->n_layers < RS_COMM_LAYERS_MAX);
    s->layers[s->n_layers++] = *layer;
}

void rs_comm_relax(int64_t *polls)
{
    (*polls)++;
    if (*polls < SPINS)
        return;
    if (*polls < YIELDS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
}

void rs_comm_describe(char *text, size_t room, const rs_comm_request *r)
{
    const char *what = r->call.what;
    int n = snprintf(text, room, "%s%s%s%s", rs_comm_op_name(r->shown), what ? " (" : "",
                     what ? what : "", what ? ")" : "");
    if (n < 0 || (size_t)n >= room)
        return;
    if (r->number)
        snprintf(text + n, room - (size_t)n, ", call %lld of %s", (long long)r->number,
                 r->comm->name);
    else if (r->call.peer == RS_COMM_ANY)
        snprintf(text + n, room - (size_t)n, " of %s from any rank", r->comm->name);
    else
        snprintf(text + n, room - (size_t)n, " of %s, peer rank %d", r->comm->name, r->call.peer);
}

void rs_comm_mark_add(rs_comm_request *r, rs_comm_mark *m)
{
    rs_comm_shared *s = r->comm->shared;
    if (r->comm->quiet)
        return;
    *m = (rs_comm_mark){.request = r, .since = rs_now()};
    pthread_mutex_lock(&s->board);
    m->next = s->marks;
    s->marks = m;
    pthread_mutex_unlock(&s->board);
}

void rs_comm_mark_remove(rs_comm_request *r, rs_comm_mark *m)
{
    rs_comm_shared *s = r->comm->shared;
    if (r->comm->quiet)
        return;
    pthread_mutex_lock(&s->board);
    rs_comm_mark **at = &s->marks;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    pthread_mutex_unlock(&s->board);
}

static size_t incoming(const rs_comm *c, const rs_comm_call *call)
{
    size_t sum = call->bytes;
    if (call->dst_bytes)
        for (int i = 0; i < c->size; i++)
            sum += call->dst_bytes[i];
    return sum;
}

static void request_init(rs_comm_request *r, rs_comm *c, const rs_comm_call *call)
{
    *r = (rs_comm_request){.comm = c,
                           .call = *call,
                           .shown = call->op,
                           .bytes = incoming(c, call),
                           .start_s = rs_now()};
}

rs_comm_request *rs_comm_request_new(rs_comm *c, const rs_comm_call *call)
{
    rs_comm_request *r = rs_alloc(1, sizeof *r);
    request_init(r, c, call);
    return r;
}

/* The number is given when the rank has really arrived, behind whatever a layer did to it. */
rs_status rs_comm_enter(rs_comm_request *r)
{
    rs_comm *c = r->comm;
    rs_comm_shared *s = c->shared;
    if (!c->quiet)
        for (int i = 0; i < s->n_layers; i++)
            if (s->layers[i].before)
                RS_TRY(s->layers[i].before(s->layers[i].ctx, r));
    if (r->shown == RS_COMM_SEND || r->shown == RS_COMM_RECEIVE)
        return RS_OK;
    pthread_mutex_lock(&s->board);
    r->number = ++c->calls;
    c->last = r->shown;
    pthread_mutex_unlock(&s->board);
    return RS_OK;
}

rs_status rs_comm_leave(rs_comm_request **at, rs_status st)
{
    rs_comm_request *r = *at;
    rs_comm_shared *s = r->comm->shared;
    if (r->done_s <= 0)
        r->done_s = rs_now();
    if (!r->comm->quiet)
        for (int i = 0; i < s->n_layers; i++)
            if (s->layers[i].after)
                st = s->layers[i].after(s->layers[i].ctx, r, st);
    rs_dealloc(r);
    *at = NULL;
    return st;
}

rs_status rs_comm_begin(rs_comm_request **out, rs_comm *c, const rs_comm_call *call)
{
    rs_comm_request *r = rs_comm_request_new(c, call);
    rs_status st = rs_comm_enter(r);
    if (st == RS_OK && call->op == RS_COMM_ALLREDUCE) {
        st = rs_comm_run_reduce(r);
        r->done = true;
    } else if (st == RS_OK) {
        st = c->ops->start(c, r);
    }
    if (st != RS_OK) {
        *out = NULL;
        return rs_comm_leave(&r, st);
    }
    *out = r;
    return RS_OK;
}

/* One look at it. The error record is of the thread that looked, so it is kept with the request. */
static void poll_once(rs_comm_request *r)
{
    if (r->done)
        return;
    bool done = false;
    rs_status st = r->comm->ops->test(&done, r->comm, r);
    if (st != RS_OK) {
        r->st = st;
        snprintf(r->message, sizeof r->message, "%s", rs_error_message());
    }
    if (done || st != RS_OK) {
        r->done_s = rs_now();
        r->done = true;
    }
}

static bool poll_listed(rs_comm_request *r)
{
    pthread_mutex_lock(&r->comm->shared->lock);
    poll_once(r);
    bool done = r->done;
    pthread_mutex_unlock(&r->comm->shared->lock);
    return done;
}

static bool poll(rs_comm_request *r)
{
    if (r->listed)
        return poll_listed(r);
    poll_once(r);
    return r->done;
}

/* A wait that is over at once leaves no mark. */
static rs_status wait_done(rs_comm_request *r)
{
    rs_comm_mark mark;
    int64_t polls = 0;
    double since = rs_now();
    if (!poll(r)) {
        rs_comm_mark_add(r, &mark);
        while (!poll(r))
            rs_comm_relax(&polls);
        rs_comm_mark_remove(r, &mark);
    }
    r->wait_s += rs_now() - since;
    if (r->st == RS_OK)
        return RS_OK;
    char text[192];
    rs_comm_describe(text, sizeof text, r);
    return rs_fail_at(r->st, __FILE__, __LINE__, __func__, "%s: %s", text, r->message);
}

rs_status rs_comm_blocking(rs_comm *c, const rs_comm_call *call)
{
    rs_comm_request *r;
    RS_TRY(rs_comm_begin(&r, c, call));
    rs_status st = wait_done(r);
    return rs_comm_leave(&r, st);
}

rs_status rs_comm_part(rs_comm_request *whole, const rs_comm_call *call)
{
    rs_comm_request r;
    request_init(&r, whole->comm, call);
    r.call.what = whole->call.what;
    r.shown = whole->shown;
    r.number = whole->number;
    RS_TRY(whole->comm->ops->start(whole->comm, &r));
    rs_status st = wait_done(&r);
    whole->wait_s += r.wait_s;
    return st;
}

void rs_comm_list(rs_comm_request *r)
{
    rs_comm_shared *s = r->comm->shared;
    pthread_mutex_lock(&s->lock);
    r->listed = true;
    r->next = s->requests;
    if (r->next)
        r->next->prev = r;
    s->requests = r;
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
}

static void unlist(rs_comm_request *r)
{
    rs_comm_shared *s = r->comm->shared;
    pthread_mutex_lock(&s->lock);
    if (r->prev)
        r->prev->next = r->next;
    else
        s->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    pthread_mutex_unlock(&s->lock);
}

bool rs_comm_test(rs_comm_request *r)
{
    return poll_listed(r);
}

rs_status rs_comm_wait(rs_comm_request **r)
{
    rs_status st = wait_done(*r);
    unlist(*r);
    return rs_comm_leave(r, st);
}

void rs_comm_progress(rs_comm *c)
{
    rs_comm_shared *s = c->shared;
    pthread_mutex_lock(&s->lock);
    for (rs_comm_request *r = s->requests; r; r = r->next)
        poll_once(r);
    pthread_mutex_unlock(&s->lock);
}
