#include <math.h>
#include <stdlib.h>

#include "base/num.h"
#include "sched/director_priv.h"

enum { VIDEO_TASKS = 3, EDIT_TASKS = 3 };

const char *rs_task_stage_name(rs_task_stage stage)
{
    static const char *const names[RS_TASK_COUNT] = {"ingest", "motion",  "appearance", "edit",
                                                     "decode", "publish", "chain"};
    RS_ASSERT(stage >= 0 && stage < RS_TASK_COUNT);
    return names[stage];
}

int64_t rs_dtask_of(const rs_director *d, int64_t video, int64_t edit, rs_task_stage stage)
{
    int64_t first = d->videos[video].first_task;
    if (d->granularity == RS_GRANULARITY_CHAIN)
        return first;
    if (edit >= 0)
        return first + VIDEO_TASKS + EDIT_TASKS * edit + (int64_t)(stage - RS_TASK_APPEARANCE);
    return first + (stage == RS_TASK_PUBLISH ? 2 : (int64_t)stage);
}

static double cost(const double *seconds, uint32_t skip, rs_task_stage stage)
{
    return skip & RS_TASK_BIT(stage) ? 0 : seconds[stage];
}

static rs_dtask *set_task(rs_director *d, int64_t video, int64_t edit, rs_task_stage stage,
                          double seconds, double remaining)
{
    rs_dtask *t = &d->tasks[rs_dtask_of(d, video, edit, stage)];
    const rs_sched_video *v = &d->spec[video];
    double room = (edit >= 0 ? v->edits[edit].room : v->room)[stage];
    RS_ASSERTF(seconds >= 0 && isfinite(seconds) && room >= 0, "stage %s expects %g seconds",
               rs_task_stage_name(stage), seconds);
    *t = (rs_dtask){.video = video,
                    .edit = edit,
                    .stage = stage,
                    .seconds = seconds,
                    .remaining = remaining,
                    .room = RS_TASK_CHECKPOINTED & RS_TASK_BIT(stage) ? room : fmax(room, seconds),
                    .near = -1,
                    .next = -1,
                    .prev = -1};
    return t;
}

/* Tasks of one video; remainders count the longest edit, as edits may run side by side. */
static void make_stages(rs_director *d, int64_t video)
{
    const rs_sched_video *v = &d->spec[video];
    double publish = cost(v->seconds, v->skip, RS_TASK_PUBLISH), longest = 0;
    set_task(d, video, -1, RS_TASK_PUBLISH, publish, publish);
    for (int64_t e = 0; e < v->n_edits; e++) {
        const rs_sched_edit *s = &v->edits[e];
        double rest = publish;
        for (int stage = RS_TASK_DECODE; stage >= RS_TASK_APPEARANCE; stage--) {
            double own = cost(s->seconds, s->skip, (rs_task_stage)stage);
            rest += own;
            set_task(d, video, e, (rs_task_stage)stage, own, rest);
        }
        if (!s->failed)
            longest = fmax(longest, rest);
    }
    double motion = cost(v->seconds, v->skip, RS_TASK_MOTION);
    double ingest = cost(v->seconds, v->skip, RS_TASK_INGEST);
    set_task(d, video, -1, RS_TASK_MOTION, motion, motion + longest);
    set_task(d, video, -1, RS_TASK_INGEST, ingest, ingest + motion + longest);
}

static void make_chain(rs_director *d, int64_t video)
{
    const rs_sched_video *v = &d->spec[video];
    double sum = cost(v->seconds, v->skip, RS_TASK_INGEST) +
                 cost(v->seconds, v->skip, RS_TASK_MOTION) +
                 cost(v->seconds, v->skip, RS_TASK_PUBLISH);
    for (int64_t e = 0; e < v->n_edits; e++)
        for (int stage = RS_TASK_APPEARANCE; stage <= RS_TASK_DECODE; stage++)
            if (!v->edits[e].failed)
                sum += cost(v->edits[e].seconds, v->edits[e].skip, (rs_task_stage)stage);
    set_task(d, video, -1, RS_TASK_CHAIN, sum, sum);
}

