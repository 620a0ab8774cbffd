#include "comm/watchdog_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Called under the board's lock. */
static void reap_all(rs_comm_shared *s)
{
    for (rs_comm *c = s->comms; c; c = c->next)
        if (c->ops->reap)
            c->ops->reap(c);
}

void rs_watch_longest(rs_watch_wait *w, rs_comm_shared *s, int *members)
{
    *w = (rs_watch_wait){.peer = -1, .world_rank = members};
    pthread_mutex_lock(&s->board);
    reap_all(s);
    const rs_comm_mark *oldest = s->marks;
    for (const rs_comm_mark *m = s->marks; m; m = m->next)
        if (m->since < oldest->since)
            oldest = m;
    if (oldest) {
        const rs_comm_request *r = oldest->request;
        const rs_comm *c = r->comm;
        w->any = true;
        w->warned = oldest->warned;
        w->since = oldest->since;
        w->id = c->id;
        w->number = r->number;
        if (!r->number && r->call.peer >= 0)
            w->peer = c->world_rank[r->call.peer];
        for (int i = 0; i < c->size; i++)
            w->world_rank[w->n++] = c->world_rank[i];
        rs_comm_describe(w->text, sizeof w->text, r);
    }
    pthread_mutex_unlock(&s->board);
}

void rs_watch_set_warned(rs_comm_shared *s, double since)
{
    pthread_mutex_lock(&s->board);
    for (rs_comm_mark *m = s->marks; m; m = m->next)
        m->warned = m->warned || m->since <= since;
    pthread_mutex_unlock(&s->board);
}

static void append(rs_watch_note *n, const char *fmt, ...) RS_PRINTF(2, 3);
static void append(rs_watch_note *n, const char *fmt, ...)
{
    size_t used = strlen(n->where);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(n->where + used, sizeof n->where - used, fmt, ap);
    va_end(ap);
}

/* Of a mark that a thread of the host waits at, if there is one: what a device works on follows
 * from the numbers. */
static const rs_comm_mark *shown_mark(const rs_comm_shared *s)
{
    const rs_comm_mark *m = s->marks;
    while (m && m->next && m->request->comm->ops->reap)
        m = m->next;
    return m;
}

void rs_watch_fill(rs_watch_note *n, rs_comm_shared *s)
{
    char text[128];
    n->kind = RS_WATCH_REPLY;
    n->where[0] = 0;
    pthread_mutex_lock(&s->board);
    reap_all(s);
    const rs_comm *c = s->comms;
    while (c && c->id != n->id)
        c = c->next;
    bool device = c && c->ops->reap;
    n->arrived = c && n->number > 0 && c->calls >= n->number;
    n->reached = n->arrived && (!device || c->begun >= n->number);
    if (s->marks) {
        rs_comm_describe(text, sizeof text, shown_mark(s)->request);
        append(n, "it waits in %s", text);
    } else {
        append(n, "it is not in a call");
    }
    if (c && c->calls > 0)
        append(n, "; its last one here was %s, call %lld", rs_comm_op_name(c->last),
               (long long)c->calls);
    if (device && c->calls > 0)
        append(n, ", its device has ended %lld", (long long)c->ended);
    pthread_mutex_unlock(&s->board);
}

void rs_watch_stop_devices(rs_comm_shared *s)
{
    for (rs_comm *c = s->comms; c; c = c->next)
        if (c->ops->stop)
            c->ops->stop(c);
}
