#include "sched/director.h"

#include <float.h>
#include <math.h>

#include "sched/director_priv.h"

/* Of the tasks that are as good as the best one, so many that are near a gang are looked at. */
enum { NEAR_LOOK = 8 };

bool rs_dgang_may_run(const rs_dgang *g, const rs_dtask *t, double now)
{
    return (g->stages & RS_TASK_BIT(t->stage)) && g->deadline >= now + t->room;
}

/* ---- matching ---- */

/* The best ready task of a stage that fits before the deadline, or -1. Appearances only if there
 * are enough for a batch, and any of them as the stage UNRIPE. */
static int64_t best_of_stage(const rs_director *d, int stage, double deadline, double now)
{
    bool batches = d->batch > 1 && (stage == RS_TASK_APPEARANCE || stage == UNRIPE);
    if (stage == UNRIPE && !batches)
        return -1;
    double bound = now - deadline;
    if (batches)
        return rs_dbatch_best(d, bound, stage != UNRIPE);
    int64_t rank = rs_maxtree_first(&d->ready, d->stage_lo[stage], d->stage_hi[stage], bound);
    return rank < 0 ? -1 : d->by_rank[rank];
}

/* The stage that this stands for. */
static int stage_of(int s)
{
    return s == UNRIPE ? RS_TASK_APPEARANCE : s;
}

static int64_t best_for(const rs_director *d, const rs_dgang *g, double now)
{
    int order[RS_DORDER];
    rs_dgroups_order(order, d, g - d->gangs);
    for (int i = 0; i < RS_DORDER; i++) {
        int s = order[i];
        bool may = g->stages & RS_TASK_BIT(stage_of(s));
        int64_t task = may ? best_of_stage(d, s, g->deadline, now) : -1;
        if (task >= 0)
            return task;
    }
    return -1;
}

/* A task that is as good, and whose source the gang has. */
static int64_t nearest_equal(const rs_director *d, int64_t gang, int64_t task, double now)
{
    const rs_dtask *t = &d->tasks[task];
    const rs_dgang *g = &d->gangs[gang];
    int64_t near = g->near[t->stage], best = -1;
    if (t->near == gang)
        return task;
    for (int i = 0; i < NEAR_LOOK && near >= 0; i++, near = d->tasks[near].next) {
        const rs_dtask *n = &d->tasks[near];
        if (n->remaining == t->remaining && rs_dgang_may_run(g, n, now) &&
            (best < 0 || n->rank < d->tasks[best].rank))
            best = near;
    }
    return best < 0 ? task : best;
}

static int64_t first_for(const rs_director *d, const rs_maxtree *asking, const rs_dtask *t,
                         double now)
{
    for (int c = 0; c < d->n_classes; c++) {
        if (!(d->classes[c].stages & RS_TASK_BIT(t->stage)))
            continue;
        int64_t leaf = rs_maxtree_first(asking, d->classes[c].lo, d->classes[c].hi, now + t->room);
        if (leaf >= 0)
            return d->gang_of_leaf[leaf];
    }
    return -1;
}

/* The gang among those that ask (a tree of them) that gets this task: one whose group does the
 * like, the one that is near, or the first that may run it. -1: none. */
static int64_t gang_for(const rs_director *d, const rs_maxtree *asking, const rs_dtask *t,
                        double now)
{
    int kind = d->in_step && asking == &d->idle ? rs_dkind(t->stage) : -1;
    bool near = t->near >= 0 && rs_dgang_may_run(&d->gangs[t->near], t, now) &&
                asking->at[asking->leaves + d->gangs[t->near].leaf] > -INFINITY;
    if (near && rs_dgroups_fits(d, t->near, kind))
        return t->near;
    int64_t fitting = kind >= 0 ? first_for(d, &d->fitting[kind], t, now) : -1;
    if (fitting >= 0)
        return fitting;
    return near ? t->near : first_for(d, asking, t, now);
}

