#include "sched/sim.h"

#include <math.h>

#include "base/num.h"
#include "base/rng.h"
#include "sched/events.h"

/* Work that takes so many times the bound does not end. */
static const double HOPELESS = 100;

enum { MOST_FAILURES = 5000000 };

typedef enum kind {
    ASKS,   /* a question reaches the director */
    ENDED,  /* the news that a task ended reaches the director */
    ANSWER, /* an answer reaches its gang */
    ENDS,   /* a gang's task ends */
    FAILS,  /* a node */
    BACK    /* a world */
} kind;

typedef struct worker {
    int64_t epoch; /* messages of an earlier life are lost */
    bool working, has_next, done;
    rs_answer now, next;
    double began;
} worker;

typedef struct sim {
    const rs_sim_opts *o;
    rs_sim_result *r;
    rs_arena *arena;
    rs_director *d;
    rs_events queue;
    worker *gangs;
    double *saved;      /* by task: seconds done that no failure takes away */
    bool *begun;        /* by video */
    bool *down;         /* by world */
    uint32_t *failures; /* by node */
    int64_t per_world, n_done;
    double at, busy_s;
    int64_t busy, n_down;
    double handed_useful;
} sim;

static void send(sim *s, double at, kind k, int64_t gang, const rs_answer *a)
{
    rs_event e = {.at = at, .kind = k, .who = gang, .epoch = s->gangs[gang].epoch};
    if (a)
        e.answer = *a;
    rs_events_add(&s->queue, e);
}

static double chain_part(const sim *s, double *at, int64_t v, int64_t e, rs_task_stage stage,
                         double position)
{
    double begin = *at, step = s->o->checkpoint[stage];
    *at += rs_sim_seconds(s->o, v, e, stage);
    if (position < begin)
        return 0;
    if (position >= *at)
        return *at;
    if (!(RS_TASK_CHECKPOINTED & RS_TASK_BIT(stage)))
        return begin;
    return step > 0 ? begin + floor((position - begin) / step) * step : position;
}

/* What is saved of a chain that was worked on for so long; its length when position is infinite. */
static double chain_saved(const sim *s, int64_t v, double position)
{
    double at = 0, saved = chain_part(s, &at, v, -1, RS_TASK_INGEST, position);
    saved = fmax(saved, chain_part(s, &at, v, -1, RS_TASK_MOTION, position));
    for (int64_t e = 0; e < s->o->work.videos[v].n_edits; e++)
        for (int k = RS_TASK_APPEARANCE; k <= RS_TASK_DECODE; k++)
            saved = fmax(saved, chain_part(s, &at, v, e, (rs_task_stage)k, position));
    return fmax(saved, chain_part(s, &at, v, -1, RS_TASK_PUBLISH, position));
}

static double saved_of(const sim *s, const rs_answer *a, double position)
{
    double at = 0;
    return a->stage == RS_TASK_CHAIN ? chain_saved(s, a->video, position)
                                     : chain_part(s, &at, a->video, a->edit, a->stage, position);
}

static void start(sim *s, int64_t gang, const rs_answer *a)
{
    worker *w = &s->gangs[gang];
    double ends = s->at + saved_of(s, a, INFINITY) - s->saved[a->task];
    w->now = *a;
    w->working = true;
    w->began = s->at;
    s->busy++;
    send(s, ends, ENDS, gang, NULL);
    send(s, fmax(s->at, ends - s->o->ahead) + s->o->latency, ASKS, gang, NULL);
}

static void task_ends(sim *s, int64_t gang)
{
    worker *w = &s->gangs[gang];
    s->saved[w->now.task] += s->at - w->began;
    w->working = false;
    s->busy--;
    s->r->makespan = s->at;
    send(s, s->at + s->o->latency, ENDED, gang, &w->now);
    if (w->has_next) {
        w->has_next = false;
        start(s, gang, &w->next);
    }
}

static void answered(sim *s, int64_t gang, const rs_answer *a)
{
    worker *w = &s->gangs[gang];
    if (a->kind == RS_ANSWER_DONE) {
        w->done = true;
        s->n_done++;
    } else if (w->working) {
        w->has_next = true;
        w->next = *a;
    } else {
        start(s, gang, a);
    }
}

static void take_answers(sim *s)
{
    rs_answer a;
    while (rs_director_next(s->d, s->at, &a)) {
        if (a.kind == RS_ANSWER_TASK && !s->begun[a.video]) {
            s->begun[a.video] = true;
            s->r->handed = s->at;
            s->handed_useful = s->busy_s - s->r->lost;
        }
        send(s, s->at + s->o->latency, ANSWER, a.gang, &a);
    }
}

/* ---- failures ---- */

static void plan_failure(sim *s, int64_t node, double from)
{
    rs_rng r = rs_rng_stream(s->o->seed, (uint64_t)node, RS_RNG_SIMULATION, UINT32_MAX);
    double u = ((double)rs_rng_bits(&r, s->failures[node]++) + 1.0) * 0x1p-32; /* (0,1] */
    rs_events_add(&s->queue,
                  (rs_event){.at = from - s->o->mtbf * log(u), .kind = FAILS, .who = node});
}

static void lose(sim *s, int64_t gang)
{
    worker *w = &s->gangs[gang];
    if (w->working) {
        double position = s->saved[w->now.task] + s->at - w->began;
        double kept = fmax(s->saved[w->now.task], saved_of(s, &w->now, position));
        s->r->lost += position - kept;
        s->saved[w->now.task] = kept;
        s->busy--;
    }
    s->n_done -= w->done;
    *w = (worker){.epoch = w->epoch + 1};
    s->n_down++;
    rs_director_lose(s->d, gang);
}

