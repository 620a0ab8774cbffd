// ctest: LABELS long TIMEOUT 3600
// 200 kills of random ranks at random moments. RS_TEST_SEED=n for others, RS_TEST_KILLS=n for more.
#include "harness/kills.h"
#include "harness/test.h"

static void t_200_kills_lose_nothing(void)
{
    t_kills(20261128, 200);
}

static const rs_test_case cases[] = {
    T_CASE(t_200_kills_lose_nothing),
};
RS_TEST_MAIN(cases)
