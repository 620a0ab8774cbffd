// ctest: TIMEOUT 400
// Appearances that a rank trains together: the bits of each alone, through kills and stops and in
// other company; batches where weights are streamed.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "store/state.h"

enum { VIDEOS = 6 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* clip-05 has one reference less than the others, and another shape. */
static const char *world(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_EQ_I(
        t_shell(&out,
                "cd %s/catalog && n=$(grep -n 'image: clip-05/' catalog.yaml | tail -1 | cut -d: "
                "-f1) && sed -i \"${n}d\" catalog.yaml && grep -c 'image: clip-05' catalog.yaml",
                dir),
        0);
    return dir;
}

/* How many jobs were in batches, by the logs. */
static int in_company(const char *dir, const char *output)
{
    char *out;
    int jobs = 0;
    t_shell(&out,
            "cat %s/%s/reshoot*.log | grep -o 'appearance of [0-9]* jobs together' | cut -d' ' -f3",
            dir, output);
    for (char *n = strtok(out, "\n"); n; n = strtok(NULL, "\n"))
        jobs += atoi(n) > 1 ? atoi(n) : 0;
    return jobs;
}

static void t_results_do_not_depend_on_batches(void)
{
    static const struct {
        int ranks, least; /* jobs in company: some batches depend on who is first */
        const char *batch, *more;
    } k_runs[] = {{1, 4, "2", "--set memory.home=mapped"},
                  {1, 4, "4", "--set memory.home=mapped"},
                  {2, 2, "4", ""},
                  {2, 2, "2", "--set memory.home=sharded --set cluster.gang=2"},
                  {2, 2, "auto", "--set memory.home=sharded --set cluster.gang=2"}};
    const char *dir = world();
    char *out;
    int rc =
        t_catalog_run(&out, 0, dir, "alone", "--set cluster.batch=off --set appearance.steps=10");
    T_CHECKF(rc == 0, "%s", out);
    T_EQ_I(in_company(dir, "alone"), 0);
    for (size_t i = 0; i < sizeof k_runs / sizeof k_runs[0]; i++) {
        const char *name = rs_arena_printf(t_arena(), "batch%d", (int)i);
        const char *more =
            rs_arena_printf(t_arena(), "--set appearance.steps=10 --set cluster.batch=%s %s",
                            k_runs[i].batch, k_runs[i].more);
        T_CHECKF(t_catalog_run(&out, k_runs[i].ranks, dir, name, more) == 0, "%d: %s", (int)i, out);
        t_catalog_same(dir, "alone", name, VIDEOS * 5);
        t_catalog_clean(dir, name);
        int n = in_company(dir, name);
        T_CHECKF(n >= k_runs[i].least && n <= VIDEOS, "run %d: %d jobs in company", (int)i, n);
        T_CHECKF(!strstr(out, "more device memory"), "%s", out);
    }
}

/* Sum of the seconds that the states of the appearances record. */
static double seconds_of(const char *dir, const char *output)
{
    char *list;
    double sum = 0, v;
    t_shell(&list, "ls %s/%s/state/*/appearance@*.safetensors", dir, output);
    for (char *file = strtok(list, "\n"); file; file = strtok(NULL, "\n")) {
        rs_state *s;
        T_OK(rs_state_load(&s, file));
        T_OK(rs_state_meta_f64(&v, s, "seconds"));
        T_CHECKF(v > 0, "%s: %g seconds", file, v);
        sum += v;
        rs_state_close(&s);
    }
    return sum;
}

/* Half floats that are converted in every pass: that alone makes batches, and `off` does not. */
static void t_batches_where_weights_are_converted(void)
{
    static const char more[] = "--only appearance --set motion.steps=2 --set appearance.steps=12 "
                               "--set memory.home=mapped --set log.level=detail "
                               "--set model.path=" T_SRC "/datasets/smallworld/model";
    const char *dir = t_catalog_world(3);
    char *out;
    int rc = t_catalog_run(&out, 0, dir, "alone",
                           rs_arena_printf(t_arena(), "%s --set cluster.batch=off", more));
    T_CHECKF(rc == 0, "%s", out);
    T_EQ_I(in_company(dir, "alone"), 0);
    double begin = rs_now();
    T_CHECKF(t_catalog_run(&out, 0, dir, "auto", more) == 0, "%s", out);
    double wall = rs_now() - begin, own = seconds_of(dir, "auto");
    T_CHECKF(own < wall, "three at a time have %.2f s of %.2f s", own, wall); /* shares */
    T_CHECKF(strstr(out, "appearances: up to 3 at a time"), "%s", out);
    T_CHECKF(strstr(out, "at most ") && !strstr(out, "more device memory"), "%s", out);
    T_EQ_I(in_company(dir, "auto"), 3);
    const char *planned = strstr(out, "planned bytes of a batch: ");
    long long bytes = planned ? atoll(strchr(planned, ':') + 1) : 0;
    const char *held =
        rs_arena_printf(t_arena(), "transformer: %lld bytes bound for training", bytes);
    T_CHECKF(bytes > 0 && strstr(out, held), "not \"%s\": %s", held, out);
    t_catalog_same(dir, "alone", "auto", 3 * 3);
    /* nothing is streamed: nothing is batched */
    T_CHECKF(t_catalog_run(&out, 0, dir, "whole",
                           rs_arena_printf(t_arena(), "%s --set memory.home=resident", more)) == 0,
             "%s", out);
    T_EQ_I(in_company(dir, "whole"), 0);
    T_EQ_I(t_catalog_run(&out, 0, dir, "bad", "--set cluster.batch=9"), 2);
    T_CHECKF(strstr(out, "cluster.batch"), "%s", out);
}

/* ---- interrupted ---- */

static int checkpoints(const char *dir, const char *output)
{
    char *out;
    t_shell(&out, "ls %s/%s/state/*/appearance@*~checkpoint.safetensors 2>/dev/null | wc -l", dir,
            output);
    return atoi(out);
}

static int steps_told(const char *log)
{
    char *out;
    t_shell(&out, "grep -c '| appearance step' %s 2>/dev/null", log);
    return atoi(out);
}

/* A run of one rank whose batch is interrupted when so many steps were told (the first ones are,
 * job by job) and so many checkpoints are there. */
static int interrupt(char **out, const char *dir, const char *output, int number, int steps,
                     int saved, const char *settings)
{
    const char *log = in(dir, rs_arena_printf(t_arena(), "%s.log", output));
    unlink(log);
    pid_t pid = t_mpirun_start(log, 1, t_catalog_args(dir, output, settings));
    bool there = false;
    for (int i = 0; i < 3000 && !there; i++) {
        usleep(10000);
        there = steps_told(log) >= steps && checkpoints(dir, output) >= saved;
    }
    T_CHECKF(there, "%s: %d steps were told, %d are saved", log, steps_told(log),
             checkpoints(dir, output));
    bool kill = number == SIGKILL;
    T_CHECK(t_signal(number, 1, kill ? RS_BUILD_DIR "/reshoot run" : "mpirun ", in(dir, output)) ==
            1);
    return t_mpirun_wait(out, pid, log);
}

/* Killed, and gone on with in pairs on two ranks; stopped, and gone on with alone. */
static void t_interrupted_batches_go_on_in_other_company(void)
{
    static const char steps[] =
        "--set motion.steps=2 --set appearance.steps=250 --set checkpoint.every=5 ";
    const char *dir = t_catalog_world(4);
    char *out;
#define WITH(more) rs_arena_printf(t_arena(), "%s%s", steps, more)
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", WITH("--set cluster.batch=off")) == 0, "%s", out);

    interrupt(&out, dir, "killed", SIGKILL, 1, 4, WITH("--set cluster.batch=4"));
    T_CHECKF(checkpoints(dir, "killed") == 4, "%s", out);
    T_CHECKF(t_catalog_run(&out, 2, dir, "killed", WITH("--set cluster.batch=2")) == 0, "%s", out);
    T_EQ_I(t_catalog_logged(dir, "killed", "| appearance resumes after step"), 4);
    t_catalog_same(dir, "alone", "killed", 4 * 5);
    t_catalog_clean(dir, "killed");

    int rc = interrupt(&out, dir, "stopped", SIGUSR1, 4, 0,
                       WITH("--set cluster.batch=4 --set checkpoint.every=1000000"));
    T_CHECKF(rc == 75, "%d: %s", rc, out);
    T_CHECKF(checkpoints(dir, "stopped") == 4, "%s", out);
    rc = interrupt(&out, dir, "stopped", SIGUSR1, 1, 4, WITH("--set cluster.batch=3"));
    T_CHECKF(rc == 75, "%d: %s", rc, out);
    T_CHECKF(t_catalog_run(&out, 0, dir, "stopped", WITH("--set cluster.batch=off")) == 0, "%s",
             out);
    T_CHECK(t_catalog_logged(dir, "stopped", "| appearance resumes after step") >= 4 + 3);
    t_catalog_same(dir, "alone", "stopped", 4 * 5);
    t_catalog_clean(dir, "stopped");
#undef WITH
}

static const rs_test_case cases[] = {
    T_CASE(t_results_do_not_depend_on_batches),
    T_CASE(t_batches_where_weights_are_converted),
    T_CASE(t_interrupted_batches_go_on_in_other_company),
};
RS_TEST_MAIN(cases)
