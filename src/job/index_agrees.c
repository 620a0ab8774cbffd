/* Does catalog.h5 say what a run says? */
#include <string.h>

#include "job/index.h"
#include "job/index_rows.h"
#include "store/schema_names.h"

static int64_t column(const rs_table *t, const char *name)
{
    int64_t k = 0;
    while (k < t->n_columns &&
           (strcmp(t->columns[k].name, name) != 0 || t->columns[k].type != RS_COLUMN_STRING))
        k++;
    return k;
}

/* Row of an edit, NULL: none; rows are sorted by video and edit. */
static const rs_cell *row_of(const rs_table *t, const char *video, const char *edit)
{
    int64_t lo = 0, hi = t->n_rows;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        const rs_cell *c = &t->cells[mid * t->n_columns];
        int order = strcmp(c[RS_ROW_VIDEO].s, video);
        order = order ? order : strcmp(c[RS_ROW_EDIT].s, edit);
        if (order == 0)
            return c;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool agrees(const rs_cell *c, const rs_outcome *o)
{
    const char *state = c ? c[RS_ROW_STATE].s : "";
    if (o->status == RS_STOPPED)
        return strcmp(state, RS_STATE_RUNNING) != 0;
    if (o->status == RS_HELD)
        return true; /* another run says it */
    if (o->status == RS_OK)
        return !o->archive || strcmp(state, RS_STATE_DONE) == 0;
    return strcmp(state, RS_STATE_FAILED) == 0 &&
           strcmp(c[RS_ROW_REASON].s, o->reason ? o->reason : "") == 0;
}

bool rs_index_agrees(const char *index, const rs_outcomes *l)
{
    rs_archive *f = NULL;
    rs_table t;
    rs_arena *a = rs_arena_create();
    bool good = rs_archive_open(&f, index) == RS_OK &&
                rs_archive_read_table(&t, a, f, RS_DATA_JOBS) == RS_OK &&
                t.n_columns == RS_ROW_COLUMNS;
    for (int k = 0; good && k <= RS_ROW_REASON; k++)
        good = column(&t, rs_row_columns[k].name) == k;
    for (int64_t i = 0; good && i < l->n; i++)
        good = agrees(row_of(&t, l->items[i].video, l->items[i].edit), &l->items[i]);
    rs_archive_close(&f);
    rs_error_clear();
    rs_arena_destroy(&a);
    return good;
}
