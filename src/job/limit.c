#include "job/limit.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"

double rs_limit_deadline(const rs_config *cfg)
{
    const char *text = getenv("SLURM_JOB_END_TIME"); /* seconds since 1970 */
    int64_t end;
    if (cfg->cluster.time_limit > 0)
        return rs_now() + cfg->cluster.time_limit;
    if (text && rs_parse_i64(&end, text) && end > 0)
        return rs_now() + (double)end - (double)time(NULL);
    return INFINITY;
}

rs_status rs_limit_arm(double when)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    if (!isfinite(when))
        return RS_OK;
    double left = fmax(when - rs_now(), 1e-3);
    struct itimerspec once = {
        .it_value = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - floor(left)) * 1e9)}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &once, NULL) != 0)
        return RS_FAIL(INTERNAL, "no timer for the time limit: %s", strerror(errno));
    return RS_OK;
}

/* What a stage computes before its first step: all of it but its steps. */
static double preparation(const rs_config *cfg, const rs_plan_prediction *p, rs_task_stage stage,
                          double seconds)
{
    if (stage == RS_TASK_MOTION)
        return seconds - (double)cfg->motion.steps * p->step[stage];
    if (stage == RS_TASK_EDIT)
        return seconds - (double)cfg->edit.steps * p->step[stage];
    return 0; /* an appearance stage encodes pictures: little against its step on the clip */
}

double rs_limit_room(const rs_config *cfg, const rs_plan_prediction *p, rs_task_stage stage,
                     double seconds)
{
    double until = seconds;
    if (RS_TASK_CHECKPOINTED & RS_TASK_BIT(stage)) {
        double step = stage == RS_TASK_EDIT ? p->step[stage] : p->clip_step;
        until = fmin(seconds, fmax(0, preparation(cfg, p, stage, seconds)) + step);
    }
    return cfg->cluster.headroom * until;
}
