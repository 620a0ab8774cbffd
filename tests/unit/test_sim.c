// Simulated runs: small ones by hand, accounts that must balance, bounds, failures, the target.
#include <math.h>
#include <string.h>

#include "sched/sim.h"
#include "sched_shapes.h"

static const double k_equal[RS_TASK_COUNT] = {10, 10, 10, 10, 10, 10, 0};
/* Of the order of the 14B model on one H100: minutes to train and sample, seconds for the rest. */
static const double k_real[RS_TASK_COUNT] = {60, 800, 300, 240, 30, 10, 0};

static rs_sim_opts options(const rs_sched_video *v, int64_t n, int64_t gangs, double cv)
{
    rs_sim_opts o = {.work = {.videos = v, .n_videos = n, .n_gangs = gangs}, .per_node = 1};
    for (int s = 0; s < RS_TASK_COUNT; s++)
        o.cv[s] = cv;
    return o;
}

static void save_every(rs_sim_opts *o, double seconds)
{
    for (int s = 0; s < RS_TASK_COUNT; s++)
        o->checkpoint[s] = seconds;
}

/* All work is done exactly once, whatever was lost on the way. */
static void check_accounts(const rs_sim_result *r, double gangs)
{
    double sum = 0;
    for (int s = 0; s < RS_TASK_COUNT; s++)
        sum += r->stage_s[s];
    /* sums of up to 1e5 terms in different orders */
    T_NEAR(sum / r->work, 1, 1e-9);
    T_NEAR(r->utilisation * r->makespan * gangs / r->work, 1, 1e-9);
    T_CHECKF(r->makespan >= r->bound * (1 - 1e-9), "%g beats the bound %g", r->makespan, r->bound);
    T_CHECK(r->handed <= r->makespan && !(r->utilisation_handed > 1 + 1e-9));
}

static rs_sim_result simulate(const rs_sim_opts *o)
{
    rs_sim_result r;
    T_OK(rs_sim_run(&r, o));
    check_accounts(&r, (double)o->work.n_gangs);
    return r;
}

static void t_one_gang_by_hand(void)
{
    rs_sim_opts o = options(shape_videos(1, 1, k_equal, true), 1, 1, 0);
    rs_sim_result r = simulate(&o);
    T_NEAR(r.makespan, 60, 0);
    T_NEAR(r.bound, 60, 0);
    T_NEAR(r.utilisation, 1, 0);
    T_EQ_I(r.tasks, 6);
    o.latency = 1; /* nothing is asked ahead: every task waits for question and answer */
    T_NEAR(simulate(&o).makespan, 6 * (10 + 2), 0);
    o.ahead = 2; /* asked just in time: only the first one waits */
    T_NEAR(simulate(&o).makespan, 2 + 60, 0);
    o.ahead = 1.5;
    T_NEAR(simulate(&o).makespan, 2 + 60 + 5 * 0.5, 0);
    o.ahead = 2;
    o.work.videos = shape_videos(2, 1, k_equal, true);
    o.work.n_videos = 2;
    r = simulate(&o);
    T_NEAR(r.handed, 2 + 60 - 2 + 1, 0);
    T_NEAR(r.utilisation_handed, 59.0 / 61, 1e-12);
}

static void t_three_videos_on_two_gangs_by_hand(void)
{
    rs_sim_opts o = options(shape_videos(3, 1, k_equal, false), 3, 2, 0);
    for (int k = 0; k < 2; k++) {
        o.work.granularity = k ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE;
        rs_sim_result r = simulate(&o);
        T_NEAR(r.work, 150, 0);
        T_NEAR(r.chain, 50, 0);
        T_NEAR(r.bound, 75, 0);
        T_NEAR(r.makespan, 100, 0);
        T_NEAR(r.even, 100, 0);
        T_NEAR(r.utilisation, 0.75, 0);
        T_NEAR(r.handed, 50, 0);
        T_NEAR(r.utilisation_handed, 1, 0);
    }
}

/* One video of two edits on two gangs: side by side as stages, one after the other as a chain. */
static void t_edits_run_side_by_side(void)
{
    rs_sim_opts o = options(shape_videos(1, 2, k_equal, true), 1, 2, 0);
    rs_sim_result r = simulate(&o);
    T_NEAR(r.work, 90, 0);
    T_NEAR(r.bound, 60, 0);
    T_NEAR(r.makespan, 60, 0);
    o.work.granularity = RS_GRANULARITY_CHAIN;
    r = simulate(&o);
    T_NEAR(r.bound, 90, 0);
    T_NEAR(r.makespan, 90, 0);
    T_NEAR(r.stage_s[RS_TASK_APPEARANCE], 20, 0);
}

