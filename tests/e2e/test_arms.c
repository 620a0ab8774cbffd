// ctest: TIMEOUT 600
// An experiment with arms, end to end: what arms have in common is computed once and has the bits
// of an ordinary run; kills, changed arms, failures; the comparison.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "base/str.h"
#include "harness/sheets.h"
#include "harness/test.h"
#include "media/image.h"
#include "store/archive.h"
#include "store/json.h"
#include "store/safetensors.h"

#define COMMON                                                                                     \
    "name: e2e\ncatalog: catalog/catalog.yaml\nmodel: {path: model}\noutput: run\n"                \
    "clip: {frames: 9, width: 64, height: 48}\nmask: {min_area: 4}\nlora: {rank: 4, alpha: 4}\n"   \
    "motion: {steps: 6, lr: 1.0e-3}\nappearance: {schedule: paper, steps: 4, repeats: 1}\n"        \
    "edit: {steps: 3}\ncheckpoint: {every: 2}\nvideo: {preset: ultrafast}\n"                       \
    "cluster: {threads: 1}\n"

/* Two videos, three edits, one of them with a reference. Of one video: noise and pasting are later
 * than training, so three arms train once; the short one trains itself on the same ingest. */
#define ARMS                                                                                       \
    "arms:\n"                                                                                      \
    "  - {name: plain}\n"                                                                          \
    "  - {name: seed, set: {edit.seed: 5}}\n"                                                      \
    "  - {name: pasted, note: background kept, set: {edit.paste_back: true}}\n"                    \
    "  - {name: short, set: {motion.steps: 3}}\n"

#define CLAIMS                                                                                     \
    "claims:\n"                                                                                    \
    "  - {name: pasting, says: it keeps the background, measure: psnr_outside, better: pasted, "   \
    "than: plain}\n"                                                                               \
    "  - {name: pasting-back, says: it harms it, measure: psnr_outside, better: plain, than: "     \
    "pasted}\n"

static char *in(const char *dir, const char *name)
{
    return rs_path_join(t_arena(), dir, name);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    T_OK(rs_write_file_atomic(in(dir, name), text, strlen(text)));
}

static char *read_text(const char *dir, const char *name)
{
    char *text;
    size_t bytes;
    T_OK(rs_read_file(&text, &bytes, t_arena(), in(dir, name)));
    return text;
}

static const char *world(void)
{
    const char *dir = t_tmpdir();
    char *out;
    int rc = t_shell(&out,
                     T_BIN "/reshoot-world formats %s/catalog && " T_BIN
                           "/reshoot-world model --preset tiny %s/model " T_SRC
                           "/datasets/smallmodel/tokenizer",
                     dir, dir);
    T_CHECKF(rc == 0, "%s", out);
    write_text(dir, "plain.yaml", COMMON);
    write_text(dir, "exp.yaml", COMMON ARMS CLAIMS);
    return dir;
}

