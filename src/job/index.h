/* catalog.h5: links to every archive of a run directory and one table row per (video, edit), as
 * store/SCHEMA.md says. Made from the archives and, for what is not published (yet), from the
 * records of the run (live/view.h): it can be rebuilt at any time, also while the run goes on, and
 * is replaced as a whole. */
#ifndef RS_JOB_INDEX_H
#define RS_JOB_INDEX_H

#include "job/job.h"
#include "live/view.h"

/* One that is written again and again: archives that did not change are not read again. One thread
 * at a time. */
typedef struct rs_index rs_index;
void rs_index_open(rs_index **out, const char *output);
void rs_index_close(rs_index **x); /* accepts NULL, nulls the pointer */
/* <output>/catalog.h5 from <output>/archive/<video>.h5 and the jobs of an arm ("": the run has
 * none) in the view (NULL: archives only). Archives that cannot be read are left out with a
 * warning. */
rs_status rs_index_write(rs_index *x, const rs_view *v, const char *arm) RS_NODISCARD;

/* The same once, with the records that are there. live: the folder that has live/ (that of the
 * experiment, where `output` is an arm's). */
rs_status rs_index_rebuild(const char *output, const char *live, const char *arm) RS_NODISCARD;
/* Does the file say what became of these jobs? False, too, where it cannot be read or is of another
 * version. */
bool rs_index_agrees(const char *index, const rs_outcomes *l);

#endif
