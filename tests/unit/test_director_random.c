// Director under random events: nothing runs twice or too early, everything ends; many shapes,
// seeds.
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "sched_shapes.h"

enum { SHAPES = 3000, MAX_GANGS = 9, MOST_STEPS = 200000 };

/* What is worked on at a time. */
typedef struct slot {
    int64_t head; /* first task; it is in `tasks` until it ends */
    rs_answer tasks[RS_SCHED_BATCH];
    int n;
    int64_t follows;
} slot;

typedef struct worker {
    slot held[2], coming; /* coming: companions that were told of so far */
    int n;
    bool live, asking;
    int64_t helps; /* gang, or -1 */
} worker;

typedef enum record { NEW, HELD, OK, FAILED } record;

typedef struct world {
    rs_rng rng;
    uint64_t drawn;
    rs_director *d;
    const rs_sched_video *v;
    int64_t n, gangs;
    bool chain;
    rs_sched_gang given[MAX_GANGS];
    worker w[MAX_GANGS];
    record *tasks; /* by task */
    int64_t *name; /* [video, edit + 1, stage] -> task, or -1 */
    int64_t most_edits, shapes;
    int batch;
    int64_t batches; /* that were given */
    double fail, stop, lose;
    int64_t groups[MAX_GANGS];
    bool grouped;
    int64_t helped;
} world;

static double draw(world *w)
{
    return (double)rs_rng_uniform(&w->rng, w->drawn++);
}

static int64_t below(world *w, int64_t n)
{
    return (int64_t)(draw(w) * (double)n);
}

static int64_t *name_of(const world *w, int64_t v, int64_t e, int stage)
{
    return &w->name[(v * (w->most_edits + 1) + e + 1) * RS_TASK_COUNT + stage];
}

static rs_sched_video *random_videos(world *w)
{
    rs_sched_video *v = RS_NEW(t_arena(), rs_sched_video, w->n);
    for (int64_t i = 0; i < w->n; i++) {
        int64_t edits = below(w, w->most_edits + 1);
        rs_sched_edit *e = RS_NEW(t_arena(), rs_sched_edit, edits + 1);
        v[i] = (rs_sched_video){.edits = e, .n_edits = edits};
        for (int s = 0; s < RS_TASK_COUNT; s++) {
            v[i].seconds[s] = (double)below(w, 3);
            v[i].skip |= draw(w) < 0.1 ? RS_TASK_BIT(s) : 0;
        }
        for (int64_t k = 0; k < edits; k++) {
            e[k].failed = draw(w) < 0.1;
            e[k].shape = (int)below(w, w->shapes);
            for (int s = 0; s < RS_TASK_COUNT; s++) {
                e[k].seconds[s] = (double)below(w, 3);
                e[k].skip |= draw(w) < 0.2 ? RS_TASK_BIT(s) : 0;
            }
        }
    }
    return v;
}

static bool skipped(const world *w, int64_t v, int64_t e, int stage)
{
    return (e >= 0 ? w->v[v].edits[e].skip : w->v[v].skip) & RS_TASK_BIT(stage);
}

/* Did the stage end ok, or has it nothing to do? */
static bool settled(const world *w, int64_t v, int64_t e, int stage)
{
    int64_t t = *name_of(w, v, e, stage);
    return skipped(w, v, e, stage) || (t >= 0 && w->tasks[t] == OK);
}

/* Ended ok, or runs on this gang in front of the answer, which says that it follows it. */
static bool ready(const world *w, const rs_answer *a, int64_t v, int64_t e, int stage)
{
    int64_t t = *name_of(w, v, e, stage);
    return settled(w, v, e, stage) || (t >= 0 && a->follows == t);
}

static bool edit_over(const world *w, const rs_answer *a, int64_t v, int64_t e)
{
    bool ok = true;
    if (w->v[v].edits[e].failed)
        return true;
    for (int s = RS_TASK_APPEARANCE; s <= RS_TASK_DECODE; s++) {
        int64_t t = *name_of(w, v, e, s);
        if (t >= 0 && w->tasks[t] == FAILED)
            return true;
        ok = ok && ready(w, a, v, e, s);
    }
    return ok;
}

