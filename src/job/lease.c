#include "job/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/lease_seen.h"

/* A holder that is renewed four times per `seconds` may miss three. */
enum { RENEWALS = 4 };

struct rs_lease {
    rs_leases *all;
    rs_lease *next;
    char *path, *video;
    int fd;      /* -1 while no work is done on the video */
    bool in_use; /* guarded by the list's lock */
    int64_t token;
    pthread_mutex_t lock;         /* a commit and a renewal of this process */
    atomic_bool lost, given_back; /* given_back: by another rank of this run */
    rs_fence fence;
};

struct rs_leases {
    rs_arena *arena;
    const char *folder, *lives;
    double seconds;
    rs_tenant self;
    int life; /* file descriptor of this run's sign of life */
    rs_sightings seen;

    pthread_mutex_t lock; /* the list */
    pthread_cond_t wake;
    pthread_t thread;
    bool threaded, leave;
    rs_lease *held;
};

/* ---- the lease of this process ---- */

static bool is_ours(const rs_lease *l, const rs_lease_record *r)
{
    return r->token == l->token && strcmp(r->holder.world, l->all->self.world) == 0;
}

static rs_status fail_lost(rs_lease *l, const rs_lease_record *r)
{
    atomic_store(&l->lost, true);
    if (is_ours(l, r)) {
        atomic_store(&l->given_back, true);
        return RS_FAIL(HELD, "%s: this run has given its lease back", l->video);
    }
    rs_arena *a = rs_arena_create();
    rs_status st =
        r->token ? RS_FAIL(HELD, "%s: lease lost to %s", l->video, rs_tenant_text(a, &r->holder))
                 : RS_FAIL(HELD, "%s: lease lost: %s is gone", l->video, l->path);
    rs_arena_destroy(&a);
    return st;
}

static rs_status open_file(rs_lease *l)
{
    if (l->fd < 0)
        l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0)
        return RS_FAIL(IO, "%s: cannot open: %s", l->path, strerror(errno));
    return RS_OK;
}

