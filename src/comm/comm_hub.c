#include "comm/comm_hub_priv.h"

#include <stdio.h>
#include <string.h>

static rs_hub *hub_new(hub_world *w, int n)
{
    rs_hub *h = rs_alloc(1, sizeof *h);
    h->world = w;
    h->n = h->open = n;
    h->world_rank = rs_alloc((size_t)n, sizeof(int));
    h->next = w->hubs;
    w->hubs = h;
    return h;
}

static void meeting_free(hub_meeting *m)
{
    rs_dealloc(m->posted);
    rs_dealloc(m);
}

static void hub_free(rs_hub *h)
{
    while (h->meetings) {
        hub_meeting *m = h->meetings;
        h->meetings = m->next;
        meeting_free(m);
    }
    while (h->messages) {
        hub_message *m = h->messages;
        h->messages = m->next;
        rs_dealloc(m);
    }
    rs_dealloc(h->world_rank);
    rs_dealloc(h);
}

hub_world *rs_hub_world_create(int n)
{
    hub_world *w = rs_alloc(1, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    w->n = n;
    w->ended = rs_alloc((size_t)n, sizeof(bool));
    rs_hub *h = hub_new(w, n);
    for (int i = 0; i < n; i++)
        h->world_rank[i] = i;
    return w;
}

void rs_hub_world_destroy(hub_world **at)
{
    hub_world *w = *at;
    if (!w)
        return;
    while (w->hubs) {
        rs_hub *h = w->hubs;
        w->hubs = h->next;
        hub_free(h);
    }
    pthread_mutex_destroy(&w->lock);
    rs_dealloc(w->ended);
    rs_dealloc(w);
    *at = NULL;
}

hub_seat *rs_hub_sit(rs_hub *h)
{
    hub_seat *s = rs_alloc(1, sizeof *s);
    s->hub = h;
    return s;
}

static void cancel(hub_meeting *m, const char *message)
{
    m->over = true;
    m->st = RS_PEER;
    snprintf(m->message, sizeof m->message, "%s", message);
}

/* Its buffers may be gone with its stack, so meetings that it has come to never happen. */
void rs_hub_rank_ended(hub_world *w, int rank)
{
    char text[64];
    snprintf(text, sizeof text, "rank %d has ended", rank);
    pthread_mutex_lock(&w->lock);
    w->ended[rank] = true;
    for (rs_hub *h = w->hubs; h; h = h->next)
        for (hub_meeting *m = h->meetings; m; m = m->next)
            for (int r = 0; r < h->n; r++)
                if (h->world_rank[r] == rank && m->posted[r] && !m->over)
                    cancel(m, text);
    pthread_mutex_unlock(&w->lock);
}

static hub_meeting *meeting_of(rs_hub *h, int64_t seq)
{
    hub_meeting *m = h->meetings;
    while (m && m->seq != seq)
        m = m->next;
    if (m)
        return m;
    m = rs_alloc(1, sizeof *m);
    m->seq = seq;
    m->posted = rs_alloc((size_t)h->n, sizeof(rs_comm_request *));
    m->next = h->meetings;
    h->meetings = m;
    return m;
}

static void post_message(rs_hub *h, const rs_comm *c, const rs_comm_call *call)
{
    hub_message *m = rs_alloc(1, sizeof *m + call->bytes);
    m->from = c->rank;
    m->to = call->peer;
    m->tag = call->tag;
    m->bytes = call->bytes;
    if (call->bytes > 0)
        memcpy(m->data, call->src, call->bytes);
    hub_message **at = &h->messages;
    while (*at)
        at = &(*at)->next;
    *at = m;
}

static rs_status hub_start(rs_comm *c, rs_comm_request *r)
{
    hub_seat *seat = c->state;
    rs_hub *h = seat->hub;
    pthread_mutex_lock(&h->world->lock);
    if (r->call.op == RS_COMM_SEND) {
        post_message(h, c, &r->call);
    } else {
        hub_meeting *m = meeting_of(h, seat->seq++);
        r->state = m;
        m->posted[c->rank] = r;
        if (++m->arrived == h->n && !m->over)
            rs_hub_meet(m, h->n);
    }
    pthread_mutex_unlock(&h->world->lock);
    return RS_OK;
}

/* Why a meeting will never happen; false if it still may. */
static bool hopeless(char *text, size_t room, const rs_hub *h, const hub_meeting *m)
{
    const hub_world *w = h->world;
    if (w->aborted) {
        snprintf(text, room, "%s", w->reason);
        return true;
    }
    for (int r = 0; r < h->n; r++)
        if (!m->posted[r] && w->ended[h->world_rank[r]]) {
            snprintf(text, room, "rank %d has ended", h->world_rank[r]);
            return true;
        }
    return false;
}

static void meeting_leave(rs_hub *h, hub_meeting *m)
{
    if (++m->gone < h->n)
        return;
    hub_meeting **at = &h->meetings;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    meeting_free(m);
}

static rs_status hub_test(bool *done, rs_comm *c, rs_comm_request *r)
{
    hub_seat *seat = c->state;
    rs_hub *h = seat->hub;
    hub_meeting *m = r->state;
    rs_status st = RS_OK;
    char text[512];
    if (!m) { /* a message: on its way since start */
        *done = true;
        return RS_OK;
    }
    pthread_mutex_lock(&h->world->lock);
    if (!m->over && hopeless(text, sizeof text, h, m))
        cancel(m, text);
    *done = m->over;
    if (m->over) {
        if (m->st != RS_OK)
            st = rs_fail_at(m->st, __FILE__, __LINE__, __func__, "%s", m->message);
        r->state = NULL;
        meeting_leave(h, m);
    }
    pthread_mutex_unlock(&h->world->lock);
    return st;
}

static rs_status hub_check(rs_comm *c, int peer)
{
    hub_seat *seat = c->state;
    rs_hub *h = seat->hub;
    hub_world *w = h->world;
    rs_status st = RS_OK;
    int alive = 0, last = 0;
    pthread_mutex_lock(&w->lock);
    for (int r = 0; r < h->n; r++)
        if (r == peer || (peer == RS_COMM_ANY && r != c->rank)) {
            alive += !w->ended[h->world_rank[r]];
            last = h->world_rank[r];
        }
    if (w->aborted)
        st = RS_FAIL(PEER, "%s", w->reason);
    else if (alive == 0 && h->n > 1)
        st = RS_FAIL(PEER, "rank %d has ended", last);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static rs_status hub_probe(rs_comm_message *m, rs_comm *c, int from, int tag)
{
    hub_seat *seat = c->state;
    rs_hub *h = seat->hub;
    pthread_mutex_lock(&h->world->lock);
    hub_message **at = &h->messages;
    while (*at && !((*at)->to == c->rank && (from == RS_COMM_ANY || (*at)->from == from) &&
                    (tag == RS_COMM_ANY || (*at)->tag == tag)))
        at = &(*at)->next;
    hub_message *got = *at;
    rs_status st = RS_OK;
    if (!got && h->world->aborted)
        st = RS_FAIL(PEER, "%s", h->world->reason);
    if (got) {
        *at = got->next;
        *m = (rs_comm_message){
            .found = true, .from = got->from, .tag = got->tag, .bytes = got->bytes, .handle = got};
    }
    pthread_mutex_unlock(&h->world->lock);
    return st;
}

static rs_status hub_take(rs_comm *c, rs_comm_message *m, void *dst)
{
    (void)c;
    hub_message *got = m->handle;
    if (got->bytes > 0)
        memcpy(dst, got->data, got->bytes);
    rs_dealloc(got);
    *m = (rs_comm_message){0};
    return RS_OK;
}

/* The first rank of a part to come makes its hub. */
static rs_status hub_derive(rs_comm *out, rs_comm *c, const rs_comm_members *m)
{
    hub_seat *seat = c->state;
    rs_hub *parent = seat->hub;
    if (m->n == 0)
        return RS_OK;
    pthread_mutex_lock(&parent->world->lock);
    rs_hub *h = parent->world->hubs;
    while (h && !(h->parent == parent && h->split == m->split && h->colour == m->colour))
        h = h->next;
    if (!h) {
        h = hub_new(parent->world, m->n);
        for (int i = 0; i < m->n; i++)
            h->world_rank[i] = parent->world_rank[m->parent[i]];
        h->parent = parent;
        h->split = m->split;
        h->colour = m->colour;
    }
    out->state = rs_hub_sit(h);
    pthread_mutex_unlock(&parent->world->lock);
    return RS_OK;
}

static void hub_close(rs_comm *c)
{
    hub_seat *seat = c->state;
    rs_hub *h = seat->hub;
    hub_world *w = h->world;
    pthread_mutex_lock(&w->lock);
    if (--h->open == 0 && h->parent) {
        rs_hub **at = &w->hubs;
        while (*at != h)
            at = &(*at)->next;
        *at = h->next;
        hub_free(h);
    }
    pthread_mutex_unlock(&w->lock);
    rs_dealloc(seat);
}

static void serial_close(rs_comm *c)
{
    hub_world *w = ((hub_seat *)c->state)->hub->world;
    hub_close(c);
    if (c->owns_shared)
        rs_hub_world_destroy(&w);
}

static void threads_abort(rs_comm *c, int exit_code, const char *message)
{
    (void)exit_code;
    hub_world *w = ((hub_seat *)c->state)->hub->world;
    pthread_mutex_lock(&w->lock);
    if (!w->aborted)
        snprintf(w->reason, sizeof w->reason, "rank %d aborted: %s", c->shared->rank, message);
    w->aborted = true;
    pthread_mutex_unlock(&w->lock);
}

static void serial_abort(rs_comm *c, int exit_code, const char *message)
{
    (void)c;
    (void)message;
    rs_comm_exit(exit_code);
}

#define HUB_OPS                                                                                    \
    .space = &rs_comm_space_host, .start = hub_start, .test = hub_test, .probe = hub_probe,        \
    .take = hub_take, .check = hub_check, .derive = hub_derive

const rs_comm_ops rs_comm_ops_serial = {
    .name = "serial", HUB_OPS, .abort = serial_abort, .close = serial_close, .processes = true};
const rs_comm_ops rs_comm_ops_threads = {
    .name = "threads", HUB_OPS, .abort = threads_abort, .close = hub_close, .processes = false};

rs_comm *rs_comm_open_serial(const rs_comm_opts *opts)
{
    hub_world *w = rs_hub_world_create(1);
    rs_comm *c = rs_comm_new_world(&rs_comm_ops_serial, 0, 1, opts);
    c->state = rs_hub_sit(w->hubs);
    return c;
}
