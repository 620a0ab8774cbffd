// ctest: TIMEOUT 600
// One bad job is one bad job: it fails with its reason, its siblings in the same run finish with
// the bits they have without it, and when the cause is gone the same command finishes the rest.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/catalog.h"
#include "harness/mpirun.h"
#include "harness/states.h"
#include "harness/test.h"
#include "media/clip.h"
#include "media/encode.h"
#include "store/state.h"

enum { VIDEOS = 4 };

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

/* A good run is <dir>/good. */
static const char *world(const char *settings)
{
    const char *dir = t_catalog_world(VIDEOS);
    char *out;
    T_CHECKF(t_catalog_run(&out, 0, dir, "good", settings) == 0, "%s", out);
    return dir;
}

/* The run has failed in clip-01 alone, for this reason, and its siblings are as they should be. */
static void failed_alone(const char *dir, const char *output, int rc, const char *out,
                         const char *reason, const char *more)
{
    T_CHECKF(rc == 3, "%d: %s", rc, out);
    const char *job = strstr(out, "clip-01#recolour failed");
    T_CHECKF(job && strstr(job, reason) && strstr(job, more), "%s / %s: %s", reason, more, out);
    T_CHECKF(strstr(out, "3 edits done, 1 failed"), "%s", out);
    static const char *const others[] = {"clip-00", "clip-02", "clip-03"};
    for (int i = 0; i < 3; i++) {
        char *list;
        T_EQ_I(t_shell(&list, "cd %s/good && find state/%s -type f", dir, others[i]), 0);
        int n = 0;
        for (char *name = strtok(list, "\n"); name; name = strtok(NULL, "\n"), n++)
            t_same_state(in(in(dir, "good"), name), in(in(dir, output), name));
        T_EQ_I(n, 5);
        T_CHECK(rs_path_exists(
            in(in(dir, output), rs_arena_printf(t_arena(), "archive/%s.h5", others[i]))));
    }
    T_CHECK(!rs_path_exists(in(in(dir, output), "archive/clip-01.h5")));
    T_CHECK(t_shell(NULL, "find %s/%s -name '*.tmp.*' | grep .", dir, output) == 1);
}

/* The cause is gone. */
static void finishes(const char *dir, const char *output, int ranks, const char *settings)
{
    char *out;
    T_CHECKF(t_catalog_run(&out, ranks, dir, output, settings) == 0, "%s", out);
    T_CHECKF(strstr(out, "4 edits done, 0 failed, 1 computed"), "%s", out);
    t_catalog_same(dir, "good", output, VIDEOS * 5);
    t_catalog_clean(dir, output);
}

static const char *output_of(const char *name, int ranks)
{
    return rs_arena_printf(t_arena(), "%s%d", name, ranks);
}

/* ---- a loss that is not a number ---- */

/* A checkpoint of clip-01's motion, of a run that was killed. */
static char *interrupt(const char *dir, const char *output, const char *settings)
{
    char *file = in(in(dir, output), "state/clip-01/motion~checkpoint.safetensors"), *out;
    const char *log = in(dir, "interrupted.log");
    pid_t pid = t_mpirun_start(
        log, 1,
        t_catalog_args(dir, output, rs_arena_printf(t_arena(), "--videos clip-01 %s", settings)));
    for (int i = 0; i < 3000 && !rs_path_exists(file); i++)
        usleep(10000);
    T_CHECK(t_signal(SIGKILL, 1, RS_BUILD_DIR "/reshoot run", in(dir, output)) == 1);
    t_mpirun_wait(&out, pid, log);
    T_CHECKF(rs_path_exists(file), "%s", out);
    return file;
}

