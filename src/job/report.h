/* What a run says at its end, and the measures of a whole catalog as files. */
#ifndef RS_JOB_REPORT_H
#define RS_JOB_REPORT_H

#include "job/job.h"

/* To the log: how many edits are done, where they are or why they failed, and a table of their main
 * measures (columns without any value are left out). */
void rs_report_log(const rs_run_session *s, const rs_outcomes *l);

/* <output>/measures.csv and measures.json: one row per edit of the catalog, from the archives alone
 * (docs/measures.md), so that edits of other runs are there too. Files that are right already are
 * not touched. Archives that cannot be read give rows without values and a warning. */
rs_status rs_report_write(const rs_catalog *catalog, const char *output) RS_NODISCARD;

#endif
