/* Rank 0 shows where all ranks are while a run works: a thread that reads their records
 * (live/view.h) and draws the status at the end of the terminal, or says a plain line now and then,
 * and keeps catalog.h5 up to date. It takes two per cent of a core at
 * most: it rests the longer the longer a look took. */
#ifndef RS_JOB_VIEWER_H
#define RS_JOB_VIEWER_H

#include "config/config.h"

typedef struct rs_viewer rs_viewer;

typedef struct rs_viewer_opts {
    const char *live;   /* the folder that has live/ */
    const char *output; /* of the run: that of the arm, if it is one's */
    const char *arm;
    rs_cfg_progress progress;
    double catalog_every; /* s; 0: catalog.h5 is left alone */
} rs_viewer_opts;

/* Strings are borrowed until stop. */
rs_status rs_viewer_start(rs_viewer **out, const rs_viewer_opts *o) RS_NODISCARD;
/* The status goes from the terminal. Accepts NULL, nulls the pointer. */
void rs_viewer_stop(rs_viewer **w);

#endif
