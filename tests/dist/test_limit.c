// ctest: TIMEOUT 300
// Before a time limit only what fits is begun: not a stage that keeps no checkpoints, nor one that
// cannot reach its first; the run ends with exit status 75 and is gone on with later.
#include <stdlib.h>
#include <string.h>

#include "harness/catalog.h"
#include "harness/test.h"

enum { VIDEOS = 3 };

/* An hour is left, and whatever computes is expected to need more than that. */
static const char k_no_room[] = "--set cluster.time_limit=3600 --set cluster.headroom=1e12";

/* A run of all stages that has only the states up to `last`; it begins no further one. */
static void stops_behind(const char *dir, const char *alone, const char *last, int states,
                         int ranks)
{
    const char *name = rs_arena_printf(t_arena(), "behind-%s-%d", last, ranks);
    const char *only = rs_arena_printf(t_arena(), "--only %s", last);
    char *out;
    if (states > 0)
        T_CHECKF(t_catalog_run(&out, 0, dir, name, only) == 0, "%s", out);
    int rc = t_catalog_run(&out, ranks, dir, name, k_no_room);
    T_CHECKF(rc == 75, "%s, %d ranks: %d: %s", last, ranks, rc, out);
    T_CHECKF(strstr(out, "nothing that is left fits into the 3"), "%s", out);
    T_CHECKF(!strstr(out, " E ") && !strstr(out, "FAILED"), "%s", out);
    T_EQ_I(t_shell(&out, "find %s/%s/state -name '*.safetensors' 2>/dev/null | wc -l", dir, name),
           0);
    T_EQ_I(strtol(out, NULL, 10), states);
    /* later, or where there is time enough */
    T_CHECKF(t_catalog_run(&out, ranks, dir, name, "--set cluster.time_limit=3600") == 0, "%s",
             out);
    t_catalog_same(dir, alone, name, VIDEOS * 5);
    t_catalog_clean(dir, name);
}

static void t_what_does_not_fit_is_not_begun(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    stops_behind(dir, "alone", "nothing", 0, 2);             /* ingest has no checkpoints */
    stops_behind(dir, "alone", "ingest", VIDEOS, 0);         /* motion cannot reach its first */
    stops_behind(dir, "alone", "motion", VIDEOS * 2, 2);     /* nor appearance */
    stops_behind(dir, "alone", "appearance", VIDEOS * 3, 3); /* nor edit */
    stops_behind(dir, "alone", "edit", VIDEOS * 4, 2);       /* decode has none */
}

/* A lane begins nothing either, and the time of what is published counts as no time. */
static void t_lanes_and_cached_stages(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    stops_behind(dir, "alone", "ingest", VIDEOS, 2);
    const char *lanes = rs_arena_printf(t_arena(), "%s --set cluster.lanes=2", k_no_room);
    T_EQ_I(t_catalog_run(&out, 2, dir, "lanes", lanes), 75);
    T_CHECKF(strstr(out, "nothing that is left fits into"), "%s", out);
    T_CHECKF(t_catalog_run(&out, 2, dir, "alone", k_no_room) == 0, "%s", out);
    T_CHECKF(strstr(out, "nothing to do"), "%s", out);
}

static const rs_test_case cases[] = {
    T_CASE(t_what_does_not_fit_is_not_begun),
    T_CASE(t_lanes_and_cached_stages),
};
RS_TEST_MAIN(cases)
