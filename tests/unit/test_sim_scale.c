// ctest: TIMEOUT 900
// Simulation at the size it is meant for: 100,000 videos on 10,000 and on 1,000 ranks.
#include "sched/sim.h"
#include "sched_shapes.h"

enum { VIDEOS = 100000 };

static rs_sim_result simulate(int64_t ranks, rs_granularity granularity, double mtbf)
{
    static const double seconds[RS_TASK_COUNT] = {60, 800, 300, 240, 30, 10, 0};
    rs_sim_result r;
    rs_sim_opts o = {.work = {.granularity = granularity,
                              .videos = shape_videos(VIDEOS, 1, seconds, true),
                              .n_videos = VIDEOS,
                              .n_gangs = ranks},
                     .latency = 0.001,
                     .ahead = 1,
                     .mtbf = mtbf,
                     .per_node = 8,
                     .restart = 300};
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        o.cv[s] = 0.3;
        o.checkpoint[s] = 80;
    }
    T_OK(rs_sim_run(&r, &o));
    T_CHECK(r.makespan >= r.bound * (1 - 1e-9));
    T_NEAR(r.utilisation * r.makespan * (double)ranks / r.work, 1, 1e-9);
    return r;
}

/* Ten videos per rank: the tail is one video of ten, so the work ends within two chains' time. */
static void t_ten_thousand_ranks(void)
{
    for (int k = 0; k < 2; k++) {
        rs_sim_result r = simulate(10000, k ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE, 0);
        T_EQ_I(r.tasks, k ? VIDEOS : 6 * VIDEOS);
        T_CHECKF(r.makespan <= r.work / 10000 + r.chain + 1, "%g of %g", r.makespan, r.bound);
        T_CHECKF(r.utilisation_handed >= 0.98, "%g", r.utilisation_handed);
    }
}

static void t_ten_thousand_ranks_with_failures(void)
{
    rs_sim_result r = simulate(10000, RS_GRANULARITY_STAGE, 500 * 3600.0);
    T_CHECK(r.failures > 0 && r.down > 0);
}

static void t_a_hundred_videos_for_each_of_a_thousand_ranks(void)
{
    for (int k = 0; k < 2; k++) {
        rs_sim_result r = simulate(1000, k ? RS_GRANULARITY_CHAIN : RS_GRANULARITY_STAGE, 0);
        T_CHECKF(r.utilisation_handed >= 0.98, "%g", r.utilisation_handed);
        T_CHECKF(r.makespan <= 1.03 * r.bound, "%g", r.makespan / r.bound);
        T_CHECK(r.even > r.makespan);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_ten_thousand_ranks),
    T_CASE(t_ten_thousand_ranks_with_failures),
    T_CASE(t_a_hundred_videos_for_each_of_a_thousand_ranks),
};
RS_TEST_MAIN(cases)
