/* What a run did, in figures: for the log and for run.json (live/world.h). */
#ifndef RS_JOB_SUMMARY_H
#define RS_JOB_SUMMARY_H

#include "job/job.h"

/* Collective. The totals of all ranks go to the session of rank 0, with the outcomes of these jobs
 * added to those of other arms; *out: of these jobs alone, which began at `begin` (rs_now). */
rs_status rs_summary_make(rs_live_summary *out, rs_run_session *s, const rs_outcomes *l,
                          double begin) RS_NODISCARD;
/* Two or three lines. Nothing where nothing was computed. */
void rs_summary_log(const rs_run_session *s, const rs_live_summary *sum);

#endif