static void node_fails(sim *s, int64_t node)
{
    int64_t world = node * s->o->per_node / s->per_world;
    int64_t lo = world * s->per_world, hi = rs_min_i64(lo + s->per_world, s->o->work.n_gangs);
    plan_failure(s, node, s->at + s->o->restart);
    if (s->down[world])
        return;
    s->down[world] = true;
    s->r->failures++;
    for (int64_t g = lo; g < hi; g++)
        lose(s, g);
    rs_events_add(&s->queue, (rs_event){.at = s->at + s->o->restart, .kind = BACK, .who = world});
}

/* Those that were told that nobody can do what is left ask again: somebody came back. */
static void wake(sim *s)
{
    for (int64_t g = 0; s->n_done > 0 && g < s->o->work.n_gangs; g++) {
        if (!s->gangs[g].done)
            continue;
        s->gangs[g].done = false;
        s->n_done--;
        send(s, s->at + s->o->latency, ASKS, g, NULL);
    }
}

static void world_is_back(sim *s, int64_t world)
{
    int64_t lo = world * s->per_world, hi = rs_min_i64(lo + s->per_world, s->o->work.n_gangs);
    s->down[world] = false;
    for (int64_t g = lo; g < hi; g++) {
        s->n_down--;
        rs_director_join(s->d, g);
        send(s, s->at + s->o->latency, ASKS, g, NULL);
    }
    wake(s);
}

/* ---- clock ---- */

static void advance(sim *s, double at)
{
    s->busy_s += (double)s->busy * (at - s->at);
    s->r->down += (double)s->n_down * (at - s->at);
    s->at = at;
}

static void happen(sim *s, const rs_event *e)
{
    s->r->events++;
    advance(s, e->at);
    if (e->kind == FAILS)
        node_fails(s, e->who);
    else if (e->kind == BACK)
        world_is_back(s, e->who);
    else if (e->epoch != s->gangs[e->who].epoch)
        return;
    else if (e->kind == ASKS)
        rs_director_ask(s->d, e->who);
    else if (e->kind == ENDED)
        (void)rs_director_end(s->d, e->who, e->answer.task, RS_TASK_OK, NULL);
    else if (e->kind == ANSWER)
        answered(s, e->who, &e->answer);
    else
        task_ends(s, e->who);
    if (e->kind != ANSWER && e->kind != ENDS)
        take_answers(s);
}

static rs_status run(sim *s)
{
    rs_event e;
    for (int64_t g = 0; g < s->o->work.n_gangs; g++)
        send(s, s->o->latency, ASKS, g, NULL);
    for (int64_t n = 0; s->o->mtbf > 0 && n * s->o->per_node < s->o->work.n_gangs; n++)
        plan_failure(s, n, 0);
    while (!rs_director_finished(s->d) && rs_events_take(&e, &s->queue)) {
        if (s->r->failures > 0 && (e.at > HOPELESS * s->r->bound || s->r->failures > MOST_FAILURES))
            return RS_FAIL(CONFIG,
                           "with a failure of every node in %.3g h the catalog does not end: it "
                           "would take %.3g h without, and is not done after %.3g h",
                           s->o->mtbf / 3600, s->r->bound / 3600, s->at / 3600);
        happen(s, &e);
    }
    if (!rs_director_finished(s->d))
        return RS_FAIL(CONFIG, "the catalog does not end before the deadlines of its gangs");
    return RS_OK;
}

static void measure(sim *s)
{
    rs_sim_result *r = s->r;
    double gangs = (double)s->o->work.n_gangs;
    r->tasks = rs_director_tasks(s->d);
    r->utilisation = r->makespan > 0 ? (s->busy_s - r->lost) / (gangs * r->makespan) : 1;
    r->utilisation_handed = s->handed_useful > 0 ? s->handed_useful / (gangs * r->handed) : NAN;
}

rs_status rs_sim_run(rs_sim_result *r, const rs_sim_opts *o)
{
    sim s = {.o = o, .r = r};
    int64_t gangs = o->work.n_gangs;
    RS_ASSERT(o->latency >= 0 && o->ahead >= 0 && o->mtbf >= 0 && o->restart >= 0);
    RS_ASSERT(o->per_node >= 1 && o->per_world >= 0);
    rs_sim_bounds(r, o);
    RS_TRY(rs_director_create(&s.d, &o->work));
    s.arena = rs_arena_create();
    s.queue.arena = s.arena;
    s.per_world = o->per_world ? rs_ceil_div(o->per_world, o->per_node) * o->per_node : o->per_node;
    s.gangs = RS_NEW(s.arena, worker, gangs);
    s.saved = RS_NEW(s.arena, double, rs_director_tasks(s.d));
    s.begun = RS_NEW(s.arena, bool, o->work.n_videos);
    s.down = RS_NEW(s.arena, bool, rs_ceil_div(gangs, s.per_world));
    s.failures = RS_NEW(s.arena, uint32_t, rs_ceil_div(gangs, o->per_node));
    rs_status st = run(&s);
    if (st == RS_OK)
        measure(&s);
    rs_arena_destroy(&s.arena);
    rs_director_destroy(&s.d);
    return st;
}
