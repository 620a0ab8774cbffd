// ctest: TIMEOUT 900
// Several runs in one output folder: they share the videos, follow who dies, and a run that was
// stopped and continued publishes nothing that is no longer its own.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"

enum { VIDEOS = 4 };

/* Few commits: who is stopped inside of one blocks its video, which is not what is tried here. */
static const char k_zombie[] =
    "--set motion.steps=400 --set checkpoint.every=100 --set cluster.lease=1.5";
static const char k_zombie_batch[] =
    "--set motion.steps=2 --set appearance.steps=400 --set checkpoint.every=100 "
    "--set cluster.lease=1.5 --set cluster.batch=4";
static const char k_long[] = "--set motion.steps=150 --set cluster.lease=1.5";

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* Another run in the background, with the output in <dir>/<log>. */
static pid_t start(const char *dir, const char *log, int ranks, const char *more)
{
    return t_mpirun_start(in(dir, log), ranks, t_catalog_args(dir, "run", more));
}

static int finish(char **out, const char *dir, const char *log, pid_t pid)
{
    return t_mpirun_wait(out, pid, in(dir, log));
}

static const char *world(const char *settings)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", settings) == 0, "%s", out);
    return dir;
}

/* Every video was trained and published once, over all runs. */
static void shared_once(const char *dir)
{
    t_catalog_same(dir, "alone", "run", VIDEOS * 5);
    t_catalog_clean(dir, "run");
    T_EQ_I(t_catalog_logged(dir, "run", "| motion done"), VIDEOS);
    T_EQ_I(t_catalog_logged(dir, "run", "| publish done"), VIDEOS);
    T_CHECK(rs_path_exists(in(dir, "run/catalog.h5")));
}

static bool all_done(const char *said)
{
    return strstr(said, "4 edits done, 0 failed") || strstr(said, "nothing to do: all 4 edits");
}

static void t_two_worlds_share_the_videos(void)
{
    const char *dir = world(k_long);
    char *a, *b;
    pid_t x = start(dir, "a.log", 1, k_long);
    t_await_text(in(dir, "a.log"), " | ", NULL);
    pid_t y = start(dir, "b.log", 2, k_long);
    T_CHECKF(finish(&a, dir, "a.log", x) == 0, "%s", a);
    T_CHECKF(finish(&b, dir, "b.log", y) == 0, "%s", b);
    T_CHECKF(strstr(b, "shared with process") && strstr(b, "4 edits done, 0 failed"), "%s", b);
    T_CHECKF(strstr(a, "4 edits done, 0 failed"), "%s", a);
    shared_once(dir);
    /* both have worked; the second one writes logs of its own */
    char *out;
    T_EQ_I(t_shell(&out, "grep -c 'motion done' %s/run/reshoot.log", dir), 0);
    T_CHECK(atoi(out) < VIDEOS);
    T_EQ_I(t_shell(&out, "ls %s/run/reshoot.world-*.rank-1.log", dir), 0);
}

/* The third one comes when all videos are taken: it waits for several, which end one by one. */
static void t_who_comes_late_waits_for_all(void)
{
    const char *dir = world(k_long);
    char *a, *b, *c;
    pid_t x = start(dir, "a.log", 2, k_long);
    t_await_text(in(dir, "a.log"), "| motion step", NULL);
    pid_t y = start(dir, "b.log", 2, k_long);
    t_await_text(in(dir, "b.log"), " | ", NULL);
    pid_t z = start(dir, "c.log", 1, k_long);
    T_CHECKF(finish(&a, dir, "a.log", x) == 0, "%s", a);
    T_CHECKF(finish(&b, dir, "b.log", y) == 0, "%s", b);
    T_CHECKF(finish(&c, dir, "c.log", z) == 0, "%s", c);
    T_CHECKF(all_done(c), "%s", c);
    shared_once(dir);
}

