#include "sched/sim_priv.h"

#include <math.h>

#include "base/num.h"
#include "base/rng.h"

/* Work that takes so many times the bound does not end. */
static const double HOPELESS = 100;

enum { MOST_FAILURES = 5000000 };

void rs_sim_send(rs_sim *s, double at, rs_sim_event k, int64_t gang, const rs_answer *a)
{
    rs_event e = {.at = at, .kind = k, .who = gang, .epoch = s->gangs[gang].epoch};
    if (a)
        e.answer = *a;
    rs_events_add(&s->queue, e);
}

static double chain_part(const rs_sim *s, double *at, int64_t v, int64_t e, rs_task_stage stage,
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
static double chain_saved(const rs_sim *s, int64_t v, double position)
{
    double at = 0, saved = chain_part(s, &at, v, -1, RS_TASK_INGEST, position);
    saved = fmax(saved, chain_part(s, &at, v, -1, RS_TASK_MOTION, position));
    for (int64_t e = 0; e < s->o->work.videos[v].n_edits; e++)
        for (int k = RS_TASK_APPEARANCE; k <= RS_TASK_DECODE; k++)
            saved = fmax(saved, chain_part(s, &at, v, e, (rs_task_stage)k, position));
    return fmax(saved, chain_part(s, &at, v, -1, RS_TASK_PUBLISH, position));
}

static double saved_of(const rs_sim *s, const rs_answer *a, double position)
{
    double at = 0;
    return a->stage == RS_TASK_CHAIN ? chain_saved(s, a->video, position)
                                     : chain_part(s, &at, a->video, a->edit, a->stage, position);
}

/* ---- tasks ---- */

/* A gang whose neighbours count asks at once, and is answered when its task has ended. */
static bool asks_at_once(const rs_sim *s)
{
    return s->o->work.groups && !s->o->blind && (s->o->work.in_step || s->o->work.widest > 1);
}

static void start(rs_sim *s, int64_t gang, const rs_answer *batch, int n)
{
    rs_sim_worker *w = &s->gangs[gang];
    w->n = n;
    for (int i = 0; i < n; i++)
        w->now[i] = (rs_sim_job){batch[i], .left = saved_of(s, &batch[i], INFINITY) -
                                                   s->saved[batch[i].task]};
    rs_sim_work_changed(s, gang);
    double asks = s->at + rs_sim_work_left(w) - s->o->ahead;
    rs_sim_send(s, (asks_at_once(s) ? s->at : fmax(s->at, asks)) + s->o->latency, RS_SIM_ASKS, gang,
                NULL);
}

/* What it was given meanwhile, if it is free. */
static void take_up(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    if (!w->has_next || w->n > 0)
        return;
    int n = w->n_next;
    w->has_next = false;
    w->n_next = 0;
    start(s, gang, w->next, n);
}

/* Of the tasks of a batch, the one of which the least is left. */
static void task_ends(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    int first = 0;
    rs_sim_settle(s, gang);
    for (int i = 1; i < w->n; i++)
        if (w->now[i].left < w->now[first].left)
            first = i;
    rs_sim_job ended = w->now[first];
    s->saved[ended.task.task] += ended.ran + ended.left;
    w->now[first] = w->now[--w->n];
    rs_sim_work_changed(s, gang);
    s->r->makespan = s->at;
    rs_sim_send(s, s->at + s->o->latency, RS_SIM_ENDED, gang, &ended.task);
    for (int64_t g = gang + 1; g < gang + ended.task.width; g++) {
        s->n_help -= s->gangs[g].helps;
        s->gangs[g].helps = false;
    }
    take_up(s, gang);
}

static void help(rs_sim *s, int64_t gang)
{
    s->gangs[gang].helps = true;
    s->n_help++;
    s->r->helped++;
    rs_sim_send(s, s->at + s->o->latency, RS_SIM_ASKS, gang, NULL);
}

static void answered(rs_sim *s, int64_t gang, const rs_answer *a)
{
    rs_sim_worker *w = &s->gangs[gang];
    if (a->kind == RS_ANSWER_DONE) {
        w->done = true;
        s->n_done++;
    } else if (a->kind == RS_ANSWER_HELP) {
        help(s, gang);
    } else {
        RS_ASSERT(w->n_next < RS_SCHED_BATCH);
        w->next[w->n_next++] = *a;
        s->r->companions += a->kind == RS_ANSWER_WITH;
        w->has_next = a->kind == RS_ANSWER_TASK;
        take_up(s, gang);
    }
}

static void take_answers(rs_sim *s)
{
    rs_answer a;
    while (rs_director_next(s->d, s->at, &a)) {
        if ((a.kind == RS_ANSWER_TASK || a.kind == RS_ANSWER_WITH) && !s->begun[a.video]) {
            s->begun[a.video] = true;
            s->r->handed = s->at;
            s->handed_useful = s->busy_s - s->r->lost;
        }
        rs_sim_send(s, s->at + s->o->latency, RS_SIM_ANSWER, a.gang, &a);
    }
}

/* ---- failures ---- */

static void plan_failure(rs_sim *s, int64_t node, double from)
{
    rs_rng r = rs_rng_stream(s->o->seed, (uint64_t)node, RS_RNG_SIMULATION, UINT32_MAX);
    double u = ((double)rs_rng_bits(&r, s->failures[node]++) + 1.0) * 0x1p-32; /* (0,1] */
    rs_events_add(&s->queue,
                  (rs_event){.at = from - s->o->mtbf * log(u), .kind = RS_SIM_FAILS, .who = node});
}

static void lose(rs_sim *s, int64_t gang)
{
    rs_sim_worker *w = &s->gangs[gang];
    if (w->n > 0)
        rs_sim_settle(s, gang);
    for (; w->n > 0; w->n--) {
        const rs_sim_job *j = &w->now[w->n - 1];
        int64_t task = j->task.task;
        double position = s->saved[task] + j->ran;
        double kept = fmax(s->saved[task], saved_of(s, &j->task, position));
        s->r->lost += (position - kept) / w->gain;
        s->saved[task] = kept;
    }
    rs_sim_work_changed(s, gang);
    s->n_done -= w->done;
    s->n_help -= w->helps;
    *w = (rs_sim_worker){.epoch = w->epoch + 1};
    s->n_down++;
    rs_director_lose(s->d, gang);
}

static void node_fails(rs_sim *s, int64_t node)
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
    rs_events_add(&s->queue,
                  (rs_event){.at = s->at + s->o->restart, .kind = RS_SIM_BACK, .who = world});
}

