// stage/samples: windows cover the clip, and the order of the steps on them.
#include <string.h>

#include "harness/test.h"
#include "stage/samples.h"

/* Every frame is in a window, windows rise, none sticks out, the last one ends with the clip. */
static void t_windows_cover_the_clip(void)
{
    for (int64_t frames = 1; frames <= 49; frames++)
        for (int64_t window = 5; window <= 17; window += 4)
            for (int64_t stride = 1; stride <= window; stride++) {
                int64_t n = rs_window_count(frames, window, stride), covered = 0, before = -1;
                int64_t length = window < frames ? window : frames;
                for (int64_t i = 0; i < n; i++) {
                    int64_t first = rs_window_first(i, frames, window, stride);
                    T_CHECK(first > before && first <= covered && first + length <= frames);
                    T_CHECK(first == i * stride || i == n - 1);
                    covered = first + length;
                    before = first;
                }
                T_EQ_I(covered, frames);
            }
    T_EQ_I(rs_window_count(49, 9, 4), 11);
    T_EQ_I(rs_window_count(49, 9, 5), 9);
    T_EQ_I(rs_window_first(7, 49, 9, 5), 35);
    T_EQ_I(rs_window_first(8, 49, 9, 5), 40); /* not 45: the last window ends with the clip */
    T_EQ_I(rs_window_count(49, 0, 4), 1);
}

static void fill_order(int32_t *order, int64_t n, int64_t window, int64_t seed, const char *id)
{
    rs_config *cfg = rs_config_defaults();
    const rs_catalog_video video = {.id = id};
    rs_job job = {.video = &video, .name = id};
    rs_run run = {.cfg = cfg};
    cfg->seed = seed;
    cfg->motion.window = window;
    job.source.frames = rs_tensor_of(NULL, RS_DTYPE_U8, RS_SHAPE(49, 16, 16, 3));
    rs_stage_clip_order(order, n, &run, &job, RS_STAGE_MOTION);
    rs_config_destroy(&cfg);
}

static void t_every_pass_takes_every_window_once(void)
{
    enum { WINDOWS = 11, PASSES = 9, STEPS = WINDOWS * PASSES };
    int32_t order[STEPS], again[STEPS], shorter[STEPS];
    int equal = 0;
    fill_order(order, STEPS, 9, 5, "a");
    for (int pass = 0; pass < PASSES; pass++) {
        int seen = 0;
        for (int k = 0; k < WINDOWS; k++) {
            T_CHECK(order[pass * WINDOWS + k] >= 0 && order[pass * WINDOWS + k] < WINDOWS);
            seen |= 1 << order[pass * WINDOWS + k];
        }
        T_EQ_I(seen, (1 << WINDOWS) - 1);
        equal += pass && memcmp(order, order + pass * WINDOWS, WINDOWS * sizeof *order) == 0;
    }
    T_EQ_I(equal, 0); /* by chance: 8 in 11! */
    /* more steps go on from fewer; seed and video have an order of their own */
    fill_order(shorter, STEPS / 2, 9, 5, "a");
    T_CHECK(memcmp(shorter, order, STEPS / 2 * sizeof *order) == 0);
    fill_order(again, STEPS, 9, 6, "a");
    T_CHECK(memcmp(again, order, sizeof order) != 0);
    fill_order(again, STEPS, 9, 5, "b");
    T_CHECK(memcmp(again, order, sizeof order) != 0);
}

static void t_a_whole_clip_is_sample_0(void)
{
    int32_t order[20], zero[20] = {0};
    fill_order(order, 20, 0, 5, "a");
    T_CHECK(memcmp(order, zero, sizeof order) == 0);
    fill_order(order, 20, 49, 5, "a");
    T_CHECK(memcmp(order, zero, sizeof order) == 0);
}

static const rs_test_case cases[] = {
    T_CASE(t_windows_cover_the_clip),
    T_CASE(t_every_pass_takes_every_window_once),
    T_CASE(t_a_whole_clip_is_sample_0),
};
RS_TEST_MAIN(cases)
