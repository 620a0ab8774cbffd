// ctest: TIMEOUT 600
// reshoot run on several ranks: results do not depend on their number, jobs are spread, failures
// stay their own, signals and kills resume.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/mpirun.h"
#include "harness/states.h"
#include "harness/test.h"

enum { VIDEOS = 5 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static void write_text(const char *path, const char *text)
{
    T_OK(rs_write_file_atomic(path, text, strlen(text)));
}

/* Five held-out clips, a random model and an experiment of few steps; returns their folder. */
static const char *world(void)
{
    const char *dir = t_tmpdir();
    char *out;
    int rc =
        t_shell(&out,
                T_BIN "/reshoot-world smallworld %s/catalog --count %d --frames 9 --width 64 "
                      "--height 48 && " T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                      "/datasets/smallmodel/tokenizer",
                dir, VIDEOS, dir);
    T_CHECKF(rc == 0, "%s", out);
    write_text(in(dir, "exp.yaml"), "name: ranks\noutput: run\ncatalog: catalog/catalog.yaml\n"
                                    "model: {path: model}\n"
                                    "clip: {frames: 9, width: 64, height: 48}\n"
                                    "mask: {min_area: 4}\n"
                                    "lora: {rank: 4, alpha: 4}\n"
                                    "motion: {steps: 6, lr: 1.0e-3}\n"
                                    "appearance: {schedule: paper, steps: 4, repeats: 1}\n"
                                    "edit: {steps: 3}\n"
                                    "checkpoint: {every: 2}\n"
                                    "cluster: {threads: 1}\n"
                                    "video: {preset: ultrafast}\n");
    return dir;
}

/* ranks 0: without mpirun. */
static int run(char **out, int ranks, const char *dir, const char *output, const char *more)
{
    const char *line =
        rs_arena_printf(t_arena(), "run %s/exp.yaml --set output=%s/%s %s", dir, dir, output, more);
    return ranks ? t_mpirun_reshoot(out, ranks, "%s", line) : t_reshoot(out, "%s", line);
}

/* All states of two runs; the same files, and as many as there must be. */
static void same_run(const char *dir, const char *a, const char *b)
{
    char *list, *other;
    T_EQ_I(t_shell(&list, "cd %s/%s && find state -name '*.safetensors' | sort", dir, a), 0);
    T_EQ_I(t_shell(&other, "cd %s/%s && find state -name '*.safetensors' | sort", dir, b), 0);
    T_EQ_S(other, list);
    int n = 0;
    for (char *name = strtok(list, "\n"); name; name = strtok(NULL, "\n"), n++)
        t_same_state(in(in(dir, a), name), in(in(dir, b), name));
    T_EQ_I(n, VIDEOS * 5);
}

/* Lines with this text in the logs of all ranks. */
static int count_logged(const char *dir, const char *output, const char *text)
{
    char *out;
    t_shell(&out, "cat %s/%s/reshoot*.log | grep -c -- '%s'", dir, output, text);
    return atoi(out);
}

static void t_results_do_not_depend_on_the_ranks(void)
{
    const char *dir = world();
    char *out, *table, *other;
    static const char *const no_seconds = "cut -d, -f1-3,6-";
    T_CHECKF(run(&out, 0, dir, "alone", "") == 0, "%s", out);
    T_EQ_I(t_shell(&table, "%s %s/alone/measures.csv", no_seconds, dir), 0);
    for (int n = 1; n <= 4; n++) {
        const char *name = rs_arena_printf(t_arena(), "on%d", n);
        T_CHECKF(run(&out, n, dir, name, "") == 0, "%d ranks: %s", n, out);
        T_CHECKF(strstr(out, "5 edits done, 0 failed, 5 computed in this run"), "%s", out);
        same_run(dir, "alone", name);
        T_EQ_I(t_shell(&other, "%s %s/%s/measures.csv", no_seconds, dir, name), 0);
        T_EQ_S(other, table);
        T_CHECK(rs_path_exists(in(in(dir, name), "catalog.h5")));
        T_EQ_I(count_logged(dir, name, "| motion done"), VIDEOS);
        T_EQ_I(count_logged(dir, name, "publish done"), VIDEOS);
        T_CHECK(t_shell(&out, "find %s/%s -name '*.tmp.*' -o -name '*checkpoint*' | grep .", dir,
                        name) == 1);
        T_CHECKF(run(&out, n, dir, name, "") == 0, "%s", out);
        T_CHECKF(strstr(out, "nothing to do: all 5 edits"), "%s", out);
    }
}

/* A copy of the weights per rank, or one per gang, whatever the number of ranks in it. */
static void t_results_do_not_depend_on_the_gangs(void)
{
    static const int ranks[] = {1, 2, 4, 3}, gangs[] = {1, 2, 4, 2};
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, 0, dir, "alone", "") == 0, "%s", out);
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        const char *name = rs_arena_printf(t_arena(), "gangs%d", (int)i);
        const char *more = rs_arena_printf(
            t_arena(), "--set memory.home=sharded --set cluster.gang=%d --set log.level=detail",
            gangs[i]);
        T_CHECKF(run(&out, ranks[i], dir, name, more) == 0, "gangs of %d: %s", gangs[i], out);
        same_run(dir, "alone", name);
        const char *said = rs_arena_printf(t_arena(), "weights: gang of %d,", gangs[i]);
        T_EQ_I(count_logged(dir, name, said), ranks[i] / gangs[i] * gangs[i]);
    }
}

