// Expected seconds by hand: gathers that a block's computation does not hide, lanes.
#include <math.h>

#include "harness/test.h"
#include "job/job.h"
#include "job/plan.h"

/* 10 blocks; a training step of 300 s, 100 of them forward; sampling 200 s; one frame: a tenth of a
 * step. Rates are 1, so operations are seconds; links give 100 bytes a second. */
static const rs_plan_rates k_rates = {
    .gemm = 1, .attention = 1, .attention_bwd = 1, .conv = 1, .link = 100, .value_bytes = 2};

static rs_plan_sizes sizes(void)
{
    return (rs_plan_sizes){.blocks = 10,
                           .dim = 10,
                           .heads = 8,
                           .frames = {5, 4, 4},
                           .tokens = 20,
                           .window_tokens = 20,
                           .gang = 1,
                           .work = {.step = {.gemm = 300},
                                    .step_forward = {.gemm = 100},
                                    .one_frame = {.gemm = 30},
                                    .one_frame_forward = {.gemm = 10},
                                    .forward = {.gemm = 200}}};
}

static rs_config settings(void)
{
    return (rs_config){.motion = {.steps = 2},
                       .appearance = {.schedule = RS_CFG_SCHEDULE_CODE, .epochs = 2, .repeats = 3},
                       .edit = {.steps = 4, .guidance = 1},
                       .cluster = {.lanes = RS_CFG_LANES_1}};
}

static rs_plan_prediction predict(const rs_config *c, const rs_plan_sizes *z)
{
    rs_plan_prediction p;
    rs_plan_predict(&p, c, z, &k_rates, 1);
    return p;
}

static void t_a_rank_alone(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    rs_plan_prediction p = predict(&c, &z);
    T_NEAR(p.clip_step, 300, 1e-9);
    T_NEAR(p.task[RS_TASK_MOTION], 2 * 300, 1e-9);
    T_NEAR(p.task[RS_TASK_APPEARANCE], 2 * (300 + 3 * 30), 1e-9);
    T_NEAR(p.task[RS_TASK_EDIT], 4 * 200, 1e-9);
    T_NEAR(p.exposed[RS_TASK_MOTION], 0, 0);
    c.edit.guidance = 5;
    p = predict(&c, &z);
    T_NEAR(p.step[RS_TASK_EDIT], 400, 1e-9);
    T_NEAR(p.pass[RS_TASK_EDIT], 200, 1e-9);
}

/* A block is computed in 10 s forwards, 20 s backwards; of one frame in 1 and 2 s. */
static void t_gathers_count_where_nothing_hides_them(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    z.home = RS_PLAN_SHARDED;
    z.gang = 4;
    z.block_image = 800; /* 600 bytes of it from others: 6 s */
    rs_plan_prediction p = predict(&c, &z);
    T_NEAR(p.exposed[RS_TASK_MOTION], 0, 0);
    double one = 10 * (6 - 1) + 8 * (6 - 2);
    T_NEAR(p.exposed[RS_TASK_APPEARANCE], 3 * one / 4, 1e-9);
    T_NEAR(p.task[RS_TASK_APPEARANCE], 2 * (300 + 3 * (30 + one)), 1e-9);
    z.block_image = 2000; /* 15 s */
    p = predict(&c, &z);
    T_NEAR(p.exposed[RS_TASK_MOTION], 10 * (15 - 10), 1e-9);
    T_NEAR(p.clip_step, 350, 1e-9);
    T_NEAR(p.exposed[RS_TASK_EDIT], 0, 0); /* 20 s a block */
    z.block_image = 4000;                  /* 30 s */
    p = predict(&c, &z);
    T_NEAR(p.exposed[RS_TASK_MOTION], 10 * (30 - 10) + 8 * (30 - 20), 1e-9);
    T_NEAR(p.exposed[RS_TASK_EDIT], 10 * (30 - 20), 1e-9);
    z.home = RS_PLAN_MAPPED;
    T_NEAR(predict(&c, &z).clip_step, 300, 1e-9);
}

/* A block is computed in 10 s forwards and 20 s backwards; the bus carries 10 bytes a second each
 * way. Weights come in both, what is kept leaves forwards and comes back backwards. */
