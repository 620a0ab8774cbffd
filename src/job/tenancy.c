#include "job/tenancy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "job/tenancy_priv.h"

struct rs_tenancy {
    const rs_run *run;
    rs_arena *arena;
    const char *output, *lock_path;
    char world[RS_WORLD_ID], settings[RS_HASH_HEX];
    rs_tenant self;
    const char *suffix;
    int lock; /* rank 0: of .lock */
    bool alone_by_setting, locked;
    rs_leases *leases;
};

/* ---- sections ---- */

/* Who has the lock, as far as .lock says. */
static const char *holder_of(rs_tenancy *t)
{
    char *text;
    size_t bytes;
    if (rs_read_file(&text, &bytes, t->arena, t->lock_path) != RS_OK) {
        rs_error_clear();
        return "another process";
    }
    text[strcspn(text, "\n")] = 0;
    return text;
}

static rs_status note_holder(rs_tenancy *t)
{
    char line[160] = {0};
    int n = snprintf(line, sizeof line - 1, "%s%s", t->alone_by_setting ? "alone: " : "",
                     rs_tenant_text(t->arena, &t->self));
    memset(line + n, '\n', sizeof line - (size_t)n);
    if (pwrite(t->lock, line, sizeof line, 0) != (ssize_t)sizeof line)
        return RS_FAIL(IO, "%s: cannot write: %s", t->lock_path, strerror(errno));
    return RS_OK;
}

/* Another run is in its section. */
static rs_status keep_waiting(rs_tenancy *t, double waited, double *warned)
{
    const char *who = holder_of(t);
    if (strncmp(who, "alone: ", 7) == 0)
        return RS_FAIL(USAGE, "%s: %s is using this folder alone (cluster.lease: 0)", t->output,
                       who + 7);
    if (*t->run->stop)
        return RS_FAIL(STOPPED, "stopped while %s used %s", who, t->lock_path);
    if (waited > t->run->cfg->cluster.watchdog)
        return RS_FAIL(IO, "%s: locked by %s for %.0f s", t->lock_path, who, waited);
    if (waited - *warned > 30) {
        *warned = waited;
        RS_LOG(WARN, "%s: waiting for %s since %.0f s", t->lock_path, who, waited);
    }
    return RS_OK;
}

rs_status rs_tenancy_enter(rs_tenancy *t)
{
    double begin = rs_now(), warned = 0;
    if (t->locked)
        return RS_OK; /* alone: for as long as it lives */
    for (;;) {
        rs_status st = rs_file_lock(t->lock, t->lock_path, false, 1);
        if (st == RS_CONFIG && t->alone_by_setting) {
            RS_LOG(WARN, "%s: no locks here; nothing keeps another run out", t->output);
            rs_error_clear();
            return RS_OK;
        }
        if (st == RS_OK)
            return note_holder(t);
        if (st != RS_HELD)
            return st;
        RS_TRY(keep_waiting(t, rs_now() - begin, &warned));
    }
}

void rs_tenancy_leave(rs_tenancy *t)
{
    if (!t->locked)
        rs_file_unlock(t->lock);
}

/* ---- other runs ---- */

typedef struct other {
    char *path;
    rs_tenant who;
    char settings[RS_HASH_HEX];
} other;

static char *life_text(rs_tenancy *t)
{
    return rs_arena_printf(t->arena, "host %s\npid %" PRId64 "\nsettings %s\n", t->self.host,
                           t->self.pid, t->settings);
}

/* A rank that just begins has no text yet; that of its rank 0 is there. */
static void read_life(other *o, rs_arena *a)
{
    char *text;
    size_t bytes;
    if (rs_read_file(&text, &bytes, a, o->path) != RS_OK ||
        sscanf(text, "host %64s pid %" SCNd64 " settings %64s", o->who.host, &o->who.pid,
               o->settings) != 3)
        o->settings[0] = 0;
    rs_error_clear();
}

static bool same_time(struct timespec x, struct timespec y)
{
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
}

/* A run of another machine that lives touches its file: seen once, it lives; not seen for as long
 * as its leases hold, it is gone. */
static bool is_seen_alive(rs_tenancy *t, const other *o)
{
    struct stat first, now;
    double begin = rs_now(), wait = t->run->cfg->cluster.lease;
    if (stat(o->path, &first) != 0)
        return false;
    RS_LOG(INFO, "%s: %s had other settings; watching for up to %.0f s whether it still runs",
           t->output, rs_tenant_text(t->arena, &o->who), wait);
    while (rs_now() - begin < wait && !*t->run->stop) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        if (stat(o->path, &now) != 0)
            return false;
        if (!same_time(first.st_mtim, now.st_mtim))
            return true;
    }
    return false;
}

static rs_status refuse(rs_tenancy *t, const other *o)
{
    char *theirs;
    size_t bytes;
    const char *path = rs_path_join(t->arena, t->output, "config.yaml");
    RS_TRY(rs_read_file(&theirs, &bytes, t->arena, path));
    return RS_FAIL(USAGE, "%s: %s is using this folder with other settings (%s)", t->output,
                   rs_tenant_text(t->arena, &o->who),
                   rs_tenancy_difference(t->arena, theirs, rs_config_dump(t->arena, t->run->cfg)));
}

static rs_status meet(rs_tenancy *t, other *o, int64_t *alive)
{
    read_life(o, t->arena);
    if (t->alone_by_setting)
        return RS_FAIL(USAGE, "%s: another reshoot run is using this folder (%s)", t->output,
                       rs_tenant_text(t->arena, &o->who));
    if (o->settings[0] && strcmp(o->settings, t->settings) != 0) {
        bool here = strcmp(o->who.kernel, t->self.kernel) == 0;
        if (here || is_seen_alive(t, o))
            return refuse(t, o);
        unlink(o->path);
        return RS_OK;
    }
    ++*alive;
    RS_LOG(INFO, "%s: shared with %s", t->output, rs_tenant_text(t->arena, &o->who));
    return RS_OK;
}

