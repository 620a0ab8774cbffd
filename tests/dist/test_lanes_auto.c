// ctest: TIMEOUT 600
// cluster.lanes auto: ranks for which there is no stage help with one of another rank.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"

/* Stages that ranks have helped with. */
static int helped(const char *dir, const char *output)
{
    return t_catalog_logged(dir, output, "helps with");
}

/* Fewer videos than ranks, a tail, with a copy of the weights per rank and with gangs. The model
 * has two heads, so lanes have two ranks. Every rank of a lane logs its steps. */
static void t_ranks_without_work_help_and_results_are_the_same(void)
{
    static const struct {
        int videos, ranks;
        const char *more;
    } k_runs[] = {{3, 4, ""},
                  {1, 2, ""},
                  {3, 4, "--set memory.home=sharded --set cluster.gang=4"},
                  {3, 4, "--set memory.home=sharded --set cluster.gang=2"}};
    for (size_t i = 0; i < sizeof k_runs / sizeof k_runs[0]; i++) {
        int videos = k_runs[i].videos;
        const char *dir = t_catalog_world(videos);
        const char *alone = rs_arena_printf(t_arena(), "alone%d", (int)i),
                   *with = rs_arena_printf(t_arena(), "auto%d", (int)i);
        char *out;
        T_CHECKF(t_catalog_run(&out, 0, dir, alone, "") == 0, "%s", out);
        const char *more = rs_arena_printf(
            t_arena(), "%s --set cluster.lanes=auto --set log.level=detail", k_runs[i].more);
        T_CHECKF(t_catalog_run(&out, k_runs[i].ranks, dir, with, more) == 0, "%d: %s", (int)i, out);
        t_catalog_same(dir, alone, with, videos * 5);
        t_catalog_clean(dir, with);
        T_EQ_I(t_catalog_logged(dir, with, "| motion done"), videos);
        int help = helped(dir, with);
        T_CHECKF(help > 0 && help <= videos * 3, "%d: %d", (int)i, help);
        T_EQ_I(t_catalog_logged(dir, with, "| motion step 6/6") +
                   t_catalog_logged(dir, with, "appearance step 4/4") +
                   t_catalog_logged(dir, with, "edit step 3/3"),
               videos * 3 + help);
    }
}

/* As many videos as ranks at a time: nobody waits, until the last. What is done already needs no
 * help, and who was told to help is free again. */
static void t_what_is_done_needs_no_help(void)
{
    const char *dir = t_catalog_world(2);
    char *out;
    T_CHECKF(t_catalog_run(&out, 2, dir, "run", "") == 0, "%s", out);
    T_CHECKF(
        t_catalog_run(&out, 3, dir, "run", "--set cluster.lanes=auto --set log.level=detail") == 0,
        "%s", out);
    T_EQ_I(helped(dir, "run"), 0);
}

/* Stopped in a stage that two ranks share: one state, which says so; it goes on on one rank. */
static void t_a_shared_stage_stops_and_goes_on_alone(void)
{
    const char *dir = t_catalog_world(1), *steps = "--set motion.steps=800";
    const char *shared = rs_arena_printf(t_arena(), "%s --set cluster.lanes=auto", steps);
    const char *log = rs_path_join(t_arena(), dir, "auto.log");
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", steps) == 0, "%s", out);
    pid_t pid = t_mpirun_start(log, 2, t_catalog_args(dir, "auto", shared));
    t_await_text(log, "motion step", NULL);
    T_CHECK(t_signal(SIGUSR1, 1, "mpirun ", rs_path_join(t_arena(), dir, "auto")) == 1);
    T_CHECKF(t_mpirun_wait(&out, pid, log) == 75, "%s", out);
    T_EQ_I(t_shell(&out, "grep -l '\"lane\": \"2\"' -a %s/auto/state/*/motion~checkpoint.* | wc -l",
                   dir),
           0);
    T_EQ_I(atoi(out), 1);
    T_CHECKF(t_catalog_run(&out, 0, dir, "auto", steps) == 0, "%s", out);
    T_EQ_I(t_catalog_logged(dir, "auto", "motion resumes after step"), 1);
    t_catalog_same(dir, "alone", "auto", 5);
}

static const rs_test_case cases[] = {
    T_CASE(t_ranks_without_work_help_and_results_are_the_same),
    T_CASE(t_what_is_done_needs_no_help),
    T_CASE(t_a_shared_stage_stops_and_goes_on_alone),
};
RS_TEST_MAIN(cases)