/* Latest deadline of those that ask and may run the stage; -infinity: nobody. */
static double latest_deadline(const rs_director *d, const rs_maxtree *asking, int stage)
{
    double best = -INFINITY;
    for (int c = 0; c < d->n_classes; c++)
        if (d->classes[c].stages & RS_TASK_BIT(stage))
            best = fmax(best, rs_maxtree_max(asking, d->classes[c].lo, d->classes[c].hi));
    return best;
}

static bool match(const rs_director *d, const rs_maxtree *asking, double now, int64_t *gang,
                  int64_t *task)
{
    if (d->n_ready == 0 || d->n_asking == 0)
        return false;
    for (int s = RS_TASK_COUNT - 1; s >= UNRIPE; s--) {
        double latest = latest_deadline(d, asking, stage_of(s));
        *task = latest > -INFINITY ? best_of_stage(d, s, latest, now) : -1;
        if (*task < 0)
            continue;
        *gang = gang_for(d, asking, &d->tasks[*task], now);
        if (*gang < 0)
            continue; /* the last bit of a deadline, rounded the other way */
        int64_t fitting = d->in_step ? best_for(d, &d->gangs[*gang], now) : -1;
        *task = nearest_equal(d, *gang, fitting >= 0 ? fitting : *task, now);
        return true;
    }
    return false;
}

/* ---- answers ---- */

static void stop_asking(rs_director *d, int64_t gang)
{
    rs_dgang *g = &d->gangs[gang];
    if (!g->asking)
        return;
    g->asking = false;
    d->n_asking--;
    rs_dgroups_idle(d, gang, false);
    rs_maxtree_set(&d->busy, g->leaf, -INFINITY);
}

static void set_told(rs_director *d, int64_t gang, bool told)
{
    d->n_told += told - d->gangs[gang].told;
    d->gangs[gang].told = told;
}

static void give(rs_director *d, rs_answer *out, int64_t gang, int64_t task, bool follows,
                 double begin)
{
    rs_dgang *g = &d->gangs[gang];
    const rs_dtask *t = &d->tasks[task];
    RS_ASSERT(g->live && g->n_held < 2);
    stop_asking(d, gang);
    rs_djobs_take(d, task);
    *out = (rs_answer){.kind = RS_ANSWER_TASK,
                       .gang = gang,
                       .task = task,
                       .video = t->video,
                       .edit = t->edit,
                       .stage = t->stage,
                       .follows = follows ? g->held[0] : -1,
                       .seconds = t->seconds,
                       .room = t->room,
                       .leader = gang,
                       .width = g->n_held == 0 ? g->width : 1};
    if (g->n_held == 0)
        rs_dgroups_running(d, gang, task, 1);
    g->held[g->n_held++] = task;
    g->follows = follows;
    rs_dbatch_take(d, out, begin);
}

/* To one that waits; neighbours that wait too may have to help it. */
static void give_idle(rs_director *d, rs_answer *out, int64_t gang, int64_t task, double now)
{
    int width = rs_dgroups_widen(d, &gang, &d->tasks[task], now);
    d->gangs[gang].width = width;
    give(d, out, gang, task, false, now);
    d->help_leader = gang;
    d->help_next = gang + 1;
    d->help_end = gang + width;
}

static void give_help(rs_director *d, rs_answer *out)
{
    const rs_dgang *leader = &d->gangs[d->help_leader];
    const rs_dtask *t = &d->tasks[leader->held[0]];
    int64_t gang = d->help_next++;
    stop_asking(d, gang);
    d->gangs[gang].helps = d->help_leader;
    *out = (rs_answer){.kind = RS_ANSWER_HELP,
                       .gang = gang,
                       .task = leader->held[0],
                       .video = t->video,
                       .edit = t->edit,
                       .stage = t->stage,
                       .follows = -1,
                       .seconds = t->seconds,
                       .leader = d->help_leader,
                       .width = leader->width};
}

