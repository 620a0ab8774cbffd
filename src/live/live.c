#include "live/live_priv.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "live/timeline.h"

/* ---- the thread that writes ---- */

double rs_live_period(const rs_live *l)
{
    /* a thousand ranks on one file system: some hundred small files a second */
    double by_ranks = (double)l->o.size / 200.0;
    if (l->o.period_s > 0)
        return l->o.period_s;
    return by_ranks < 1.0 ? 1.0 : by_ranks > 30.0 ? 30.0 : by_ranks;
}

double rs_live_heartbeat(double period)
{
    return 5.0 * period;
}

static void warn_once(rs_live *l)
{
    if (!l->warned)
        RS_LOG(WARN, "what this rank does is not recorded for others: %s", rs_error_message());
    l->warned = true;
    rs_error_clear();
}

/* The lock is held at the call and after it, not while the file is written. */
static void write_record(rs_live *l)
{
    const char *text = rs_live_record(l, l->scratch);
    l->dirty = false;
    pthread_mutex_unlock(&l->lock);
    rs_status st = rs_write_file_quick(l->path, text, strlen(text));
    pthread_mutex_lock(&l->lock);
    if (st != RS_OK)
        warn_once(l);
    rs_arena_reset(l->scratch);
}

static void sleep_for(rs_live *l, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double whole = floor(seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (!l->leave && pthread_cond_timedwait(&l->wake, &l->lock, &until) != ETIMEDOUT) {
    }
}

static void *keep(void *arg)
{
    rs_live *l = arg;
    double period = rs_live_period(l), last = -INFINITY;
    pthread_mutex_lock(&l->lock);
    while (!l->leave) {
        if (l->dirty || rs_now() - last >= rs_live_heartbeat(period)) {
            write_record(l);
            last = rs_now();
        }
        sleep_for(l, period);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals are the business of the threads that work. */
static rs_status start_thread(rs_live *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, keep, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? RS_OK : RS_FAIL(NOMEM, "no thread for the record of this rank");
}

/* ---- open and close ---- */

static char *copy(const char *s)
{
    size_t n = strlen(s ? s : "") + 1;
    char *out = rs_alloc(n, 1);
    memcpy(out, s ? s : "", n);
    return out;
}

static void destroy(rs_live **out)
{
    rs_live *l = *out;
    *out = NULL;
    for (int i = 0; i < RS_LIVE_TASKS; i++) {
        rs_dealloc(l->tasks[i].arm);
        rs_dealloc(l->tasks[i].video);
        rs_dealloc(l->tasks[i].edit);
    }
    if (l->lines)
        fclose(l->lines);
    rs_dealloc(l->arm);
    rs_dealloc(l->doing);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    rs_arena_destroy(&l->scratch);
    rs_arena_destroy(&l->arena);
    rs_dealloc(l);
}

rs_status rs_live_open(rs_live **out, const rs_live_opts *o)
{
    pthread_condattr_t attr;
    rs_live *l = rs_alloc(1, sizeof *l);
    l->o = *o;
    l->arena = rs_arena_create();
    l->scratch = rs_arena_create();
    l->o.world = rs_arena_strdup(l->arena, o->world);
    l->path = rs_arena_printf(l->arena, "%s/rank-%d.json", o->folder, o->rank);
    l->timeline = rs_arena_printf(l->arena, "%s/timeline-rank-%d.csv", o->folder, o->rank);
    l->begin = l->idle_since = rs_wall_clock();
    l->counted = rs_now();
    l->arm = copy("");
    l->doing = copy("starts");
    l->dirty = true;
    gethostname(l->host, sizeof l->host - 1);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&l->lock, NULL);
    rs_status st = start_thread(l);
    if (st != RS_OK)
        destroy(&l);
    *out = l;
    return st;
}

void rs_live_close(rs_live **out)
{
    rs_live *l = *out;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->leave = l->ended = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&l->lock);
    write_record(l);
    pthread_mutex_unlock(&l->lock);
    destroy(out);
}

/* ---- what happens ---- */

void rs_live_count_time(rs_live *l)
{
    double now = rs_now(), share = now - l->counted;
    int open = 0;
    l->counted = now;
    for (int i = 0; i < RS_LIVE_TASKS; i++)
        open += l->tasks[i].open;
    for (int i = 0; i < RS_LIVE_TASKS; i++)
        if (l->tasks[i].open)
            l->totals.seconds[l->tasks[i].stage] += share / open;
    if (open)
        l->idle_since = rs_wall_clock();
}

/* One line, with the lock held. */
static void append(rs_live *l, const rs_timeline_line *line)
{
    if (!l->lines) {
        l->lines = fopen(l->timeline, "a");
        if (l->lines)
            setvbuf(l->lines, NULL, _IOLBF, 0); /* whole lines survive a kill */
    }
    if (!l->lines || rs_timeline_write(l->lines, line) != RS_OK) {
        if (!l->lines)
            (void)RS_FAIL(IO, "%s: %s", l->timeline, strerror(errno));
        warn_once(l);
    }
}

void rs_live_arm(rs_live *l, const char *arm)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    rs_dealloc(l->arm);
    l->arm = copy(arm);
    pthread_mutex_unlock(&l->lock);
}