static void close_file(rs_lease *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* The record under its lock, which is kept when it is still ours. */
static rs_status lock_ours(rs_lease *l, rs_lease_record *r)
{
    struct stat s;
    RS_TRY(open_file(l));
    double patience = l->all->seconds > 60 ? l->all->seconds : 60;
    RS_TRY(rs_file_lock(l->fd, l->path, false, patience));
    rs_status st = rs_lease_read(r, l->fd, l->path);
    if (st == RS_OK && (fstat(l->fd, &s) != 0 || s.st_nlink == 0))
        *r = (rs_lease_record){0}; /* somebody removed the file: others may have a new one */
    if (st == RS_OK && !(is_ours(l, r) && r->held))
        st = fail_lost(l, r);
    if (st != RS_OK)
        rs_file_unlock(l->fd);
    return st;
}

static rs_status enter(void *ctx)
{
    rs_lease *l = ctx;
    rs_lease_record r;
    pthread_mutex_lock(&l->lock);
    rs_status st = lock_ours(l, &r);
    if (st != RS_OK)
        pthread_mutex_unlock(&l->lock);
    return st;
}

static void leave(void *ctx)
{
    rs_lease *l = ctx;
    rs_file_unlock(l->fd);
    pthread_mutex_unlock(&l->lock);
}

const rs_fence *rs_lease_fence(const rs_lease *lease)
{
    return &lease->fence;
}

rs_status rs_lease_check(rs_lease *lease)
{
    RS_TRY(enter(lease));
    leave(lease);
    return RS_OK;
}

int64_t rs_lease_token(const rs_lease *lease)
{
    return lease->token;
}

/* Beat again, or free it for others; nothing if it is not ours any more. */
static rs_status write_ours(rs_lease *l, bool held)
{
    rs_lease_record r;
    RS_TRY(enter(l));
    rs_status st = rs_lease_read(&r, l->fd, l->path);
    if (st == RS_OK) {
        r.beat++;
        r.held = held;
        r.holder = l->all->self;
        st = rs_lease_write(&r, l->fd, l->path);
    }
    leave(l);
    return st;
}

/* With the list's lock: a lease that is not in use stays so meanwhile. */
static void renew(rs_lease *l)
{
    if (!atomic_load(&l->lost) && write_ours(l, true) != RS_OK) {
        if (!atomic_load(&l->given_back))
            RS_LOG(WARN, "%s", rs_error_message());
        rs_error_clear();
    }
    if (!l->in_use)
        close_file(l); /* there may be thousands */
}

static void destroy(rs_lease *lease)
{
    close_file(lease);
    pthread_mutex_destroy(&lease->lock);
    rs_dealloc(lease->video);
    rs_dealloc(lease->path);
    rs_dealloc(lease);
}

static void renew_list(rs_leases *all)
{
    for (rs_lease **at = &all->held; *at;) {
        rs_lease *l = *at;
        renew(l);
        if (!l->in_use && atomic_load(&l->lost)) {
            *at = l->next;
            destroy(l);
        } else {
            at = &l->next;
        }
    }
}

static void *renew_all(void *arg)
{
    rs_leases *all = arg;
    pthread_mutex_lock(&all->lock);
    while (!all->leave) {
        struct timespec until;
        double wait = all->seconds / RENEWALS;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)wait;
        until.tv_nsec += (long)((wait - (double)(time_t)wait) * 1e9);
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (pthread_cond_timedwait(&all->wake, &all->lock, &until) != ETIMEDOUT)
            continue;
        futimens(all->life, NULL); /* the clock of the file system */
        renew_list(all);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

rs_status rs_leases_open(rs_leases **out, const char *output, const char *world, double seconds,
                         const char *text)
{
    pthread_condattr_t attr;
    rs_arena *a = rs_arena_create();
    rs_leases *l = rs_alloc(1, sizeof *l);
    *out = l;
    *l = (rs_leases){.arena = a,
                     .folder = rs_path_join(a, output, "leases"),
                     .seconds = seconds,
                     .life = -1,
                     .self = rs_tenant_self(world)};
    l->lives = rs_path_join(a, l->folder, "alive");
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    RS_TRY(rs_life_hold(&l->life, l->lives, &l->self, text));
    if (pthread_create(&l->thread, NULL, renew_all, l) != 0)
        return RS_FAIL(NOMEM, "no thread to renew leases");
    l->threaded = true;
    return RS_OK;
}

/* ---- taking ---- */

/* Free, ours, or of a run that is gone; why: for the log, or NULL. */
static bool may_take(rs_leases *l, const char *video, const rs_lease_record *r, const char **why)
{
    double wait = r->seconds > l->seconds ? r->seconds : l->seconds;
    *why = NULL;
    if (!r->held || strcmp(r->holder.world, l->self.world) == 0)
        return true;
    if (rs_life_is_over(l->lives, &r->holder, &l->self, false))
        *why = "is gone";
    else if (rs_sightings_age(&l->seen, l->arena, video, r) >= wait)
        *why = "was not heard of for too long";
    return *why != NULL;
}

/* Under the lock of the lease's file. */
static rs_status write_taken(rs_lease *lease, rs_lease_record *r)
{
    if (r->held && strcmp(r->holder.world, lease->all->self.world) == 0) {
        lease->token = r->token;
        return RS_OK;
    }
    *r = (rs_lease_record){.token = r->token + 1,
                           .beat = 0,
                           .held = true,
                           .seconds = lease->all->seconds,
                           .holder = lease->all->self};
    lease->token = r->token;
    return rs_lease_write(r, lease->fd, lease->path);
}

/* *taken: the lease is ours then; otherwise the record says whose it is. */
static rs_status try_take(rs_lease *lease, rs_lease_record *r, bool *taken)
{
    const char *why;
    *taken = false;
    RS_TRY(rs_lease_read(r, lease->fd, lease->path)); /* without the lock: most are left alone */
    if (!may_take(lease->all, lease->video, r, &why))
        return RS_OK;
    rs_status st = rs_file_lock(lease->fd, lease->path, false, 0.2);
    if (st == RS_HELD) { /* somebody is taking it, or was stopped while committing */
        rs_error_clear();
        return RS_OK;
    }
    RS_TRY(st);
    st = rs_lease_read(r, lease->fd, lease->path);
    if (st == RS_OK && may_take(lease->all, lease->video, r, &why)) {
        rs_arena *a = rs_arena_create();
        if (why)
            RS_LOG(INFO, "%s: taken over from %s, which %s", lease->video,
                   rs_tenant_text(a, &r->holder), why);
        rs_arena_destroy(&a);
        st = write_taken(lease, r);
        *taken = st == RS_OK;
    }
    rs_file_unlock(lease->fd);
    return st;
}

static char *copy_of(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(rs_alloc(n, 1), text, n);
}

static rs_lease *create(rs_leases *l, const char *video)
{
    rs_lease *lease = rs_alloc(1, sizeof *lease);
    rs_arena *a = rs_arena_create();
    *lease = (rs_lease){.all = l, .fd = -1, .in_use = true, .video = copy_of(video)};
    lease->fence = (rs_fence){.enter = enter, .leave = leave, .ctx = lease};
    lease->path = copy_of(rs_arena_printf(a, "%s/%s.lease", l->folder, video));
    pthread_mutex_init(&lease->lock, NULL);
    rs_arena_destroy(&a);
    return lease;
}

/* What this process has and has not lost, as far as it knows. */
static rs_lease *find(rs_leases *l, const char *video)
{
    rs_lease *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (rs_lease *x = l->held; x && !found; x = x->next)
        if (strcmp(x->video, video) == 0 && !atomic_load(&x->lost))
            found = x;
    if (found)
        found->in_use = true;
    pthread_mutex_unlock(&l->lock);
    return found;
}

static rs_status take_new(rs_lease **out, const char **holder, rs_arena *a, rs_leases *l,
                          const char *video)
{
    rs_lease_record r = {0};
    bool taken = false;
    rs_lease *lease = create(l, video);
    rs_status st = open_file(lease);
    if (st == RS_OK)
        st = try_take(lease, &r, &taken);
    if (!taken) {
        *holder = r.held ? rs_tenant_text(a, &r.holder) : "another process";
        destroy(lease);
        return st;
    }
    pthread_mutex_lock(&l->lock);
    lease->next = l->held;
    l->held = lease;
    pthread_mutex_unlock(&l->lock);
    *out = lease;
    return RS_OK;
}

rs_status rs_lease_take(rs_lease **out, const char **holder, rs_arena *a, rs_leases *l,
                        const char *video)
{
    *holder = NULL;
    *out = find(l, video);
    if (*out && rs_lease_check(*out) == RS_OK)
        return RS_OK;
    rs_lease_leave(out);
    rs_error_clear();
    return take_new(out, holder, a, l, video);
}

/* ---- giving back ---- */

void rs_lease_leave(rs_lease **lease)
{
    rs_lease *x = *lease;
    *lease = NULL;
    if (!x)
        return;
    pthread_mutex_lock(&x->all->lock);
    x->in_use = false;
    close_file(x);
    pthread_mutex_unlock(&x->all->lock);
}

static void forget(rs_lease *x)
{
    pthread_mutex_lock(&x->all->lock);
    rs_lease **at = &x->all->held;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    pthread_mutex_unlock(&x->all->lock);
    destroy(x);
}

void rs_lease_give_back(rs_lease **lease)
{
    rs_lease *x = *lease;
    *lease = NULL;
    if (!x)
        return;
    if (!atomic_load(&x->lost) && write_ours(x, false) != RS_OK)
        rs_error_clear(); /* lost in the meantime: it is not ours to give */
    forget(x);
}

void rs_leases_give_back(rs_leases *l)
{
    while (l->held) { /* only this thread takes and gives */
        rs_lease *first = l->held;
        rs_lease_give_back(&first);
    }
}

void rs_leases_close(rs_leases **all)
{
    rs_leases *l = *all;
    *all = NULL;
    if (!l)
        return;
    if (l->threaded) {
        pthread_mutex_lock(&l->lock);
        l->leave = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    rs_leases_give_back(l);
    rs_life_end(l->life, l->lives, &l->self);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    rs_arena_destroy(&l->arena);
    rs_dealloc(l);
}
