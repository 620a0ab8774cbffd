/* Private to index*.c: rows of /jobs in catalog.h5. */
#ifndef RS_JOB_INDEX_ROWS_H
#define RS_JOB_INDEX_ROWS_H

#include "live/view.h"
#include "stage/measure.h"
#include "store/archive.h"

/* Columns by position. */
enum {
    RS_ROW_VIDEO,
    RS_ROW_EDIT,
    RS_ROW_STATE,
    RS_ROW_STAGE,
    RS_ROW_REASON,
    RS_ROW_KEY,
    RS_ROW_ARCHIVE,
    RS_ROW_MOVIE,
    RS_ROW_SECONDS,
    RS_ROW_RANK,
    RS_ROW_STEP,
    RS_ROW_STEPS,
    RS_ROW_LOSS,
    RS_ROW_STAGE_SECONDS,
    RS_ROW_MEASURES = RS_ROW_STAGE_SECONDS + RS_LIVE_STAGES,
    RS_ROW_COLUMNS = RS_ROW_MEASURES + RS_MEASURE_COUNT
};

typedef struct rs_rows {
    rs_arena *a;
    rs_cell *cells; /* (n, RS_ROW_COLUMNS) */
    int64_t n;
    size_t cap;
} rs_rows;

extern const rs_column rs_row_columns[RS_ROW_COLUMNS];

/* A new row with nothing known but the names, which are borrowed. */
rs_cell *rs_rows_add(rs_rows *r, const char *video, const char *edit);
/* Rows of all edits of an archive; `file` is its path relative to `output`. */
rs_status rs_rows_of_archive(rs_rows *r, const char *output, const char *file) RS_NODISCARD;
/* What the run knows, over what archives say. Rows are sorted by video and edit after it. v may be
 * NULL: sorts only. */
void rs_rows_merge(rs_rows *r, const rs_view *v, const char *arm);

#endif