static int run(char **out, const char *dir, const char *file, const char *output, const char *more)
{
    return t_reshoot(out, "run %s/%s --set output=%s/%s %s", dir, file, dir, output, more);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

static int count_files(const char *dir, const char *pattern)
{
    char *out;
    int n;
    T_EQ_I(t_shell(&out, "find %s -path '*%s' | wc -l", dir, pattern), 0);
    T_CHECK(sscanf(out, "%d", &n) == 1);
    return n;
}

/* The one file a pattern stands for. */
static char *only_file(const char *dir, const char *pattern)
{
    char *out;
    T_EQ_I(t_shell(&out, "ls %s/%s", dir, pattern), 0);
    T_CHECKF(count(out, "\n") == 1, "%s: %s", pattern, out);
    out[strlen(out) - 1] = 0;
    return out;
}

static void same_state(const char *a, const char *b)
{
    rs_safetensors *x, *y;
    T_OK(rs_safetensors_open(&x, a));
    T_OK(rs_safetensors_open(&y, b));
    T_EQ_I(rs_safetensors_count(x), rs_safetensors_count(y));
    for (int64_t i = 0; i < rs_safetensors_count(x); i++) {
        const rs_tensor *p = rs_safetensors_at(x, i);
        const rs_tensor *q = rs_safetensors_find(y, rs_safetensors_name(x, i));
        T_CHECKF(q && rs_tensor_same_shape(*p, *q) &&
                     memcmp(p->data, q->data, rs_tensor_bytes(*p)) == 0,
                 "%s and %s differ in %s", a, b, rs_safetensors_name(x, i));
    }
    rs_safetensors_close(&x);
    rs_safetensors_close(&y);
}

static void t_arms_share_what_is_equal(void)
{
    const char *dir = world();
    char *out, before[RS_HASH_HEX], after[RS_HASH_HEX];
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    /* 2 videos x {1, 2 motions}, 3 edits x {3 samplings}, 4 decodings, 1 appearance x 2 motions */
    T_EQ_I(count(out, "ingest done"), 2);
    T_EQ_I(count(out, "motion done"), 4);
    T_EQ_I(count(out, "appearance done"), 2);
    T_EQ_I(count(out, "edit done"), 9);
    T_EQ_I(count(out, "decode done"), 12);
    T_EQ_I(count(out, "publish done"), 8);
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 2 + 4 + 2 + 9 + 12);
    T_EQ_I(count_files(dir, "/run/arms/*/archive/*.h5"), 8);
    T_EQ_I(count_files(dir, "/run/arms/*/videos/*.mp4"), 12);
    T_EQ_I(count_files(dir, "/run/arms/*/sheets/*.png"), 8);
    T_CHECKF(t_reshoot(&out, "verify %s/run/arms/*/archive/*.h5 %s/run/arms/*/catalog.h5", dir,
                       dir) == 0,
             "%s", out);
    T_OK(rs_hash_file(before, in(dir, "run/comparison.json")));
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(count(out, "nothing to do"), 4);
    T_EQ_I(count(out, " done in "), 0);
    T_OK(rs_hash_file(after, in(dir, "run/comparison.json")));
    T_EQ_S(after, before);
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 29);
    /* an ordinary run of the same settings has the same bits */
    T_CHECKF(run(&out, dir, "plain.yaml", "alone", "--set motion.steps=3") == 0, "%s", out);
    T_CHECKF(run(&out, dir, "exp.yaml", "some", "--arms short") == 0, "%s", out);
    same_state(only_file(dir, "some/state/ball/decode@gold~*"),
               in(dir, "alone/state/ball/decode@gold.safetensors"));
    same_state(only_file(dir, "some/state/block/motion~*"),
               in(dir, "alone/state/block/motion.safetensors"));
}

static double number(const rs_json *o, const char *key)
{
    double v;
    T_OK(rs_json_f64(&v, o, key));
    return v;
}

static const rs_json *item(const rs_json *o, const char *list, int64_t i)
{
    const rs_json *array;
    T_OK(rs_json_array(&array, o, list));
    T_CHECK(i < rs_json_size(array));
    return rs_json_at(array, i);
}

static const rs_json *member(const rs_json *o, const char *key)
{
    const rs_json *v = rs_json_find(o, key);
    T_CHECKF(v, "no %s", key);
    return v;
}

static const char *word(const rs_json *o, const char *key)
{
    const char *s;
    T_OK(rs_json_string(&s, o, key));
    return s;
}

static void t_comparison_is_that_of_the_archives(void)
{
    const char *dir = world();
    char *out;
    rs_json *doc;
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_CHECKF(strstr(out, "claim pasting: reproduced: pasted is better than plain in psnr_outside"),
             "%s", out);
    T_CHECKF(strstr(out, "claim pasting-back: not reproduced"), "%s", out);
    T_OK(rs_json_load(&doc, in(dir, "run/comparison.json")));
    T_CHECK(number(doc, "pairs") == 3);
    const rs_json *pasted = item(doc, "arms", 2), *stat;
    T_EQ_S(word(pasted, "name"), "pasted");
    T_EQ_S(word(pasted, "note"), "background kept");
    T_EQ_S(word(pasted, "set"), "edit.paste_back=true");
    stat = member(member(pasted, "summary"), "psnr_outside");
    double sum = 0;
    for (int64_t i = 0; i < 3; i++) {
        const rs_json *pair = item(pasted, "pairs", i);
        /* `show` reads the archive */
        T_CHECKF(t_reshoot(&out, "show %s/run/arms/pasted/archive/%s.h5 --json", dir,
                           word(pair, "video")) == 0,
                 "%s", out);
        rs_json *archive;
        T_OK(rs_json_parse(&archive, out, strlen(out), "show"));
        const rs_json *edit = member(member(archive, "edits"), word(pair, "edit"));
        double psnr = number(member(edit, "metrics"), "psnr_outside");
        T_CHECK(psnr > 0 && number(pair, "psnr_outside") == psnr);
        rs_json_destroy(&archive);
        T_CHECK(number(pair, "train_s") > 0 && number(pair, "sample_s") > 0);
        sum += psnr;
    }
    T_NEAR(number(stat, "mean"), sum / 3, 1e-12 * sum);
    T_EQ_S(word(item(doc, "claims", 1), "verdict"), "not reproduced");
    rs_json_destroy(&doc);
    const char *md = read_text(dir, "run/comparison.md");
    T_CHECKF(strstr(md, "| plain | 3 | 0 | ") && strstr(md, "| short | `motion.steps=3` |  |"),
             "%s", md);
    T_CHECK(count(read_text(dir, "run/comparison.csv"), "\nseed,") >= 3);
}

