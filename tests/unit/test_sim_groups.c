// Simulated runs of gangs that walk in step, and of gangs that share tasks.
#include <math.h>
#include <string.h>

#include "sched/sim.h"
#include "sched_shapes.h"

/* Of the order of the 14B model on one H100, and its passes: training on the clip, the mean of an
 * appearance stage, one of the two passes of a sampling step. */
static const double k_real[RS_TASK_COUNT] = {60, 800, 300, 240, 30, 10, 0};
static const double k_pass[RS_TASK_COUNT] = {0, 5, 1, 1.7, 0, 0, 0};

static rs_sim_opts options(const rs_sched_video *v, int64_t n, int64_t gangs, int64_t per_group)
{
    int64_t *groups = RS_NEW(t_arena(), int64_t, gangs);
    for (int64_t g = 0; g < gangs; g++)
        groups[g] = g / per_group;
    return (rs_sim_opts){.work = {.videos = v, .n_videos = n, .n_gangs = gangs, .groups = groups},
                         .per_node = per_group};
}

static rs_sim_result simulate(const rs_sim_opts *o)
{
    rs_sim_result r;
    T_OK(rs_sim_run(&r, o));
    double useful = r.utilisation * r.makespan * (double)o->work.n_gangs;
    T_NEAR((useful + r.saved) / r.work, 1, 1e-9);
    T_CHECK(r.waited >= -1e-9 * r.work);
    return r;
}

static void only(rs_sched_video *v, rs_task_stage stage, double seconds)
{
    v->skip = RS_TASK_BIT(stage) ^ RS_TASK_ANY;
    shape_edit(v, 0)->skip = RS_TASK_BIT(stage) ^ RS_TASK_ANY;
    v->seconds[stage] = shape_edit(v, 0)->seconds[stage] = seconds;
}

/* 10 s of passes of 1 s beside 40 s of passes of 4 s, or beside 20 s of them. */
static void t_a_shorter_pass_walks_the_longer_one(void)
{
    rs_sched_video *v = shape_videos(2, 1, k_real, false);
    only(&v[0], RS_TASK_EDIT, 10);
    only(&v[1], RS_TASK_MOTION, 40);
    rs_sim_opts o = options(v, 2, 2, 2);
    o.pass[RS_TASK_EDIT] = 1;
    o.pass[RS_TASK_MOTION] = 4;
    rs_sim_result r = simulate(&o);
    T_NEAR(r.makespan, 40, 1e-9);
    T_NEAR(r.waited, 0, 1e-9); /* they do not walk together: a copy of the weights each */
    o.work.in_step = true;
    r = simulate(&o);
    T_NEAR(r.makespan, 40, 1e-9);
    T_NEAR(r.waited, 30, 1e-9);
    only(&v[1], RS_TASK_MOTION, 20);
    r = simulate(&o);
    T_NEAR(r.makespan, 25, 1e-9); /* half is done after 20 s, the rest at its own pace */
    T_NEAR(r.waited, 15, 1e-9);
    o.work.groups = (const int64_t[]){0, 1};
    T_NEAR(simulate(&o).makespan, 20, 1e-9);
}

/* The passes of one kind are equal: nothing is lost, whoever comes when. */
static void t_one_kind_loses_nothing(void)
{
    rs_sched_video *v = shape_videos(20, 1, k_real, false);
    rs_sim_opts o = options(v, 20, 4, 4);
    for (int i = 0; i < 20; i++)
        only(&v[i], RS_TASK_MOTION, 10 + i);
    o.pass[RS_TASK_MOTION] = 2;
    o.work.in_step = true;
    T_NEAR(simulate(&o).waited, 0, 1e-9);
}

/* Told of the groups, the director keeps them to one kind; not told, it does as for copies of the
 * weights. With spread, as without any all begin and end together. */
static void t_keeping_to_one_kind_pays(void)
{
    for (int edits = 1; edits <= 3; edits += 2)
        for (int64_t per = 2; per <= 8; per *= 2)
            for (double cv = 0.2; cv < 0.5; cv += 0.2) {
                rs_sim_opts o = options(shape_videos(160, edits, k_real, true), 160, 8, per);
                memcpy(o.pass, k_pass, sizeof k_pass);
                for (int s = 0; s < RS_TASK_COUNT; s++)
                    o.cv[s] = cv;
                o.work.in_step = true;
                rs_sim_result told = simulate(&o);
                o.blind = true;
                rs_sim_result blind = simulate(&o);
                T_CHECKF(told.waited < blind.waited / 2 && told.makespan < blind.makespan,
                         "%d edits, groups of %d: %g of %g lost, %g of %g s", edits, (int)per,
                         told.waited, blind.waited, told.makespan, blind.makespan);
            }
}

/* ---- shared tasks ---- */

static void t_a_shared_task_by_hand(void)
{
    rs_sched_video *v = shape_videos(1, 1, k_real, false);
    only(v, RS_TASK_MOTION, 100);
    rs_sim_opts o = options(v, 1, 4, 4);
    T_NEAR(simulate(&o).makespan, 100, 1e-9);
    o.work.widest = 2;
    o.wider[RS_TASK_MOTION][0] = 1;
    o.wider[RS_TASK_MOTION][1] = 0.6;
    rs_sim_result r = simulate(&o);
    T_NEAR(r.makespan, 60, 1e-9);
    T_NEAR(r.waited, 2 * 60 - 100, 1e-9);
    T_EQ_I(r.helped, 1);
    o.work.widest = 8; /* four are there */
    T_NEAR(simulate(&o).makespan, 25, 1e-9);
    o.latency = 1;
    T_NEAR(simulate(&o).makespan, 2 + 25, 1e-9);
}