/* Those that were told that nobody can do what is left ask again: somebody came back. */
static void wake(rs_sim *s)
{
    for (int64_t g = 0; s->n_done > 0 && g < s->o->work.n_gangs; g++) {
        if (!s->gangs[g].done)
            continue;
        s->gangs[g].done = false;
        s->n_done--;
        rs_sim_send(s, s->at + s->o->latency, RS_SIM_ASKS, g, NULL);
    }
}

static void world_is_back(rs_sim *s, int64_t world)
{
    int64_t lo = world * s->per_world, hi = rs_min_i64(lo + s->per_world, s->o->work.n_gangs);
    s->down[world] = false;
    for (int64_t g = lo; g < hi; g++) {
        s->n_down--;
        rs_director_join(s->d, g);
        rs_sim_send(s, s->at + s->o->latency, RS_SIM_ASKS, g, NULL);
    }
    wake(s);
}

/* ---- clock ---- */

static void advance(rs_sim *s, double at)
{
    s->busy_s += s->pace * (at - s->at);
    s->r->saved += s->gained * (at - s->at);
    s->r->waited += ((double)(s->busy + s->n_help) - s->pace) * (at - s->at);
    s->r->down += (double)s->n_down * (at - s->at);
    s->at = at;
}

static void happen(rs_sim *s, const rs_event *e)
{
    s->r->events++;
    advance(s, e->at);
    if (e->kind == RS_SIM_FAILS)
        node_fails(s, e->who);
    else if (e->kind == RS_SIM_BACK)
        world_is_back(s, e->who);
    else if (e->epoch != s->gangs[e->who].epoch)
        return;
    else if (e->kind == RS_SIM_ASKS)
        rs_director_ask(s->d, e->who);
    else if (e->kind == RS_SIM_ENDED)
        (void)rs_director_end(s->d, e->who, e->answer.task, RS_TASK_OK, NULL);
    else if (e->kind == RS_SIM_ANSWER)
        answered(s, e->who, &e->answer);
    else if (e->answer.task == s->gangs[e->who].turn)
        task_ends(s, e->who);
    if (e->kind != RS_SIM_ANSWER && e->kind != RS_SIM_ENDS)
        take_answers(s);
}

static rs_status run(rs_sim *s)
{
    rs_event e;
    for (int64_t g = 0; g < s->o->work.n_gangs; g++)
        rs_sim_send(s, s->o->latency, RS_SIM_ASKS, g, NULL);
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

static void measure(rs_sim *s)
{
    rs_sim_result *r = s->r;
    double gangs = (double)s->o->work.n_gangs;
    r->tasks = rs_director_tasks(s->d);
    r->utilisation = r->makespan > 0 ? (s->busy_s - r->lost) / (gangs * r->makespan) : 1;
    r->utilisation_handed = s->handed_useful > 0 ? s->handed_useful / (gangs * r->handed) : NAN;
}

rs_status rs_sim_run(rs_sim_result *r, const rs_sim_opts *o)
{
    rs_sim s = {.o = o, .r = r};
    int64_t gangs = o->work.n_gangs;
    RS_ASSERT(o->latency >= 0 && o->ahead >= 0 && o->mtbf >= 0 && o->restart >= 0);
    RS_ASSERT(o->per_node >= 1 && o->per_world >= 0);
    rs_sim_bounds(r, o);
    rs_director_opts work = o->work;
    work.groups = o->blind ? NULL : work.groups;
    RS_TRY(rs_director_create(&s.d, &work));
    s.arena = rs_arena_create();
    s.queue.arena = s.arena;
    s.per_world = o->per_world ? rs_ceil_div(o->per_world, o->per_node) * o->per_node : o->per_node;
    s.gangs = RS_NEW(s.arena, rs_sim_worker, gangs);
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