static bool not_too_early(const world *w, const rs_answer *a)
{
    if (a->stage == RS_TASK_CHAIN || a->stage == RS_TASK_INGEST)
        return true;
    bool ok = ready(w, a, a->video, -1, RS_TASK_INGEST);
    if (a->stage > RS_TASK_MOTION)
        ok = ok && ready(w, a, a->video, -1, RS_TASK_MOTION);
    for (int s = RS_TASK_APPEARANCE; a->edit >= 0 && s < (int)a->stage; s++)
        ok = ok && ready(w, a, a->video, a->edit, s);
    for (int64_t e = 0; a->stage == RS_TASK_PUBLISH && e < w->v[a->video].n_edits; e++)
        ok = ok && edit_over(w, a, a->video, e);
    return ok;
}

/* Behind its leader, in its group, with nothing else to do, and only with a task that makes passes.
 */
static void help(world *w, const rs_answer *a)
{
    worker *g = &w->w[a->gang], *leader = &w->w[a->leader];
    T_CHECK(g->n == 0 && g->helps < 0);
    T_CHECK(a->gang > a->leader && a->gang < a->leader + a->width);
    T_CHECK(w->groups[a->gang] == w->groups[a->leader]);
    T_CHECK(leader->n > 0 && leader->held[0].head == a->task);
    T_CHECK(RS_TASK_PASSES & RS_TASK_BIT(a->stage));
    T_CHECK(w->given[a->gang].stages & RS_TASK_BIT(a->stage));
    g->helps = a->leader;
    w->helped++;
}

static void free_helpers(world *w, int64_t leader)
{
    for (int64_t g = 0; g < w->gangs; g++)
        if (w->w[g].helps == leader)
            w->w[g].helps = -1;
}

/* Any task that is handed out, companions too. */
static void check_task(world *w, const rs_answer *a)
{
    const worker *g = &w->w[a->gang];
    T_CHECK(a->task >= 0 && a->task < rs_director_tasks(w->d));
    T_CHECK(a->leader == a->gang);
    T_CHECK(a->width == 1 || a->gang + a->width <= w->gangs);
    T_CHECK(!skipped(w, a->video, a->edit, (int)a->stage));
    T_CHECK(a->edit < 0 || !w->v[a->video].edits[a->edit].failed);
    T_CHECK(w->given[a->gang].stages & RS_TASK_BIT(a->stage));
    T_CHECK(w->chain == (a->stage == RS_TASK_CHAIN));
    int64_t *name = name_of(w, a->video, a->edit, (int)a->stage);
    T_CHECK(*name < 0 || *name == a->task);
    *name = a->task;
    T_CHECKF(w->tasks[a->task] == NEW, "task %d is handed out in state %d", (int)a->task,
             (int)w->tasks[a->task]);
    T_CHECK(a->follows < 0 || (g->n == 1 && g->held[0].head == a->follows));
    w->tasks[a->task] = HELD;
}

/* Companions are ready by themselves, of one shape, and no more than asked for. */
static void check_batch(const world *w, const slot *s)
{
    T_CHECK(s->n >= 1 && s->n <= (w->batch > 1 ? w->batch : 1));
    for (int i = 0; i + 1 < s->n; i++) {
        rs_answer a = s->tasks[i];
        a.follows = -1;
        T_CHECK(a.stage == RS_TASK_APPEARANCE && s->tasks[s->n - 1].stage == a.stage);
        T_CHECKF(not_too_early(w, &a), "companion too early");
        T_EQ_I(w->v[a.video].edits[a.edit].shape,
               w->v[s->tasks[s->n - 1].video].edits[s->tasks[s->n - 1].edit].shape);
    }
}

static void receive(world *w, const rs_answer *a)
{
    worker *g = &w->w[a->gang];
    T_CHECK(g->live && g->asking && g->n < 2);
    T_CHECK(g->helps < 0); /* it waits for the end of that */
    if (a->kind == RS_ANSWER_HELP) {
        g->asking = false;
        help(w, a);
        return;
    }
    if (a->kind == RS_ANSWER_DONE) {
        g->asking = false;
        T_CHECK(g->n == 0 || rs_director_finished(w->d));
        return;
    }
    check_task(w, a);
    T_CHECK(g->coming.n < RS_SCHED_BATCH);
    g->coming.tasks[g->coming.n++] = *a;
    if (a->kind == RS_ANSWER_WITH)
        return;
    T_CHECKF(not_too_early(w, a), "stage %s too early", rs_task_stage_name(a->stage));
    g->asking = false;
    g->coming.head = a->task;
    g->coming.follows = a->follows;
    check_batch(w, &g->coming);
    T_CHECK(a->width == 1 || g->coming.n == 1);
    w->batches += g->coming.n > 1;
    g->held[g->n++] = g->coming;
    g->coming = (slot){0};
}