/* One weight of the adapter becomes NaN; the file is as whole as any. */
static void poison(const char *path)
{
    rs_state *s;
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    T_OK(rs_state_load(&s, path));
    for (int64_t i = 0; i < rs_state_count(s); i++) {
        rs_tensor t = *rs_state_at(s, i);
        t.data = rs_arena_memdup(t_arena(), t.data, rs_tensor_bytes(t));
        rs_tensor_list_add(&l, t_arena(), rs_arena_strdup(t_arena(), rs_state_name(s, i)), t);
    }
    T_CHECK(l.items[0].t.dtype == RS_DTYPE_F32);
    rs_f32(l.items[0].t)[3] = NAN;
    for (int64_t i = 0; i < rs_state_meta_count(s); i++) {
        rs_meta m = rs_state_meta_at(s, i);
        rs_meta_add(&meta, t_arena(), m.key, m.value);
    }
    rs_state_id id = rs_state_identity(s);
    id.key = rs_arena_strdup(t_arena(), id.key);
    id.stage = rs_arena_strdup(t_arena(), id.stage);
    rs_state_close(&s);
    T_OK(rs_state_save(path, &id, &l, &meta));
}

static void t_nan(void)
{
    static const char settings[] = "--set motion.steps=200";
    const char *dir = world(settings);
    for (int ranks = 1; ranks <= 2; ranks++) {
        char *out;
        const char *output = output_of("nan", ranks);
        char *checkpoint = interrupt(dir, output, settings);
        poison(checkpoint);
        int rc = t_catalog_run(&out, ranks, dir, output, settings);
        failed_alone(dir, output, rc, out, "failed in motion: loss is not finite at step ", "");
        T_CHECK(unlink(checkpoint) == 0);
        finishes(dir, output, ranks, settings);
    }
}

/* ---- a damaged video ---- */

/* clip-01's source becomes an mp4. */
static const char *use_movie(const char *dir)
{
    rs_clip clip;
    const rs_encode_opts exact = {.crf = 0, .preset = "ultrafast"};
    const rs_clip_opts all = {.frames = 0};
    char *movie = in(dir, "catalog/clip-01.mp4"), *out;
    T_OK(rs_clip_load(&clip, t_arena(), in(dir, "catalog/clip-01/frames"), &all));
    T_OK(rs_video_write(movie, clip.rgb, (rs_ratio){8, 1}, &exact));
    T_EQ_I(t_shell(&out,
                   "sed -i 's|source: clip-01/frames|source: clip-01.mp4|' "
                   "%s/catalog/catalog.yaml",
                   dir),
           0);
    return movie;
}

static void t_corrupt_video(void)
{
    const char *dir = t_catalog_world(VIDEOS);
    const char *movie = use_movie(dir);
    char *out, *whole;
    size_t bytes;
    T_CHECKF(t_catalog_run(&out, 0, dir, "good", "") == 0, "%s", out);
    T_OK(rs_read_file(&whole, &bytes, t_arena(), movie));
    char *damaged = rs_arena_memdup(t_arena(), whole, bytes);
    for (size_t i = bytes / 2; i < bytes / 2 + 300; i++)
        damaged[i] = (char)~damaged[i];
    for (int ranks = 1; ranks <= 2; ranks++) {
        const char *output = output_of("corrupt", ranks);
        T_OK(rs_write_file_atomic(movie, damaged, bytes));
        int rc = t_catalog_run(&out, ranks, dir, output, "");
        failed_alone(dir, output, rc, out, "clip-01.mp4: ", " frame ");
        T_OK(rs_write_file_atomic(movie, whole, bytes));
        finishes(dir, output, ranks, "");
    }
}

/* ---- a full disk ---- */

static void need_mounts(void)
{
    char *out;
    if (t_shell(&out, "unshare -m mount -t tmpfs none /mnt") != 0)
        rs_test_skip("no mounts of one's own here: %s", out);
}

/* Lines of shell in a mount namespace with a small file system on `folder`; nothing is left of it.
 * $RUN is the run. */
static int with_small_disk(char **out, const char *dir, const char *output, int ranks,
                           const char *folder, const char *size, const char *lines,
                           const char *settings)
{
    const char *script = in(dir, "script.sh");
    const char *text = rs_arena_printf(
        t_arena(), "mount -t tmpfs -o size=%s none %s || exit 99\nrun() { %s %s; }\n%s\n", size,
        folder, t_mpirun_command(ranks, "reshoot"), t_catalog_args(dir, output, settings), lines);
    T_OK(rs_make_dirs(folder));
    T_OK(rs_write_file_atomic(script, text, strlen(text)));
    return t_shell(out, "unshare -m sh %s", script);
}

