#include "job/viewer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/term.h"
#include "job/index.h"
#include "store/archive.h"

struct rs_viewer {
    rs_viewer_opts o;
    bool live, plain;
    rs_view *view;
    rs_index *index;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool leave;
    /* Of the thread. */
    rs_arena *scratch;
    double next_catalog, next_line, line_every;
    uint64_t said, indexed; /* what the last line and the last index were about */
};

/* Some work, and how long to rest from it: two per cent of a core, a fifth of the time where it
 * waits for files. */
typedef struct effort {
    double wall, cpu;
} effort;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static effort begin_effort(void)
{
    return (effort){.wall = rs_now(), .cpu = cpu_seconds()};
}

static double rest_from(effort begin, double least)
{
    double cpu = 50 * (cpu_seconds() - begin.cpu), wall = 4 * (rs_now() - begin.wall);
    double rest = cpu > wall ? cpu : wall;
    return rest > least ? rest : least;
}

/* Changes when some job or stage goes on, not with every step. */
static uint64_t digest(const rs_view *v)
{
    uint64_t h = 1;
    for (int i = 0; i < RS_VIEW_STATES; i++) {
        h = rs_hash64_mix(h, (uint64_t)v->edits[i]);
        for (int k = 0; k < RS_LIVE_STAGES; k++)
            h = rs_hash64_mix(h, (uint64_t)v->stages[k].count[i]);
    }
    return h;
}

static void draw(rs_viewer *w)
{
    rs_strbuf text = rs_strbuf_on(w->scratch);
    rs_view_style style = {.width = rs_term_width(STDERR_FILENO),
                           .colour = rs_term_colour(STDERR_FILENO)};
    int height = rs_term_height(STDERR_FILENO);
    if (height > 0 && height <= RS_LIVE_STAGES + 1) { /* rows that scrolled away stay there */
        rs_strbuf line = rs_strbuf_on(w->scratch);
        rs_view_line(&line, w->view);
        rs_view_add_line(&text, line.data, &style);
    } else {
        rs_view_lines(&text, w->view, &style);
    }
    rs_log_set_status(text.data);
}

/* A line for the log: when something has changed, after 5 s at first, later every five minutes. */
static void say(rs_viewer *w)
{
    const double growth = 1.5, most = 300;
    uint64_t now = digest(w->view);
    if (rs_now() < w->next_line || now == w->said)
        return;
    w->said = now;
    w->line_every = w->line_every * growth < most ? w->line_every * growth : most;
    w->next_line = rs_now() + w->line_every;
    rs_strbuf text = rs_strbuf_on(w->scratch);
    rs_view_line(&text, w->view);
    RS_LOG_STEP("%s", text.data);
}

static void index_jobs(rs_viewer *w)
{
    effort begin = begin_effort();
    uint64_t now = digest(w->view);
    if (!w->index || begin.wall < w->next_catalog || now == w->indexed)
        return;
    if (rs_index_write(w->index, w->view, w->o.arm) != RS_OK) {
        RS_LOG(WARN, "catalog.h5 could not be brought up to date: %s", rs_error_message());
        rs_error_clear();
    }
    w->indexed = now;
    w->next_catalog = rs_now() + rest_from(begin, w->o.catalog_every);
}

static void look(rs_viewer *w)
{
    if (rs_view_refresh(w->view) != RS_OK) {
        RS_LOG(DETAIL, "no look at the ranks: %s", rs_error_message());
        rs_error_clear();
        return;
    }
    if (w->live)
        draw(w);
    if (w->live || w->plain)
        say(w);
    index_jobs(w);
    rs_arena_reset(w->scratch);
}

static struct timespec after(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t nanos = (int64_t)(seconds * 1e9) + t.tv_nsec;
    t.tv_sec += (time_t)(nanos / 1000000000);
    t.tv_nsec = (long)(nanos % 1000000000);
    return t;
}

static void *watch(void *arg)
{
    rs_viewer *w = arg;
    const double period = w->live ? 0.5 : 1.0;
    pthread_mutex_lock(&w->lock);
    while (!w->leave) {
        pthread_mutex_unlock(&w->lock);
        effort begin = begin_effort();
        look(w);
        struct timespec until = after(rest_from(begin, period));
        pthread_mutex_lock(&w->lock);
        while (!w->leave && pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT) {
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static rs_status start_thread(rs_viewer *w)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the business of the threads that work */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? RS_OK : RS_FAIL(NOMEM, "no thread for the status of the run");
}

static void destroy(rs_viewer **out)
{
    rs_viewer *w = *out;
    *out = NULL;
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    rs_index_close(&w->index);
    rs_view_close(&w->view);
    rs_arena_destroy(&w->scratch);
    rs_dealloc(w);
}

static void init_clocks(rs_viewer *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    w->line_every = 5;
    w->next_line = rs_now() + w->line_every;
    w->next_catalog = rs_now();
}

/* The worker writes archives meanwhile: only an HDF5 that was built for threads may do both. */
static void open_index(rs_viewer *w)
{
    if (w->o.catalog_every <= 0)
        return;
    if (rs_archive_threads())
        rs_index_open(&w->index, w->o.output);
    else
        RS_LOG(INFO, "this HDF5 library is not for threads: catalog.h5 is written at the end only");
}

rs_status rs_viewer_start(rs_viewer **out, const rs_viewer_opts *o)
{
    rs_viewer *w = rs_alloc(1, sizeof *w);
    rs_status st = RS_OK;
    bool terminal = rs_term_is_live(STDERR_FILENO);
    w->o = *o;
    w->live =
        o->progress == RS_CFG_PROGRESS_LIVE || (o->progress == RS_CFG_PROGRESS_AUTO && terminal);
    w->plain = !w->live && o->progress != RS_CFG_PROGRESS_NONE;
    w->scratch = rs_arena_create();
    init_clocks(w);
    open_index(w);
    RS_TRY_OUT(rs_view_open(&w->view, o->live));
    rs_log_use_status(w->live);
    RS_TRY_OUT(start_thread(w));
    *out = w;
out:
    if (st != RS_OK)
        destroy(&w);
    return st;
}

void rs_viewer_stop(rs_viewer **out)
{
    rs_viewer *w = *out;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->leave = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    rs_log_use_status(false);
    destroy(out);
}
