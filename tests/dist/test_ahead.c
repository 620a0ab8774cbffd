// ctest: TIMEOUT 300
// Media are decoded ahead by all kinds of runs without a change of any bit, and what is wrong with
// them stays with their video.
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/test.h"

enum { VIDEOS = 6 };

static const char k_always[] = "--set cluster.ahead=always --set log.level=detail";
static const char k_never[] = "--set cluster.ahead=never --set log.level=detail";
static const char k_said[] = "were decoded ahead";

static void t_results_do_not_depend_on_it(void)
{
    static const struct {
        const char *more;
        int ranks, least; /* videos that are surely decoded ahead */
    } k_runs[] = {
        {"", 0, VIDEOS - 1}, /* each but perhaps the first: it is known early that it comes next */
        {"", 2, 0},
        {"", 3, 0},
        {"--set cluster.lanes=2", 4, 0},
        /* answers come by message, and while the rank computes */
        {"--set 'cluster.pin=0=motion,appearance,edit,decode,publish; 1=ingest'", 2, 1},
    };
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "never", k_never) == 0, "%s", out);
    T_EQ_I(t_catalog_logged(dir, "never", k_said), 0);
    for (size_t i = 0; i < sizeof k_runs / sizeof k_runs[0]; i++) {
        const char *name = rs_arena_printf(t_arena(), "always%d", (int)i);
        const char *more = rs_arena_printf(t_arena(), "%s %s", k_always, k_runs[i].more);
        T_CHECKF(t_catalog_run(&out, k_runs[i].ranks, dir, name, more) == 0, "%s", out);
        t_catalog_same(dir, "never", name, VIDEOS * 5);
        t_catalog_clean(dir, name);
        int n = t_catalog_logged(dir, name, k_said);
        T_CHECKF(n >= k_runs[i].least && n <= VIDEOS, "run %d: %d of %d videos", (int)i, n, VIDEOS);
    }
}

/* A frame that only a full look finds: the check before the run decodes the first one. */
static void t_errors_belong_to_their_video(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out, *frame;
    T_CHECKF(t_catalog_run(&out, 0, dir, "good", "") == 0, "%s", out);
    T_EQ_I(t_shell(&frame, "ls -d %s/catalog/clip-02/frames/*0005.png | tr -d '\\n'", dir), 0);
    T_EQ_I(t_shell(&out, "cp %s %s/whole && truncate -s 300 %s", frame, dir, frame), 0);
    for (int ranks = 0; ranks <= 2; ranks += 2) {
        const char *name = rs_arena_printf(t_arena(), "damaged%d", ranks);
        const char *again = rs_arena_printf(t_arena(), "cp %s/whole %s", dir, frame);
        T_CHECKF(t_catalog_run(&out, ranks, dir, name, k_always) == 3, "%s", out);
        const char *job = strstr(out, "clip-02#retexture failed in ingest: ");
        T_CHECKF(job && strstr(job, "0005.png"), "%s", out);
        T_CHECKF(strstr(out, "5 edits done, 1 failed"), "%s", out);
        T_EQ_I(t_shell(&out, "%s", again), 0);
        T_CHECKF(t_catalog_run(&out, ranks, dir, name, k_always) == 0, "%s", out);
        T_CHECKF(strstr(out, "6 edits done, 0 failed, 1 computed"), "%s", out);
        t_catalog_same(dir, "good", name, VIDEOS * 5);
        T_EQ_I(t_shell(&out, "truncate -s 300 %s", frame), 0);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_results_do_not_depend_on_it),
    T_CASE(t_errors_belong_to_their_video),
};
RS_TEST_MAIN(cases)
