#include "comm/watchdog.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "comm/datagram_priv.h"
#include "comm/watchdog_priv.h"

enum {
    REPORT_MAX = 1024,
    HELLO_S = 10, /* so long a neighbour may take to be heard */
    ABORT_S = 10, /* MPI_Abort may take */
    END_S = 3     /* the launcher has to end a rank that another one has told of the end */
};

/* What is known of another rank. */
typedef struct peer {
    bool heard;    /* anything, ever */
    bool answered; /* the newest question */
    rs_watch_note note;
} peer;

struct rs_watchdog {
    rs_comm *comm; /* to meet at start and end; its ranks are the world's */
    rs_comm_shared *shared;
    rs_watchdog_opts opts;
    rs_datagram *line; /* NULL: none */
    rs_datagram_card *cards;
    int wake; /* eventfd */
    pthread_t thread;
    pthread_mutex_t lock;
    bool done, stop; /* this rank, all ranks have come to the end; under lock */
    bool fired;      /* the world is aborted; the thread's own, like the rest */
    double grace_s;  /* for answers */
    double tick_s;
    double start_s;
    int neighbour; /* on another machine where there is one; -1: it has been heard, or given up */
    double end_s;  /* when to end with the world; 0: nobody said so */
    int64_t asked;
    double asked_for, asked_due;
    peer *peers;  /* (world) */
    int *members; /* (world) scratch of look */
};

/* ---- questions and answers ---- */

static void send_note(rs_watchdog *w, int to, rs_watch_kind kind, const rs_watch_wait *wait)
{
    rs_watch_note n = {.kind = kind, .asked = kind == RS_WATCH_QUERY ? w->asked : 0};
    if (wait) {
        n.id = wait->id;
        n.number = wait->number;
    }
    rs_datagram_send(w->line, to, &n, sizeof n);
}

static void take_note(rs_watchdog *w, int from, rs_watch_note *n)
{
    n->where[sizeof n->where - 1] = 0;
    w->peers[from].heard = true;
    switch ((rs_watch_kind)n->kind) {
    case RS_WATCH_HELLO:
    case RS_WATCH_QUERY:
        rs_watch_fill(n, w->shared);
        rs_datagram_answer(w->line, from, n, sizeof *n);
        break;
    case RS_WATCH_REPLY:
        if (n->asked == 0 || n->asked != w->asked)
            break;
        w->peers[from].answered = true;
        w->peers[from].note = *n;
        break;
    case RS_WATCH_END:
        if (w->end_s <= 0)
            w->end_s = rs_now() + END_S;
        break;
    }
}

static void serve(rs_watchdog *w)
{
    enum { AT_ONCE = 4096 };
    rs_watch_note n;
    int from;
    for (int i = 0; w->line && i < AT_ONCE && rs_datagram_take(w->line, &from, &n, sizeof n); i++)
        take_note(w, from, &n);
}

/* Datagrams get lost: who has not answered is asked again with every look. */
static void ask(rs_watchdog *w, const rs_watch_wait *wait)
{
    for (int i = 0; w->line && i < wait->n; i++) {
        int r = wait->world_rank[i];
        if (r != w->comm->rank && !w->peers[r].answered)
            send_note(w, r, RS_WATCH_QUERY, wait);
    }
}

static void new_question(rs_watchdog *w, const rs_watch_wait *wait, double due)
{
    if (w->asked_for >= wait->since && w->asked_due >= due)
        return;
    w->asked++;
    w->asked_for = wait->since;
    w->asked_due = due;
    for (int r = 0; r < w->comm->size; r++)
        w->peers[r].answered = false;
}

/* ---- reports ---- */

/* Nothing ever came from the whole machine: its network may be to blame, not its ranks. */
static bool is_deaf(const rs_watchdog *w, int rank)
{
    for (int r = 0; r < w->comm->size; r++)
        if (w->peers[r].heard && rs_datagram_near(&w->cards[r], &w->cards[rank]))
            return false;
    return !rs_datagram_near(&w->cards[rank], &w->cards[w->comm->rank]);
}

