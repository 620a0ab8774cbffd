/* Gangs and their neighbours: who is in step with whom, and who may help whom. */
#include <math.h>

#include "sched/director_priv.h"

/* Videos that may be under way at a time, for every gang: the more, the longer a group stays at one
 * kind of pass before it changes, and the later the first video is done. */
enum { ROUND = 4 };

int rs_dkind(rs_task_stage stage)
{
    return RS_TASK_PASSES & RS_TASK_BIT(stage) ? (int)(stage - RS_TASK_MOTION) : -1;
}

static rs_dgroup *group_of(const rs_director *d, int64_t gang)
{
    int64_t g = d->gangs[gang].group;
    return g < 0 ? NULL : &d->groups[g];
}

void rs_dgroups_make(rs_director *d, const int64_t *groups)
{
    for (int64_t g = 0; g < d->n_gangs; g++)
        d->gangs[g].group = d->gangs[g].helps = -1;
    if (!groups)
        return;
    d->groups = RS_NEW(d->arena, rs_dgroup, d->n_gangs);
    for (int64_t g = 0; g < d->n_gangs; g++) {
        if (g == 0 || groups[g] != groups[g - 1])
            d->groups[d->n_groups++] = (rs_dgroup){.lo = g, .hi = g, .leading = -1};
        d->groups[d->n_groups - 1].hi++;
        d->gangs[g].group = d->n_groups - 1;
    }
    for (int64_t g = 0; d->widest > 1 && g < d->n_gangs; g++)
        d->gangs[g].silent = true;
    d->n_silent = d->widest > 1 ? d->n_gangs : 0;
    for (int k = 0; d->in_step && k < RS_KINDS; k++)
        d->fitting[k] = rs_maxtree_create(d->arena, d->n_gangs);
}

bool rs_dgroups_late(const rs_director *d, int64_t gang)
{
    const rs_dgroup *g = group_of(d, gang);
    return g && g->hi - g->lo > 1 && (d->in_step || d->widest > 1);
}

/* ---- in step ---- */

static void place(rs_director *d, int64_t gang)
{
    const rs_dgang *g = &d->gangs[gang];
    const rs_dgroup *group = group_of(d, gang);
    for (int k = 0; d->in_step && group && k < RS_KINDS; k++) {
        double v = g->idle && group->leading == k ? g->deadline : -INFINITY;
        rs_maxtree *t = &d->fitting[k];
        if (t->at[t->leaves + g->leaf] != v)
            rs_maxtree_set(t, g->leaf, v);
    }
}

void rs_dgroups_idle(rs_director *d, int64_t gang, bool idle)
{
    rs_dgang *g = &d->gangs[gang];
    if (g->idle == idle)
        return;
    g->idle = idle;
    d->n_idle += idle ? 1 : -1;
    rs_maxtree_set(&d->idle, g->leaf, idle ? g->deadline : -INFINITY);
    place(d, gang);
}

void rs_dgroups_running(rs_director *d, int64_t gang, int64_t task, int by)
{
    rs_dgroup *g = group_of(d, gang);
    int kind = rs_dkind(d->tasks[task].stage), leading = -1;
    if (!g || !d->in_step || kind < 0)
        return;
    g->running[kind] += by;
    for (int k = 0; k < RS_KINDS; k++)
        if (g->running[k] > 0 && (leading < 0 || g->running[k] >= g->running[leading]))
            leading = k;
    if (leading == g->leading)
        return;
    g->leading = leading;
    for (int64_t i = g->lo; i < g->hi; i++)
        place(d, i);
}

bool rs_dgroups_fits(const rs_director *d, int64_t gang, int kind)
{
    const rs_dgroup *g = d->in_step ? group_of(d, gang) : NULL;
    return !g || kind < 0 || g->leading < 0 || g->leading == kind;
}

/* Another video is begun rather than a pass of a kind that nobody of the group is at: that makes no
 * passes, and what comes after it will. */
static bool begins(const rs_director *d, const rs_dgroup *g)
{
    return g->leading >= 0 && d->n_going < ROUND * d->n_live;
}

static double weight_of(const rs_director *d, const rs_dgroup *g, int s)
{
    int kind = s == UNRIPE ? -1 : rs_dkind((rs_task_stage)s);
    if (s == UNRIPE) /* rather than of another kind */
        return g && g->leading == rs_dkind(RS_TASK_APPEARANCE) ? 0.25 : -2;
    if (!g)
        return 0;
    if (s == RS_TASK_INGEST)
        return begins(d, g) ? 0.5 : -1;
    return kind < 0 ? INFINITY : (double)g->running[kind];
}

void rs_dgroups_order(int order[RS_DORDER], const rs_director *d, int64_t gang)
{
    const rs_dgroup *g = d->in_step ? group_of(d, gang) : NULL;
    double weight[RS_DORDER];
    int n = 0;
    for (int s = RS_TASK_COUNT - 1; s >= UNRIPE; s--) {
        double mine = weight_of(d, g, s);
        int at = n++;
        for (; at > 0 && weight[at - 1] < mine; at--) {
            order[at] = order[at - 1];
            weight[at] = weight[at - 1];
        }
        order[at] = s;
        weight[at] = mine;
    }
}

/* ---- lanes ---- */

static bool all_wait(const rs_director *d, int64_t first, int64_t n, const rs_dtask *t, double now)
{
    for (int64_t g = first; g < first + n; g++)
        if (!d->gangs[g].idle || !rs_dgang_may_run(&d->gangs[g], t, now))
            return false;
    return true;
}

/* The lane of n gangs that a gang would be in; -1: its group ends within it. */
static int64_t lane_of(const rs_director *d, int64_t gang, int64_t n)
{
    const rs_dgroup *g = group_of(d, gang);
    int64_t first = g->lo + (gang - g->lo) / n * n;
    return first + n <= g->hi ? first : -1;
}

static int64_t find_lane(const rs_director *d, int64_t gang, int64_t n, const rs_dtask *t,
                         double now)
{
    int64_t own = lane_of(d, gang, n);
    if (own >= 0 && all_wait(d, own, n, t, now))
        return own;
    for (int64_t i = 0; i < d->n_groups; i++) {
        const rs_dgroup *g = &d->groups[i];
        if (d->in_step && !rs_dgroups_fits(d, g->lo, rs_dkind(t->stage)))
            continue;
        for (int64_t first = g->lo; first + n <= g->hi; first += n)
            if (all_wait(d, first, n, t, now))
                return first;
    }
    return -1;
}

/* Ready tasks that wait for a gang are more urgent than help; the widest that is left for this one
 * among them, so that lanes come out about equal. */
int rs_dgroups_widen(rs_director *d, int64_t *gang, const rs_dtask *t, double now)
{
    int64_t spare = d->n_idle - d->n_ready;
    if (d->widest <= 1 || d->n_groups == 0 || rs_dkind(t->stage) < 0)
        return 1;
    for (int w = d->widest; w > 1; w /= 2) {
        int64_t first = w - 1 <= spare ? find_lane(d, *gang, w, t, now) : -1;
        if (first < 0)
            continue;
        *gang = first;
        return w;
    }
    return 1;
}

void rs_dgroups_free_help(rs_director *d, int64_t gang)
{
    rs_dgang *leader = &d->gangs[gang];
    for (int64_t g = gang + 1; g < gang + leader->width; g++) {
        if (d->gangs[g].helps != gang)
            continue;
        d->gangs[g].helps = -1;
        if (d->gangs[g].asking)
            rs_dgroups_idle(d, g, true);
    }
    leader->width = 1;
}