/* Which ranks logged this. */
static const char *who(const char *dir, const char *output, const char *text)
{
    char *out;
    t_shell(&out,
            "cat %s/%s/reshoot*.log | grep -- '%s' | grep -o ' r[0-9] ' | sort -u | tr -d ' \\n'",
            dir, output, text);
    return out;
}

static void t_pinned_ranks(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, 0, dir, "alone", "") == 0, "%s", out);
    T_CHECKF(run(&out, 3, dir, "pinned",
                 "--set 'cluster.pin=0=ingest,publish; 1=motion,appearance; 2=edit,decode'") == 0,
             "%s", out);
    same_run(dir, "alone", "pinned");
    T_EQ_S(who(dir, "pinned", "ingest done"), "r0");
    T_EQ_S(who(dir, "pinned", "motion done"), "r1");
    T_EQ_S(who(dir, "pinned", "appearance done"), "r1");
    T_EQ_S(who(dir, "pinned", "edit done"), "r2");
    T_EQ_S(who(dir, "pinned", "decode done"), "r2");
    T_EQ_S(who(dir, "pinned", "publish done"), "r0");
    T_EQ_I(run(&out, 2, dir, "none", "--set cluster.pin=0-1=ingest,motion"), 2);
    T_CHECKF(strstr(out, "no gang may run the stage"), "%s", out);
    T_EQ_I(run(&out, 2, dir, "none", "--set cluster.pin=0-2=ingest"), 2);
    T_CHECKF(strstr(out, "there is no rank 2 in a world of 2"), "%s", out);
    T_EQ_I(run(&out, 2, dir, "none", "--set cluster.pin=0=inget"), 2);
    T_CHECKF(strstr(out, "unknown stage \"inget\"; did you mean ingest"), "%s", out);
}

/* The time is up while a stage runs: all stop with their states saved; more time goes on. */
static void t_the_time_limit_stops_all(void)
{
    const char *dir = world();
    char *out;
    T_EQ_I(run(&out, 2, dir, "limited",
               "--set motion.steps=100000 --set cluster.time_limit=63 --set cluster.margin=60"),
           75);
    T_EQ_I(t_shell(&out, "ls %s/limited/state/*/motion~checkpoint.safetensors | wc -l", dir), 0);
    T_EQ_I(atoi(out), 2);
    /* No stage without checkpoints is begun that cannot be expected to end. */
    T_EQ_I(run(&out, 2, dir, "limited", "--set cluster.time_limit=60 --set cluster.margin=60"), 75);
}

static void t_videos_are_spread(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, 2, dir, "run", "") == 0, "%s", out);
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
    T_CHECKF(run(&out, 0, dir, "good", "") == 0, "%s", out);
    /* found by rank 0 beforehand, and while a rank works on it */
    T_EQ_I(t_shell(&out,
                   "rm -r %s/catalog/clip-01/masks && mkdir -p %s/bad/state && "
                   "touch %s/bad/state/clip-03",
                   dir, dir, dir),
           0);
    T_EQ_I(run(&out, 3, dir, "bad", ""), 3);
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
    T_EQ_I(run(&out, 3, dir, "run", "--set motion.steps=many"), 2);
    const char *first = strstr(out, "reshoot: ");
    T_CHECKF(first && strstr(first, "motion.steps") && !strstr(first + 1, "\nreshoot: "), "%s",
             out);
    T_EQ_I(run(&out, 3, dir, "run", "--videos nobody"), 2);
    T_CHECKF(strstr(out, "matches none of the 5 videos"), "%s", out);
}

/* Until some rank works on a video, or says anything else that ends the wait. */
static void await_work(const char *log)
{
    for (int i = 0; i < 600; i++) {
        char *text;
        size_t bytes;
        if (rs_path_exists(log)) {
            T_OK(rs_read_file(&text, &bytes, t_arena(), log));
            if (strstr(text, " | ") || strstr(text, " edits "))
                return;
        }
        usleep(50000);
    }
    T_CHECKF(false, "%s: nothing happens", log);
}

/* Start on some ranks, send a signal to mpirun or to one rank a while after the work has begun; the
 * exit status. */