/* Rank 0 has the long ones. */
static void t_an_even_split_by_hand(void)
{
    rs_sched_video *v = shape_videos(4, 1, k_equal, false);
    v[0].seconds[RS_TASK_MOTION] = v[1].seconds[RS_TASK_MOTION] = 60;
    rs_sim_opts o = options(v, 4, 2, 0);
    rs_sim_result r = simulate(&o);
    T_NEAR(r.even, 200, 0);
    T_NEAR(r.makespan, 150, 0);
}

static void t_equal_options_give_equal_results(void)
{
    rs_sim_opts o = options(shape_videos(50, 2, k_real, true), 50, 7, 0.5);
    o.mtbf = 20000;
    o.restart = 100;
    save_every(&o, 60);
    o.latency = 0.01;
    rs_sim_result a = simulate(&o), b = simulate(&o);
    T_CHECK(memcmp(&a, &b, sizeof a) == 0);
    T_CHECK(a.failures > 0);
    o.seed = 1;
    T_CHECK(simulate(&o).makespan != a.makespan);
}

/* Lognormal: mean m, deviation cv m. The sample mean of n is within 5 cv/sqrt(n); the sample
 * variance within 5 sqrt((kurtosis - 1)/n) of its own, kurtosis w^4 + 2 w^3 + 3 w^2 - 3 with w = 1
 * + cv^2. */
static void t_seconds_have_the_mean_and_spread_asked_for(void)
{
    enum { N = 20000 };
    const double cv = 0.4, w = 1 + cv * cv;
    rs_sim_opts o = options(shape_videos(N, 1, k_equal, true), N, 1, cv);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < N; i++) {
        double x = rs_sim_seconds(&o, i, 0, RS_TASK_EDIT) / 10;
        T_CHECK(x > 0);
        sum += x;
        squares += (x - 1) * (x - 1);
    }
    double kurtosis = pow(w, 4) + 2 * pow(w, 3) + 3 * w * w - 3;
    T_NEAR(sum / N, 1, 5 * cv / sqrt(N));
    T_NEAR(squares / N / (cv * cv), 1, 5 * sqrt((kurtosis - 1) / N));
    T_CHECK(rs_sim_seconds(&o, 0, 0, RS_TASK_EDIT) != rs_sim_seconds(&o, 0, 0, RS_TASK_DECODE));
    T_CHECK(rs_sim_seconds(&o, 0, 0, RS_TASK_EDIT) != rs_sim_seconds(&o, 1, 0, RS_TASK_EDIT));
    o.cv[RS_TASK_EDIT] = 0;
    T_NEAR(rs_sim_seconds(&o, 0, 0, RS_TASK_EDIT), 10, 0);
}

static void t_no_schedule_beats_the_bound(void)
{
    for (int64_t k = 0; k < 60; k++) {
        rs_sim_opts o = options(shape_videos(1 + k, 1 + k % 3, k_real, k % 2), 1 + k, 1 + k % 11,
                                0.2 * (double)(k % 5));
        o.work.granularity = k % 7 ? RS_GRANULARITY_STAGE : RS_GRANULARITY_CHAIN;
        o.seed = (uint64_t)k;
        o.latency = k % 4 ? 0 : 0.5;
        o.mtbf = k % 3 ? 0 : 30000;
        o.restart = 50;
        o.per_node = 1 + k % 2;
        o.per_world = k % 9 ? 0 : 4;
        (void)simulate(&o);
    }
}

static void t_failures_lose_work_and_time(void)
{
    rs_sched_video *v = shape_videos(60, 1, k_real, true);
    rs_sim_opts o = options(v, 60, 6, 0);
    rs_sim_result calm = simulate(&o);
    T_CHECK(calm.failures == 0 && calm.lost == 0 && calm.down == 0);
    o.mtbf = 10000;
    o.restart = 200;
    save_every(&o, 100);
    rs_sim_result r = simulate(&o);
    T_CHECK(r.failures > 5 && r.lost > 0 && r.makespan > calm.makespan);
    /* one gang is lost each time, with at most one checkpoint's work or its longest stage without
     */
    T_CHECK(r.lost <= (double)r.failures * 100);
    T_CHECK(r.down <= (double)r.failures * 200 && r.down > (double)(r.failures - 6) * 200);
    T_NEAR(r.work, calm.work, 0);
    o.per_world = 6; /* the same node failures stop everybody */
    rs_sim_result all = simulate(&o);
    T_CHECK(all.down > 3 * r.down / (double)r.failures * (double)all.failures);
    T_CHECK(all.makespan > r.makespan);
}