/* ---- strips ---- */

static rs_tensor archived(const char *archive, const char *object)
{
    rs_archive *f;
    rs_tensor t;
    T_OK(rs_archive_open(&f, archive));
    T_OK(rs_archive_read_tensor(&t, t_arena(), f, object));
    rs_archive_close(&f);
    return t;
}

enum { TILES = 9, SCALE = 3 }; /* 64x48 frames: 3 times is what fits into 208 pixels */

/* The label, and below it nine evenly spread frames of the clip. Returns their row. */
static int64_t check_strip(rs_tensor sheet, const char *label, rs_tensor clip, int64_t from)
{
    int64_t at = t_sheet_find_label(sheet, label, from), row = -1, last = clip.shape[0] - 1;
    T_CHECKF(at >= 0, "no strip is called %s", label);
    for (int64_t i = 0; i < TILES; i++) {
        int64_t t = (i * last + 4) / (TILES - 1); /* rounded */
        int64_t y = t_sheet_find_picture(sheet, t_sheet_tile(clip, t, SCALE), at);
        T_CHECKF(y > at && y < at + 40 && (i == 0 || y == row), "%s: frame %d is in row %d", label,
                 (int)t, (int)y);
        row = y;
    }
    return row;
}

static rs_tensor sheet_of(const char *dir, const char *pair)
{
    rs_tensor sheet;
    T_OK(rs_image_load(&sheet, t_arena(),
                       rs_arena_printf(t_arena(), "%s/run/comparison/%s.png", dir, pair)));
    return sheet;
}

/* Strips of one pair in the order of the arms. */
static void check_sheet(const char *dir, const char *video, const char *edit, rs_tensor truth)
{
    static const char *const arms[] = {"plain", "seed", "pasted", "short"};
    rs_tensor sheet = sheet_of(dir, rs_arena_printf(t_arena(), "%s@%s", video, edit));
    int64_t y = 0;
    for (int i = 0; i < 4; i++) {
        const char *archive =
            rs_arena_printf(t_arena(), "%s/run/arms/%s/archive/%s.h5", dir, arms[i], video);
        if (i == 0)
            y = check_strip(sheet, "source", archived(archive, "/source/frames"), 0);
        if (i == 0 && truth.ndim)
            y = check_strip(sheet, "truth", truth, y);
        int64_t number = t_sheet_find_number(sheet, 11, y); /* of the last frame in the source */
        y = check_strip(sheet, arms[i],
                        archived(archive, rs_arena_printf(t_arena(), "/edits/%s/frames", edit)), y);
        T_CHECK(number > y - 20 && number < y);
    }
    T_EQ_I(t_sheet_find_label(sheet, "truth", 0) >= 0, truth.ndim > 0);
}

