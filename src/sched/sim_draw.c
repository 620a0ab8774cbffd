/* What is drawn: seconds of tasks; and what follows from them without any schedule. */
#include <math.h>

#include "base/hash.h"
#include "base/rng.h"
#include "sched/sim.h"

double rs_sim_seconds(const rs_sim_opts *o, int64_t video, int64_t edit, rs_task_stage stage)
{
    const rs_sched_video *v = &o->work.videos[video];
    const rs_sched_edit *e = edit >= 0 ? &v->edits[edit] : NULL;
    double mean = e ? e->seconds[stage] : v->seconds[stage], cv = o->cv[stage];
    if ((e ? e->skip : v->skip) & RS_TASK_BIT(stage) || (e && e->failed))
        return 0;
    if (cv == 0 || mean == 0)
        return mean;
    /* lognormal: variance of the logarithm ln(1 + cv^2), its mean lowered by half of that */
    uint64_t job = rs_hash64_mix((uint64_t)video, (uint64_t)(edit + 1));
    rs_rng r = rs_rng_stream(o->seed, job, RS_RNG_SIMULATION, (uint32_t)stage);
    double variance = log1p(cv * cv);
    return mean * exp(sqrt(variance) * (double)rs_rng_normal(&r, 0) - variance / 2);
}

static double stage_of(rs_sim_result *r, const rs_sim_opts *o, int64_t v, int64_t e,
                       rs_task_stage stage)
{
    double s = rs_sim_seconds(o, v, e, stage);
    r->stage_s[stage] += s;
    return s;
}

/* Sum of a video's tasks; *chain: of its longest path. */
static double video_work(rs_sim_result *r, const rs_sim_opts *o, int64_t v, double *chain)
{
    double own = stage_of(r, o, v, -1, RS_TASK_INGEST) + stage_of(r, o, v, -1, RS_TASK_MOTION) +
                 stage_of(r, o, v, -1, RS_TASK_PUBLISH);
    double sum = own, longest = 0;
    for (int64_t e = 0; e < o->work.videos[v].n_edits; e++) {
        double edit = 0;
        for (int s = RS_TASK_APPEARANCE; s <= RS_TASK_DECODE; s++)
            edit += stage_of(r, o, v, e, (rs_task_stage)s);
        sum += edit;
        longest = fmax(longest, edit);
    }
    *chain = o->work.granularity == RS_GRANULARITY_CHAIN ? sum : own + longest;
    return sum;
}

static bool has_work(const rs_sim_opts *o, int64_t v)
{
    const rs_sched_video *s = &o->work.videos[v];
    if (o->work.granularity == RS_GRANULARITY_CHAIN && s->skip & RS_TASK_BIT(RS_TASK_CHAIN))
        return false;
    for (int64_t e = 0; e < s->n_edits; e++)
        if (!s->edits[e].failed)
            return true;
    return false;
}

void rs_sim_bounds(rs_sim_result *r, const rs_sim_opts *o)
{
    int64_t rank = 0, n = o->work.n_videos, gangs = o->work.n_gangs;
    double of_rank = 0;
    *r = (rs_sim_result){0};
    for (int64_t v = 0; v < n; v++) {
        double chain = 0, sum = has_work(o, v) ? video_work(r, o, v, &chain) : 0;
        int64_t at = (int64_t)((double)v * (double)gangs / (double)n);
        of_rank = at == rank ? of_rank + sum : sum;
        rank = at;
        r->even = fmax(r->even, of_rank);
        r->work += sum;
        r->chain = fmax(r->chain, chain);
    }
    r->bound = fmax(r->work / (double)gangs, r->chain);
}
