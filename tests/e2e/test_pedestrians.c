// ctest: TIMEOUT 300
// configs/pedestrians.yaml on OpenCV's vtest.avi; a counted skip where it is not installed.
#include <stdlib.h>

#include "e2e/real_footage.h"

/* Where Debian's opencv-doc puts it (or $RS_VTEST). */
static const char *vtest(void)
{
    const char *path = getenv("RS_VTEST");
    if (!path)
        path = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
    return rs_file_size(path) > 0 ? path : NULL;
}

static void t_pedestrians(void)
{
    if (!vtest())
        rs_test_skip("vtest.avi is not installed (Debian package opencv-doc)");
    const char *out = run("pedestrians", rs_arena_printf(t_arena(), "pedestrians %s", vtest()));
    check_archive(in(out, "archive/pedestrians.h5"), "orange");
    T_CHECK(rs_file_size(in(out, "videos/pedestrians/orange.mp4")) > 0);
}

static const rs_test_case cases[] = {T_CASE(t_pedestrians)};
RS_TEST_MAIN(cases)