static void t_strips_show_every_arm(void)
{
    const char *dir = world();
    char *out, *before, *after;
    /* any clip of the right size is a truth: here that of the other video */
    T_EQ_I(t_shell(&out,
                   "sed -i 's/^\\( *\\)first_frame: .*green.png/&\\n\\1truth: block/' "
                   "%s/catalog/catalog.yaml",
                   dir),
           0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_CHECKF(strstr(out, "run/comparison/"), "%s", out);
    T_CHECK(strstr(read_text(dir, "run/comparison.md"), "](comparison/)"));
    T_EQ_I(count_files(dir, "/run/comparison/*"), 3);
    check_sheet(dir, "ball", "green",
                archived(in(dir, "run/arms/plain/archive/block.h5"), "/source/frames"));
    check_sheet(dir, "ball", "gold", (rs_tensor){0});
    check_sheet(dir, "block", "chequered", (rs_tensor){0});
    /* nothing new: not touched; damaged: made again */
    T_EQ_I(t_shell(&before, "stat -c '%%n %%i %%y' %s/run/comparison/*", dir), 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(t_shell(&after, "stat -c '%%n %%i %%y' %s/run/comparison/*", dir), 0);
    T_EQ_S(after, before);
    T_EQ_I(t_shell(&before, "sha256sum %s/run/comparison/*", dir), 0);
    write_text(dir, "run/comparison/ball@gold.png", "garbage");
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(t_shell(&after, "sha256sum %s/run/comparison/*", dir), 0);
    T_EQ_S(after, before);
    /* a changed arm */
    T_CHECK(t_shell(&out, "sed -i 's/motion.steps: 3/motion.steps: 2/' %s/exp.yaml", dir) == 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "--arms short") == 0, "%s", out);
    T_EQ_I(t_shell(&after, "sha256sum %s/run/comparison/*", dir), 0);
    T_EQ_S(after, before); /* part of the arms */
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(t_shell(&after, "sha256sum %s/run/comparison/*", dir), 0);
    T_CHECK(strcmp(after, before) != 0);
    check_sheet(dir, "block", "chequered", (rs_tensor){0});
}

/* One arm fails where the others have frames. */
static void t_strips_say_what_failed(void)
{
    const char *dir = world();
    char *out;
    write_text(dir, "exp.yaml",
               COMMON "arms:\n  - {name: wild, set: {mask.min_area: 100000}}\n"
                      "  - {name: seed, set: {edit.seed: 5}}\n");
    write_text(dir, "catalog/edits/ball-green.png", "garbage");
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "--set clip.frames=13") == 3, "%s", out);
    rs_tensor sheet = sheet_of(dir, "ball@gold");
    int64_t y = check_strip(
        sheet, "source", archived(in(dir, "run/arms/seed/archive/ball.h5"), "/source/frames"), 0);
    T_CHECK(t_sheet_find_label(sheet, "wild: failed: ", y) > y);
    check_strip(sheet, "seed",
                archived(in(dir, "run/arms/seed/archive/ball.h5"), "/edits/gold/frames"), y);
    sheet = sheet_of(dir, "ball@green");
    T_CHECK(t_sheet_find_label(sheet, "wild: failed: ", 0) >= 0);
    T_CHECK(t_sheet_find_label(sheet, "seed: failed: ", 0) >= 0 &&
            t_sheet_find_label(sheet, "source", 0) < 0);
    /* a folder that cannot be made is an error of the run */
    T_EQ_I(t_shell(&out, "rm -r %s/run/comparison && touch %s/run/comparison", dir, dir), 0);
    T_EQ_I(run(&out, dir, "exp.yaml", "run", ""), 3);
    T_CHECKF(strstr(out, "run/comparison: exists and is not a folder"), "%s", out);
}

