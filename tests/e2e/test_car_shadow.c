// ctest: TIMEOUT 300
// configs/car-shadow.yaml on the real frames and masks; a counted skip where they are not at hand.
#include "e2e/real_footage.h"

static void t_car_shadow(void)
{
    if (!t_shared_data())
        rs_test_skip("the DAVIS frames are not beside this checkout");
    const char *out =
        run("car-shadow", rs_arena_printf(t_arena(), "car-shadow %s/car-shadow", t_shared_data()));
    check_archive(in(out, "archive/car-shadow.h5"), "red");
    T_CHECK(rs_file_size(in(out, "sheets/car-shadow.png")) > 0);
    rs_archive *f;
    T_OK(rs_archive_open(&f, in(out, "archive/car-shadow.h5")));
    T_CHECK(rs_archive_exists(f, "/stages/appearance/red/adapter/blocks.0.attn1.to_q/B"));
    rs_archive_close(&f);
}

static const rs_test_case cases[] = {T_CASE(t_car_shadow)};
RS_TEST_MAIN(cases)
