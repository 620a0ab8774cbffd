// ctest: TIMEOUT 600
// reshoot run, end to end on a small generated catalog: results, idempotence, keys, kills, signals,
// isolation.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/states.h"
#include "harness/test.h"
#include "store/archive.h"

/* Catalog, model and a configuration with few steps; returns its folder. */
static const char *world(void)
{
    const char *dir = t_tmpdir();
    char *out;
    int rc = t_shell(&out, T_BIN "/reshoot-world formats %s/catalog", dir);
    T_CHECKF(rc == 0, "%s", out);
    rc = t_shell(&out,
                 T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                       "/datasets/smallmodel/tokenizer",
                 dir);
    T_CHECKF(rc == 0, "%s", out);
    const char *yaml = "name: e2e\noutput: run\ncatalog: catalog/catalog.yaml\n"
                       "model: {path: model}\n"
                       "clip: {frames: 9, width: 64, height: 48}\n"
                       "mask: {min_area: 4}\n"
                       "lora: {rank: 4, alpha: 4}\n"
                       "motion: {steps: 6, lr: 1.0e-3}\n"
                       "appearance: {schedule: paper, steps: 4, repeats: 1}\n"
                       "edit: {steps: 3}\n"
                       "checkpoint: {every: 2}\n"
                       "video: {preset: ultrafast}\n";
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "exp.yaml"), yaml, strlen(yaml)));
    return dir;
}

static int run(char **out, const char *dir, const char *output, const char *more)
{
    return t_reshoot(out, "run %s/exp.yaml --set output=%s/%s %s", dir, dir, output, more);
}

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static const char *const k_states[] = {
    "state/ball/ingest.safetensors",     "state/ball/motion.safetensors",
    "state/ball/edit@green.safetensors", "state/ball/decode@green.safetensors",
    "state/ball/edit@gold.safetensors",  "state/ball/appearance@gold.safetensors",
    "state/block/motion.safetensors",    "state/block/decode@chequered.safetensors",
};

static void same_run(const char *dir, const char *a, const char *b)
{
    for (size_t i = 0; i < sizeof k_states / sizeof k_states[0]; i++)
        t_same_state(in(dir, rs_arena_printf(t_arena(), "%s/%s", a, k_states[i])),
                     in(dir, rs_arena_printf(t_arena(), "%s/%s", b, k_states[i])));
}

static void t_run_gives_videos_archives_and_sheets_once(void)
{
    static const char *const files[] = {
        "run/archive/ball.h5",       "run/archive/block.h5",     "run/catalog.h5",
        "run/videos/ball/green.mp4", "run/videos/ball/gold.mp4", "run/videos/block/chequered.mp4",
        "run/sheets/ball.png",       "run/sheets/block.png",     "run/config.yaml",
        "run/reshoot.log",
    };
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "run", "") == 0, "%s", out);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        T_CHECKF(rs_file_size(in(dir, files[i])) > 0, "%s is missing", files[i]);
    T_CHECKF(strstr(out, "run/videos/block/chequered.mp4") && strstr(out, "run/archive/ball.h5"),
             "%s", out);
    /* no temporaries, no checkpoints left */
    T_CHECK(t_shell(&out, "find %s/run -name '*.tmp.*' -o -name '*checkpoint*' | grep .", dir) ==
            1);
    char before[RS_HASH_HEX], after[RS_HASH_HEX];
    T_OK(rs_hash_file(before, in(dir, "run/archive/ball.h5")));
    T_CHECKF(run(&out, dir, "run", "") == 0, "%s", out);
    T_CHECKF(strstr(out, "nothing to do: all 3 edits"), "%s", out);
    T_CHECK(!strstr(out, "motion done"));
    T_OK(rs_hash_file(after, in(dir, "run/archive/ball.h5")));
    T_EQ_S(after, before);
}