static pid_t start(const char *dir, const char *output)
{
    pid_t pid = fork();
    if (pid == 0) {
        char command[2048];
        snprintf(command, sizeof command,
                 "exec " T_BIN "/reshoot run %s/exp.yaml --set output=%s/%s --set edit.steps=100 "
                 "--set motion.steps=40 >%s/%s.out 2>&1",
                 dir, dir, output, dir, output);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Until a shell pattern stands for some file. */
static void wait_for(const char *dir, const char *pattern, pid_t pid)
{
    for (int i = 0; i < 20000; i++) {
        char *out;
        int status;
        if (t_shell(&out, "ls %s/%s 2>/dev/null", dir, pattern) == 0)
            return;
        if (waitpid(pid, &status, WNOHANG) == pid)
            rs_test_fail(__FILE__, __LINE__, "run ended before %s appeared", pattern);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    kill(pid, SIGKILL);
    rs_test_fail(__FILE__, __LINE__, "%s never appeared", pattern);
}

static const char k_longer[] = "--set edit.steps=100 --set motion.steps=40";

static void t_killed_and_stopped_runs_go_on_to_the_same_bits(void)
{
    static const char *const points[] = {
        "killed/state/ball/motion~*~checkpoint.safetensors", /* first arm */
        "killed/arms/plain/catalog.h5",                      /* between arms */
        "killed/arms/seed/videos/ball/*.mp4",
        "killed/arms/pasted/config.yaml",
    };
    static const char *const states[] = {"ball/decode@gold~*", "ball/edit@green~*",
                                         "block/motion~*", "ball/ingest~*"};
    const char *dir = world();
    char *out, *names, *again;
    int status;
    T_CHECKF(run(&out, dir, "exp.yaml", "clean", k_longer) == 0, "%s", out);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        pid_t pid = start(dir, "killed");
        wait_for(dir, points[i], pid);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        T_CHECK(WIFSIGNALED(status));
        T_CHECK(!rs_path_exists(in(dir, "killed/comparison.md")));
    }
    pid_t pid = start(dir, "killed");
    wait_for(dir, "killed/state/*/edit@*~*~checkpoint.safetensors", pid);
    kill(pid, SIGUSR1);
    waitpid(pid, &status, 0);
    T_CHECK(WIFEXITED(status));
    T_EQ_I(WEXITSTATUS(status), 75);
    T_CHECKF(run(&out, dir, "exp.yaml", "killed", k_longer) == 0, "%s", out);
    T_CHECK(rs_path_exists(in(dir, "killed/comparison.md")));
    T_EQ_I(t_shell(&names, "cd %s/clean/state && ls *", dir), 0);
    T_EQ_I(t_shell(&again, "cd %s/killed/state && ls *", dir), 0);
    T_EQ_S(again, names); /* the same keys, and no checkpoint is left */
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        T_EQ_I(t_shell(&out, "cd %s/clean/state && ls %s", dir, states[i]), 0);
        for (char *name = strtok_r(out, "\n", &again); name; name = strtok_r(NULL, "\n", &again))
            same_state(in(in(dir, "clean/state"), name), in(in(dir, "killed/state"), name));
    }
}

static void t_what_no_arm_needs_goes(void)
{
    const char *dir = world();
    char *out, before[RS_HASH_HEX], after[RS_HASH_HEX];
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_OK(rs_hash_file(before, in(dir, "run/comparison.json")));
    write_text(dir, "run/state/ball/note.txt", "not a state");
    /* part of the arms or of the videos: nothing goes, and the comparison stays that of all */
    T_CHECK(t_shell(&out, "sed -i 's/motion.steps: 3/motion.steps: 2/' %s/exp.yaml", dir) == 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "--arms 'sh*' --videos ball") == 0, "%s", out);
    T_EQ_I(count(out, "ingest done"), 0);
    T_EQ_I(count(out, "motion done"), 1);
    T_EQ_I(count(out, "edit done"), 2);
    T_CHECKF(strstr(out, "claim pasting: not tested"), "%s", out);
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 29 + 6);
    T_OK(rs_hash_file(after, in(dir, "run/comparison.json")));
    T_EQ_S(after, before);
    /* all of it: block's new states come, the old short arm's go */
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(count(out, "motion done"), 1);
    T_EQ_I(count(out, "edit done"), 1);
    T_CHECKF(strstr(out, "9 states that no arm needs any more were removed"), "%s", out);
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 29);
    T_CHECK(rs_path_exists(in(dir, "run/state/ball/note.txt")));
    T_OK(rs_hash_file(after, in(dir, "run/comparison.json")));
    T_CHECK(strcmp(after, before) != 0);
    /* an arm less */
    T_CHECK(t_shell(&out, "sed -i '/name: short/d' %s/exp.yaml", dir) == 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(count(out, " done in "), 0);
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 20);
}

static void t_failures_are_counted_and_named(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_CHECK(t_shell(&out, "cp %s/catalog/edits/ball-green.png %s/good.png", dir, dir) == 0);
    write_text(dir, "catalog/edits/ball-green.png", "garbage");
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 3, "%s", out);
    T_CHECKF(strstr(out, "4 of 12 edits failed, in 4 arms"), "%s", out);
    T_CHECKF(strstr(out, "arm seed: 1 of 3 edits failed and are not in its means"), "%s", out);
    T_CHECKF(strstr(out, "claim pasting-back: not reproduced") && strstr(out, "over 2 pairs"), "%s",
             out);
    const char *md = read_text(dir, "run/comparison.md");
    T_CHECKF(strstr(md, "| seed | 2 | 1 | "), "%s", md);
    T_EQ_I(count(md, "ball#green: "), 4);
    T_CHECKF(strstr(md, "- plain: ball#green: ") && strstr(md, "ball-green.png"), "%s", md);
    /* the keys of a job that failed may not be known: its states stay */
    T_EQ_I(count_files(dir, "/run/state/*.safetensors"), 29);
    T_CHECK(t_shell(&out, "cp %s/good.png %s/catalog/edits/ball-green.png", dir, dir) == 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "") == 0, "%s", out);
    T_EQ_I(count(out, "edit done") + count(out, "decode done"), 0);
    T_CHECK(!strstr(read_text(dir, "run/comparison.md"), "## Failed"));
}

