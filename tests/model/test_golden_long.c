// ctest: LABELS long TIMEOUT 1200
/* The golden cases too large for the quick run: one block of the 14B model's size. */
#include "model/golden_case.h"

static const char k_cases_dir[] = RS_SOURCE_DIR "/tests/golden/cases";

static void t_dit_grad(void)
{
    t_run_component(k_cases_dir, "dit-grad", true);
}

static const rs_test_case k_cases[] = {T_CASE(t_dit_grad)};
RS_TEST_MAIN(k_cases)