static void t_seed_reruns_only_edit_and_later(void)
{
    const char *dir = world();
    char *out, before[RS_HASH_HEX], after[RS_HASH_HEX];
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 0, "%s", out);
    T_OK(rs_hash_file(before, in(dir, "run/state/ball/edit@green.safetensors")));
    T_CHECKF(run(&out, dir, "run", "--videos ball --set edit.seed=7") == 0, "%s", out);
    T_CHECKF(strstr(out, "edit done") && strstr(out, "decode done"), "%s", out);
    T_CHECKF(!strstr(out, "motion done") && !strstr(out, "ingest done") &&
                 !strstr(out, "appearance done"),
             "%s", out);
    T_OK(rs_hash_file(after, in(dir, "run/state/ball/edit@green.safetensors")));
    T_CHECK(strcmp(before, after) != 0);
    /* paste_back touches decode only */
    T_CHECKF(run(&out, dir, "run", "--videos ball --set edit.seed=7 --set edit.paste_back=true") ==
                 0,
             "%s", out);
    T_CHECKF(!strstr(out, "edit done") && strstr(out, "decode done"), "%s", out);
}

static pid_t start(const char *dir, const char *output, const char *more)
{
    pid_t pid = fork();
    if (pid == 0) {
        char command[2048];
        snprintf(command, sizeof command,
                 "exec " T_BIN "/reshoot run %s/exp.yaml --set output=%s/%s %s >%s/%s.out 2>&1",
                 dir, dir, output, more, dir, output);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void wait_for(const char *path, pid_t pid)
{
    for (int i = 0; i < 60000; i++) {
        int status;
        if (rs_path_exists(path))
            return;
        if (waitpid(pid, &status, WNOHANG) == pid)
            rs_test_fail(__FILE__, __LINE__, "run ended before %s appeared", path);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    kill(pid, SIGKILL);
    rs_test_fail(__FILE__, __LINE__, "%s never appeared", path);
}

static const char k_longer[] =
    "--set motion.steps=40 --set appearance.steps=30 --set edit.steps=30";

/* Killed once in every stage, under these settings. */
static void killed(const char *dir, const char *settings)
{
    static const char *const points[] = {
        "state/ball/motion~checkpoint.safetensors",
        "state/ball/edit@green~checkpoint.safetensors",
        "state/ball/appearance@gold~checkpoint.safetensors",
    };
    char *out;
    T_CHECKF(run(&out, dir, "clean", settings) == 0, "%s", out);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        pid_t pid = start(dir, "killed", settings);
        int status;
        wait_for(in(dir, rs_arena_printf(t_arena(), "killed/%s", points[i])), pid);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        T_CHECK(WIFSIGNALED(status));
    }
    T_CHECKF(run(&out, dir, "killed", settings) == 0, "%s", out);
    T_CHECKF(strstr(out, "resumes after step"), "%s", out);
    same_run(dir, "clean", "killed");
    T_CHECK(t_shell(&out, "find %s/killed -name '*.tmp.*' -o -name '*checkpoint*' | grep .", dir) ==
            1);
}

static void t_killed_anywhere_continues_to_the_same_bits(void)
{
    killed(world(), k_longer);
}

static void t_killed_windows_and_blending_continue_to_the_same_bits(void)
{
    killed(world(), rs_arena_printf(t_arena(),
                                    "%s --set motion.window=5 --set motion.window_stride=2 "
                                    "--set edit.blend=true",
                                    k_longer));
}

static void t_killed_in_a_separate_appearance_continues_to_the_same_bits(void)
{
    const char *dir = world(),
               *more = rs_arena_printf(t_arena(), "%s --videos ball --set appearance.mode=separate",
                                       k_longer);
    char *out;
    int status;
    T_CHECKF(run(&out, dir, "clean", more) == 0, "%s", out);
    pid_t pid = start(dir, "killed", more);
    wait_for(in(dir, "killed/state/ball/appearance@gold~checkpoint.safetensors"), pid);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    T_CHECK(WIFSIGNALED(status));
    T_CHECKF(run(&out, dir, "killed", more) == 0, "%s", out);
    T_CHECKF(strstr(out, "appearance resumes after step"), "%s", out);
    for (size_t i = 0; i < sizeof k_states / sizeof k_states[0]; i++)
        if (strstr(k_states[i], "ball"))
            t_same_state(in(dir, rs_arena_printf(t_arena(), "clean/%s", k_states[i])),
                         in(dir, rs_arena_printf(t_arena(), "killed/%s", k_states[i])));
}

static void t_signal_stops_resumable_with_75(void)
{
    const char *dir = world();
    char *out;
    int status;
    pid_t pid = start(dir, "stopped", k_longer);
    wait_for(in(dir, "stopped/state/ball/motion~checkpoint.safetensors"), pid);
    kill(pid, SIGUSR1);
    waitpid(pid, &status, 0);
    T_CHECK(WIFEXITED(status));
    T_EQ_I(WEXITSTATUS(status), 75);
    T_CHECK(!rs_path_exists(in(dir, "stopped/archive/ball.h5")));
    T_CHECKF(run(&out, dir, "stopped", k_longer) == 0, "%s", out);
    T_CHECKF(strstr(out, "motion resumes after step"), "%s", out);
    T_CHECKF(run(&out, dir, "clean", k_longer) == 0, "%s", out);
    same_run(dir, "clean", "stopped");
}

static void t_threads_and_recompute_do_not_change_results(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "one", "--set cluster.threads=1") == 0, "%s", out);
    T_CHECKF(run(&out, dir, "two", "--set cluster.threads=2") == 0, "%s", out);
    same_run(dir, "one", "two");
    T_CHECKF(run(&out, dir, "kept", "--set memory.recompute=none") == 0, "%s", out);
    same_run(dir, "one", "kept");
    T_CHECKF(run(&out, dir, "part", "--set memory.recompute=attention") == 0, "%s", out);
    same_run(dir, "one", "part");
}