/* Another model for one arm; the next has the experiment's again. */
static void t_arms_may_have_models_of_their_own(void)
{
    const char *dir = world();
    char *out;
    write_text(dir, "exp.yaml",
               COMMON "arms:\n  - {name: a}\n  - {name: m, set: {model.path: model2}}\n"
                      "  - {name: c, set: {edit.seed: 5}}\n");
    T_CHECK(t_shell(&out,
                    "cd %s && cp -r model model2 && f=model2/transformer/*.safetensors && "
                    "printf '\\101' | dd conv=notrunc bs=1 of=$(echo $f) "
                    "seek=$(($(stat -c %%s $f) - 1)) 2>/dev/null",
                    dir) == 0);
    T_CHECKF(run(&out, dir, "exp.yaml", "run", "--videos ball") == 0, "%s", out);
    T_EQ_I(count(out, "ingest done"), 1);
    T_EQ_I(count(out, "motion done"), 2);
    T_EQ_I(count(out, "edit done"), 6);
    T_CHECKF(run(&out, dir, "exp.yaml", "last", "--videos ball --arms c") == 0, "%s", out);
    const char *last = only_file(dir, "last/state/ball/edit@gold~*");
    same_state(last,
               rs_arena_printf(t_arena(), "%s/run/state/ball/%s", dir, rs_path_basename(last)));
}

static void t_mistakes_are_found_before_anything_runs(void)
{
    const char *dir = world();
    char *out;
    T_CHECKF(t_reshoot(&out, "check %s/exp.yaml", dir) == 0, "%s", out);
    T_CHECKF(strstr(out, "arms     4, 2 claims"), "%s", out);
    T_EQ_I(run(&out, dir, "exp.yaml", "run", "--arms nothing"), 2);
    T_CHECKF(strstr(out, "--arms: \"nothing\" matches none of the 4 arms"), "%s", out);
    T_EQ_I(run(&out, dir, "plain.yaml", "run", "--arms plain"), 2);
    T_CHECKF(strstr(out, "has no arms"), "%s", out);
    write_text(dir, "bad.yaml",
               COMMON "arms:\n"
                      "  - {name: a, set: {motion.stpes: 1}}\n"
                      "  - {name: b, set: {clip.frames: 5}}\n"
                      "claims:\n"
                      "  - {name: x, says: s, measure: psnr_outsid, better: a, than: z}\n");
    T_EQ_I(t_reshoot(&out, "check %s/bad.yaml", dir), 2);
    T_CHECKF(strstr(out, "bad.yaml:15:21: motion.stpes: unknown setting") &&
                 strstr(out, "did you mean 'psnr_outside'?") &&
                 strstr(out, "claims[0].than: no arm is called 'z'") && strstr(out, ": 3 problems"),
             "%s", out);
    /* what is wrong only together with the catalog or the model */
    write_text(dir, "bad.yaml",
               COMMON "arms:\n"
                      "  - {name: b, set: {clip.frames: 1}}\n"
                      "  - {name: c, set: {model.path: nowhere}}\n");
    T_EQ_I(t_reshoot(&out, "check %s/bad.yaml", dir), 2);
    T_CHECKF(strstr(out, "arm 'b': ") && strstr(out, "reference frame"), "%s", out);
    T_CHECKF(strstr(out, "bad.yaml:16:5: arm 'c': ") && strstr(out, "no such model directory"),
             "%s", out);
    T_EQ_I(run(&out, dir, "bad.yaml", "fresh", ""), 2);
    T_CHECK(!rs_path_exists(in(dir, "fresh")));
}

static const rs_test_case cases[] = {
    T_CASE(t_arms_share_what_is_equal),
    T_CASE(t_comparison_is_that_of_the_archives),
    T_CASE(t_strips_show_every_arm),
    T_CASE(t_strips_say_what_failed),
    T_CASE(t_killed_and_stopped_runs_go_on_to_the_same_bits),
    T_CASE(t_what_no_arm_needs_goes),
    T_CASE(t_failures_are_counted_and_named),
    T_CASE(t_arms_may_have_models_of_their_own),
    T_CASE(t_mistakes_are_found_before_anything_runs),
};
RS_TEST_MAIN(cases)