static void receive_all(world *w)
{
    rs_answer a;
    while (rs_director_next(w->d, 0, &a))
        receive(w, &a);
    for (int64_t g = 0; g < w->gangs; g++)
        T_EQ_I(w->w[g].coming.n, 0);
}

static void drop_slot(world *w, worker *g)
{
    const slot *s = &g->held[--g->n];
    for (int i = 0; i < s->n; i++)
        w->tasks[s->tasks[i].task] = NEW;
}

static void drop(world *w, worker *g)
{
    while (g->n > 0)
        drop_slot(w, g);
    g->asking = false;
    g->helps = -1;
    free_helpers(w, g - w->w);
}

/* One of those of the first slot, in any order. */
static void end_one(world *w, int64_t gang)
{
    worker *g = &w->w[gang];
    slot *s = &g->held[0];
    int64_t i = below(w, s->n), task = s->tasks[i].task;
    double x = draw(w);
    rs_task_end how = x < w->fail             ? RS_TASK_FAILED
                      : x < w->fail + w->stop ? RS_TASK_STOPPED
                                              : RS_TASK_OK;
    if (how != RS_TASK_OK && g->n == 2 && g->held[1].follows == task)
        drop_slot(w, g);
    w->tasks[task] = how == RS_TASK_OK ? OK : how == RS_TASK_FAILED ? FAILED : NEW;
    s->tasks[i] = s->tasks[--s->n];
    if (s->n == 0) {
        g->held[0] = g->held[1];
        g->n--;
        free_helpers(w, gang);
    }
    T_CHECK(rs_director_end(w->d, gang, task, how, "random"));
    T_CHECK(!rs_director_end(w->d, gang, task, how, "random"));
}

static void step(world *w)
{
    int64_t gang = below(w, w->gangs);
    worker *g = &w->w[gang];
    if (!g->live) {
        g->live = true;
        rs_director_join(w->d, gang);
    } else if (draw(w) < w->lose) {
        g->live = false;
        drop(w, g);
        rs_director_lose(w->d, gang);
    } else if (!g->asking && g->n < 2 && draw(w) < 0.6) {
        g->asking = true;
        rs_director_ask(w->d, gang);
    } else if (g->n > 0) {
        end_one(w, gang);
    }
    if (draw(w) < 0.7) /* else several events before the director answers */
        receive_all(w);
}

static void check_outcomes(const world *w)
{
    for (int64_t v = 0; v < w->n; v++) {
        for (int64_t e = 0; e < w->v[v].n_edits; e++) {
            bool ok = !w->v[v].edits[e].failed;
            for (int s = RS_TASK_INGEST; !w->chain && s <= RS_TASK_PUBLISH; s++) {
                bool edits = s >= RS_TASK_APPEARANCE && s <= RS_TASK_DECODE;
                ok = ok && settled(w, v, edits ? e : -1, s);
            }
            ok = ok && (!w->chain || settled(w, v, -1, RS_TASK_CHAIN));
            T_EQ_I(rs_director_outcome(w->d, v, e).state, ok ? RS_EDIT_DONE : RS_EDIT_FAILED);
        }
    }
}

