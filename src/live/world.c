#include "live/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/str.h"
#include "live/live_priv.h"
#include "store/json.h"
#include "store/json_writer.h"

/* ---- who lives ---- */

/* It is not there, or has ended and nobody has asked for its status yet. */
static bool process_is_gone(int64_t pid)
{
    char path[64], line[512] = {0};
    if (kill((pid_t)pid, 0) != 0)
        return errno == ESRCH;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    const char *name_end = n ? strrchr(line, ')') : NULL;
    return name_end && name_end[1] == ' ' && (name_end[2] == 'Z' || name_end[2] == 'X');
}

bool rs_live_rank_is_alive(const char *host, int64_t pid, double time, double period)
{
    const double patience = 3.0 * rs_live_heartbeat(period) + 5.0;
    char here[256] = {0};
    gethostname(here, sizeof here - 1);
    if (strcmp(here, host) == 0 && process_is_gone(pid))
        return false;
    return rs_wall_clock() - time < patience;
}

/* host, pid, and `time` (a key) of a record; false where it says that it ended, or nothing. */
static bool writer_is_alive(const char *path, const char *time_key, bool *ended)
{
    rs_json *doc;
    const char *host = "", *state = "";
    int64_t pid = 0;
    double time = 0, period = 1;
    bool alive = false;
    *ended = false;
    if (!rs_path_exists(path) || rs_json_load(&doc, path) != RS_OK) {
        rs_error_clear();
        return false;
    }
    if (rs_json_bool_or(ended, doc, "ended", false) == RS_OK &&
        rs_json_string_or(&state, doc, "state", "") == RS_OK &&
        rs_json_string(&host, doc, "host") == RS_OK && rs_json_i64(&pid, doc, "pid") == RS_OK &&
        rs_json_f64(&time, doc, time_key) == RS_OK &&
        rs_json_f64_or(&period, doc, "period", 1) == RS_OK)
        alive = rs_live_rank_is_alive(host, pid, time, period);
    *ended = *ended || strcmp(state, "ended") == 0;
    rs_error_clear();
    rs_json_destroy(&doc);
    return alive && !*ended;
}

/* A world that just began has no records of ranks yet: its rank 0 counts. */
bool rs_live_world_is_alive(const char *folder)
{
    rs_arena *a = rs_arena_create();
    char **names = NULL;
    int64_t n = 0, records = 0;
    bool ended, said, alive = false;
    bool began = writer_is_alive(rs_path_join(a, folder, "run.json"), "begin", &ended);
    if (!ended && rs_list_dir(&names, &n, a, folder) != RS_OK)
        rs_error_clear();
    for (int64_t i = 0; i < n && !alive; i++) {
        if (strncmp(names[i], "rank-", 5) != 0)
            continue;
        records++;
        alive = writer_is_alive(rs_path_join(a, folder, names[i]), "time", &said);
    }
    rs_arena_destroy(&a);
    return alive || (!ended && records == 0 && began);
}

/* ---- folders ---- */

rs_status rs_live_worlds(char ***ids, int64_t *n, rs_arena *a, const char *output)
{
    const char *live = rs_path_join(a, output, "live");
    if (!rs_path_is_dir(output))
        return RS_FAIL(INPUT, "%s: there is no such folder", output);
    if (!rs_path_is_dir(live))
        return RS_FAIL(INPUT, "%s: not the folder of a run: it has no live/", output);
    return rs_list_folders(ids, n, a, live);
}

/* Dead worlds: their temporaries, and all but the last few. */
static rs_status tidy(rs_arena *a, const char *live)
{
    char **ids;
    int64_t n;
    RS_TRY(rs_list_folders(&ids, &n, a, live));
    for (int64_t i = 0; i < n; i++) {
        const char *folder = rs_path_join(a, live, ids[i]);
        if (rs_live_world_is_alive(folder))
            continue;
        if (i + RS_LIVE_WORLDS_KEPT <= n)
            RS_TRY(rs_remove_tree(folder));
        else
            RS_TRY(rs_atomic_sweep(folder, NULL));
    }
    return RS_OK;
}

void rs_live_world_use(rs_live_world *w, rs_arena *a, const char *output, const char *id)
{
    memmove(w->id, id, strlen(id) + 1);
    w->folder = rs_arena_printf(a, "%s/live/%s", output, w->id);
}