/* The bound max(work / gangs, longest chain) holds for gangs that do not share tasks: few videos
 * end before it, many take no longer than without. */
static void t_the_tail_is_shorter(void)
{
    static const int64_t k_videos[] = {3, 20, 100};
    for (int i = 0; i < 3; i++) {
        rs_sim_opts o = options(shape_videos(k_videos[i], 1, k_real, true), k_videos[i], 8, 8);
        for (int s = 0; s < RS_TASK_COUNT; s++)
            o.cv[s] = 0.3;
        rs_sim_result alone = simulate(&o);
        o.work.widest = 8;
        rs_sim_result lanes = simulate(&o);
        T_CHECK(lanes.helped > 0);
        T_CHECKF(lanes.makespan < alone.makespan, "%d videos: %g of %g", (int)k_videos[i],
                 lanes.makespan, alone.makespan);
    }
}

/* A node with its gangs is lost: leaders and helpers, whose work is done again. */
static void t_failures_of_nodes_that_share_tasks(void)
{
    rs_sim_opts o = options(shape_videos(30, 2, k_real, true), 30, 16, 8);
    memcpy(o.pass, k_pass, sizeof k_pass);
    o.work.in_step = true;
    o.work.widest = 4;
    o.mtbf = 3000;
    o.restart = 300;
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        o.cv[s] = 0.3;
        o.checkpoint[s] = 50;
    }
    rs_sim_result a = simulate(&o), b = simulate(&o);
    T_CHECK(a.failures > 0 && a.helped > 0 && a.lost > 0);
    T_CHECK(memcmp(&a, &b, sizeof a) == 0);
}

/* Two appearances of 10 s and 6 s, which take 0.75 of it side by side: the shorter one ends when
 * both have done 6 s, after 9 s; 4 s are left. */
static void t_a_batch_by_hand(void)
{
    rs_sched_video *v = shape_videos(1, 2, k_real, true);
    for (int64_t e = 0; e < 2; e++)
        shape_edit(v, e)->skip = RS_TASK_BIT(RS_TASK_APPEARANCE) ^ RS_TASK_ANY;
    v->skip = RS_TASK_ANY;
    shape_edit(v, 0)->seconds[RS_TASK_APPEARANCE] = 10;
    shape_edit(v, 1)->seconds[RS_TASK_APPEARANCE] = 6;
    rs_sim_opts o = options(v, 1, 1, 1);
    o.together[2] = 0.75;
    T_NEAR(simulate(&o).makespan, 16, 1e-9);
    o.work.batch = 4;
    rs_sim_result r = simulate(&o);
    T_NEAR(r.makespan, 13, 1e-9);
    T_NEAR(r.saved, 3, 1e-9);
    T_CHECK(r.companions == 1);
}

/* What a batch saves comes off the makespan; without a gain its work is the same. */
static void t_batches_of_a_catalog(void)
{
    rs_sim_opts o = options(shape_videos(60, 3, k_real, true), 60, 4, 1);
    double alone = simulate(&o).makespan;
    o.work.batch = 4;
    rs_sim_result r = simulate(&o);
    T_CHECK(r.companions > 60 && fabs(r.saved) <= 1e-9 * r.work);
    T_CHECK(r.makespan <= 1.02 * alone);
    for (int n = 2; n <= 4; n++)
        o.together[n] = 0.7;
    r = simulate(&o);
    T_CHECK(r.saved > 0.2 * r.stage_s[RS_TASK_APPEARANCE]);
    T_NEAR(r.makespan / (alone - r.saved / 4), 1, 0.02);
}

static void t_failures_of_nodes_with_batches(void)
{
    rs_sim_opts o = options(shape_videos(30, 3, k_real, true), 30, 16, 4);
    memcpy(o.pass, k_pass, sizeof k_pass);
    o.work.in_step = true;
    o.work.batch = 3;
    o.together[2] = o.together[3] = 0.8;
    o.mtbf = 3000;
    o.restart = 300;
    for (int s = 0; s < RS_TASK_COUNT; s++) {
        o.cv[s] = 0.3;
        o.checkpoint[s] = 50;
    }
    rs_sim_result a, b;
    T_OK(rs_sim_run(&a, &o));
    T_OK(rs_sim_run(&b, &o));
    T_CHECK(a.failures > 0 && a.companions > 0 && a.lost > 0);
    double useful = a.utilisation * a.makespan * 16;
    T_NEAR((useful + a.saved) / a.work, 1, 0.01); /* what a batch lost counts at its last pace */
    T_CHECK(memcmp(&a, &b, sizeof a) == 0);
}

static const rs_test_case cases[] = {
    T_CASE(t_a_shorter_pass_walks_the_longer_one),
    T_CASE(t_one_kind_loses_nothing),
    T_CASE(t_keeping_to_one_kind_pays),
    T_CASE(t_a_shared_task_by_hand),
    T_CASE(t_the_tail_is_shorter),
    T_CASE(t_failures_of_nodes_that_share_tasks),
    T_CASE(t_a_batch_by_hand),
    T_CASE(t_batches_of_a_catalog),
    T_CASE(t_failures_of_nodes_with_batches),
};
RS_TEST_MAIN(cases)