/* Room for all tasks and edits, and what is known of the edits before they begin. */
static void lay_out(rs_director *d)
{
    int64_t n_edits = 0;
    bool chain = d->granularity == RS_GRANULARITY_CHAIN;
    d->videos = RS_NEW(d->arena, rs_dvideo, d->n_videos);
    for (int64_t v = 0; v < d->n_videos; v++) {
        d->videos[v] = (rs_dvideo){.first_task = d->n_tasks, .first_edit = n_edits, .last = -1};
        d->n_tasks += chain ? 1 : VIDEO_TASKS + EDIT_TASKS * d->spec[v].n_edits;
        n_edits += d->spec[v].n_edits;
    }
    d->edits = RS_NEW(d->arena, rs_dedit, n_edits);
    d->tasks = RS_NEW(d->arena, rs_dtask, d->n_tasks);
    for (int64_t v = 0; v < d->n_videos; v++) {
        for (int64_t e = 0; e < d->spec[v].n_edits; e++) {
            bool failed = d->spec[v].edits[e].failed;
            d->edits[d->videos[v].first_edit + e] =
                (rs_dedit){.outcome = {failed ? RS_EDIT_FAILED : RS_EDIT_OPEN, RS_TASK_COUNT, NULL},
                           .last = -1};
            d->videos[v].open_edits += !failed;
        }
        if (chain)
            make_chain(d, v);
        else
            make_stages(d, v);
    }
}

typedef struct order {
    rs_task_stage stage;
    int shape; /* of appearances, with batches */
    double remaining;
    int64_t task;
} order;

static int before(const void *x, const void *y)
{
    const order *a = x, *b = y;
    if (a->stage != b->stage)
        return a->stage > b->stage ? -1 : 1;
    if (a->shape != b->shape)
        return a->shape < b->shape ? -1 : 1;
    if (a->remaining != b->remaining)
        return a->remaining > b->remaining ? -1 : 1;
    return a->task < b->task ? -1 : a->task > b->task;
}

static void rank_tasks(rs_director *d)
{
    order *o = RS_NEW(d->arena, order, d->n_tasks);
    for (int64_t i = 0; i < d->n_tasks; i++) {
        const rs_dtask *t = &d->tasks[i];
        bool classed = d->batch > 1 && t->stage == RS_TASK_APPEARANCE;
        int shape = classed ? d->spec[t->video].edits[t->edit].shape : 0;
        o[i] = (order){t->stage, shape, t->remaining, i};
    }
    if (d->n_tasks)
        qsort(o, (size_t)d->n_tasks, sizeof *o, before);
    d->by_rank = RS_NEW(d->arena, int64_t, d->n_tasks);
    for (int64_t r = d->n_tasks - 1; r >= 0; r--) {
        rs_dtask *t = &d->tasks[o[r].task];
        t->rank = r;
        d->by_rank[r] = o[r].task;
        d->stage_lo[t->stage] = r;
        d->stage_hi[t->stage] = rs_max_i64(d->stage_hi[t->stage], r + 1);
    }
    d->ready = rs_maxtree_create(d->arena, d->n_tasks);
    rs_dbatch_make(d);
}

