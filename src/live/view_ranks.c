/* run.json and the records of ranks. What cannot be read says nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "live/view_priv.h"
#include "store/json.h"

static const char *text_of(rs_arena *a, const rs_json *o, const char *key)
{
    const char *s = "";
    if (rs_json_string_or(&s, o, key, "") != RS_OK)
        rs_error_clear();
    return rs_arena_strdup(a, s);
}

static double number_of(const rs_json *o, const char *key)
{
    double v = NAN;
    if (rs_json_f64_or(&v, o, key, NAN) != RS_OK) {
        rs_error_clear();
        v = NAN;
    }
    return v;
}

static int64_t count_of(const rs_json *o, const char *key)
{
    int64_t v = 0;
    if (rs_json_i64_or(&v, o, key, 0) != RS_OK) {
        rs_error_clear();
        v = 0;
    }
    return v;
}

static bool flag_of(const rs_json *o, const char *key)
{
    bool v = false;
    if (rs_json_bool_or(&v, o, key, false) != RS_OK) {
        rs_error_clear();
        v = false;
    }
    return v;
}

static rs_json *load(const char *path)
{
    rs_json *doc = NULL;
    if (!rs_path_exists(path) || rs_json_load(&doc, path) != RS_OK) {
        rs_error_clear();
        return NULL;
    }
    return doc;
}

static void read_stage_seconds(double out[RS_LIVE_STAGES], const rs_json *o)
{
    for (int k = 0; k < RS_LIVE_STAGES; k++) {
        double v = o ? number_of(o, rs_task_stage_name((rs_task_stage)k)) : NAN;
        out[k] = isnan(v) ? 0 : v;
    }
}

static void read_summary(rs_view_world *w, const rs_json *o)
{
    rs_live_summary *s = &w->summary;
    w->has_summary = true;
    *s = (rs_live_summary){.videos = count_of(o, "videos"),
                           .edits = count_of(o, "edits"),
                           .done = count_of(o, "done"),
                           .cached = count_of(o, "cached"),
                           .computed = count_of(o, "computed"),
                           .failed = count_of(o, "failed"),
                           .stopped = count_of(o, "stopped"),
                           .wall_s = number_of(o, "wall"),
                           .utilisation = number_of(o, "utilisation"),
                           .edits_per_hour = number_of(o, "edits_per_hour")};
    s->totals.gather_s = number_of(o, "gather_exposed");
    read_stage_seconds(s->totals.seconds, rs_json_find(o, "rank_seconds"));
}

void rs_view_read_world(rs_viewer_state *s, rs_view_world *w, const char *folder)
{
    rs_json *doc = load(rs_path_join(s->fresh, folder, "run.json"));
    w->name = w->host = w->program = w->result = w->message = "";
    w->begin = w->end = NAN;
    if (!doc)
        return;
    w->name = text_of(s->fresh, doc, "name");
    w->host = text_of(s->fresh, doc, "host");
    w->program = text_of(s->fresh, doc, "program");
    w->result = text_of(s->fresh, doc, "result");
    w->message = text_of(s->fresh, doc, "message");
    w->ranks = count_of(doc, "ranks");
    w->begin = number_of(doc, "begin");
    w->end = number_of(doc, "end");
    w->ended = strcmp(text_of(s->fresh, doc, "state"), "ended") == 0;
    w->began = !w->ended && rs_live_rank_is_alive(w->host, count_of(doc, "pid"), w->begin, 1);
    const rs_json *summary = rs_json_find(doc, "summary");
    if (summary)
        read_summary(w, summary);
    rs_json_destroy(&doc);
}

static void read_task(rs_view_task *t, rs_arena *a, const rs_json *o)
{
    const char *stage = text_of(a, o, "stage");
    *t = (rs_view_task){.arm = text_of(a, o, "arm"),
                        .video = text_of(a, o, "video"),
                        .edit = text_of(a, o, "edit"),
                        .since = number_of(o, "since"),
                        .updated = number_of(o, "updated"),
                        .steps = {.step = count_of(o, "step"),
                                  .steps = count_of(o, "steps"),
                                  .loss = number_of(o, "loss"),
                                  .s_per_step = number_of(o, "s_per_step")}};
    while (t->stage < RS_LIVE_STAGES - 1 &&
           strcmp(rs_task_stage_name((rs_task_stage)t->stage), stage) != 0)
        t->stage++;
}

static void read_rank(rs_view_rank *r, rs_arena *a, const rs_json *doc)
{
    const rs_json *tasks = rs_json_find(doc, "tasks");
    r->rank = count_of(doc, "rank");
    r->pid = count_of(doc, "pid");
    r->host = text_of(a, doc, "host");
    r->doing = text_of(a, doc, "doing");
    r->begin = number_of(doc, "begin");
    r->time = number_of(doc, "time");
    r->idle_since = number_of(doc, "idle_since");
    r->ended = flag_of(doc, "ended");
    r->busy_s = number_of(doc, "busy");
    r->totals.gather_s = number_of(doc, "gather_exposed");
    read_stage_seconds(r->totals.seconds, rs_json_find(doc, "seconds"));
    r->alive = !r->ended &&
               rs_live_rank_is_alive(r->host, r->pid, r->time, fmax(1, number_of(doc, "period")));
    r->n_tasks = tasks ? rs_json_size(tasks) : 0;
    r->tasks = RS_NEW(a, rs_view_task, r->n_tasks + 1);
    for (int64_t i = 0; i < r->n_tasks; i++)
        read_task(&r->tasks[i], a, rs_json_at(tasks, i));
}

/* rank-10.json comes before rank-2.json in the folder. */
static int compare_ranks(const void *a, const void *b)
{
    const rs_view_rank *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

rs_status rs_view_read_ranks(rs_viewer_state *s, int64_t world, const char *folder)
{
    char **names;
    int64_t n, first = s->v.n_ranks;
    RS_TRY(rs_list_dir(&names, &n, s->fresh, folder));
    rs_view_rank *all = RS_NEW(s->fresh, rs_view_rank, first + n + 1);
    for (int64_t i = 0; i < first; i++)
        all[i] = s->v.ranks[i];
    s->v.ranks = all;
    for (int64_t i = 0; i < n; i++) {
        rs_json *doc = strncmp(names[i], "rank-", 5) == 0
                           ? load(rs_path_join(s->fresh, folder, names[i]))
                           : NULL;
        if (!doc)
            continue;
        rs_view_rank *r = &s->v.ranks[s->v.n_ranks++];
        r->world = world;
        read_rank(r, s->fresh, doc);
        rs_json_destroy(&doc);
    }
    qsort(all + first, (size_t)(s->v.n_ranks - first), sizeof *all, compare_ranks);
    return RS_OK;
}