static void add_rank(char *text, const rs_watchdog *w, int rank, bool collective)
{
    size_t used = strlen(text), room = REPORT_MAX - used;
    const peer *p = &w->peers[rank];
    const rs_watch_note *n = &p->note;
    if (room < 2 || (p->answered && collective && n->reached))
        return;
    if (w->cards[rank].port == 0)
        snprintf(text + used, room, "; rank %d cannot be asked", rank);
    else if (!p->answered)
        snprintf(text + used, room, "; rank %d does not answer%s", rank,
                 is_deaf(w, rank) ? ", as no rank of its host ever did" : "");
    else if (!collective)
        snprintf(text + used, room, "; rank %d: %s", rank, n->where);
    else if (n->arrived)
        snprintf(text + used, room, "; the device of rank %d has not come to it (%s)", rank,
                 n->where);
    else
        snprintf(text + used, room, "; rank %d has not arrived (%s)", rank, n->where);
}

static void report(char text[REPORT_MAX], const rs_watchdog *w, const rs_watch_wait *wait)
{
    snprintf(text, REPORT_MAX, "waited %.1f s in %s", rs_now() - wait->since, wait->text);
    for (int i = 0; w->line && i < wait->n; i++) {
        int rank = wait->world_rank[i];
        bool concerned = wait->number > 0 || wait->peer < 0 || wait->peer == rank;
        if (rank != w->comm->rank && concerned)
            add_rank(text, w, rank, wait->number > 0);
    }
}

static bool all_answered(const rs_watchdog *w, const rs_watch_wait *wait)
{
    for (int i = 0; w->line && i < wait->n; i++)
        if (wait->world_rank[i] != w->comm->rank && !w->peers[wait->world_rank[i]].answered)
            return false;
    return true;
}

/* ---- the end ---- */

/* Should MPI or a driver not let go. */
static void *last_resort(void *arg)
{
    const rs_watchdog *w = arg;
    nanosleep(&(struct timespec){.tv_sec = ABORT_S}, NULL);
    rs_comm_exit(w->opts.exit_code);
}

static void end_world(rs_watchdog *w, const char *text)
{
    pthread_t timer;
    bool processes = w->comm->ops->processes;
    w->fired = true;
    for (int r = 0; processes && w->line && r < w->comm->size; r++)
        if (r != w->comm->rank)
            send_note(w, r, RS_WATCH_END, NULL);
    if (processes && pthread_create(&timer, NULL, last_resort, w) == 0)
        pthread_detach(timer);
    rs_watch_stop_devices(w->shared);
    rs_comm_abort(w->comm, w->opts.exit_code, text);
}

/* Another rank has ended the world, and the launcher has not ended this one. */
static void follow(rs_watchdog *w)
{
    pthread_t timer;
    if (w->end_s <= 0 || rs_now() < w->end_s)
        return;
    if (pthread_create(&timer, NULL, last_resort, w) == 0)
        pthread_detach(timer);
    rs_watch_stop_devices(w->shared);
    rs_comm_exit(w->opts.exit_code);
}

/* ---- the thread ---- */

/* Questions go out a grace before the answers are needed; who has not answered then gets another.
 */
static void look(rs_watchdog *w)
{
    rs_watch_wait wait;
    char text[REPORT_MAX];
    rs_watch_longest(&wait, w->shared, w->members);
    if (!wait.any)
        return;
    double age = rs_now() - wait.since;
    bool to_warn = !wait.warned && w->opts.warn_s > 0 && w->opts.warn_s < w->opts.timeout_s;
    double due = to_warn ? w->opts.warn_s : w->opts.timeout_s;
    if (age < due - w->grace_s)
        return;
    new_question(w, &wait, due);
    ask(w, &wait);
    if (age < due || (age < due + w->grace_s && !all_answered(w, &wait)))
        return;
    report(text, w, &wait);
    if (!to_warn) {
        end_world(w, text);
        return;
    }
    RS_LOG(WARN, "rank %d of %d: %s", w->comm->rank, w->comm->size, text);
    rs_watch_set_warned(w->shared, wait.since);
}

/* One rank of the next machine, so that a network without datagrams is known before it matters. */
static void greet(rs_watchdog *w)
{
    if (w->neighbour < 0 || !w->line)
        return;
    if (w->peers[w->neighbour].heard) {
        w->neighbour = -1;
    } else if (rs_now() < w->start_s + HELLO_S) {
        send_note(w, w->neighbour, RS_WATCH_HELLO, NULL);
    } else {
        RS_LOG(WARN,
               "rank %d of %d: the watchdog hears nothing from rank %d: if datagrams (UDP) do not "
               "pass between their hosts, a rank that hangs is not told from one that cannot "
               "answer",
               w->comm->rank, w->comm->size, w->neighbour);
        w->neighbour = -1;
    }
}