/* A gang asks while it works: the next stage of its own job, unless something later waits. */
static bool answer_ahead(rs_director *d, rs_answer *out, int64_t gang, double now)
{
    const rs_dgang *g = &d->gangs[gang];
    double begin = now + rs_dbatch_seconds(d, g);
    int64_t next = rs_djobs_successor(d, g->held[0]), other = best_for(d, g, begin);
    if (next >= 0 && !rs_dgang_may_run(g, &d->tasks[next], begin))
        next = -1;
    if (next >= 0 && (d->tasks[next].state != RS_TASK_STATE_BLOCKED || g->with[0].headless))
        next = -1;
    rs_dbatch_choose(d, &next, &other);
    if (next >= 0 && other >= 0) {
        const rs_dtask *a = &d->tasks[next], *b = &d->tasks[other];
        if (b->stage > a->stage || (b->stage == a->stage && b->remaining > a->remaining))
            next = -1;
    }
    if (next >= 0)
        give(d, out, gang, next, true, begin);
    else if (other >= 0)
        give(d, out, gang, nearest_equal(d, gang, other, begin), false, begin);
    else
        rs_maxtree_set(&d->busy, g->leaf, g->deadline);
    return next >= 0 || other >= 0;
}

static bool answer_fresh(rs_director *d, rs_answer *out, double now)
{
    while (d->n_fresh > 0) {
        int64_t gang = d->fresh[--d->n_fresh];
        rs_dgang *g = &d->gangs[gang];
        g->fresh = false;
        if (g->asking && g->n_held == 1 && answer_ahead(d, out, gang, now))
            return true;
    }
    return false;
}

/* Nothing can change any more but by a gang that comes back. */
static bool nobody_can(const rs_director *d)
{
    return d->n_held == 0 && d->n_asking + d->n_told == d->n_live;
}

static bool answer_done(rs_director *d, rs_answer *out)
{
    if (d->n_asking == 0 || !(d->stopping || rs_director_finished(d) || nobody_can(d)))
        return false;
    int64_t leaf = rs_maxtree_first(&d->idle, 0, d->n_gangs, -DBL_MAX);
    if (leaf < 0)
        leaf = rs_maxtree_first(&d->busy, 0, d->n_gangs, -DBL_MAX);
    if (leaf < 0)
        return false;
    *out = (rs_answer){.kind = RS_ANSWER_DONE,
                       .gang = d->gang_of_leaf[leaf],
                       .task = -1,
                       .video = -1,
                       .edit = -1,
                       .stage = RS_TASK_COUNT,
                       .follows = -1,
                       .leader = -1};
    stop_asking(d, out->gang);
    set_told(d, out->gang, true);
    return true;
}

bool rs_director_next(rs_director *d, double now, rs_answer *out)
{
    int64_t gang, task;
    if (rs_dbatch_next(d, out))
        return true;
    if (d->help_next < d->help_end) {
        give_help(d, out);
        return true;
    }
    if (!d->stopping && d->n_silent == 0) {
        if (match(d, &d->idle, now, &gang, &task)) {
            give_idle(d, out, gang, task, now);
            return true;
        }
        if (answer_fresh(d, out, now))
            return true;
        if (match(d, &d->busy, now, &gang, &task)) {
            give(d, out, gang, task, false, now);
            return true;
        }
    }
    return answer_done(d, out);
}

/* ---- events ---- */

static void hear(rs_director *d, rs_dgang *g)
{
    d->n_silent -= g->silent;
    g->silent = false;
}

void rs_director_ask(rs_director *d, int64_t gang)
{
    RS_ASSERT(gang >= 0 && gang < d->n_gangs);
    rs_dgang *g = &d->gangs[gang];
    RS_ASSERT(g->live && !g->asking && g->n_held < 2);
    g->asking = true;
    d->n_asking++;
    set_told(d, gang, false);
    hear(d, g);
    if (g->n_held == 0) {
        rs_dgroups_idle(d, gang, g->helps < 0);
    } else if (d->stopping) {
        rs_maxtree_set(&d->busy, g->leaf, g->deadline);
    } else if (!g->fresh && !rs_dgroups_late(d, gang)) {
        g->fresh = true;
        d->fresh[d->n_fresh++] = gang;
    }
}

