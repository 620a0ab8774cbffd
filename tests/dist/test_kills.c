// ctest: TIMEOUT 300
// A few kills of random ranks at random moments; test_kills_long.c has many.
#include "harness/kills.h"
#include "harness/test.h"

static void t_kills_lose_nothing(void)
{
    t_kills(1, 7);
}

static const rs_test_case cases[] = {
    T_CASE(t_kills_lose_nothing),
};
RS_TEST_MAIN(cases)