static void t_products_of_bf16(void)
{
    static const char k_bf16[] = "--set model.precision=bf16 --set cluster.threads=";
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "half", rs_arena_printf(t_arena(), "%s1", k_bf16)) == 0, "%s", out);
    T_CHECKF(run(&out, dir, "two", rs_arena_printf(t_arena(), "%s2", k_bf16)) == 0, "%s", out);
    same_run(dir, "half", "two");
    T_CHECKF(run(&out, dir, "one", "--set cluster.threads=1") == 0, "%s", out);
    T_CHECK(
        t_shell(&out,
                "cmp -s %s/one/state/ball/motion.safetensors %s/half/state/ball/motion.safetensors",
                dir, dir) != 0);
    T_EQ_I(t_shell(&out, T_BIN "/reshoot show %s/half/archive/ball.h5", dir), 0);
    T_CHECKF(strstr(out, "precision=bf16"), "%s", out);
}

static void t_one_bad_edit_fails_alone(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_shell(&out,
                     "cd %s/catalog && f=$(grep -o '[^ ]*green[^ ]*png' catalog.yaml | head -1) && "
                     "echo garbage > $f",
                     dir) == 0,
             "%s", out);
    T_CHECKF(run(&out, dir, "run", "") == 3, "%s", out);
    T_CHECKF(strstr(out, "ball#green failed: "), "%s", out);
    T_CHECKF(strstr(out, "1 of 3 edits failed"), "%s", out);
    T_CHECK(rs_path_exists(in(dir, "run/archive/ball.h5")));
    T_CHECK(rs_path_exists(in(dir, "run/archive/block.h5")));
    T_CHECK(rs_path_exists(in(dir, "run/videos/ball/gold.mp4")));
    T_CHECK(!rs_path_exists(in(dir, "run/videos/ball/green.mp4")));
}