void rs_live_doing(rs_live *l, const char *what)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    rs_dealloc(l->doing);
    l->doing = copy(what);
    l->idle_since = rs_wall_clock();
    l->dirty = true;
    pthread_mutex_unlock(&l->lock);
}

int rs_live_begin(rs_live *l, const char *video, const char *edit, int stage)
{
    int task = 0;
    if (!l)
        return 0;
    RS_ASSERT(stage >= 0 && stage < RS_LIVE_STAGES);
    pthread_mutex_lock(&l->lock);
    rs_live_count_time(l);
    while (task < RS_LIVE_TASKS && l->tasks[task].open)
        task++;
    RS_ASSERTF(task < RS_LIVE_TASKS, "more than %d tasks at a time", RS_LIVE_TASKS);
    rs_live_task *t = &l->tasks[task];
    double now = rs_timeline_now();
    *t = (rs_live_task){.open = true,
                        .arm = copy(l->arm),
                        .video = copy(video),
                        .edit = copy(edit),
                        .stage = stage,
                        .since = now,
                        .updated = now,
                        .steps = {.loss = NAN, .s_per_step = NAN}};
    l->dirty = true;
    pthread_mutex_unlock(&l->lock);
    return task + 1;
}

static rs_live_task *open_task(rs_live *l, int task)
{
    RS_ASSERT(task >= 1 && task <= RS_LIVE_TASKS && l->tasks[task - 1].open);
    return &l->tasks[task - 1];
}

void rs_live_step(rs_live *l, int task, const rs_live_steps *s)
{
    if (!l || task == 0)
        return;
    pthread_mutex_lock(&l->lock);
    rs_live_task *t = open_task(l, task);
    t->steps = *s;
    t->updated = rs_wall_clock();
    l->dirty = true;
    pthread_mutex_unlock(&l->lock);
}

void rs_live_end(rs_live *l, int task, rs_live_how how, const char *reason)
{
    if (!l || task == 0)
        return;
    pthread_mutex_lock(&l->lock);
    rs_live_count_time(l);
    rs_live_task *t = open_task(l, task);
    append(l, &(rs_timeline_line){.kind = RS_TIMELINE_TASK,
                                  .how = how,
                                  .arm = t->arm,
                                  .video = t->video,
                                  .edit = t->edit,
                                  .stage = t->stage,
                                  .begin = t->since,
                                  .end = rs_timeline_now(),
                                  .reason = reason});
    l->totals.ended[how]++;
    rs_dealloc(t->arm);
    rs_dealloc(t->video);
    rs_dealloc(t->edit);
    *t = (rs_live_task){0};
    l->dirty = true;
    pthread_mutex_unlock(&l->lock);
}

static void append_now(rs_live *l, rs_timeline_line line)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    line.arm = l->arm;
    line.begin = line.end = rs_timeline_now();
    append(l, &line);
    if (line.kind == RS_TIMELINE_TASK)
        l->totals.ended[line.how]++;
    l->dirty = true;
    pthread_mutex_unlock(&l->lock);
}

void rs_live_cached(rs_live *l, const char *video, const char *edit, int stage)
{
    append_now(l, (rs_timeline_line){.kind = RS_TIMELINE_TASK,
                                     .how = RS_LIVE_CACHED,
                                     .video = video,
                                     .edit = edit,
                                     .stage = stage});
}

void rs_live_outcome(rs_live *l, const char *video, const char *edit, rs_live_how how, int stage,
                     const char *reason)
{
    append_now(l, (rs_timeline_line){.kind = RS_TIMELINE_EDIT,
                                     .how = how,
                                     .video = video,
                                     .edit = edit,
                                     .stage = stage,
                                     .reason = reason});
}

void rs_live_gather(rs_live *l, double seconds)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->totals.gather_s += seconds;
    pthread_mutex_unlock(&l->lock);
}

rs_live_totals rs_live_get_totals(rs_live *l)
{
    rs_live_totals t = {0};
    if (!l)
        return t;
    pthread_mutex_lock(&l->lock);
    rs_live_count_time(l);
    t = l->totals;
    pthread_mutex_unlock(&l->lock);
    return t;
}

double rs_live_busy(const rs_live_totals *t)
{
    double sum = 0;
    for (int s = 0; s < RS_LIVE_STAGES; s++)
        sum += t->seconds[s];
    return sum;
}
