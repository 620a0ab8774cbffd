#include "job/lease_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"

enum { RECORD = 512 };

rs_status rs_world_id(char id[RS_WORLD_ID])
{
    uint8_t drawn[(RS_WORLD_ID - 1) / 2];
    if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return RS_FAIL(INTERNAL, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof drawn; i++)
        snprintf(id + 2 * i, 3, "%02x", drawn[i]);
    return RS_OK;
}

rs_tenant rs_tenant_self(const char *world)
{
    rs_tenant t = {.pid = getpid(), .kernel = "-", .host = "-"};
    snprintf(t.world, sizeof t.world, "%s", world);
    gethostname(t.host, sizeof t.host - 1);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (f) {
        if (fscanf(f, "%64[0-9a-f-]", t.kernel) != 1)
            snprintf(t.kernel, sizeof t.kernel, "-");
        fclose(f);
    }
    return t;
}

char *rs_tenant_text(rs_arena *a, const rs_tenant *t)
{
    return rs_arena_printf(a, "process %" PRId64 " on %s", t->pid, t->host);
}

/* ---- locks ---- */

rs_status rs_file_lock(int fd, const char *path, bool shared, double patience_s)
{
    double begin = rs_now();
    long nap_us = 200;
    while (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK)
            return RS_FAIL(CONFIG,
                           "%s: no locks on this file system (%s): mount it with them (Lustre: "
                           "-o flock), or set cluster.lease: 0 and start one run at a time",
                           path, strerror(errno));
        if (errno != EWOULDBLOCK && errno != EINTR)
            return RS_FAIL(IO, "%s: cannot lock: %s", path, strerror(errno));
        if (rs_now() - begin > patience_s)
            return RS_FAIL(HELD, "%s: locked by another process", path);
        nanosleep(&(struct timespec){.tv_nsec = nap_us * 1000}, NULL);
        nap_us = nap_us < 50000 ? nap_us * 2 : nap_us;
    }
    return RS_OK;
}

void rs_file_unlock(int fd)
{
    flock(fd, LOCK_UN);
}

/* ---- records ---- */

rs_status rs_lease_read(rs_lease_record *r, int fd, const char *path)
{
    char text[RECORD + 1], state[8];
    *r = (rs_lease_record){0};
    ssize_t n = pread(fd, text, RECORD, 0);
    if (n < 0)
        return RS_FAIL(IO, "%s: cannot read: %s", path, strerror(errno));
    text[n] = 0;
    rs_tenant *h = &r->holder;
    int got =
        sscanf(text,
               "token %" SCNd64 " state %7s beat %" SCNd64 " seconds %lf world %32s "
               "kernel %64s host %64s pid %" SCNd64 " end",
               &r->token, state, &r->beat, &r->seconds, h->world, h->kernel, h->host, &h->pid);
    if (got != 8 || !strstr(text, "\nend\n"))
        *r = (rs_lease_record){0};
    else
        r->held = strcmp(state, "held") == 0;
    return RS_OK;
}

rs_status rs_lease_write(const rs_lease_record *r, int fd, const char *path)
{
    char text[RECORD + 1];
    const rs_tenant *h = &r->holder;
    int n = snprintf(text, sizeof text,
                     "token %" PRId64 "\nstate %s\nbeat %" PRId64 "\nseconds %g\nworld %s\n"
                     "kernel %s\nhost %s\npid %" PRId64 "\nend\n",
                     r->token, r->held ? "held" : "free", r->beat, r->seconds, h->world, h->kernel,
                     h->host, h->pid);
    RS_ASSERT(n > 0 && n < RECORD);
    memset(text + n, '\n', (size_t)(RECORD - n)); /* over what a longer one left */
    if (pwrite(fd, text, RECORD, 0) != RECORD)
        return RS_FAIL(IO, "%s: cannot write: %s", path, strerror(errno));
    return RS_OK;
}

/* ---- signs of life ---- */

static char *life_path(rs_arena *a, const char *folder, const rs_tenant *t)
{
    return rs_arena_printf(a, "%s/%s_%s", folder, t->kernel, t->world);
}

/* Somebody may remove the file between our opening and locking it. */
static bool is_file_at(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static rs_status hold(int *out, const char *path, const char *text)
{
    size_t n = strlen(text);
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return RS_FAIL(IO, "%s: cannot create: %s", path, strerror(errno));
        rs_status st = rs_file_lock(fd, path, true, 60);
        if (st == RS_OK && is_file_at(fd, path)) {
            *out = fd;
            if (pwrite(fd, text, n, 0) != (ssize_t)n)
                return RS_FAIL(IO, "%s: cannot write: %s", path, strerror(errno));
            return RS_OK;
        }
        close(fd);
        RS_TRY(st);
    }
}

rs_status rs_life_hold(int *fd, const char *folder, const rs_tenant *t, const char *text)
{
    rs_arena *a = rs_arena_create();
    *fd = -1;
    rs_status st = rs_make_dirs(folder);
    if (st == RS_OK)
        st = hold(fd, life_path(a, folder, t), text);
    rs_arena_destroy(&a);
    return st;
}

void rs_life_end(int fd, const char *folder, const rs_tenant *t)
{
    rs_arena *a = rs_arena_create();
    if (fd >= 0) {
        unlink(life_path(a, folder, t));
        close(fd);
    }
    rs_arena_destroy(&a);
}

bool rs_life_is_over(const char *folder, const rs_tenant *t, const rs_tenant *self, bool clear)
{
    if (strcmp(t->kernel, "-") == 0 || strcmp(t->kernel, self->kernel) != 0)
        return false;
    rs_arena *a = rs_arena_create();
    const char *path = life_path(a, folder, t);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool over = fd < 0 ? errno == ENOENT : flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (over && clear)
        unlink(path); /* under the lock: who has just opened it sees that it is gone */
    if (fd >= 0)
        close(fd);
    rs_arena_destroy(&a);
    return over;
}
