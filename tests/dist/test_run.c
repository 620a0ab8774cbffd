// ctest: TIMEOUT 600
// reshoot run on several ranks: results do not depend on their number, jobs are spread, failures
// stay their own, signals and kills resume.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/states.h"
#include "harness/test.h"

enum { VIDEOS = 5 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static const char *world(void)
{
    return t_catalog_world(VIDEOS);
}

static void same_run(const char *dir, const char *a, const char *b)
{
    t_catalog_same(dir, a, b, VIDEOS * 5);
}

static void t_results_do_not_depend_on_the_ranks(void)
{
    const char *dir = world();
    char *out, *table, *other;
    static const char *const no_seconds = "cut -d, -f1-3,6-";
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    T_EQ_I(t_shell(&table, "%s %s/alone/measures.csv", no_seconds, dir), 0);
    static const int ranks[] = {1, 2, 3, 4, 8};
    for (int i = 0; i < 5; i++) {
        int n = ranks[i];
        const char *name = rs_arena_printf(t_arena(), "on%d", n);
        T_CHECKF(t_catalog_run(&out, n, dir, name, "") == 0, "%d ranks: %s", n, out);
        T_CHECKF(strstr(out, "5 edits done, 0 failed, 5 computed in this run"), "%s", out);
        same_run(dir, "alone", name);
        T_EQ_I(t_shell(&other, "%s %s/%s/measures.csv", no_seconds, dir, name), 0);
        T_EQ_S(other, table);
        T_CHECK(rs_path_exists(in(in(dir, name), "catalog.h5")));
        T_EQ_I(t_catalog_logged(dir, name, "| motion done"), VIDEOS);
        T_EQ_I(t_catalog_logged(dir, name, "publish done"), VIDEOS);
        t_catalog_clean(dir, name);
        T_CHECKF(t_catalog_run(&out, n, dir, name, "") == 0, "%s", out);
        T_CHECKF(strstr(out, "nothing to do: all 5 edits"), "%s", out);
    }
}

/* Videos in another order: every `stride`-th. */
static void shuffle(const char *dir, int stride)
{
    char *out;
    T_EQ_I(t_shell(&out,
                   "awk -v s=%d '/^  - id:/ { n++ } n { b[n] = b[n] $0 \"\\n\" } !n { print } "
                   "END { for (i = 0; i < n; i++) printf \"%%s\", b[1 + (i * s + s) %% n] }' "
                   "%s/catalog/catalog.yaml > %s/catalog/shuffled.yaml && "
                   "test $(grep -c '^  - id' %s/catalog/shuffled.yaml) = %d",
                   stride, dir, dir, dir, VIDEOS),
           0);
    T_CHECK(t_shell(&out, "cmp -s %s/catalog/catalog.yaml %s/catalog/shuffled.yaml", dir, dir) ==
            1);
}

static void t_results_do_not_depend_on_the_order_of_the_catalog(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    static const int ranks[] = {0, 2, 3};
    for (int i = 0; i < 3; i++) {
        const char *name = rs_arena_printf(t_arena(), "shuffled%d", i);
        const char *more =
            rs_arena_printf(t_arena(), "--set catalog=%s/catalog/shuffled.yaml", dir);
        shuffle(dir, 2 + i);
        T_CHECKF(t_catalog_run(&out, ranks[i], dir, name, more) == 0, "%s", out);
        same_run(dir, "alone", name);
    }
}

static void t_videos_are_spread(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_catalog_run(&out, 2, dir, "run", "") == 0, "%s", out);
    for (int r = 0; r < 2; r++) {
        const char *log = r ? "run/reshoot.rank-1.log" : "run/reshoot.log";
        t_shell(&out, "grep -c 'r%d .*motion done' %s", r, in(dir, log));
        T_CHECKF(atoi(out) >= 1, "rank %d trained %s videos", r, out);
    }
}

static void t_a_failure_is_its_own(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "good", "") == 0, "%s", out);
    /* found by rank 0 beforehand, and while a rank works on it */
    T_EQ_I(t_shell(&out,
                   "rm -r %s/catalog/clip-01/masks && mkdir -p %s/bad/state && "
                   "touch %s/bad/state/clip-03",
                   dir, dir, dir),
           0);
    T_EQ_I(t_catalog_run(&out, 3, dir, "bad", ""), 3);
    T_CHECKF(strstr(out, "3 edits done, 2 failed, 3 computed"), "%s", out);
    T_CHECKF(strstr(out, "clip-01/masks") && strstr(out, "bad/state/clip-03"), "%s", out);
    T_CHECKF(strstr(out, "reshoot: rank 0: 2 of 5 edits failed"), "%s", out);
    t_same_state(in(dir, "good/state/clip-02/motion.safetensors"),
                 in(dir, "bad/state/clip-02/motion.safetensors"));
    T_EQ_I(t_shell(&out, "cat %s/bad/measures.csv | grep -c ',done,'", dir), 0);
    T_EQ_I(atoi(out), 3);
}