static void t_copies_count_where_nothing_hides_them(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    rs_plan_rates r = k_rates;
    rs_plan_prediction p;
    z.home = RS_PLAN_HOST;
    z.pinned = 10 * 120;                          /* 12 s a block */
    z.offloaded = 10 * 90;                        /* 9 s */
    T_NEAR(predict(&c, &z).clip_step, 300, 1e-9); /* the bus is not known */
    r.bus = 10;
    rs_plan_predict(&p, &c, &z, &r, 0);
    T_NEAR(p.exposed[RS_TASK_MOTION], 10 * (12 - 10) + 8 * (12 + 9 - 20), 1e-9);
    T_NEAR(p.clip_step, 328, 1e-9);
    T_NEAR(p.exposed[RS_TASK_EDIT], 0, 0); /* 20 s a block, and nothing is kept */
    z.offloaded = 10 * 150;
    z.home = RS_PLAN_RESIDENT;
    rs_plan_predict(&p, &c, &z, &r, 0);
    T_NEAR(p.exposed[RS_TASK_MOTION], 10 * (15 - 10), 1e-9);
}

/* An exchange of a lane of two: 20 tokens of 20 bytes, half of them here, half of these from the
 * other: 1 s. Four in a forward of a block, eight in a backward. */
static void t_lanes(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    c.cluster.lanes = RS_CFG_LANES_2;
    rs_plan_prediction p = predict(&c, &z);
    T_NEAR(p.clip_step, 300.0 / 2 + 12 * 10 * 1, 1e-9);
    T_NEAR(p.step[RS_TASK_EDIT], 200.0 / 2 + 4 * 10 * 1, 1e-9);
    T_NEAR(p.wider[RS_TASK_MOTION][0], 1, 0);
    T_NEAR(p.wider[RS_TASK_MOTION][1], 270.0 / 300, 1e-9);
    c.cluster.lanes = RS_CFG_LANES_AUTO;
    p = predict(&c, &z);
    T_NEAR(p.clip_step, 300, 1e-9);
    T_NEAR(p.wider[RS_TASK_MOTION][1], 270.0 / 300, 1e-9);
    c.edit.guidance = 5; /* a pass on each half: nothing to exchange within a rank */
    p = predict(&c, &z);
    T_NEAR(p.wider[RS_TASK_EDIT][1], 200.0 / 400, 1e-9);
    T_NEAR(p.wider[RS_TASK_EDIT][2], (200.0 / 2 + 4 * 10 * 1) / 400, 1e-9);
}

/* What a lane computes hides less of a gather. */
static void t_a_lane_hides_less(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    c.cluster.lanes = RS_CFG_LANES_2;
    z.home = RS_PLAN_SHARDED;
    z.gang = 2;
    z.block_image = 2400; /* 12 s; a block takes 5 + 4 s forwards */
    rs_plan_prediction p = predict(&c, &z);
    T_NEAR(p.exposed[RS_TASK_MOTION], 10 * (12 - 9), 1e-9);
}

/* A gather takes 3 s; alone, a block on one frame computes for 1 s and 2 s backward, of two jobs
 * twice as long. 10 * 2 + 8 * 1 seconds are exposed, of two jobs 10 * 1. */
static void t_a_batch_gathers_once(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    T_NEAR(predict(&c, &z).together[4], 1, 1e-12);
    z.home = RS_PLAN_SHARDED;
    z.gang = 2;
    z.block_image = 600;
    rs_plan_prediction p = predict(&c, &z);
    T_NEAR(p.together[1], 1, 1e-12);
    T_NEAR(p.together[2], (300 + 3 * 70 / 2.0) / (300 + 3 * 58), 1e-12);
    T_CHECK(p.together[8] < p.together[2]);
}

static void t_widest(void)
{
    rs_config c = settings();
    rs_plan_sizes z = sizes();
    T_EQ_I(rs_plan_widest(&c, &z), 1);
    c.cluster.lanes = RS_CFG_LANES_AUTO;
    T_EQ_I(rs_plan_widest(&c, &z), 4); /* four tokens in one frame */
    z.tokens = 40;
    T_EQ_I(rs_plan_widest(&c, &z), 8);
    z.heads = 12;
    T_EQ_I(rs_plan_widest(&c, &z), 4);
    z.heads = 5;
    T_EQ_I(rs_plan_widest(&c, &z), 1);
}

static const rs_test_case cases[] = {
    T_CASE(t_a_rank_alone),
    T_CASE(t_gathers_count_where_nothing_hides_them),
    T_CASE(t_copies_count_where_nothing_hides_them),
    T_CASE(t_lanes),
    T_CASE(t_a_lane_hides_less),
    T_CASE(t_a_batch_gathers_once),
    T_CASE(t_widest),
};
RS_TEST_MAIN(cases)
