/* Taking a lease. */
#include <string.h>

#include "base/log.h"
#include "job/lease_priv.h"

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
    rs_lease *lease = rs_lease_create(l, video);
    rs_status st = rs_lease_open_file(lease);
    if (st == RS_OK)
        st = try_take(lease, &r, &taken);
    if (!taken) {
        *holder = r.held ? rs_tenant_text(a, &r.holder) : "another process";
        rs_lease_destroy(lease);
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