static void t_videos_of_a_dead_world_are_taken_over(void)
{
    const char *dir = world(k_long);
    char *a, *b;
    pid_t x = start(dir, "a.log", 2, k_long);
    t_await_text(in(dir, "a.log"), "| motion step", NULL);
    pid_t y = start(dir, "b.log", 1, "--set motion.steps=150 --set cluster.lease=1000");
    t_await_text(in(dir, "b.log"), " | ", NULL);
    /* the ranks first: mpirun would not end them within this test's patience if it went alone */
    T_CHECK(t_signal(SIGKILL, 2, RS_BUILD_DIR "/reshoot run", "cluster.lease=1.5") > 0);
    finish(&a, dir, "a.log", x);
    T_CHECKF(finish(&b, dir, "b.log", y) == 0, "%s", b);
    T_CHECKF(strstr(b, "4 edits done, 0 failed"), "%s", b);
    T_CHECKF(strstr(b, "taken over from process") && strstr(b, "is gone"), "%s", b);
    t_catalog_same(dir, "alone", "run", VIDEOS * 5);
    t_catalog_clean(dir, "run");
}

/* The whole world stands still, is taken for dead, and goes on. */
static void zombie(int ranks, const char *settings, const char *working)
{
    const char *dir = world(settings);
    char *a, *b, *out;
    pid_t x = start(dir, "a.log", ranks, settings);
    t_await_text(in(dir, "a.log"), working, NULL);
    const char *program = RS_BUILD_DIR "/reshoot run";
    T_EQ_I(t_signal(SIGSTOP, 9, program, in(dir, "run")), ranks);
    T_CHECKF(t_catalog_run(&b, 1, dir, "run", settings) == 0, "%s", b);
    T_CHECKF(strstr(b, "4 edits done, 0 failed"), "%s", b);
    T_CHECKF(strstr(b, "which was not heard of for too long"), "%s", b);
    T_EQ_I(t_shell(&out, "cd %s/run && find state archive videos sheets -type f | xargs sha256sum",
                   dir),
           0);
    T_EQ_I(t_signal(SIGCONT, 9, program, in(dir, "run")), ranks);
    T_CHECKF(finish(&a, dir, "a.log", x) == 0, "%s", a);
    T_CHECKF(strstr(a, ": lease lost to process"), "%s", a);
    T_CHECKF(all_done(a) && !strstr(a, " E "), "%s", a);
    char *after;
    T_EQ_I(t_shell(&after,
                   "cd %s/run && find state archive videos sheets -type f | xargs sha256sum", dir),
           0);
    T_EQ_S(after, out);
    t_catalog_same(dir, "alone", "run", VIDEOS * 5);
    t_catalog_clean(dir, "run");
}

static void t_a_zombie_publishes_nothing(void)
{
    zombie(1, k_zombie, "| motion step");
}

static void t_a_zombie_of_two_ranks_publishes_nothing(void)
{
    zombie(2, k_zombie, "| motion step");
}

/* Four leases are lost at once. */
static void t_a_zombie_with_a_batch_publishes_nothing(void)
{
    zombie(1, k_zombie_batch, "| appearance step");
}

static void t_other_settings_are_refused(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    pid_t x = start(dir, "a.log", 1, "--set motion.steps=2000");
    t_await_text(in(dir, "a.log"), "| motion step", NULL);
    T_EQ_I(t_catalog_run(&out, 1, dir, "run", "--set motion.steps=150"), 2);
    T_CHECKF(strstr(out, "is using this folder with other settings "
                         "(motion.steps: 2000 there, steps: 150 here)"),
             "%s", out);
    T_EQ_I(t_catalog_run(&out, 1, dir, "run", "--set motion.steps=2000 --set cluster.lease=0"), 2);
    T_CHECKF(strstr(out, "another reshoot run is using this folder (process"), "%s", out);
    T_EQ_I(t_shell(&out, "echo '# other' >> %s/catalog/catalog.yaml", dir), 0);
    T_EQ_I(t_catalog_run(&out, 2, dir, "run", "--set motion.steps=2000"), 2);
    T_CHECKF(strstr(out, "(its catalog, model or arms differ)"), "%s", out);
    T_CHECK(t_signal(SIGKILL, 1, RS_BUILD_DIR "/reshoot run", dir) == 1);
    finish(&out, dir, "a.log", x);
    /* nobody is there any more */
    T_CHECKF(t_catalog_run(&out, 1, dir, "run", "--set motion.steps=3") == 0, "%s", out);
    t_catalog_clean(dir, "run");
}