static void t_full_disk_of_one_video(void)
{
    need_mounts();
    const char *dir = world("");
    for (int ranks = 1; ranks <= 2; ranks++) {
        char *out;
        const char *output = output_of("full", ranks);
        const char *folder = in(in(dir, output), "state/clip-01");
        int rc = with_small_disk(&out, dir, output, ranks, folder, "16k", "run", "");
        failed_alone(dir, output, rc, out, "failed in ", "No space left on device");
        T_CHECKF(strstr(out, "state/clip-01/"), "%s", out);
        finishes(dir, output, ranks, "");
    }
}

/* Nothing more can be written at all, not even the overview; then there is room again. */
static void t_full_disk_of_the_run(void)
{
    need_mounts();
    const char *dir = world("");
    for (int ranks = 1; ranks <= 2; ranks++) {
        char *out;
        const char *output = output_of("disk", ranks), *root = in(dir, output);
        const char *lines = rs_arena_printf(t_arena(),
                                            "run; echo first: $?; mount -o remount,size=64m %s; "
                                            "run; echo second: $?; cp -r %s %s.kept",
                                            root, root, root);
        T_EQ_I(with_small_disk(&out, dir, output, ranks, root, "500k", lines, ""), 0);
        T_CHECKF(strstr(out, "first: 3"), "%s", out);
        T_CHECKF(strstr(out, "No space left on device"), "%s", out);
        T_CHECKF(strstr(out, "second: 0"), "%s", out);
        t_catalog_same(dir, "good", rs_arena_printf(t_arena(), "%s.kept", output), VIDEOS * 5);
        t_catalog_clean(dir, rs_arena_printf(t_arena(), "%s.kept", output));
    }
}

/* Whatever it is that does not fit (a state, an archive, catalog.h5, a record): jobs fail, and the
 * run says so at its end. */
static void t_a_disk_that_fills_up_anywhere(void)
{
    need_mounts();
    const char *dir = world("");
    for (int kb = 300; kb <= 1500; kb += 150) {
        char *out;
        const char *output = output_of("anywhere", kb), *root = in(dir, output);
        const char *size = rs_arena_printf(t_arena(), "%dk", kb);
        T_EQ_I(with_small_disk(&out, dir, output, 1, root, size, "run; echo first: $?", ""), 0);
        T_CHECKF(strstr(out, "first: 3"), "%s: %s", size, out);
        T_CHECKF(strstr(out, " edits failed\n"), "%s: %s", size, out);
    }
}

/* ---- one of a batch ---- */

static const char *const EDIT[VIDEOS] = {"recolour", "recolour", "retexture", "retexture"};
static const char k_batch[] = "--set cluster.batch=4 --set appearance.steps=40";

/* Checkpoints of all four appearances, of a batch that was stopped. */
static char *stop_batch(const char *dir, const char *output)
{
    const char *log = in(dir, "stopped.log"), *every = "--set checkpoint.every=1000000";
    char *out;
    unlink(log);
    pid_t pid = t_mpirun_start(
        log, 1, t_catalog_args(dir, output, rs_arena_printf(t_arena(), "%s %s", k_batch, every)));
    for (int i = 0; i < VIDEOS; i++) /* each has a step to go on from */
        t_await_text(log, rs_arena_printf(t_arena(), "clip-%02d#%s | appearance step", i, EDIT[i]),
                     NULL);
    T_CHECK(t_signal(SIGUSR1, 1, "mpirun ", in(dir, output)) == 1);
    int rc = t_mpirun_wait(&out, pid, log);
    T_CHECKF(rc == 75, "%d: %s", rc, out);
    T_EQ_I(t_catalog_logged(dir, output, "| appearance resumes"), 0);
    T_EQ_I(t_shell(&out, "ls %s/%s/state/*/appearance@*~checkpoint.safetensors", dir, output), 0);
    for (int i = 0; i < VIDEOS; i++)
        T_CHECKF(strstr(out, rs_arena_printf(t_arena(), "clip-%02d/", i)), "%s", out);
    return in(in(dir, output), "state/clip-01/appearance@recolour~checkpoint.safetensors");
}

