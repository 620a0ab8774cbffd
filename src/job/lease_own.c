/* One lease of this process: its file, its fence. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/lease_priv.h"

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

rs_status rs_lease_open_file(rs_lease *l)
{
    if (l->fd < 0)
        l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0)
        return RS_FAIL(IO, "%s: cannot open: %s", l->path, strerror(errno));
    return RS_OK;
}

void rs_lease_close_file(rs_lease *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* The record under its lock, which is kept when it is still ours. */
static rs_status lock_ours(rs_lease *l, rs_lease_record *r)
{
    struct stat s;
    RS_TRY(rs_lease_open_file(l));
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
rs_status rs_lease_renew(rs_lease *l, bool held)
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

static char *copy_of(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(rs_alloc(n, 1), text, n);
}

rs_lease *rs_lease_create(rs_leases *l, const char *video)
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

void rs_lease_destroy(rs_lease *lease)
{
    rs_lease_close_file(lease);
    pthread_mutex_destroy(&lease->lock);
    rs_dealloc(lease->video);
    rs_dealloc(lease->path);
    rs_dealloc(lease);
}