static void t_other_settings_do_not_share_a_folder(void)
{
    const char *dir = world();
    char *out;
    int status;
    pid_t pid = start(dir, "run", k_longer);
    wait_for(in(dir, "run/state/ball/motion~checkpoint.safetensors"), pid);
    int rc = run(&out, dir, "run", "");
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    T_EQ_I(rc, 2);
    T_CHECKF(strstr(out, "is using this folder with other settings (motion.steps: "), "%s", out);
}

static void spoil(const char *dir, const char *name, const char *content)
{
    T_OK(rs_write_file_atomic(in(dir, name), content, strlen(content)));
}

static char *attribute(const char *dir, const char *archive, const char *object, const char *name)
{
    rs_archive *f;
    char *value;
    T_OK(rs_archive_open(&f, in(dir, archive)));
    T_OK(rs_archive_get_as_text(&value, t_arena(), f, object, name));
    rs_archive_close(&f);
    return value;
}

static void t_failed_edit_keeps_its_last_success(void)
{
    const char *dir = world();
    char *out, before[RS_HASH_HEX], after[RS_HASH_HEX];
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 0, "%s", out);
    T_OK(rs_hash_file(before, in(dir, "run/videos/ball/green.mp4")));
    const char *key = attribute(dir, "run/archive/ball.h5", "/edits/green", "key");
    T_CHECK(t_shell(&out, "cp %s/catalog/edits/ball-green.png %s/good.png", dir, dir) == 0);
    spoil(dir, "catalog/edits/ball-green.png", "garbage");
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 3, "%s", out);
    T_OK(rs_hash_file(after, in(dir, "run/videos/ball/green.mp4")));
    T_EQ_S(after, before);
    T_EQ_S(attribute(dir, "run/archive/ball.h5", "/edits/green", "state"), "failed");
    T_EQ_S(attribute(dir, "run/archive/ball.h5", "/edits/green", "key"), key);
    T_CHECK(
        strstr(attribute(dir, "run/archive/ball.h5", "/edits/green", "reason"), "ball-green.png"));
    T_CHECK(strlen(attribute(dir, "run/archive/ball.h5", "/stages/edit/green", "key")) == 64);
    T_CHECKF(t_reshoot(&out, "verify %s/run/archive/ball.h5", dir) == 0, "%s", out);
    T_CHECK(t_shell(&out, "cp %s/good.png %s/catalog/edits/ball-green.png", dir, dir) == 0);
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 0, "%s", out);
    T_CHECKF(strstr(out, "publish done") && !strstr(out, "edit done"), "%s", out);
    T_EQ_S(attribute(dir, "run/archive/ball.h5", "/edits/green", "state"), "done");
    T_CHECKF(t_reshoot(&out, "verify %s/run/archive/ball.h5 %s/run/catalog.h5", dir, dir) == 0,
             "%s", out);
}

static void t_damaged_or_missing_outputs_are_made_again(void)
{
    static const char *const outputs[] = {"run/videos/ball/gold.mp4", "run/sheets/ball.png",
                                          "run/archive/ball.h5", "run/catalog.h5"};
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 0, "%s", out);
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        if (i < 3)
            spoil(dir, outputs[i], "not what was published");
        else
            T_CHECK(unlink(in(dir, outputs[i])) == 0);
        T_CHECKF(run(&out, dir, "run", "--videos ball") == 0, "%s", out);
        T_CHECKF(!strstr(out, "edit done") && !strstr(out, "decode done"), "%s", out);
        T_CHECKF((strstr(out, "publish done") != NULL) == (i < 3), "%s", out);
        T_CHECKF(t_reshoot(&out, "verify %s/run/archive/ball.h5 %s/run/catalog.h5", dir, dir) == 0,
                 "%s", out);
        T_CHECKF(run(&out, dir, "run", "--videos ball") == 0 && strstr(out, "nothing to do"), "%s",
                 out);
    }
    /* a checkpoint that a kill left beside its finished state */
    spoil(dir, "run/state/ball/motion~checkpoint.safetensors", "left behind");
    T_CHECKF(run(&out, dir, "run", "--videos ball") == 0 && strstr(out, "nothing to do"), "%s",
             out);
    T_CHECK(!rs_path_exists(in(dir, "run/state/ball/motion~checkpoint.safetensors")));
}