/* The task that was void or lost goes back to where it was. */
static void release_ahead(rs_director *d, rs_dgang *g)
{
    if (g->n_held < 2)
        return;
    g->n_held = 1;
    rs_dbatch_put_back(d, &g->with[1]);
    if (g->follows)
        rs_djobs_block(d, g->held[1]);
    else
        rs_djobs_put_back(d, g->held[1]);
}

bool rs_director_end(rs_director *d, int64_t gang, int64_t task, rs_task_end how,
                     const char *reason)
{
    RS_ASSERT(gang >= 0 && gang < d->n_gangs);
    rs_dgang *g = &d->gangs[gang];
    if (!g->live || g->n_held == 0 || !rs_dbatch_remove(g, task))
        return false;
    if (g->held[0] == task) { /* nothing ahead follows it any more, whoever else goes on */
        if (how != RS_TASK_OK && g->follows)
            release_ahead(d, g);
        g->follows = false;
    }
    if (how == RS_TASK_STOPPED)
        rs_djobs_put_back(d, task);
    else
        rs_djobs_ended(d, task, gang, how == RS_TASK_OK, reason);
    if (!g->with[0].headless || g->with[0].n > 0)
        return true; /* the others of the batch go on */
    rs_dgroups_running(d, gang, task, -1);
    rs_dgroups_free_help(d, gang);
    g->held[0] = g->held[1];
    g->with[0] = g->with[1];
    g->n_held--;
    if (g->n_held > 0)
        rs_dgroups_running(d, gang, g->held[0], 1);
    if (g->asking) { /* it asked while it worked, and works no more */
        rs_maxtree_set(&d->busy, g->leaf, -INFINITY);
        rs_dgroups_idle(d, gang, true);
    }
    return true;
}

void rs_director_lose(rs_director *d, int64_t gang)
{
    RS_ASSERT(gang >= 0 && gang < d->n_gangs);
    rs_dgang *g = &d->gangs[gang];
    if (!g->live)
        return;
    stop_asking(d, gang);
    hear(d, g);
    set_told(d, gang, false);
    g->live = false;
    d->n_live--;
    d->n_able -= (g->stages & RS_TASK_BIT(RS_TASK_APPEARANCE)) != 0;
    rs_djobs_forget(d, gang);
    release_ahead(d, g);
    if (g->n_held > 0) {
        rs_dgroups_running(d, gang, g->held[0], -1);
        rs_dbatch_put_back(d, &g->with[0]);
        if (!g->with[0].headless)
            rs_djobs_put_back(d, g->held[0]);
    }
    rs_dgroups_free_help(d, gang);
    g->n_held = 0;
    g->helps = -1;
    g->follows = false;
}

void rs_director_join(rs_director *d, int64_t gang)
{
    RS_ASSERT(gang >= 0 && gang < d->n_gangs && !d->gangs[gang].live);
    d->gangs[gang].live = true;
    d->n_live++;
    d->n_able += (d->gangs[gang].stages & RS_TASK_BIT(RS_TASK_APPEARANCE)) != 0;
}

void rs_director_stop(rs_director *d)
{
    d->stopping = true;
    while (d->n_fresh > 0) {
        rs_dgang *g = &d->gangs[d->fresh[--d->n_fresh]];
        g->fresh = false;
        if (g->asking && g->n_held > 0)
            rs_maxtree_set(&d->busy, g->leaf, g->deadline);
    }
}

/* ---- state ---- */

bool rs_director_finished(const rs_director *d)
{
    return d->n_open == 0;
}

int64_t rs_director_held(const rs_director *d)
{
    return d->n_held;
}

int64_t rs_director_tasks(const rs_director *d)
{
    return d->n_tasks;
}

rs_edit_outcome rs_director_outcome(const rs_director *d, int64_t video, int64_t edit)
{
    RS_ASSERT(video >= 0 && video < d->n_videos && edit >= 0 && edit < d->spec[video].n_edits);
    return d->edits[d->videos[video].first_edit + edit].outcome;
}
