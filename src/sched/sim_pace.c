/* How fast gangs get on: alone, in step with others, several on one task. */
#include <math.h>

#include "sched/sim_priv.h"

static double share_of(const rs_sim *s, const rs_answer *a)
{
    int i = 0;
    while (1 << i < a->width)
        i++;
    RS_ASSERT(i < RS_SIM_WIDTHS);
    double share = s->o->wider[a->stage][i];
    return share > 0 ? share : 1.0 / (double)a->width;
}

static double pass_of(const rs_sim *s, const rs_answer *a)
{
    return s->o->pass[a->stage] * share_of(s, a);
}

/* When its task ends if nothing changes. */
static void foresee(rs_sim *s, int64_t gang, double pace)
{
    rs_sim_worker *w = &s->gangs[gang];
    rs_answer turn = {.task = ++w->turn};
    s->pace += pace - w->pace;
    w->pace = pace;
    rs_sim_send(s, s->at + w->left / pace, RS_SIM_ENDS, gang, &turn);
}

void rs_sim_settle(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    double work = fmin(w->left, w->pace * (s->at - w->since));
    w->ran += work;
    w->left -= work;
    w->since = s->at;
}

/* The gangs that walk in step with this one, itself included: lo <= gang < hi. */
static void in_step_with(const rs_sim *s, int64_t gang, int64_t *lo, int64_t *hi)
{
    const int64_t *groups = s->o->work.in_step ? s->o->work.groups : NULL;
    *lo = gang;
    *hi = gang + 1;
    while (groups && *lo > 0 && groups[*lo - 1] == groups[gang])
        --*lo;
    while (groups && *hi < s->o->work.n_gangs && groups[*hi] == groups[gang])
        ++*hi;
}

/* A task of the gang has begun, or ended: its group walks at another pace perhaps. */
static void set_paces(rs_sim *s, int64_t gang)
{
    double longest = 0;
    int64_t lo, hi;
    in_step_with(s, gang, &lo, &hi);
    for (int64_t g = lo; g < hi; g++)
        if (s->gangs[g].working)
            longest = fmax(longest, pass_of(s, &s->gangs[g].now));
    for (int64_t g = lo; g < hi; g++) {
        rs_sim_worker *w = &s->gangs[g];
        if (!w->working)
            continue;
        double own = pass_of(s, &w->now), pace = 1 / share_of(s, &w->now);
        if (own > 0)
            pace *= own / longest;
        if (pace == w->pace)
            continue;
        rs_sim_settle(s, g);
        foresee(s, g, pace);
    }
}

void rs_sim_begin_work(rs_sim *s, int64_t gang, double left)
{
    rs_sim_worker *w = &s->gangs[gang];
    w->working = true;
    w->ran = 0;
    w->left = left;
    w->since = s->at;
    s->busy++;
    set_paces(s, gang);
}

void rs_sim_end_work(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    w->working = false;
    s->pace -= w->pace;
    w->pace = 0;
    s->busy--;
    set_paces(s, gang);
}
