// diffusion: schedules and trajectories against wan21.md 6.3, 6.4 and 11; resumable state.
#include <math.h>
#include <string.h>

#include "diffusion/flow.h"
#include "diffusion/sampler.h"
#include "harness/test.h"

static void velocity(float *v, const float *x, float t, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = (float)(sin(1.3 * (double)x[i]) + 0.3 * (double)x[i] + 0.001 * (double)t);
}

static void run(rs_sampler *s, float *x, int64_t until)
{
    float v[3];
    while (s->index < until) {
        velocity(v, x, s->schedule.times[s->index], 3);
        rs_sampler_step(s, x, v);
    }
}

static rs_sampler make(rs_sampler_kind kind, int64_t steps, double shift)
{
    rs_schedule c;
    rs_sampler s;
    T_OK(rs_schedule_make(&c, t_arena(), kind, steps, shift));
    rs_sampler_init(&s, t_arena(), kind, &c, 3);
    return s;
}

static void t_schedules_have_the_published_values(void)
{
    static const struct {
        rs_sampler_kind kind;
        float sigma[4], time[4];
    } rows[] = {
        {RS_SAMPLER_UNIPC_OFFICIAL,
         {0.999666452f, 0.899639785f, 0.749624789f, 0.499666572f},
         {999, 899, 749, 499}},
        {RS_SAMPLER_UNIPC,
         {0.999998987f, 0.90011996f, 0.750374794f, 0.500998974f},
         {999, 900, 750, 500}},
        {RS_SAMPLER_EULER_DIFFUSERS,
         {1, 0.857692301f, 0.602150559f, 0.00892857183f},
         {1000, 857.692301f, 602.150559f, 8.92857183f}},
        {RS_SAMPLER_EULER, {1, 0.9f, 0.75f, 0.5f}, {1000, 900, 750, 500}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        rs_sampler s = make(rows[r].kind, 4, 3.0);
        for (int i = 0; i < 4; i++) {
            T_NEAR(s.schedule.sigmas[i], rows[r].sigma[i], 1.2e-7);
            T_NEAR(s.schedule.times[i], rows[r].time[i], 1e-4);
        }
        T_CHECK(s.schedule.sigmas[4] == 0.0f);
    }
}

/* loraedit.md 5.3: 30 steps, shift 5. */
static void t_reference_edit_schedule(void)
{
    static const float want[] = {1,         .9931507f, .9859155f, .9782609f, .9701493f, .9615385f,
                                 .9523810f, .9426230f, .9322034f, .9210526f, .9090909f, .8962264f,
                                 .8823529f, .8673469f, .8510638f, .8333333f, .8139535f, .7926829f,
                                 .7692308f, .7432432f, .7142857f, .6818182f, .6451613f, .6034483f,
                                 .5555556f, .5f,       .4347826f, .3571429f, .2631579f, .1470588f};
    rs_sampler s = make(RS_SAMPLER_EULER, 30, 5.0);
    for (int i = 0; i < 30; i++)
        T_NEAR(s.schedule.sigmas[i], want[i], 6e-8);
}

static void t_unipc_follows_the_official_trajectory(void)
{
    static const float want[4][2] = {{0.32453460f, -1.21253681f},
                                     {0.13162954f, -1.13815784f},
                                     {-0.03006868f, -0.96958470f},
                                     {-0.25536838f, -0.59777963f}};
    float x[3] = {0.5f, -1.25f, 2.0f};
    rs_sampler s = make(RS_SAMPLER_UNIPC_OFFICIAL, 4, 3.0);
    for (int i = 0; i < 4; i++) {
        run(&s, x, i + 1);
        T_NEAR(x[0], want[i][0], 1e-6);
        T_NEAR(x[1], want[i][1], 1e-6);
    }
    T_NEAR(x[2], 0.07579547, 1e-6);
    float y[3] = {0.5f, -1.25f, 2.0f};
    s = make(RS_SAMPLER_UNIPC_OFFICIAL, 40, 3.0);
    run(&s, y, 40);
    T_NEAR(y[0], -0.08306447, 2e-6);
    T_NEAR(y[1], -0.55810434, 2e-6);
    T_NEAR(y[2], 0.39264777, 2e-6);
    float z[3] = {0.5f, -1.25f, 2.0f};
    s = make(RS_SAMPLER_UNIPC_OFFICIAL, 10, 5.0);
    run(&s, z, 10);
    T_NEAR(z[0], -0.15275608, 2e-6);
    T_NEAR(z[1], -0.56650478, 2e-6);
    T_NEAR(z[2], 0.23555237, 2e-6);
}

static void t_restored_sampler_gives_the_same_bits(void)
{
    for (int kind = 0; kind < RS_SAMPLER_COUNT; kind++) {
        for (int stop = 0; stop <= 7; stop++) {
            float x[3] = {0.5f, -1.25f, 2.0f}, y[3];
            rs_sampler s = make((rs_sampler_kind)kind, 7, 3.0);
            run(&s, x, stop);
            memcpy(y, x, sizeof y);
            rs_tensor_list state = {0};
            rs_sampler_state(&s, &state, t_arena());
            rs_sampler again = make((rs_sampler_kind)kind, 7, 3.0);
            T_OK(rs_sampler_restore(&again, stop, &state));
            run(&s, x, 7);
            run(&again, y, 7);
            T_CHECKF(memcmp(x, y, sizeof x) == 0, "kind %d stopped at %d", kind, stop);
        }
    }
}

static void t_bad_requests_are_named(void)
{
    rs_schedule c;
    rs_sampler_kind kind;
    T_FAILS(rs_schedule_make(&c, t_arena(), RS_SAMPLER_EULER, 0, 3), CONFIG, "steps");
    T_FAILS(rs_schedule_make(&c, t_arena(), RS_SAMPLER_EULER, 4, -1), CONFIG, "shift");
    T_FAILS(rs_sampler_parse(&kind, "heun"), CONFIG, "unknown sampler \"heun\"");
}

/* loraedit.md 10: z1 = 0, z0 = 1, t = .25 -> x_t = .25, v = 1. */
static void t_flow_pair_and_guidance(void)
{
    float x0 = 0, noise = 1, x_t, v, guided;
    rs_flow_pair(&x_t, &v, &x0, &noise, 0.25f, 1);
    T_CHECK(x_t == 0.25f && v == 1.0f);
    float cond = 3, uncond = 1;
    rs_guide(&guided, &cond, &uncond, 5.0f, 1);
    T_CHECK(guided == 11.0f);
}

static const rs_test_case cases[] = {
    T_CASE(t_schedules_have_the_published_values),
    T_CASE(t_reference_edit_schedule),
    T_CASE(t_unipc_follows_the_official_trajectory),
    T_CASE(t_restored_sampler_gives_the_same_bits),
    T_CASE(t_bad_requests_are_named),
    T_CASE(t_flow_pair_and_guidance),
};
RS_TEST_MAIN(cases)