static int disturbed(char **out, int ranks, const char *dir, const char *output, int number,
                     const char *whom, int after_ms)
{
    static int count;
    char *log = in(dir, rs_arena_printf(t_arena(), "disturbed-%d.log", count++));
    pid_t pid = t_mpirun_start(log, ranks,
                               rs_arena_printf(t_arena(),
                                               "run %s/exp.yaml --set output=%s/%s --set "
                                               "motion.steps=150",
                                               dir, dir, output));
    await_work(log);
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
    T_CHECKF(run(&out, 0, dir, "alone", "--set motion.steps=150") == 0, "%s", out);
    for (int round = 0; round < 20 && rc == 75; round++) {
        rc = disturbed(&out, 2 + round % 2, dir, "stopped", SIGUSR1, "mpirun ", 300);
        T_CHECKF(rc == 75 || rc == 0, "round %d: %d: %s", round, rc, out);
        stopped += rc == 75;
    }
    T_CHECK(stopped > 0);
    T_CHECKF(run(&out, 1, dir, "stopped", "--set motion.steps=150") == 0, "%s", out);
    same_run(dir, "alone", "stopped");
}

static void t_a_killed_rank_ends_the_world_and_nothing_is_lost(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, 0, dir, "alone", "--set motion.steps=150") == 0, "%s", out);
    int killed = 0, rc = 1;
    for (int round = 0; round < 8 && rc != 0; round++) {
        rc = disturbed(&out, 2 + round % 2, dir, "killed", SIGKILL, RS_BUILD_DIR "/reshoot run",
                       100 + 100 * round);
        T_CHECKF(rc != 124, "mpirun had to be ended: %s", out);
        killed += rc != 0;
    }
    T_CHECKF(killed > 0, "%s", out);
    T_CHECKF(run(&out, 2, dir, "killed", "--set motion.steps=150") == 0, "%s", out);
    same_run(dir, "alone", "killed");
    T_CHECK(t_shell(&out, "find %s/killed -name '*.tmp.*' -o -name '*checkpoint*' | grep .", dir) ==
            1);
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
    T_CHECKF(run(&out, 0, dir, "one", "") == 0, "%s", out);
    T_CHECKF(run(&out, 3, dir, "two", "") == 0, "%s", out);
    T_EQ_I(t_shell(&one, "grep -v _s, %s/one/comparison.csv", dir), 0);
    T_EQ_I(t_shell(&two, "grep -v _s, %s/two/comparison.csv", dir), 0);
    T_EQ_S(two, one);
    T_EQ_I(t_shell(&one, "cd %s/one && find state | sort", dir), 0);
    T_EQ_I(t_shell(&two, "cd %s/two && find state | sort", dir), 0);
    T_EQ_S(two, one);
    /* states that no arm of any rank needs go, the others stay */
    T_CHECKF(run(&out, 2, dir, "two", "--set motion.steps=5") == 0, "%s", out);
    T_EQ_I(t_shell(&one, "cd %s/two && find state -name 'motion*' | wc -l", dir), 0);
    T_EQ_I(atoi(one), 2 * VIDEOS);
}

/* Of the "memory of a rank: ... = X of Y" in the log of rank 0. */
static double budget_of(const char *dir, const char *output)
{
    char *log, unit[8];
    double v = 0;
    t_shell(&log, "grep 'memory of a rank' %s/%s/reshoot.log", dir, output);
    const char *sum = strstr(log, " = "), *at = sum ? strstr(sum, " of ") : NULL;
    T_CHECKF(at && sscanf(at, " of %lf %7s", &v, unit) == 2 && strcmp(unit, "GB") == 0, "%s", log);
    return v;
}

static void t_ranks_share_the_memory_of_a_machine(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, 0, dir, "one", "--only ingest") == 0, "%s", out);
    T_CHECKF(run(&out, 3, dir, "three", "--only ingest") == 0, "%s", out);
    double one = budget_of(dir, "one");
    T_NEAR(budget_of(dir, "three"), one / 3, 0.01 * one); /* three digits are printed */
}

static const rs_test_case cases[] = {
    T_CASE(t_results_do_not_depend_on_the_ranks),
    T_CASE(t_results_do_not_depend_on_the_gangs),
    T_CASE(t_pinned_ranks),
    T_CASE(t_the_time_limit_stops_all),
    T_CASE(t_videos_are_spread),
    T_CASE(t_a_failure_is_its_own),
    T_CASE(t_ranks_share_the_memory_of_a_machine),
    T_CASE(t_bad_input_is_said_once),
    T_CASE(t_a_signal_stops_all_and_another_world_goes_on),
    T_CASE(t_a_killed_rank_ends_the_world_and_nothing_is_lost),
    T_CASE(t_rank_0_may_be_busy_for_longer_than_the_watchdog_waits),
    T_CASE(t_arms_are_compared_over_ranks),
};
RS_TEST_MAIN(cases)
