#include "job/index.h"

#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "stage/measure.h"
#include "store/archive.h"
#include "store/schema_names.h"

static const rs_column k_columns[] = {{RS_COL_VIDEO, RS_COLUMN_STRING},
                                      {RS_COL_EDIT, RS_COLUMN_STRING},
                                      {RS_COL_STATE, RS_COLUMN_STRING},
                                      {RS_COL_STAGE, RS_COLUMN_STRING},
                                      {RS_COL_REASON, RS_COLUMN_STRING},
                                      {RS_COL_KEY, RS_COLUMN_STRING},
                                      {RS_COL_ARCHIVE, RS_COLUMN_STRING},
                                      {RS_COL_MOVIE, RS_COLUMN_STRING},
                                      {RS_COL_SECONDS, RS_COLUMN_F64},
#define COLUMN(id, name, unit, decimals, better, doc) {name, RS_COLUMN_F64},
                                      RS_MEASURES(COLUMN)
#undef COLUMN
};
enum {
    COLUMNS = sizeof k_columns / sizeof k_columns[0],
    FIRST_MEASURE = COLUMNS - RS_MEASURE_COUNT
};

typedef struct rows {
    rs_arena *a;
    const char *output;
    rs_cell *cells;
    int64_t n;
    size_t cap;
} rows;

static const char *text_or_empty(rows *r, const rs_archive *f, const char *object, const char *name)
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

/* Seconds of the stages of one edit, the video's own not counted. */
static double edit_seconds(rows *r, const rs_archive *f, const char *edit)
{
    static const char *const stages[] = {"appearance", "edit", "decode"};
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double s = number_or_nan(
            f, rs_arena_printf(r->a, RS_GROUP_STAGES "/%s/%s", stages[i], edit), RS_ATTR_SECONDS);
        sum += isnan(s) ? 0 : s;
    }
    return sum;
}

static void add_edit(rows *r, const rs_archive *f, const char *video, const char *file,
                     const char *edit)
{
    const char *at = rs_arena_printf(r->a, RS_GROUP_EDITS "/%s", edit);
    const char *movie = rs_arena_printf(r->a, "videos/%s/%s.mp4", video, edit);
    r->cells =
        rs_arena_grow(r->a, r->cells, &r->cap, (size_t)(r->n + 1) * COLUMNS, sizeof *r->cells);
    rs_cell *c = &r->cells[COLUMNS * r->n++];
    c[0].s = video;
    c[1].s = edit;
    c[2].s = text_or_empty(r, f, at, RS_ATTR_STATE);
    c[3].s = text_or_empty(r, f, at, RS_ATTR_STAGE);
    c[4].s = text_or_empty(r, f, at, RS_ATTR_REASON);
    c[5].s = text_or_empty(r, f, at, RS_ATTR_KEY);
    c[6].s = file;
    c[7].s = rs_path_exists(rs_path_join(r->a, r->output, movie)) ? movie : "";
    c[8].f = edit_seconds(r, f, edit);
    const char *metrics = rs_arena_printf(r->a, "%s/" RS_MEMBER_METRICS, at);
    for (int id = 0; id < RS_MEASURE_COUNT; id++)
        c[FIRST_MEASURE + id].f =
            number_or_nan(f, metrics, rs_measure_get_info((rs_measure_id)id)->name);
}

static rs_status add_archive(rows *r, rs_archive *index, const char *name)
{
    rs_archive *f = NULL;
    char *video, **edits;
    int64_t n;
    const char *file = rs_arena_printf(r->a, "archive/%s", name);
    rs_status st = RS_OK;
    RS_TRY(rs_archive_open(&f, rs_path_join(r->a, r->output, file)));
    RS_TRY_OUT(rs_archive_get_string(&video, r->a, f, "/", RS_ATTR_VIDEO));
    RS_TRY_OUT(rs_archive_list(&edits, &n, r->a, f, RS_GROUP_EDITS));
    RS_TRY_OUT(
        rs_archive_link(index, rs_arena_printf(r->a, RS_GROUP_VIDEOS "/%s", video), file, "/"));
    for (int64_t i = 0; i < n; i++)
        add_edit(r, f, video, file, edits[i]);
out:
    rs_archive_close(&f);
    return st;
}

rs_status rs_index_write(const char *output)
{
    rs_status st = RS_OK;
    rs_archive *index = NULL;
    rows r = {.a = rs_arena_create(), .output = output};
    char **names;
    int64_t n;
    RS_TRY_OUT(rs_list_dir(&names, &n, r.a, rs_path_join(r.a, output, "archive")));
    RS_TRY_OUT(rs_archive_create(&index, rs_path_join(r.a, output, "catalog.h5")));
    RS_TRY_OUT(rs_archive_set_string(index, "/", RS_ATTR_KIND, RS_KIND_CATALOG));
    RS_TRY_OUT(rs_archive_make_group(index, RS_GROUP_VIDEOS));
    for (int64_t i = 0; i < n; i++) {
        if (add_archive(&r, index, names[i]) != RS_OK) {
            RS_LOG(WARN, "left out of catalog.h5: %s", rs_error_message());
            rs_error_clear();
        }
    }
    rs_table t = {.columns = k_columns, .n_columns = COLUMNS, .cells = r.cells, .n_rows = r.n};
    RS_TRY_OUT(rs_archive_write_table(index, RS_DATA_JOBS, &t));
    RS_TRY_OUT(rs_archive_commit(&index));
out:
    rs_archive_abandon(&index);
    rs_arena_destroy(&r.a);
    return st;
}