static void t_bad_input_is_said_once(void)
{
    const char *dir = world();
    char *out;
    T_EQ_I(t_catalog_run(&out, 3, dir, "run", "--set motion.steps=many"), 2);
    const char *first = strstr(out, "reshoot: ");
    T_CHECKF(first && strstr(first, "motion.steps") && !strstr(first + 1, "\nreshoot: "), "%s",
             out);
    T_EQ_I(t_catalog_run(&out, 3, dir, "run", "--videos nobody"), 2);
    T_CHECKF(strstr(out, "matches none of the 5 videos"), "%s", out);
}

/* Start on some ranks, send a signal to mpirun or to one rank a while after the work has begun; the
 * exit status. */
static int disturbed(char **out, int ranks, const char *dir, const char *output, int number,
                     const char *whom, int after_ms)
{
    static int count;
    char *log = in(dir, rs_arena_printf(t_arena(), "disturbed-%d.log", count++));
    pid_t pid = t_mpirun_start(log, ranks, t_catalog_args(dir, output, "--set motion.steps=150"));
    t_await_text(log, " | ", " edits ");
    usleep((useconds_t)after_ms * 1000);
    t_signal(number, 1, whom, dir);
    return t_mpirun_wait(out, pid, log);
}

/* mpirun hands SIGUSR1 on to its ranks: all save and meet, exit 75; other numbers of ranks go on.
 */
static void t_a_signal_stops_all_and_another_world_goes_on(void)
{
    const char *dir = world();
    char *out;
    int stopped = 0, rc = 75;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "--set motion.steps=150") == 0, "%s", out);
    for (int round = 0; round < 20 && rc == 75; round++) {
        rc = disturbed(&out, 2 + round % 2, dir, "stopped", SIGUSR1, "mpirun ", 300);
        T_CHECKF(rc == 75 || rc == 0, "round %d: %d: %s", round, rc, out);
        stopped += rc == 75;
    }
    T_CHECK(stopped > 0);
    T_CHECKF(t_catalog_run(&out, 1, dir, "stopped", "--set motion.steps=150") == 0, "%s", out);
    same_run(dir, "alone", "stopped");
}

static void t_a_killed_rank_ends_the_world_and_nothing_is_lost(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "--set motion.steps=150") == 0, "%s", out);
    int killed = 0, rc = 1;
    for (int round = 0; round < 8 && rc != 0; round++) {
        rc = disturbed(&out, 2 + round % 2, dir, "killed", SIGKILL, RS_BUILD_DIR "/reshoot run",
                       100 + 100 * round);
        T_CHECKF(rc != 124, "mpirun had to be ended: %s", out);
        killed += rc != 0;
    }
    T_CHECKF(killed > 0, "%s", out);
    T_CHECKF(t_catalog_run(&out, 2, dir, "killed", "--set motion.steps=150") == 0, "%s", out);
    same_run(dir, "alone", "killed");
    t_catalog_clean(dir, "killed");
}

/* Checking the media of a large catalog, or comparing its arms, takes rank 0 as long as it takes.
 */
static void t_rank_0_may_be_busy_for_longer_than_the_watchdog_waits(void)
{
    char *out;
    T_CHECKF(t_mpirun(&out, 3, "lead 3 1") == 0, "%s", out);
}

static void t_arms_are_compared_over_ranks(void)
{
    const char *dir = world();
    char *out, *one, *two;
    t_shell(&out,
            "printf 'arms:\\n  - name: none\\n    set: {motion.steps: 0}\\n  - name: motion\\n' "
            ">> %s/exp.yaml",
            dir);
    T_CHECKF(t_catalog_run(&out, 0, dir, "one", "") == 0, "%s", out);
    T_CHECKF(t_catalog_run(&out, 3, dir, "two", "") == 0, "%s", out);
    T_EQ_I(t_shell(&one, "grep -v _s, %s/one/comparison.csv", dir), 0);
    T_EQ_I(t_shell(&two, "grep -v _s, %s/two/comparison.csv", dir), 0);
    T_EQ_S(two, one);
    T_EQ_I(t_shell(&one, "cd %s/one && find state | sort", dir), 0);
    T_EQ_I(t_shell(&two, "cd %s/two && find state | sort", dir), 0);
    T_EQ_S(two, one);
    /* states that no arm of any rank needs go, the others stay */
    T_CHECKF(t_catalog_run(&out, 2, dir, "two", "--set motion.steps=5") == 0, "%s", out);
    T_EQ_I(t_shell(&one, "cd %s/two && find state -name 'motion*' | wc -l", dir), 0);
    T_EQ_I(atoi(one), 2 * VIDEOS);
}

static const rs_test_case cases[] = {
    T_CASE(t_results_do_not_depend_on_the_ranks),
    T_CASE(t_results_do_not_depend_on_the_order_of_the_catalog),
    T_CASE(t_videos_are_spread),
    T_CASE(t_a_failure_is_its_own),
    T_CASE(t_bad_input_is_said_once),
    T_CASE(t_a_signal_stops_all_and_another_world_goes_on),
    T_CASE(t_a_killed_rank_ends_the_world_and_nothing_is_lost),
    T_CASE(t_rank_0_may_be_busy_for_longer_than_the_watchdog_waits),
    T_CASE(t_arms_are_compared_over_ranks),
};
RS_TEST_MAIN(cases)
