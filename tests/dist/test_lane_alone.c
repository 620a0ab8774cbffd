// ctest: TIMEOUT 300
// A rank of a lane that alone cannot prepare a stage: the job fails on all ranks, for its reason,
// and at once; the next job begins, and later runs finish what is left.
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/test.h"

/* A rank that waits for ever is ended by the watchdog, with another exit status. */
static const char k_lane[] = "--set cluster.lanes=2 --set cluster.watchdog=20";

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* The same bits as alone, now that nothing is in the way. */
static void finishes(const char *dir, int states, const char *settings)
{
    char *out;
    const char *more = rs_arena_printf(t_arena(), "%s %s", k_lane, settings);
    T_CHECKF(t_catalog_run(&out, 2, dir, "run", more) == 0, "%s", out);
    t_catalog_same(dir, "alone", "run", states);
    t_catalog_clean(dir, "run");
}

/* The leader has its encoders open since it ingested; the other rank opens them when it helps to
 * sample, and they are gone. */
static void vanishes(const char *component)
{
    /* without guidance, so that both ranks share each pass of the edit */
    static const char settings[] =
        "--set motion.steps=150 --set appearance.when=never --set edit.guidance=1";
    const char *dir = t_catalog_world(1), *log = in(dir, "said");
    const char *more = rs_arena_printf(t_arena(), "%s %s", k_lane, settings);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", settings) == 0, "%s", out);
    pid_t pid = t_mpirun_start(log, 2, t_catalog_args(dir, "run", more));
    t_await_text(log, "| motion step", NULL);
    T_EQ_I(t_shell(&out, "mv %s/model/%s %s/away", dir, component, dir), 0);
    int rc = t_mpirun_wait(&out, pid, log);
    T_CHECKF(rc == 3, "%s: %d: %s", component, rc, out);
    const char *job = strstr(out, "clip-00#recolour failed in ");
    T_CHECKF(job && strstr(job, "rank 1: ") && strstr(job, component), "%s", out);
    T_EQ_I(t_shell(&out, "mv %s/away %s/model/%s", dir, dir, component), 0);
    finishes(dir, 4, settings);
}

static void t_the_vae_is_gone(void)
{
    vanishes("vae");
}

static void t_the_text_encoder_is_gone(void)
{
    vanishes("text_encoder");
}

static void t_the_image_encoder_is_gone(void)
{
    vanishes("image_encoder");
}

/* Two ranks that share a job, where the second one sees an empty file in place of this state. */
static int run_blind(char **out, const char *dir, const char *file, const char *settings)
{
    const char *more = rs_arena_printf(t_arena(), "%s %s", k_lane, settings);
    const char *args = t_catalog_args(dir, "run", more), *script = in(dir, "blind.sh");
    const char *text = rs_arena_printf(t_arena(),
                                       "mount --bind /dev/null %s/run/state/clip-00/%s || exit 99\n"
                                       "exec " T_BIN "/reshoot %s\n",
                                       dir, file, args);
    if (t_shell(out, "unshare -m mount -t tmpfs none /mnt") != 0)
        rs_test_skip("no mounts of one's own here: %s", *out);
    T_CHECKF(rs_path_exists(rs_arena_printf(t_arena(), "%s/run/state/clip-00/%s", dir, file)),
             "%s is not there", file);
    T_OK(rs_write_file_atomic(script, text, strlen(text)));
    return t_shell(out, "%s %s : -n 1 unshare -m sh %s </dev/null", t_mpirun_command(1, "reshoot"),
                   args, script);
}

static void blind_to(const char *stage)
{
    const char *dir = t_catalog_world(1);
    const char *file = rs_arena_printf(t_arena(), "%s.safetensors", stage);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", "") == 0, "%s", out);
    const char *only = rs_arena_printf(t_arena(), "--only %s", stage);
    T_CHECKF(t_catalog_run(&out, 0, dir, "run", only) == 0, "%s", out);
    int rc = run_blind(&out, dir, file, "");
    T_CHECKF(rc == 3, "%d: %s", rc, out);
    const char *job = strstr(out, "clip-00#recolour failed in ");
    T_CHECKF(job && strstr(job, "rank 1: ") && strstr(job, file), "%s", out);
    finishes(dir, 5, "");
}

static void t_a_source_that_one_rank_cannot_read(void)
{
    blind_to("ingest");
}

static void t_an_adapter_that_one_rank_cannot_read(void)
{
    blind_to("motion");
}

/* It would begin where the others go on. */
static void blind_resume(const char *checkpoint, const char *settings)
{
    const char *dir = t_catalog_world(1), *log = in(dir, "said");
    char *out, *path = rs_arena_printf(t_arena(), "%s/run/state/clip-00/%s", dir, checkpoint);
    T_CHECKF(t_catalog_run(&out, 0, dir, "alone", settings) == 0, "%s", out);
    pid_t pid = t_mpirun_start(log, 1, t_catalog_args(dir, "run", settings));
    for (int i = 0; i < 6000 && !rs_path_exists(path); i++)
        usleep(10000);
    T_CHECK(t_signal(SIGUSR1, 1, RS_BUILD_DIR "/reshoot run", in(dir, "run")) == 1);
    T_EQ_I(t_mpirun_wait(&out, pid, log), 75);
    int rc = run_blind(&out, dir, checkpoint, settings);
    T_CHECKF(rc == 3, "%d: %s", rc, out);
    T_CHECKF(strstr(out, "ranks of a lane see checkpoints of steps "), "%s", out);
    finishes(dir, 5, settings);
}

static void t_a_motion_that_one_rank_cannot_resume(void)
{
    blind_resume("motion~checkpoint.safetensors", "--set motion.steps=400");
}

static void t_an_edit_that_one_rank_cannot_resume(void)
{
    blind_resume("edit@recolour~checkpoint.safetensors",
                 "--set edit.steps=300 --set edit.sampler=unipc");
}

static const rs_test_case cases[] = {
    T_CASE(t_the_vae_is_gone),
    T_CASE(t_the_text_encoder_is_gone),
    T_CASE(t_the_image_encoder_is_gone),
    T_CASE(t_a_source_that_one_rank_cannot_read),
    T_CASE(t_an_adapter_that_one_rank_cannot_read),
    T_CASE(t_a_motion_that_one_rank_cannot_resume),
    T_CASE(t_an_edit_that_one_rank_cannot_resume),
};
RS_TEST_MAIN(cases)