/* Saved at every moment, and no stage without checkpoints: nothing is lost. */
static void t_checkpoints_decide_what_is_lost(void)
{
    const double saved[RS_TASK_COUNT] = {0, 800, 300, 240, 0, 0, 0};
    for (int k = 0; k < 2; k++) {
        rs_sim_opts o = options(shape_videos(40, 1, saved, true), 40, 4, 0.3);
        o.work.granularity = k ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE;
        o.mtbf = 2000;
        o.restart = 10;
        rs_sim_result r = simulate(&o);
        T_CHECK(r.failures > 10);
        T_NEAR(r.lost / r.work, 0, 1e-12);
        save_every(&o, 200);
        T_CHECK(simulate(&o).lost > 0);
    }
}

static void t_work_that_never_ends_is_an_error(void)
{
    rs_sim_result r;
    rs_sim_opts o = options(shape_videos(4, 1, k_real, true), 4, 2, 0);
    o.mtbf = 5; /* ingest takes 60 s in one piece */
    o.restart = 1;
    T_FAILS(rs_sim_run(&r, &o), CONFIG, "does not end");
}

static void t_pinned_gangs_and_failures(void)
{
    uint32_t media =
        RS_TASK_BIT(RS_TASK_INGEST) | RS_TASK_BIT(RS_TASK_DECODE) | RS_TASK_BIT(RS_TASK_PUBLISH);
    rs_sched_gang g[3] = {
        {media, INFINITY}, {RS_TASK_ANY & ~media, INFINITY}, {RS_TASK_ANY & ~media, INFINITY}};
    rs_sim_opts o = options(shape_videos(30, 2, k_real, true), 30, 3, 0.3);
    o.work.gangs = g;
    rs_sim_result r = simulate(&o);
    /* the two others do all of the rest */
    double rest =
        r.stage_s[RS_TASK_MOTION] + r.stage_s[RS_TASK_APPEARANCE] + r.stage_s[RS_TASK_EDIT];
    T_CHECK(r.makespan >= rest / 2);
    /* the only one for a stage is often away, and the others are called again when it is back: at
     * every time somebody works or somebody is away */
    o.work.n_videos = 4;
    o.work.n_gangs = 2;
    o.mtbf = 20000;
    o.restart = 30000;
    int64_t failures = 0;
    for (o.seed = 0; o.seed < 20; o.seed++) {
        r = simulate(&o);
        failures += r.failures;
        T_CHECKF(r.makespan <= (r.work + r.lost + r.down) * (1 + 1e-9), "nobody works: %g of %g",
                 r.makespan, r.work + r.lost + r.down);
    }
    T_CHECK(failures > 20);
    g[1].stages = media;
    g[2].stages = media;
    T_FAILS(rs_sim_run(&r, &o), CONFIG, "no gang may run the stage motion");
}

/* The target: 100 videos per rank, no failures, a spread as of differing clips. */
static void t_a_hundred_videos_per_rank_reach_the_target(void)
{
    enum { RANKS = 32 };
    for (int k = 0; k < 4; k++) {
        int64_t n = 100 * RANKS;
        rs_sim_opts o = options(shape_videos(n, 1 + k / 2, k_real, true), n, RANKS, 0.3);
        o.work.granularity = k % 2 ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE;
        o.latency = 0.001;
        o.ahead = 1;
        rs_sim_result r = simulate(&o);
        T_CHECKF(r.utilisation_handed >= 0.98, "%g", r.utilisation_handed);
        T_CHECKF(r.makespan <= 1.03 * r.bound, "%g", r.makespan / r.bound);
        T_CHECKF(r.even > r.makespan, "even split %g, director %g", r.even, r.makespan);
    }
}

static void t_nothing_to_do_takes_no_time(void)
{
    rs_sim_result r;
    rs_sim_opts o = options(NULL, 0, 3, 0);
    T_OK(rs_sim_run(&r, &o));
    T_NEAR(r.makespan, 0, 0);
    rs_sched_video *v = shape_videos(2, 1, k_equal, false);
    for (int i = 0; i < 2; i++)
        shape_edit(&v[i], 0)->failed = true;
    o = options(v, 2, 1, 0);
    T_OK(rs_sim_run(&r, &o));
    T_NEAR(r.work, 0, 0);
}

static const rs_test_case cases[] = {
    T_CASE(t_one_gang_by_hand),
    T_CASE(t_three_videos_on_two_gangs_by_hand),
    T_CASE(t_edits_run_side_by_side),
    T_CASE(t_an_even_split_by_hand),
    T_CASE(t_equal_options_give_equal_results),
    T_CASE(t_seconds_have_the_mean_and_spread_asked_for),
    T_CASE(t_no_schedule_beats_the_bound),
    T_CASE(t_failures_lose_work_and_time),
    T_CASE(t_checkpoints_decide_what_is_lost),
    T_CASE(t_work_that_never_ends_is_an_error),
    T_CASE(t_pinned_gangs_and_failures),
    T_CASE(t_a_hundred_videos_per_rank_reach_the_target),
    T_CASE(t_nothing_to_do_takes_no_time),
};
RS_TEST_MAIN(cases)