/* Until a datagram, an end, or the next look. */
static void nap(const rs_watchdog *w)
{
    struct pollfd in[2] = {{.fd = w->wake, .events = POLLIN},
                           {.fd = w->line ? rs_datagram_fd(w->line) : -1, .events = POLLIN}};
    uint64_t count;
    if (poll(in, 2, (int)ceil(w->tick_s * 1000)) > 0 && in[0].revents)
        (void)!read(w->wake, &count, sizeof count);
}

static void *watch(void *arg)
{
    rs_watchdog *w = arg;
    bool done = false, stop = false;
    double next = 0;
    while (!w->fired && !stop) {
        nap(w);
        serve(w);
        pthread_mutex_lock(&w->lock);
        done = w->done;
        stop = w->stop;
        pthread_mutex_unlock(&w->lock);
        if (rs_now() < next)
            continue;
        next = rs_now() + w->tick_s / 2;
        greet(w);
        follow(w);
        if (!done)
            look(w);
    }
    return NULL;
}

/* ---- start and stop ---- */

/* Collective. Who cannot be reached says so on its card. */
static rs_status exchange_cards(rs_watchdog *w)
{
    rs_datagram_card mine = {0};
    int size = w->comm->size, rank = w->comm->rank;
    size_t *bytes = rs_alloc((size_t)size, sizeof *bytes);
    for (int r = 0; r < size; r++)
        bytes[r] = sizeof mine;
    if (size > 1 && rs_datagram_open(&w->line, &mine) != RS_OK)
        RS_LOG(WARN, "rank %d of %d: the watchdog cannot ask others who is late: %s", rank, size,
               rs_error_message());
    rs_status st = rs_comm_allgather(w->cards, w->comm, &mine, bytes, "addresses of the watchdogs");
    rs_dealloc(bytes);
    if (st == RS_OK && w->line)
        rs_datagram_know(w->line, w->cards, rank, size);
    w->neighbour = -1;
    for (int i = size - 1; i > 0; i--) {
        const rs_datagram_card *other = &w->cards[(rank + i) % size];
        if (other->port && !rs_datagram_near(other, &mine))
            w->neighbour = (rank + i) % size;
    }
    return st;
}

static void watchdog_free(rs_watchdog *w)
{
    rs_comm_close(&w->comm);
    rs_datagram_close(&w->line);
    if (w->wake >= 0)
        close(w->wake);
    pthread_mutex_destroy(&w->lock);
    rs_dealloc(w->cards);
    rs_dealloc(w->peers);
    rs_dealloc(w->members);
    rs_dealloc(w);
}

static rs_status begin(rs_watchdog *w)
{
    w->start_s = rs_now();
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0 || pthread_create(&w->thread, NULL, watch, w) != 0)
        return RS_FAIL(NOMEM, "cannot start the watchdog thread");
    (void)pthread_setname_np(w->thread, "rs-watchdog");
    return RS_OK;
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
    w->wake = -1;
    w->asked_for = -1;
    w->cards = rs_alloc((size_t)c->size, sizeof *w->cards);
    w->peers = rs_alloc((size_t)c->size, sizeof *w->peers);
    w->members = rs_alloc((size_t)c->size, sizeof *w->members);
    double soonest = opts->warn_s > 0 ? fmin(opts->warn_s, opts->timeout_s) : opts->timeout_s;
    w->grace_s = fmin(soonest / 4, 1);
    w->tick_s = w->grace_s / 8;
    pthread_mutex_init(&w->lock, NULL);
    rs_status st = exchange_cards(w);
    if (st == RS_OK)
        st = begin(w);
    if (st != RS_OK) {
        watchdog_free(w);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = w;
    return RS_OK;
}

static void tell(rs_watchdog *w, bool stop)
{
    uint64_t one = 1;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->stop = stop;
    pthread_mutex_unlock(&w->lock);
    (void)!write(w->wake, &one, sizeof one);
}

void rs_watchdog_stop(rs_watchdog **at)
{
    rs_watchdog *w = *at;
    if (!w)
        return;
    tell(w, false);
    (void)!rs_comm_barrier(w->comm, "end of the watchdog"); /* the others are failed or done, too */
    tell(w, true);
    pthread_join(w->thread, NULL);
    watchdog_free(w);
    *at = NULL;
}