/* block has fps: 8 in the catalog and 13 frames; the clip takes 9. */
static void t_playback_rate_follows_the_frames_and_trains_nothing_again(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "even", "--videos block") == 0, "%s", out);
    T_EQ_S(attribute(dir, "even/archive/block.h5", "/source", "fps_num"), "72");
    T_EQ_S(attribute(dir, "even/archive/block.h5", "/source", "fps_den"), "13");
    T_CHECK(t_shell(&out, "sed -i 's/fps: 8/fps: 26/' %s/catalog/catalog.yaml", dir) == 0);
    T_CHECKF(run(&out, dir, "even", "--videos block") == 0, "%s", out);
    T_CHECKF(strstr(out, "publish done") && !strstr(out, "ingest done") &&
                 !strstr(out, "motion done"),
             "%s", out);
    T_EQ_S(attribute(dir, "even/archive/block.h5", "/source", "fps_num"), "18");
    T_EQ_S(attribute(dir, "even/archive/block.h5", "/source", "fps_den"), "1");
    T_CHECKF(run(&out, dir, "first", "--videos block --set clip.sampling=first") == 0, "%s", out);
    T_EQ_S(attribute(dir, "first/archive/block.h5", "/source", "fps_num"), "26");
}

/* The original checkpoints keep their tokenizer elsewhere. */
static void t_tokenizer_of_the_original_layout(void)
{
    const char *dir = world();
    char *out;
    T_CHECK(t_shell(&out, "mkdir %s/model/google && mv %s/model/tokenizer %s/model/google/umt5-xxl",
                    dir, dir, dir) == 0);
    T_CHECKF(run(&out, dir, "run", "--videos block --only ingest") == 0, "%s", out);
    T_CHECKF(t_reshoot(&out, "check %s/exp.yaml", dir) == 0, "%s", out);
}

/* An edit is done with the last stage that it has. */
static void t_only_up_to_a_stage_that_not_all_have(void)
{
    static const char *const stages[] = {"ingest", "motion", "appearance", "edit", "decode"};
    const char *dir = world();
    char *out;
    for (int i = 0; i < 5; i++) {
        const char *more = rs_arena_printf(t_arena(), "--only %s", stages[i]);
        T_CHECKF(run(&out, dir, "all", more) == 0, "%s: %s", more, out);
        more = rs_arena_printf(t_arena(), "%s --set appearance.when=never", more);
        T_CHECKF(run(&out, dir, "none", more) == 0, "%s: %s", more, out);
        T_CHECKF(strstr(out, "0 failed") || strstr(out, "nothing to do"), "%s", out);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_run_gives_videos_archives_and_sheets_once),
    T_CASE(t_seed_reruns_only_edit_and_later),
    T_CASE(t_killed_anywhere_continues_to_the_same_bits),
    T_CASE(t_killed_windows_and_blending_continue_to_the_same_bits),
    T_CASE(t_killed_in_a_separate_appearance_continues_to_the_same_bits),
    T_CASE(t_signal_stops_resumable_with_75),
    T_CASE(t_threads_and_recompute_do_not_change_results),
    T_CASE(t_products_of_bf16),
    T_CASE(t_one_bad_edit_fails_alone),
    T_CASE(t_other_settings_do_not_share_a_folder),
    T_CASE(t_failed_edit_keeps_its_last_success),
    T_CASE(t_damaged_or_missing_outputs_are_made_again),
    T_CASE(t_playback_rate_follows_the_frames_and_trains_nothing_again),
    T_CASE(t_tokenizer_of_the_original_layout),
    T_CASE(t_only_up_to_a_stage_that_not_all_have),
};
RS_TEST_MAIN(cases)