static rs_status make_id(char id[RS_LIVE_WORLD_ID])
{
    struct timespec now;
    struct tm tm;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return RS_FAIL(IO, "no random number for the id of this world: %s", strerror(errno));
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(id, RS_LIVE_WORLD_ID, "%Y%m%d-%H%M%S", &tm);
    snprintf(id + n, RS_LIVE_WORLD_ID - n, ".%03ld-%08x", now.tv_nsec / 1000000, random);
    return RS_OK;
}

/* ---- run.json ---- */

static void add_summary(rs_jsonw *w, const rs_live_summary *s)
{
    rs_jsonw_object(w, "summary");
    rs_jsonw_i64(w, "videos", s->videos);
    rs_jsonw_i64(w, "edits", s->edits);
    rs_jsonw_i64(w, "done", s->done);
    rs_jsonw_i64(w, "cached", s->cached);
    rs_jsonw_i64(w, "computed", s->computed);
    rs_jsonw_i64(w, "failed", s->failed);
    rs_jsonw_i64(w, "stopped", s->stopped);
    rs_jsonw_f64(w, "wall", s->wall_s);
    rs_jsonw_f64(w, "utilisation", s->utilisation);
    rs_jsonw_f64(w, "edits_per_hour", s->edits_per_hour);
    rs_jsonw_f64(w, "gather_exposed", s->totals.gather_s);
    rs_jsonw_object(w, "rank_seconds");
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        rs_jsonw_f64(w, rs_task_stage_name((rs_task_stage)k), s->totals.seconds[k]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
}

static rs_status write_run(const rs_live_world *world, const char *result, const char *message,
                           const rs_live_summary *summary)
{
    rs_arena *a = rs_arena_create();
    rs_jsonw *w = rs_jsonw_create(a, true);
    char host[256] = {0};
    gethostname(host, sizeof host - 1);
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "world", world->id);
    rs_jsonw_string(w, "program", "reshoot " RS_VERSION);
    rs_jsonw_string(w, "name", world->name);
    rs_jsonw_string(w, "host", host);
    rs_jsonw_i64(w, "pid", getpid());
    rs_jsonw_i64(w, "ranks", world->ranks);
    rs_jsonw_f64(w, "begin", world->begin);
    rs_jsonw_string(w, "state", result ? "ended" : "running");
    if (result) {
        rs_jsonw_f64(w, "end", rs_wall_clock());
        rs_jsonw_string(w, "result", result);
        rs_jsonw_string(w, "message", message);
    }
    if (summary)
        add_summary(w, summary);
    rs_jsonw_end(w);
    const char *text = rs_jsonw_text(w);
    rs_status st =
        rs_write_file_quick(rs_path_join(a, world->folder, "run.json"), text, strlen(text));
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_live_world_create(rs_live_world *w, rs_arena *a, const char *output, const char *name,
                               int ranks)
{
    const char *live = rs_path_join(a, output, "live");
    char id[RS_LIVE_WORLD_ID];
    *w = (rs_live_world){.name = name, .ranks = ranks, .begin = rs_wall_clock()};
    RS_TRY(rs_make_dirs(live));
    RS_TRY(tidy(a, live));
    RS_TRY(make_id(id));
    rs_live_world_use(w, a, output, id);
    RS_TRY(rs_make_dirs(w->folder));
    return write_run(w, NULL, "", NULL);
}

rs_status rs_live_world_end(const rs_live_world *w, const char *result, const char *message,
                            const rs_live_summary *summary)
{
    return write_run(w, result, message, summary);
}

/* ---- jobs.csv ---- */

rs_status rs_live_world_add_jobs(const rs_live_world *w, const rs_live_job *jobs, int64_t n)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    const char *path = rs_path_join(a, w->folder, "jobs.csv");
    FILE *f = fopen(path, "a");
    if (!f) {
        st = RS_FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
        goto out;
    }
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) == 0)
        fputs("arm,video,edit,tasks\n", f);
    for (int64_t i = 0; i < n; i++)
        fprintf(f, "%s,%s,%s,%u\n", jobs[i].arm, jobs[i].video, jobs[i].edit, jobs[i].tasks);
    if (fclose(f) != 0)
        st = RS_FAIL(IO, "%s: write failed: %s", path, strerror(errno));
out:
    rs_arena_destroy(&a);
    return st;
}