/* Gangs with equal stages get neighbouring leaves. */
static void make_gangs(rs_director *d, const rs_sched_gang *given)
{
    int64_t leaf = 0;
    uint32_t any = RS_TASK_ANY;
    d->gangs = RS_NEW(d->arena, rs_dgang, d->n_gangs);
    d->gang_of_leaf = RS_NEW(d->arena, int64_t, d->n_gangs);
    d->fresh = RS_NEW(d->arena, int64_t, d->n_gangs);
    d->classes = RS_NEW(d->arena, rs_dclass, RS_TASK_ANY + 1);
    for (int64_t g = 0; g < d->n_gangs; g++) {
        rs_dgang *gang = &d->gangs[g];
        *gang = (rs_dgang){.live = true,
                           .width = 1,
                           .stages = given ? given[g].stages & any : any,
                           .deadline = given ? given[g].deadline : INFINITY,
                           .leaf = -1};
        d->n_able += (gang->stages & RS_TASK_BIT(RS_TASK_APPEARANCE)) != 0;
        RS_ASSERT(gang->deadline > -INFINITY);
        for (int s = 0; s < RS_TASK_COUNT; s++)
            gang->near[s] = -1;
    }
    for (int64_t g = 0; g < d->n_gangs; g++) {
        if (d->gangs[g].leaf >= 0)
            continue;
        rs_dclass *c = &d->classes[d->n_classes++];
        *c = (rs_dclass){d->gangs[g].stages, leaf, leaf};
        for (int64_t k = g; k < d->n_gangs; k++) {
            if (d->gangs[k].stages != c->stages)
                continue;
            d->gangs[k].leaf = leaf;
            d->gang_of_leaf[leaf++] = k;
        }
        c->hi = leaf;
    }
    d->n_live = d->n_gangs;
    d->idle = rs_maxtree_create(d->arena, d->n_gangs);
    d->busy = rs_maxtree_create(d->arena, d->n_gangs);
}

static bool is_work(const rs_director *d, const rs_dtask *t)
{
    const rs_sched_video *v = &d->spec[t->video];
    uint32_t skip = t->edit >= 0 ? v->edits[t->edit].skip : v->skip;
    return d->videos[t->video].open_edits > 0 && !(skip & RS_TASK_BIT(t->stage)) &&
           (t->edit < 0 || !v->edits[t->edit].failed);
}

static rs_status check_pins(const rs_director *d)
{
    uint32_t can = 0, wanted = 0;
    for (int64_t g = 0; g < d->n_gangs; g++)
        can |= d->gangs[g].stages;
    for (int64_t i = 0; i < d->n_tasks; i++)
        if (is_work(d, &d->tasks[i]))
            wanted |= RS_TASK_BIT(d->tasks[i].stage);
    for (int s = 0; s < RS_TASK_COUNT; s++)
        if (wanted & ~can & RS_TASK_BIT(s))
            return RS_FAIL(CONFIG, "no gang may run the stage %s: all %lld are pinned to others",
                           rs_task_stage_name((rs_task_stage)s), (long long)d->n_gangs);
    return RS_OK;
}

rs_status rs_director_create(rs_director **out, const rs_director_opts *o)
{
    *out = NULL;
    RS_ASSERT(o->n_gangs > 0 && o->n_videos >= 0);
    RS_ASSERT(o->batch >= 0 && o->batch <= RS_SCHED_BATCH);
    rs_arena *a = rs_arena_create();
    rs_director *d = RS_NEW(a, rs_director, 1);
    *d = (rs_director){.arena = a,
                       .granularity = o->granularity,
                       .spec = o->videos,
                       .n_videos = o->n_videos,
                       .n_gangs = o->n_gangs,
                       .n_open = o->n_videos,
                       .in_step = o->in_step && o->groups,
                       .widest = o->widest,
                       .batch = o->granularity == RS_GRANULARITY_STAGE ? o->batch : 0};
    lay_out(d);
    rank_tasks(d);
    make_gangs(d, o->gangs);
    rs_dgroups_make(d, o->groups);
    rs_status st = check_pins(d);
    if (st != RS_OK) {
        rs_arena_destroy(&a);
        return st;
    }
    for (int64_t v = 0; v < d->n_videos; v++)
        rs_djobs_begin(d, v);
    *out = d;
    return RS_OK;
}

void rs_director_destroy(rs_director **d)
{
    if (!*d)
        return;
    rs_arena *a = (*d)->arena;
    *d = NULL;
    rs_arena_destroy(&a);
}
