/* timeline-rank-N.csv: what a rank has ended, one line each, as a table for people and programs:
 *
 *   kind,how,arm,video,edit,stage,begin,end,reason
 *   task,done,,car-shadow,,motion,1764327851.120417,1764327893.481230,
 *   edit,failed,,car-shadow,red,,1764328012.004250,1764328012.004250,"red.png: cannot open"
 *
 * kind: task (a stage on this rank) or edit (what became of one as a whole, from rank 0). edit is
 * empty for a video's own stages, stage where there is none. Times are seconds since 1970, whole
 * microseconds; where nothing was computed both are the same. */
#ifndef RS_LIVE_TIMELINE_H
#define RS_LIVE_TIMELINE_H

#include <stdbool.h>
#include <stdio.h>

#include "live/live.h"

typedef enum rs_timeline_kind { RS_TIMELINE_TASK, RS_TIMELINE_EDIT } rs_timeline_kind;

typedef struct rs_timeline_line {
    rs_timeline_kind kind;
    rs_live_how how;
    const char *arm, *video, *edit; /* NULL stands for "" when writing */
    int stage;                      /* -1: none */
    double begin, end;
    const char *reason; /* "" for none */
} rs_timeline_line;

#define RS_TIMELINE_HEAD "kind,how,arm,video,edit,stage,begin,end,reason\n"

const char *rs_live_how_name(rs_live_how how); /* "done", ... */

/* Now, as lines can tell it: to be compared with times read from a timeline, a time is taken by
 * this. Else a task that ended at once would begin, by its record, after the end of its line. */
double rs_timeline_now(void);

/* Append a line, after the heading if the file is empty. RS_IO. */
rs_status rs_timeline_write(FILE *f, const rs_timeline_line *line) RS_NODISCARD;
/* One line without its line break; `text` is changed and holds the strings. False: the heading, or
 * no line of a timeline. */
bool rs_timeline_parse(rs_timeline_line *out, char *text);
/* Fields of a line of comma-separated values, "..." around those with commas; changed in place.
 * How many there were (fields beyond `most` are dropped). */
int rs_csv_split(char **fields, int most, char *text);

#endif
