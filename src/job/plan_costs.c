/* Measured seconds of stages: from a JSON file, or from the archives of a run. */
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "job/plan.h"
#include "job/stats.h"
#include "store/archive.h"
#include "store/json.h"
#include "store/schema_names.h"

enum { STAGES = RS_TASK_CHAIN }; /* those that have seconds of their own */

static rs_status parse_stage(rs_plan_costs *c, const char *name, const rs_json *v)
{
    const char *names[STAGES];
    int stage = STAGES;
    for (int s = 0; s < STAGES; s++) {
        names[s] = rs_task_stage_name((rs_task_stage)s);
        stage = strcmp(name, names[s]) == 0 ? s : stage;
    }
    if (stage == STAGES) {
        const char *near = rs_nearest(name, names, STAGES);
        return RS_FAIL(FORMAT, "%s: stages: unknown stage \"%s\"; %s%s", rs_json_file(v), name,
                       near ? "did you mean " : "stages are ingest to publish", near ? near : "");
    }
    rs_plan_cost *cost = &c->stage[stage];
    RS_TRY(rs_json_f64(&cost->mean, v, "mean"));
    RS_TRY(rs_json_f64_or(&cost->cv, v, "cv", 0));
    for (rs_json_iter it = {0}; rs_json_next(v, &it);)
        if (strcmp(it.key, "mean") != 0 && strcmp(it.key, "cv") != 0)
            return RS_FAIL(FORMAT, "%s: %s: unknown member; there are mean and cv", rs_json_file(v),
                           rs_json_where(it.value));
    if (!(cost->mean >= 0 && cost->mean <= 1e9) || !(cost->cv >= 0 && cost->cv <= 100))
        return RS_FAIL(FORMAT, "%s: %s: mean must be 0..1e9 seconds and cv 0..100", rs_json_file(v),
                       rs_json_where(v));
    return RS_OK;
}

static rs_status parse(rs_plan_costs *c, const rs_json *root)
{
    const rs_json *stages;
    RS_TRY(rs_json_object(&stages, root, "stages"));
    for (rs_json_iter it = {0}; rs_json_next(root, &it);)
        if (strcmp(it.key, "stages") != 0 && strcmp(it.key, "note") != 0)
            return RS_FAIL(FORMAT, "%s: %s: unknown member; there are stages and note",
                           rs_json_file(root), rs_json_where(it.value));
    for (rs_json_iter it = {0}; rs_json_next(stages, &it);)
        RS_TRY(parse_stage(c, it.key, it.value));
    return RS_OK;
}

typedef struct values {
    double *v;
    int64_t n;
    size_t cap;
} values;

static rs_status add_seconds(values *s, rs_arena *a, const rs_archive *f, const char *group)
{
    char *state;
    double seconds;
    if (!rs_archive_exists(f, group) || !rs_archive_has(f, group, RS_ATTR_SECONDS))
        return RS_OK;
    RS_TRY(rs_archive_get_string(&state, a, f, group, RS_ATTR_STATE));
    if (strcmp(state, RS_STATE_DONE) != 0)
        return RS_OK;
    RS_TRY(rs_archive_get_f64(&seconds, f, group, RS_ATTR_SECONDS));
    s->v = rs_arena_grow(a, s->v, &s->cap, (size_t)s->n + 1, sizeof *s->v);
    s->v[s->n++] = seconds;
    return RS_OK;
}

static rs_status read_archive(values *all, rs_arena *a, const rs_archive *f)
{
    char **edits;
    int64_t n = 0;
    for (int s = RS_TASK_INGEST; s <= RS_TASK_MOTION; s++)
        RS_TRY(add_seconds(
            &all[s], a, f,
            rs_arena_printf(a, RS_GROUP_STAGES "/%s", rs_task_stage_name((rs_task_stage)s))));
    if (!rs_archive_exists(f, RS_GROUP_EDITS))
        return RS_OK;
    RS_TRY(rs_archive_list(&edits, &n, a, f, RS_GROUP_EDITS));
    for (int64_t i = 0; i < n; i++)
        for (int s = RS_TASK_APPEARANCE; s <= RS_TASK_DECODE; s++)
            RS_TRY(add_seconds(&all[s], a, f,
                               rs_arena_printf(a, RS_GROUP_STAGES "/%s/%s",
                                               rs_task_stage_name((rs_task_stage)s), edits[i])));
    return RS_OK;
}

static rs_status read_archives(rs_plan_costs *c, rs_arena *a, const char *run)
{
    values all[RS_TASK_COUNT] = {0};
    const char *folder = rs_path_join(a, run, "archive");
    char **names;
    int64_t n;
    if (!rs_path_is_dir(folder))
        return RS_FAIL(IO, "%s: no run with archives in it (%s)", run, folder);
    RS_TRY(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        rs_archive *f;
        RS_TRY(rs_archive_open(&f, rs_path_join(a, folder, names[i])));
        rs_status st = read_archive(all, a, f);
        rs_archive_close(&f);
        RS_TRY(st);
    }
    for (int s = 0; s < STAGES; s++) {
        rs_stat stat = rs_stat_of(all[s].v, all[s].n);
        if (stat.n == 0)
            continue;
        double deviation = stat.n > 1 ? stat.se * sqrt((double)stat.n) : 0;
        c->stage[s] = (rs_plan_cost){
            .mean = stat.mean, .cv = stat.mean > 0 ? deviation / stat.mean : 0, .n = stat.n};
    }
    if (c->stage[RS_TASK_INGEST].n == 0)
        return RS_FAIL(FORMAT, "%s: no archive with seconds of finished stages", folder);
    return RS_OK;
}

rs_status rs_plan_read_costs(rs_plan_costs *c, rs_arena *a, const char *path)
{
    rs_json *root;
    *c = (rs_plan_costs){.from = path};
    for (int s = 0; s < RS_TASK_COUNT; s++)
        c->stage[s] = (rs_plan_cost){.mean = NAN, .cv = NAN};
    if (!path)
        return RS_OK;
    if (rs_path_is_dir(path))
        return read_archives(c, a, path);
    RS_TRY(rs_json_load(&root, path));
    rs_status st = parse(c, root);
    rs_json_destroy(&root);
    return st;
}
