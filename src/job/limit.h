/* The wall time that a run has: cluster.time_limit, or the end of the Slurm allocation. */
#ifndef RS_JOB_LIMIT_H
#define RS_JOB_LIMIT_H

#include "config/config.h"
#include "job/plan_rates.h"

/* When the time is over, on the clock of rs_now(); INFINITY: no limit. Taken at the call: call it
 * once, when the run begins. */
double rs_limit_deadline(const rs_config *cfg);
/* This process gets SIGUSR1 (finish the step, save, stop) at rs_now() = when. RS_INTERNAL: no
 * timer. Nothing happens with INFINITY. */
rs_status rs_limit_arm(double when) RS_NODISCARD;
/* Seconds that must be left for a stage to be begun, which is expected to take `seconds`: these, or
 * for a stage that saves its state as it goes those until it can do so for the first time; in both
 * cases cluster.headroom times what is expected. */
double rs_limit_room(const rs_config *cfg, const rs_plan_prediction *p, rs_task_stage stage,
                     double seconds);

#endif
