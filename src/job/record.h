/* What a run is going to do, for those who look (live/world.h). */
#ifndef RS_JOB_RECORD_H
#define RS_JOB_RECORD_H

#include "job/job.h"

/* Rank 0: the tasks of these videos of the catalog (n indices) up to stage `last`, and publish if
 * it is wanted, go to jobs.csv. Nothing on the other ranks. */
rs_status rs_record_jobs(const rs_run_session *s, const int64_t *videos, int64_t n,
                         rs_stage_id last, bool publish) RS_NODISCARD;

#endif
