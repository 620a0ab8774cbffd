#include "job/index_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "store/schema_names.h"

const rs_column rs_row_columns[RS_ROW_COLUMNS] = {{RS_COL_VIDEO, RS_COLUMN_STRING},
                                                  {RS_COL_EDIT, RS_COLUMN_STRING},
                                                  {RS_COL_STATE, RS_COLUMN_STRING},
                                                  {RS_COL_STAGE, RS_COLUMN_STRING},
                                                  {RS_COL_REASON, RS_COLUMN_STRING},
                                                  {RS_COL_KEY, RS_COLUMN_STRING},
                                                  {RS_COL_ARCHIVE, RS_COLUMN_STRING},
                                                  {RS_COL_MOVIE, RS_COLUMN_STRING},
                                                  {RS_COL_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_RANK, RS_COLUMN_I64},
                                                  {RS_COL_STEP, RS_COLUMN_I64},
                                                  {RS_COL_STEPS, RS_COLUMN_I64},
                                                  {RS_COL_LOSS, RS_COLUMN_F64},
                                                  {RS_COL_INGEST_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_MOTION_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_APPEARANCE_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_EDIT_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_DECODE_SECONDS, RS_COLUMN_F64},
                                                  {RS_COL_PUBLISH_SECONDS, RS_COLUMN_F64},
#define COLUMN(id, name, unit, decimals, better, doc) {name, RS_COLUMN_F64},
                                                  RS_MEASURES(COLUMN)
#undef COLUMN
};

rs_cell *rs_rows_add(rs_rows *r, const char *video, const char *edit)
{
    r->cells = rs_arena_grow(r->a, r->cells, &r->cap, (size_t)(r->n + 1) * RS_ROW_COLUMNS,
                             sizeof *r->cells);
    rs_cell *c = &r->cells[RS_ROW_COLUMNS * r->n++];
    for (int k = 0; k < RS_ROW_COLUMNS; k++) {
        if (rs_row_columns[k].type == RS_COLUMN_STRING)
            c[k].s = "";
        else if (rs_row_columns[k].type == RS_COLUMN_F64)
            c[k].f = NAN;
        else
            c[k].i = k == RS_ROW_RANK ? -1 : 0;
    }
    c[RS_ROW_VIDEO].s = video;
    c[RS_ROW_EDIT].s = edit;
    return c;
}

/* ---- from an archive ---- */

static const char *text_or_empty(rs_rows *r, const rs_archive *f, const char *object,
                                 const char *name)
{
    char *value;
    if (!rs_archive_has(f, object, name) ||
        rs_archive_get_string(&value, r->a, f, object, name) != RS_OK)
        return "";
    return value;
}

static double number_or_nan(const rs_archive *f, const char *object, const char *name)
{
    double v;
    return rs_archive_exists(f, object) && rs_archive_has(f, object, name) &&
                   rs_archive_get_f64(&v, f, object, name) == RS_OK
               ? v
               : NAN;
}

static double seconds_of(rs_rows *r, const rs_archive *f, int stage, const char *edit)
{
    const char *name = rs_task_stage_name((rs_task_stage)stage);
    const char *at = stage == RS_TASK_PUBLISH ? RS_GROUP_PROVENANCE
                     : stage < RS_TASK_APPEARANCE
                         ? rs_arena_printf(r->a, RS_GROUP_STAGES "/%s", name)
                         : rs_arena_printf(r->a, RS_GROUP_STAGES "/%s/%s", name, edit);
    return number_or_nan(f, at, RS_ATTR_SECONDS);
}

/* `none`: where no stage of the edit has any. */
static void sum_own_seconds(rs_cell *c, double none)
{
    double sum = 0;
    bool any = false;
    for (int k = RS_TASK_APPEARANCE; k <= RS_TASK_DECODE; k++) {
        double s = c[RS_ROW_STAGE_SECONDS + k].f;
        sum += isnan(s) ? 0 : s;
        any = any || !isnan(s);
    }
    c[RS_ROW_SECONDS].f = any ? sum : none;
}

static void add_edit(rs_rows *r, const rs_archive *f, const char *video, const char *output,
                     const char *file, const char *edit)
{
    const char *at = rs_arena_printf(r->a, RS_GROUP_EDITS "/%s", edit);
    const char *movie = rs_arena_printf(r->a, "videos/%s/%s.mp4", video, edit);
    const char *metrics = rs_arena_printf(r->a, "%s/" RS_MEMBER_METRICS, at);
    rs_cell *c = rs_rows_add(r, video, edit);
    c[RS_ROW_STATE].s = text_or_empty(r, f, at, RS_ATTR_STATE);
    c[RS_ROW_STAGE].s = text_or_empty(r, f, at, RS_ATTR_STAGE);
    c[RS_ROW_REASON].s = text_or_empty(r, f, at, RS_ATTR_REASON);
    c[RS_ROW_KEY].s = text_or_empty(r, f, at, RS_ATTR_KEY);
    c[RS_ROW_ARCHIVE].s = file;
    c[RS_ROW_MOVIE].s = rs_path_exists(rs_path_join(r->a, output, movie)) ? movie : "";
    for (int k = 0; k < RS_LIVE_STAGES; k++)
        c[RS_ROW_STAGE_SECONDS + k].f = seconds_of(r, f, k, edit);
    sum_own_seconds(c, 0);
    for (int id = 0; id < RS_MEASURE_COUNT; id++)
        c[RS_ROW_MEASURES + id].f =
            number_or_nan(f, metrics, rs_measure_get_info((rs_measure_id)id)->name);
}