/* Other runs that may be alive; signs of those that are not are cleared away. Names are
 * <kernel>_<world>. */
static rs_status list_others(other **others, int64_t *n, rs_tenancy *t)
{
    const char *folder = rs_path_join(t->arena, t->output, "leases/alive");
    char **names;
    int64_t files = 0;
    *n = 0;
    if (rs_path_is_dir(folder))
        RS_TRY(rs_list_dir(&names, &files, t->arena, folder));
    *others = RS_NEW(t->arena, other, files + 1);
    for (int64_t i = 0; i < files; i++) {
        other o = {.path = rs_path_join(t->arena, folder, names[i])};
        const char *bar = strchr(names[i], '_');
        if (!bar || bar - names[i] >= RS_HOST_NAME || strlen(bar + 1) != RS_WORLD_ID - 1)
            continue;
        memcpy(o.who.kernel, names[i], (size_t)(bar - names[i]));
        memcpy(o.who.world, bar + 1, RS_WORLD_ID);
        if (strcmp(o.who.world, t->world) != 0 && !rs_life_is_over(folder, &o.who, &t->self, true))
            (*others)[(*n)++] = o;
    }
    return RS_OK;
}

/* In the section. */
static rs_status meet_others(rs_tenancy *t, int64_t *alive)
{
    other *others;
    int64_t n;
    *alive = 0;
    RS_TRY(list_others(&others, &n, t));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(meet(t, &others[i], alive));
    return RS_OK;
}

/* ---- opening ---- */

static rs_status begin_leases(rs_tenancy *t)
{
    return t->alone_by_setting ? RS_OK
                               : rs_leases_open(&t->leases, t->output, t->world,
                                                t->run->cfg->cluster.lease, life_text(t));
}

static rs_status write_config(rs_tenancy *t)
{
    const char *dump = rs_config_dump(t->arena, t->run->cfg);
    return rs_write_file_atomic(rs_path_join(t->arena, t->output, "config.yaml"), dump,
                                strlen(dump));
}

/* Rank 0, in its first section. */
static rs_status move_in(rs_tenancy *t)
{
    int64_t alive;
    RS_TRY(meet_others(t, &alive));
    RS_TRY(begin_leases(t));
    RS_TRY(rs_atomic_sweep(t->output, NULL));
    if (alive)
        t->suffix = rs_arena_printf(t->arena, ".world-%.8s", t->world);
    else
        RS_TRY(write_config(t));
    return RS_OK;
}

static rs_status lead(rs_tenancy *t, const rs_arms *arms)
{
    RS_TRY(rs_make_dirs(t->output));
    RS_TRY(rs_world_id(t->world));
    t->self = rs_tenant_self(t->world);
    RS_TRY(rs_tenancy_settings(t->settings, t->run, arms));
    t->lock = open(t->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->lock < 0)
        return RS_FAIL(IO, "%s: cannot create: %s", t->lock_path, strerror(errno));
    RS_TRY(rs_tenancy_enter(t));
    rs_status st = move_in(t);
    t->locked = t->alone_by_setting;
    rs_tenancy_leave(t);
    return st;
}

/* What rank 0 has found, to all. */
static rs_status follow(rs_tenancy *t, const rs_world *w)
{
    const char *told[] = {t->world, t->settings, t->suffix};
    RS_TRY(rs_world_share(told, 3, t->arena, w));
    if (rs_world_leads(w))
        return RS_OK;
    snprintf(t->world, sizeof t->world, "%s", told[0]);
    snprintf(t->settings, sizeof t->settings, "%s", told[1]);
    t->suffix = told[2];
    t->self = rs_tenant_self(t->world);
    return begin_leases(t);
}

rs_status rs_tenancy_open(rs_tenancy **out, const rs_world *w, const rs_run *run,
                          const rs_arms *arms)
{
    rs_tenancy *t = rs_alloc(1, sizeof *t);
    *out = t;
    *t = (rs_tenancy){.run = run, .arena = rs_arena_create(), .suffix = "", .lock = -1};
    t->output = run->cfg->output;
    t->lock_path = rs_path_join(t->arena, t->output, ".lock");
    t->alone_by_setting = run->cfg->cluster.lease == 0;
    rs_status st = rs_world_leads(w) ? lead(t, arms) : RS_OK;
    RS_TRY(rs_world_await_lead(w)); /* it may have waited for others */
    RS_TRY(rs_comm_agree(w->comm, st));
    return rs_comm_agree(w->comm, follow(t, w));
}

void rs_tenancy_close(rs_tenancy **tenancy)
{
    rs_tenancy *t = *tenancy;
    *tenancy = NULL;
    if (!t)
        return;
    rs_leases_close(&t->leases);
    if (t->lock >= 0) { /* rank 0 */
        other *others;
        int64_t n;
        if (list_others(&others, &n, t) != RS_OK) /* for the sake of clearing up */
            RS_LOG(DETAIL, "%s", rs_error_message());
        close(t->lock);
    }
    rs_arena_destroy(&t->arena);
    rs_dealloc(t);
}

rs_leases *rs_tenancy_leases(const rs_tenancy *t)
{
    return t->leases;
}

const char *rs_tenancy_suffix(const rs_tenancy *t)
{
    return t->suffix;
}