static void t_nan_in_a_batch(void)
{
    const char *dir = world("--set cluster.batch=off --set appearance.steps=40");
    for (int ranks = 1; ranks <= 2; ranks++) {
        char *out;
        const char *output = output_of("batch", ranks), *checkpoint = stop_batch(dir, output);
        poison(checkpoint);
        int rc = t_catalog_run(&out, ranks, dir, output, k_batch);
        failed_alone(dir, output, rc, out, "failed in appearance: loss is not finite at step ", "");
        T_EQ_I(t_catalog_logged(dir, output, "| appearance resumes"), VIDEOS);
        T_CHECK(unlink(checkpoint) == 0);
        finishes(dir, output, ranks, k_batch);
    }
}

/* There is room for the motion's states and its checkpoint, one more and the next in the making,
 * but not for those of the appearance besides the motion's state. */
static void t_full_disk_of_one_of_a_batch(void)
{
    need_mounts();
    const char *dir = world("--set cluster.batch=off --set appearance.steps=40");
    for (int ranks = 1; ranks <= 2; ranks++) {
        char *out;
        const char *output = output_of("batch", ranks);
        const char *folder = in(in(dir, output), "state/clip-01");
        int rc = with_small_disk(&out, dir, output, ranks, folder, "364k", "run", k_batch);
        failed_alone(dir, output, rc, out, "failed in appearance: ", "No space left on device");
        finishes(dir, output, ranks, k_batch);
    }
}

/* ---- files that vanish after they were checked ---- */

static void t_vanished_source(void)
{
    static const char settings[] = "--set motion.steps=150";
    const char *dir = world(settings);
    for (int ranks = 1; ranks <= 2; ranks++) {
        const char *output = output_of("vanished", ranks), *log = in(dir, "vanished.log");
        char *out;
        unlink(log);
        pid_t pid = t_mpirun_start(log, ranks, t_catalog_args(dir, output, settings));
        t_await_text(log, "| motion step", NULL); /* the media of all have been checked */
        T_EQ_I(t_shell(NULL, "mv %s/catalog/clip-01/frames %s/away", dir, dir), 0);
        int rc = t_mpirun_wait(&out, pid, log);
        failed_alone(dir, output, rc, out, "clip-01/frames", "");
        T_EQ_I(t_shell(NULL, "mv %s/away %s/catalog/clip-01/frames", dir, dir), 0);
        finishes(dir, output, ranks, settings);
    }
}

/* What is read last, when much of the work has been done. */
static void t_vanished_first_frame(void)
{
    static const char settings[] = "--set motion.steps=150";
    const char *dir = world(settings);
    for (int ranks = 1; ranks <= 2; ranks++) {
        const char *output = output_of("frame", ranks), *log = in(dir, "vanished.log");
        char *out;
        unlink(log);
        pid_t pid = t_mpirun_start(log, ranks, t_catalog_args(dir, output, settings));
        t_await_text(log, "| motion step", NULL);
        T_EQ_I(t_shell(NULL, "mv %s/catalog/clip-01/recolour/first.png %s/away", dir, dir), 0);
        int rc = t_mpirun_wait(&out, pid, log);
        failed_alone(dir, output, rc, out, "clip-01/recolour/first.png", "");
        T_EQ_I(t_shell(NULL, "mv %s/away %s/catalog/clip-01/recolour/first.png", dir, dir), 0);
        finishes(dir, output, ranks, settings);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_nan),
    T_CASE(t_corrupt_video),
    T_CASE(t_full_disk_of_one_video),
    T_CASE(t_full_disk_of_the_run),
    T_CASE(t_a_disk_that_fills_up_anywhere),
    T_CASE(t_nan_in_a_batch),
    T_CASE(t_full_disk_of_one_of_a_batch),
    T_CASE(t_vanished_source),
    T_CASE(t_vanished_first_frame),
};
RS_TEST_MAIN(cases)