rs_status rs_rows_of_archive(rs_rows *r, const char *output, const char *file)
{
    rs_archive *f = NULL;
    char *video, **edits;
    int64_t n;
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_archive_open(&f, rs_path_join(r->a, output, file)));
    RS_TRY_OUT(rs_archive_get_string(&video, r->a, f, "/", RS_ATTR_VIDEO));
    RS_TRY_OUT(rs_archive_list(&edits, &n, r->a, f, RS_GROUP_EDITS));
    for (int64_t i = 0; i < n; i++)
        add_edit(r, f, video, output, file, edits[i]);
out:
    rs_archive_close(&f);
    return st;
}

/* ---- from the run ---- */

static int compare_rows(const void *a, const void *b)
{
    const rs_cell *x = a, *y = b;
    int c = strcmp(x[RS_ROW_VIDEO].s, y[RS_ROW_VIDEO].s);
    return c ? c : strcmp(x[RS_ROW_EDIT].s, y[RS_ROW_EDIT].s);
}

static void sort(rs_rows *r)
{
    if (r->n)
        qsort(r->cells, (size_t)r->n, RS_ROW_COLUMNS * sizeof *r->cells, compare_rows);
}

static const char *state_text(rs_view_state s)
{
    switch (s) {
    case RS_VIEW_RUNNING:
        return RS_STATE_RUNNING;
    case RS_VIEW_FAILED:
        return RS_STATE_FAILED;
    case RS_VIEW_DONE:
    case RS_VIEW_CACHED:
        return RS_STATE_DONE;
    default:
        return RS_STATE_WAITING;
    }
}

/* What this run has measured of a job that no archive has. */
static void add_seconds(rs_cell *c, const rs_view_job *j, const rs_view_job *video)
{
    for (int k = 0; k < RS_LIVE_STAGES; k++) {
        const rs_view_job *of = video && (video->tasks & RS_TASK_BIT(k)) ? video : j;
        c[RS_ROW_STAGE_SECONDS + k].f = of->seconds[k];
    }
    sum_own_seconds(c, NAN);
}

/* A row of an archive stays unless the run works on it, or has failed where it was good. A result
 * that is not published yet (its video's other edits are not through) is not done. */
static void set_state(rs_cell *c, const rs_view_job *j)
{
    bool published = *c[RS_ROW_ARCHIVE].s != 0;
    bool failed = j->state == RS_VIEW_FAILED;
    if (published && j->state != RS_VIEW_RUNNING && !failed)
        return;
    if (failed && strcmp(c[RS_ROW_STATE].s, RS_STATE_FAILED) == 0 &&
        strcmp(c[RS_ROW_REASON].s, j->reason) == 0)
        return; /* the archive says so, too */
    const char *state = state_text(j->state);
    c[RS_ROW_STATE].s = strcmp(state, RS_STATE_DONE) == 0 ? RS_STATE_WAITING : state;
    c[RS_ROW_STAGE].s = j->at >= 0 ? rs_task_stage_name((rs_task_stage)j->at)
                        : failed   ? "inputs"
                                   : "";
    c[RS_ROW_REASON].s = failed ? j->reason : "";
    if (j->state != RS_VIEW_RUNNING)
        return;
    c[RS_ROW_RANK].i = j->rank;
    c[RS_ROW_STEP].i = j->steps.step;
    c[RS_ROW_STEPS].i = j->steps.steps;
    c[RS_ROW_LOSS].f = j->steps.loss;
}

void rs_rows_merge(rs_rows *r, const rs_view *v, const char *arm)
{
    int64_t published = r->n;
    sort(r);
    for (int64_t i = 0; v && i < v->n_jobs; i++) {
        const rs_view_job *j = &v->jobs[i];
        if (!*j->edit || strcmp(j->arm, arm) != 0)
            continue;
        rs_cell key[RS_ROW_EDIT + 1] = {[RS_ROW_VIDEO].s = j->video, [RS_ROW_EDIT].s = j->edit};
        rs_cell *c = published ? bsearch(key, r->cells, (size_t)published,
                                         RS_ROW_COLUMNS * sizeof *r->cells, compare_rows)
                               : NULL;
        if (!c) {
            c = rs_rows_add(r, j->video, j->edit);
            add_seconds(c, j, j->parent < 0 ? NULL : &v->jobs[j->parent]);
        }
        set_state(c, j);
    }
    sort(r);
}
