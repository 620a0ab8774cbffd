// ctest: TIMEOUT 400
// SIGUSR1 ends a run of any number of ranks in any stage with everything saved, exit status 75;
// SIGTERM loses no more than a kill.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "store/state.h"

enum { VIDEOS = 5 };

/* No checkpoints but those of a signal. */
static const char k_settings[] = "--set motion.steps=120 --set appearance.steps=60 --set "
                                 "edit.steps=40 --set checkpoint.every=1000000 --set "
                                 "cluster.ahead=always";

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* Until one of the logs of the run's ranks has a line with the text. */
static void await_logged(const char *dir, const char *output, const char *text)
{
    for (int i = 0; i < 3000; i++) {
        if (t_shell(NULL, "cat %s/%s/reshoot*.log 2>/dev/null | grep -q '%s'", dir, output, text) ==
            0)
            return;
        usleep(10000);
    }
    T_CHECKF(false, "no rank says \"%s\"", text);
}

static int64_t step_of(const char *path)
{
    rs_state *s;
    T_OK(rs_state_load(&s, path));
    int64_t step = rs_state_identity(s).step;
    rs_state_close(&s);
    return step;
}

/* "  clip-00#recolour   STOPPED: stopped after step 17 of 120": the state of that step is there. */
static bool is_saved(const char *dir, const char *output, const char *line)
{
    char video[64], edit[64];
    long long step;
    const char *at = strstr(line, "STOPPED: stopped after"), *name = strstr(line, "clip-");
    const char *number = at ? strstr(at, "step ") : NULL;
    if (!number || !name || sscanf(number, "step %lld of", &step) != 1 ||
        sscanf(name, "%63[^#]#%63s", video, edit) != 2)
        return false;
    const char *files[] = {"motion~checkpoint",
                           rs_arena_printf(t_arena(), "appearance@%s~checkpoint", edit),
                           rs_arena_printf(t_arena(), "edit@%s~checkpoint", edit)};
    for (int i = 0; i < 3; i++) {
        const char *path = rs_arena_printf(t_arena(), "%s/%s/state/%s/%s.safetensors", dir, output,
                                           video, files[i]);
        if (rs_path_exists(path) && step_of(path) == step)
            return true;
    }
    T_CHECKF(false, "not saved: %s", line);
    return false;
}

/* A run that is stopped when some rank is in the stage; how many jobs were stopped inside of one.
 */
static int stop_in(const char *dir, const char *output, int ranks, const char *stage)
{
    char *out;
    const char *log = in(dir, "stopped.log");
    int saved = 0;
    t_shell(NULL, "rm -f %s/%s/reshoot*.log", dir, output);
    pid_t pid = t_mpirun_start(log, ranks, t_catalog_args(dir, output, k_settings));
    await_logged(dir, output, stage);
    T_CHECK(t_signal(SIGUSR1, 1, "mpirun ", in(dir, output)) == 1);
    int rc = t_mpirun_wait(&out, pid, log);
    T_CHECKF(rc == 75, "%d ranks, \"%s\": %d: %s", ranks, stage, rc, out);
    T_CHECKF(strstr(out, "stopped; the same command goes on"), "%s", out);
    T_CHECKF(!strstr(out, " E ") && !strstr(out, "FAILED"), "%s", out);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        saved += is_saved(dir, output, line);
    T_CHECK(saved <= ranks);
    T_CHECK(t_shell(NULL, "find %s/%s -name '*.tmp.*' | grep .", dir, output) == 1);
    return saved;
}

static void stop_everywhere(int ranks)
{
    static const char *const stages[] = {"| ingest",          "| motion step", "| appearance step",
                                         "| appearance done", "| edit done",   "| decode done"};
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    int saved = 0;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", k_settings) == 0, "%s", out);
    for (int i = ranks % 2; i < 6; i += 2) /* every stage with two numbers of ranks */
        saved += stop_in(dir, "run", ranks, stages[i]);
    T_CHECKF(saved > 0, "no job was stopped between steps");
    T_CHECKF(t_catalog_run(&out, 1 + ranks % 4, dir, "run", k_settings) == 0, "%s", out);
    t_catalog_same(dir, "alone", "run", VIDEOS * 5);
    t_catalog_clean(dir, "run");
}

static void t_one_rank_stops(void)
{
    stop_everywhere(1);
}

static void t_two_ranks_stop(void)
{
    stop_everywhere(2);
}

static void t_three_ranks_stop(void)
{
    stop_everywhere(3);
}

static void t_four_ranks_stop(void)
{
    stop_everywhere(4);
}

/* Of mpirun, which gives its ranks a second, and of one rank, which stops all as SIGUSR1 does. */
static void t_sigterm_loses_nothing(void)
{
    static const char settings[] = "--set motion.steps=120 --set checkpoint.every=10";
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", settings) == 0, "%s", out);
    for (int i = 0; i < 4; i++) {
        const char *log = in(dir, "ended.log"), *run = rs_arena_printf(t_arena(), "run%d", i);
        bool one = i % 2;
        pid_t pid = t_mpirun_start(log, 1 + i, t_catalog_args(dir, run, settings));
        await_logged(dir, run, "| motion step");
        T_CHECK(t_signal(SIGTERM, 1, one ? RS_BUILD_DIR "/reshoot run" : "mpirun ", in(dir, run)) ==
                1);
        int rc = t_mpirun_wait(&out, pid, log);
        T_CHECKF(one ? rc == 75 : rc != 0 && rc != 124, "%d: %s", rc, out);
        char *list;
        t_shell(&list, "find %s/%s/state -name '*~checkpoint*'", dir, run);
        for (char *file = strtok(list, "\n"); file; file = strtok(NULL, "\n"))
            T_CHECK(step_of(file) > 0); /* whole */
        T_CHECKF(t_catalog_run(&out, 2, dir, run, settings) == 0, "%s", out);
        t_catalog_same(dir, "alone", run, VIDEOS * 5);
        t_catalog_clean(dir, run);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_one_rank_stops),  T_CASE(t_two_ranks_stop),        T_CASE(t_three_ranks_stop),
    T_CASE(t_four_ranks_stop), T_CASE(t_sigterm_loses_nothing),
};
RS_TEST_MAIN(cases)