static void t_one_world_may_have_the_folder_for_itself(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    pid_t x = start(dir, "a.log", 1, "--set motion.steps=2000 --set cluster.lease=0");
    t_await_text(in(dir, "a.log"), "| motion step", NULL);
    for (int i = 0; i < 2; i++) {
        const char *more =
            i ? "--set motion.steps=2000 --set cluster.lease=0" : "--set motion.steps=2000";
        T_EQ_I(t_catalog_run(&out, 1, dir, "run", more), 2);
        T_CHECKF(strstr(out, "is using this folder alone (cluster.lease: 0)"), "%s", out);
    }
    T_CHECK(!rs_path_exists(in(dir, "run/leases")));
    T_CHECK(t_signal(SIGKILL, 1, RS_BUILD_DIR "/reshoot run", dir) == 1);
    finish(&out, dir, "a.log", x);
}

/* A run that only waits for another one still hears its signals. */
static void t_who_waits_can_be_stopped(void)
{
    const char *dir = t_catalog_world(1);
    char *out;
    pid_t x = start(dir, "a.log", 1, "--set motion.steps=3000");
    t_await_text(in(dir, "a.log"), "| motion step", NULL);
    pid_t y = start(dir, "b.log", 2, "--set motion.steps=3000 --set log.level=detail");
    t_await_text(in(dir, "b.log"), "waiting for 1 videos of other runs", " edits ");
    T_CHECK(t_signal(SIGUSR1, 1, "mpirun ", "log.level=detail") == 1);
    T_CHECKF(finish(&out, dir, "b.log", y) == 75, "%s", out);
    T_CHECKF(strstr(out, "clip-00#recolour") && strstr(out, "HELD: process"), "%s", out);
    T_CHECK(t_signal(SIGUSR1, 1, "mpirun ", "motion.steps=3000") == 1);
    T_CHECKF(finish(&out, dir, "a.log", x) == 75, "%s", out);
}

/* A run of a machine that cannot be asked is alive if it touches its file. */
static void t_runs_of_other_machines(void)
{
    const char *dir = t_catalog_world(1);
    char *out;
    const char *life = in(dir, "run/leases/alive/elsewhere_0123456789abcdef0123456789abcdef");
    const char *text = "host elsewhere\npid 7\nsettings 0\n";
    T_CHECKF(t_catalog_run(&out, 0, dir, "run", "") == 0, "%s", out);
    T_OK(rs_write_file_atomic(life, text, strlen(text)));
    T_CHECK(t_shell(&out,
                    "(for i in $(seq 300); do sleep 0.1; touch -c %s; done) >/dev/null 2>&1 &",
                    life) == 0);
    T_EQ_I(t_catalog_run(&out, 0, dir, "run", "--set motion.steps=3 --set cluster.lease=60"), 2);
    T_CHECKF(strstr(out, "process 7 on elsewhere is using this folder with other settings "
                         "(motion.steps: 6 there, steps: 3 here)"),
             "%s", out);
    T_CHECK(unlink(life) == 0);
    const char *silent = in(dir, "run/leases/alive/elsewhere_fedcba9876543210fedcba9876543210");
    T_OK(rs_write_file_atomic(silent, text, strlen(text)));
    T_CHECKF(t_catalog_run(&out, 0, dir, "run", "--set motion.steps=3 --set cluster.lease=0.6") ==
                 0,
             "%s", out);
    T_CHECK(!rs_path_exists(silent));
    t_catalog_clean(dir, "run");
}

static const rs_test_case cases[] = {
    T_CASE(t_two_worlds_share_the_videos),
    T_CASE(t_who_comes_late_waits_for_all),
    T_CASE(t_videos_of_a_dead_world_are_taken_over),
    T_CASE(t_a_zombie_publishes_nothing),
    T_CASE(t_a_zombie_of_two_ranks_publishes_nothing),
    T_CASE(t_a_zombie_with_a_batch_publishes_nothing),
    T_CASE(t_other_settings_are_refused),
    T_CASE(t_runs_of_other_machines),
    T_CASE(t_one_world_may_have_the_folder_for_itself),
    T_CASE(t_who_waits_can_be_stopped),
};
RS_TEST_MAIN(cases)