static void make(world *w, uint64_t seed, bool grouped)
{
    *w = (world){.rng = rs_rng_stream(seed, 1, RS_RNG_TEST, 0), .grouped = grouped};
    w->n = below(w, 12);
    w->gangs = 1 + below(w, MAX_GANGS);
    w->most_edits = below(w, 5);
    w->chain = draw(w) < 0.2;
    w->fail = draw(w) < 0.5 ? 0 : 0.15;
    w->stop = draw(w) < 0.5 ? 0 : 0.2;
    w->lose = draw(w) < 0.5 ? 0 : 0.05;
    w->shapes = 1 + below(w, 3);
    w->batch = draw(w) < 0.4 ? 0 : (int)below(w, RS_SCHED_BATCH + 1);
    w->v = random_videos(w);
    bool pinned = draw(w) < 0.4;
    for (int64_t g = 0; g < w->gangs; g++) {
        w->given[g] = (rs_sched_gang){RS_TASK_ANY, INFINITY};
        if (pinned && g > 0) /* the first one can do everything */
            w->given[g].stages = (uint32_t)below(w, RS_TASK_ANY + 1);
        w->w[g].live = true;
        w->w[g].helps = -1;
        w->groups[g] = draw(w) < 0.3 && g > 0 ? w->groups[g - 1] + 1 : g > 0 ? w->groups[g - 1] : 0;
    }
    rs_director_opts o = {.granularity = w->chain ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE,
                          .videos = w->v,
                          .n_videos = w->n,
                          .gangs = w->given,
                          .n_gangs = w->gangs,
                          .batch = w->batch};
    if (w->grouped) {
        o.groups = w->groups;
        o.in_step = draw(w) < 0.5;
        o.widest = 1 << below(w, 4);
    }
    T_OK(rs_director_create(&w->d, &o));
    w->tasks = RS_NEW(t_arena(), record, rs_director_tasks(w->d) + 1);
    int64_t names = w->n * (w->most_edits + 1) * RS_TASK_COUNT;
    w->name = RS_NEW(t_arena(), int64_t, names + 1);
    for (int64_t i = 0; i < names; i++)
        w->name[i] = -1;
}

static int64_t run_all(bool grouped)
{
    int64_t helped = 0, batches = 0;
    for (uint64_t seed = 0; seed < SHAPES; seed++) {
        world w;
        make(&w, seed, grouped);
        int64_t steps = 0;
        for (; !rs_director_finished(w.d) && steps < MOST_STEPS; steps++)
            step(&w);
        T_CHECKF(steps < MOST_STEPS, "seed %d does not end", (int)seed);
        T_EQ_I(rs_director_held(w.d), 0);
        check_outcomes(&w);
        helped += w.helped;
        batches += w.batches;
        rs_director_destroy(&w.d);
    }
    T_CHECKF(batches > 100, "%d batches only", (int)batches);
    return helped;
}

static void t_everything_ends_once_and_in_order(void)
{
    T_EQ_I(run_all(false), 0);
}

static void t_and_so_it_does_in_groups_and_lanes(void)
{
    int64_t helped = run_all(true);
    T_CHECKF(helped > SHAPES / 3, "helped %d times", (int)helped);
}

/* The catalog's order does not change what becomes of it, only who does it: one gang, all orders of
 * three different videos, give the same order of stages. */
static void t_the_order_of_the_catalog_does_not_matter_where_lengths_differ(void)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    int first[64][2], n_first = 0;
    for (int k = 0; k < 6; k++) {
        const double seconds[RS_TASK_COUNT] = {1, 1, 1, 1, 1, 1, 0};
        rs_sched_video *v = shape_videos(3, 2, seconds, false);
        for (int i = 0; i < 3; i++)
            v[i].seconds[RS_TASK_MOTION] = 10 + orders[k][i];
        rs_director *d;
        rs_director_opts o = {.videos = v, .n_videos = 3, .n_gangs = 1};
        T_OK(rs_director_create(&d, &o));
        int n = 0;
        for (; !rs_director_finished(d); n++) {
            rs_answer a;
            rs_director_ask(d, 0);
            T_CHECK(rs_director_next(d, 0, &a) && a.kind == RS_ANSWER_TASK);
            T_CHECK(rs_director_end(d, 0, a.task, RS_TASK_OK, NULL));
            int got[2] = {orders[k][a.video], (int)a.stage};
            if (k == 0)
                memcpy(first[n], got, sizeof got);
            T_CHECK(memcmp(first[n], got, sizeof got) == 0);
        }
        n_first = k == 0 ? n : n_first;
        T_EQ_I(n, n_first);
        T_EQ_I(n, 3 * (3 + 2 * 2));
        rs_director_destroy(&d);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_everything_ends_once_and_in_order),
    T_CASE(t_and_so_it_does_in_groups_and_lanes),
    T_CASE(t_the_order_of_the_catalog_does_not_matter_where_lengths_differ),
};
RS_TEST_MAIN(cases)
