/* How fast gangs get on: alone, in step with others, several on one task, on several tasks. */
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

/* Seconds of the tasks that it works on against those of one after the other. */
static double together(const rs_sim *s, const rs_sim_worker *w)
{
    return w->n > 1 && s->o->together[w->n] > 0 ? s->o->together[w->n] : 1;
}

/* Of all its tasks, each of which takes a step in it. */
static double pass_of(const rs_sim *s, const rs_sim_worker *w)
{
    const rs_answer *a = &w->now[0].task;
    return s->o->pass[a->stage] * share_of(s, a) * (double)w->n * together(s, w);
}

double rs_sim_work_left(const rs_sim_worker *w)
{
    double left = 0;
    for (int i = 0; i < w->n; i++)
        left += w->now[i].left;
    return left / w->pace;
}

/* When the first of its tasks ends if nothing changes. */
static void foresee(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    rs_answer turn = {.task = ++w->turn};
    double least = INFINITY;
    for (int i = 0; i < w->n; i++)
        least = fmin(least, w->now[i].left);
    rs_sim_send(s, s->at + least * (double)w->n / w->pace, RS_SIM_ENDS, gang, &turn);
}

void rs_sim_settle(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    for (int i = 0; i < w->n; i++) {
        rs_sim_job *j = &w->now[i];
        double work = fmin(j->left, w->pace * (s->at - w->since) / (double)w->n);
        j->ran += work;
        j->left -= work;
    }
    w->since = s->at;
}

static void set_pace(rs_sim *s, int64_t gang, double pace, double gain)
{
    rs_sim_worker *w = &s->gangs[gang];
    s->pace += pace / gain - (w->pace > 0 ? w->pace / w->gain : 0);
    s->gained += pace - pace / gain - (w->pace > 0 ? w->pace - w->pace / w->gain : 0);
    w->pace = pace;
    w->gain = gain;
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

/* Tasks of the gang have begun, or ended: its group walks at another pace perhaps. */
static void set_paces(rs_sim *s, int64_t gang)
{
    double longest = 0;
    int64_t lo, hi;
    in_step_with(s, gang, &lo, &hi);
    for (int64_t g = lo; g < hi; g++)
        if (s->gangs[g].n > 0)
            longest = fmax(longest, pass_of(s, &s->gangs[g]));
    for (int64_t g = lo; g < hi; g++) {
        rs_sim_worker *w = &s->gangs[g];
        if (w->n == 0)
            continue;
        double gain = 1 / together(s, w), own = pass_of(s, w);
        double pace = gain / share_of(s, &w->now[0].task);
        if (own > 0)
            pace *= own / longest;
        if (pace == w->pace && g != gang)
            continue;
        rs_sim_settle(s, g);
        set_pace(s, g, pace, gain);
        foresee(s, g);
    }
}

void rs_sim_work_changed(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    s->busy += (w->n > 0) - (w->pace > 0);
    w->since = s->at;
    if (w->n == 0 && w->pace > 0)
        set_pace(s, gang, 0, 1);
    set_paces(s, gang);
}
