#include "comm/watchdog.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "comm/comm_priv.h"

enum { TAG_QUERY = 1, TAG_REPLY = 2, REPORT_MAX = 1024 };

/* Query: has your rank arrived at collective `number` of communicator `id`? Reply: the same,
 * filled. */
typedef struct watch_note {
    uint64_t id;
    int64_t number;
    int64_t asked; /* serial number of the question, so that late answers are told apart */
    bool answered;
    bool arrived;
    char where[192];
} watch_note;

struct rs_watchdog {
    rs_comm *comm; /* quiet; its ranks are the world's */
    rs_comm_shared *shared;
    rs_watchdog_opts opts;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    bool fired;     /* the world is aborted; the thread's own */
    double grace_s; /* for answers */
    double tick_s;
    int64_t asked;
    watch_note *notes; /* (world) answers to the newest question */
    int *members;      /* (world) scratch of look */
};

/* The wait that has lasted longest, as a copy: its request may be over in a moment. */
typedef struct watch_wait {
    bool any;
    bool warned;
    double since;
    uint64_t id;
    int64_t number;
    int peer; /* in the world, of a message; -1: any */
    int n;
    int *world_rank; /* (n) of who is in that communicator; room for the world */
    char text[192];
} watch_wait;

static void longest_wait(watch_wait *w, rs_comm_shared *s, int *members)
{
    *w = (watch_wait){.peer = -1, .world_rank = members};
    pthread_mutex_lock(&s->board);
    for (rs_comm *c = s->comms; c; c = c->next)
        if (c->ops->reap)
            c->ops->reap(c);
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

static void set_warned(rs_comm_shared *s, double since)
{
    pthread_mutex_lock(&s->board);
    for (rs_comm_mark *m = s->marks; m; m = m->next)
        m->warned = m->warned || m->since <= since;
    pthread_mutex_unlock(&s->board);
}

/* What this rank knows of itself. */
static void fill_reply(watch_note *n, rs_comm_shared *s)
{
    char text[160];
    pthread_mutex_lock(&s->board);
    const rs_comm *c = s->comms;
    while (c && c->id != n->id)
        c = c->next;
    n->arrived = c && n->number > 0 && c->calls >= n->number;
    int used;
    if (s->marks) {
        rs_comm_describe(text, sizeof text, s->marks->request);
        used = snprintf(n->where, sizeof n->where, "it waits in %s", text);
    } else {
        used = snprintf(n->where, sizeof n->where, "it is not in a call");
    }
    if (c && c->calls > 0 && used > 0 && (size_t)used < sizeof n->where)
        snprintf(n->where + used, sizeof n->where - (size_t)used,
                 "; its last one here was %s, call %lld", rs_comm_op_name(c->last),
                 (long long)c->calls);
    pthread_mutex_unlock(&s->board);
    n->answered = true;
}

static rs_status serve(rs_watchdog *w)
{
    for (;;) {
        rs_comm_message m;
        watch_note note;
        RS_TRY(rs_comm_probe(&m, w->comm, RS_COMM_ANY, RS_COMM_ANY));
        if (!m.found)
            return RS_OK;
        int from = m.from, tag = m.tag;
        RS_ASSERT(m.bytes == sizeof note);
        RS_TRY(rs_comm_take(w->comm, &m, &note));
        if (tag == TAG_QUERY) {
            fill_reply(&note, w->shared);
            RS_TRY(rs_comm_send(w->comm, &note, sizeof note, from, TAG_REPLY));
        } else if (note.asked == w->asked) {
            w->notes[from] = note;
        }
    }
}

static rs_status ask(rs_watchdog *w, const watch_wait *wait)
{
    watch_note q = {.id = wait->id, .number = wait->number, .asked = ++w->asked};
    memset(w->notes, 0, (size_t)w->comm->size * sizeof *w->notes);
    for (int i = 0; i < wait->n; i++)
        if (wait->world_rank[i] != w->comm->rank)
            RS_TRY(rs_comm_send(w->comm, &q, sizeof q, wait->world_rank[i], TAG_QUERY));
    return RS_OK;
}

static void add_rank(char *text, int rank, const watch_note *n, bool collective)
{
    size_t used = strlen(text), room = REPORT_MAX - used;
    if (room < 2 || (collective && n->arrived))
        return;
    if (!n->answered)
        snprintf(text + used, room, "; rank %d does not answer", rank);
    else if (collective)
        snprintf(text + used, room, "; rank %d has not arrived (%s)", rank, n->where);
    else
        snprintf(text + used, room, "; rank %d: %s", rank, n->where);
}

static void report(char text[REPORT_MAX], const rs_watchdog *w, const watch_wait *wait)
{
    snprintf(text, REPORT_MAX, "waited %.1f s in %s", rs_now() - wait->since, wait->text);
    for (int i = 0; i < wait->n; i++) {
        int rank = wait->world_rank[i];
        bool concerned = wait->number > 0 || wait->peer < 0 || wait->peer == rank;
        if (rank != w->comm->rank && concerned)
            add_rank(text, rank, &w->notes[rank], wait->number > 0);
    }
}

static bool all_answered(const rs_watchdog *w, const watch_wait *wait)
{
    for (int i = 0; i < wait->n; i++)
        if (wait->world_rank[i] != w->comm->rank && !w->notes[wait->world_rank[i]].answered)
            return false;
    return true;
}

/* Threads that wait for a device get their way. Nothing is closed while a rank waits. */
static void stop_devices(rs_comm_shared *s)
{
    for (rs_comm *c = s->comms; c; c = c->next)
        if (c->ops->stop)
            c->ops->stop(c);
}

/* Questions go out a grace before the answers are needed; who has not answered then gets another.
 */
static rs_status look(rs_watchdog *w, double *asked_for, double *asked_due)
{
    watch_wait wait;
    char text[REPORT_MAX];
    longest_wait(&wait, w->shared, w->members);
    if (!wait.any)
        return RS_OK;
    double age = rs_now() - wait.since;
    bool to_warn = !wait.warned && w->opts.warn_s > 0 && w->opts.warn_s < w->opts.timeout_s;
    double due = to_warn ? w->opts.warn_s : w->opts.timeout_s;
    if (age >= due - w->grace_s && (*asked_for < wait.since || *asked_due < due)) {
        RS_TRY(ask(w, &wait));
        *asked_for = wait.since;
        *asked_due = due;
    }
    if (age < due || (age < due + w->grace_s && !all_answered(w, &wait)))
        return RS_OK;
    report(text, w, &wait);
    if (to_warn) {
        RS_LOG(WARN, "rank %d of %d: %s", w->comm->rank, w->comm->size, text);
        set_warned(w->shared, wait.since);
        return RS_OK;
    }
    stop_devices(w->shared);
    rs_comm_abort(w->comm, w->opts.exit_code, text);
    w->fired = true;
    return RS_OK;
}

static bool nap(rs_watchdog *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(w->tick_s * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->lock);
    if (!w->stop)
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
    bool go = !w->stop;
    pthread_mutex_unlock(&w->lock);
    return go;
}

static void *watch(void *arg)
{
    rs_watchdog *w = arg;
    double asked_for = -1, asked_due = 0;
    while (!w->fired && nap(w)) {
        rs_status st = serve(w);
        if (st == RS_OK)
            st = look(w, &asked_for, &asked_due);
        if (st != RS_OK) {
            RS_LOG(WARN, "rank %d of %d: the watchdog stops: %s", w->comm->rank, w->comm->size,
                   rs_error_message());
            return NULL;
        }
    }
    return NULL;
}

rs_status rs_watchdog_start(rs_watchdog **out, rs_comm *c, const rs_watchdog_opts *opts)
{
    RS_ASSERT(c->owns_shared && opts->timeout_s > 0);
    *out = NULL;
    rs_comm *own = NULL;
    RS_TRY(rs_comm_split(&own, c, 0, c->rank, "watchdog"));
    own->quiet = true;
    rs_watchdog *w = rs_alloc(1, sizeof *w);
    w->comm = own;
    w->shared = c->shared;
    w->opts = *opts;
    w->notes = rs_alloc((size_t)c->size, sizeof *w->notes);
    w->members = rs_alloc((size_t)c->size, sizeof *w->members);
    double soonest = opts->warn_s > 0 ? fmin(opts->warn_s, opts->timeout_s) : opts->timeout_s;
    w->grace_s = fmin(soonest / 4, 1);
    w->tick_s = w->grace_s / 8;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, watch, w) != 0) {
        rs_dealloc(w->members);
        rs_dealloc(w->notes);
        rs_dealloc(w);
        return RS_FAIL(NOMEM, "cannot start the watchdog thread");
    }
    *out = w;
    return RS_OK;
}

/* Questions that are still on their way are taken, so that none is left when MPI ends. */
void rs_watchdog_stop(rs_watchdog **at)
{
    rs_watchdog *w = *at;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    rs_comm_message m = {.found = rs_comm_barrier(w->comm, "end of the watchdog") == RS_OK};
    while (m.found) {
        watch_note note;
        m.found = rs_comm_probe(&m, w->comm, RS_COMM_ANY, RS_COMM_ANY) == RS_OK && m.found &&
                  rs_comm_take(w->comm, &m, &note) == RS_OK;
    }
    rs_comm_close(&w->comm);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    rs_dealloc(w->members);
    rs_dealloc(w->notes);
    rs_dealloc(w);
    *at = NULL;
}
