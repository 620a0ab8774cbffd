#include "job/lease.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsio.h"
#include "base/log.h"
#include "job/lease_priv.h"

/* A holder that is renewed four times per `seconds` may miss three. */
enum { RENEWALS = 4 };

/* With the list's lock: a lease that is not in use stays so meanwhile. */
static void renew(rs_lease *l)
{
    if (!atomic_load(&l->lost) && rs_lease_renew(l, true) != RS_OK) {
        if (!atomic_load(&l->given_back))
            RS_LOG(WARN, "%s", rs_error_message());
        rs_error_clear();
    }
    if (!l->in_use)
        rs_lease_close_file(l); /* there may be thousands */
}

static void renew_list(rs_leases *all)
{
    for (rs_lease **at = &all->held; *at;) {
        rs_lease *l = *at;
        renew(l);
        if (!l->in_use && atomic_load(&l->lost)) {
            *at = l->next;
            rs_lease_destroy(l);
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

void rs_lease_leave(rs_lease **lease)
{
    rs_lease *x = *lease;
    *lease = NULL;
    if (!x)
        return;
    pthread_mutex_lock(&x->all->lock);
    x->in_use = false;
    rs_lease_close_file(x);
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
    rs_lease_destroy(x);
}

void rs_lease_give_back(rs_lease **lease)
{
    rs_lease *x = *lease;
    *lease = NULL;
    if (!x)
        return;
    if (!atomic_load(&x->lost) && rs_lease_renew(x, false) != RS_OK)
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
