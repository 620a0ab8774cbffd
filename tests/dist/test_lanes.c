// ctest: TIMEOUT 300
/* A lane of MPI ranks: every rank has the bits of one rank alone, in passes, training,
 * sampling and guidance over two halves. */
#include <stdio.h>
#include <string.h>

#include "harness/lanes.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "model/dit_fixture.h"

static void check_ranks(int ranks, bool halves)
{
    const char *dir = t_make_dit("m", t_lane_i2v, RS_DTYPE_F32);
    t_lane_case k = t_lane_case_small(dir);
    t_lane_result one;
    char *out, want[600];
    T_OK(t_lane_run(&one, NULL, &k));
    int rc = t_mpirun(&out, ranks, "lanes %s %d", dir, halves);
    T_CHECKF(rc == 0, "rc %d: %s", rc, out);
    for (int r = 0; r < ranks; r++) {
        snprintf(want, sizeof want, "rank %d: %s %s %s %s %s", r, one.velocity, one.step,
                 one.gradients, one.trained, one.sampled);
        T_CHECKF(strstr(out, want), "no \"%s\" in: %s", want, out);
    }
}

static void t_two_ranks(void)
{
    check_ranks(2, false);
}

static void t_four_ranks(void)
{
    check_ranks(4, false);
}

static void t_eight_ranks(void)
{
    check_ranks(8, false);
}

static void t_halves_of_two_ranks(void)
{
    check_ranks(2, true);
}

static void t_halves_of_four_ranks(void)
{
    check_ranks(4, true);
}

static const rs_test_case cases[] = {
    T_CASE(t_two_ranks),           T_CASE(t_four_ranks),           T_CASE(t_eight_ranks),
    T_CASE(t_halves_of_two_ranks), T_CASE(t_halves_of_four_ranks),
};
RS_TEST_MAIN(cases)
