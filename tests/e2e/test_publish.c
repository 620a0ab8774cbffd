// From finished stages to files: interrupted stages continue to the same bits, archives, catalog.h5
// and mp4 files hold what the states hold, and follow every change of an edit.
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "harness/stages.h"
#include "harness/test.h"
#include "stage/state_io.h"
#include "store/archive.h"

static rs_tensor state(rs_run *run, rs_job *job, rs_stage_id id, const char *name)
{
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    rs_tensor t;
    T_OK(rs_stage_load(run, job, id, t_arena(), &l, &meta));
    T_OK(rs_state_need(&t, &l, name, rs_stage_path(run, job, id)));
    return t;
}

static void same(rs_tensor got, rs_tensor want, const char *what)
{
    T_CHECKF(rs_tensor_same_shape(got, want) &&
                 memcmp(got.data, want.data, rs_tensor_bytes(want)) == 0,
             "%s differs", what);
}

/* ---- continuing ---- */

/* Runs a stage with a stop requested after every step; returns how often it stopped. */
static int run_in_pieces(rs_run *run, rs_job *job, rs_stage_id id)
{
    int stops = 0;
    rs_status st;
    job->scratch = t_arena();
    *t_stages_stop() = 1;
    while ((st = rs_stage_get(id)->run(run, job)) == RS_STOPPED) {
        T_CHECK(!rs_path_exists(rs_stage_path(run, job, id)));
        T_CHECK(rs_path_exists(rs_stage_checkpoint_path(run, job, id)));
        T_CHECKF(++stops < 100, "%s makes no progress", rs_stage_get(id)->name);
    }
    T_OK(st);
    *t_stages_stop() = 0;
    T_CHECK(!rs_path_exists(rs_stage_checkpoint_path(run, job, id)));
    return stops;
}

static void same_state(rs_run *a, rs_job *x, rs_run *b, rs_job *y, rs_stage_id id)
{
    rs_tensor_list got = {0}, want = {0};
    rs_meta_list m = {0}, n = {0};
    T_OK(rs_stage_load(a, x, id, t_arena(), &want, &m));
    T_OK(rs_stage_load(b, y, id, t_arena(), &got, &n));
    T_EQ_I(got.n, want.n);
    for (int64_t i = 0; i < want.n; i++)
        same(got.items[i].t, want.items[i].t, want.items[i].name);
    T_EQ_S(rs_meta_get(&n, "steps"), rs_meta_get(&m, "steps"));
}

/* Motion, appearance and edit, stopped after every single step, give the bits and the step counts
 * of a run that was never stopped; a checkpoint made with other settings is not continued. */
static void t_stages_stop_and_continue_after_any_step(void)
{
    static const rs_stage_id stages[] = {RS_STAGE_MOTION, RS_STAGE_APPEARANCE, RS_STAGE_EDIT};
    static const int want[] = {3, 9, 2};
    const char *dir = t_stages_world();
    char *said;
    bool ran;
    rs_run_session clean, s;
    T_CHECKF(t_stages_run(&said, dir, "clean", "--videos square") == 0, "%s", said);
    t_stages_open(&s, dir, "pieces", "motion.lr=0.1");
    rs_job *job = t_stages_job(&s.run, 0, 1);
    T_OK(rs_stage_run(&s.run, job, RS_STAGE_INGEST, &ran));
    *t_stages_stop() = 1;
    job->scratch = t_arena();
    T_FAILS(rs_stage_get(RS_STAGE_MOTION)->run(&s.run, job), STOPPED, "after step 1 of 4");
    rs_session_close(&s);
    t_stages_open(&s, dir, "pieces", NULL);
    t_stages_open(&clean, dir, "clean", NULL);
    rs_job *whole = t_stages_job(&clean.run, 0, 1);
    job = t_stages_job(&s.run, 0, 1);
    for (int i = 0; i < 3; i++) {
        T_EQ_I(run_in_pieces(&s.run, job, stages[i]), want[i]);
        same_state(&clean.run, whole, &s.run, job, stages[i]);
    }
    *t_stages_stop() = 1; /* nothing new is begun */
    T_FAILS(rs_stage_run(&s.run, job, RS_STAGE_DECODE, &ran), STOPPED, "before stage decode");
    rs_session_close(&s);
    rs_session_close(&clean);
}

/* ---- published files ---- */

static rs_archive *open_archive(const char *dir, const char *name)
{
    rs_archive *f;
    T_OK(rs_archive_open(&f, t_stages_path(dir, name)));
    return f;
}

static rs_tensor dataset(const rs_archive *f, const char *object)
{
    rs_tensor t;
    T_OK(rs_archive_read_tensor(&t, t_arena(), f, object));
    return t;
}

static const char *attribute(const rs_archive *f, const char *object, const char *name)
{
    char *text;
    T_OK(rs_archive_get_as_text(&text, t_arena(), f, object, name));
    return text;
}

/* dB over the pixels of the mask's value `which`. */
static double psnr(rs_tensor a, rs_tensor b, rs_tensor mask, uint8_t which)
{
    double sum = 0, n = 0;
    const uint8_t *p = a.data, *q = b.data, *m = mask.data;
    for (int64_t i = 0; i < rs_tensor_count(a); i++) {
        if (m[i / 3] == which) {
            sum += ((double)p[i] - q[i]) * ((double)p[i] - q[i]);
            n++;
        }
    }
    return 20 * log10(255.0) - 10 * log10(sum / n);
}

/* Row of catalog.h5 for square#<edit> or other#late; rows are sorted: late, plain, red. */
static const rs_cell *row(const char *dir, int64_t i)
{
    rs_table t;
    rs_archive *f = open_archive(dir, "out/catalog.h5");
    T_OK(rs_archive_read_table(&t, t_arena(), f, "/jobs"));
    rs_archive_close(&f);
    T_EQ_I(t.n_rows, 3);
    T_EQ_I(t.n_columns, 19 + RS_MEASURE_COUNT);
    return &t.cells[t.n_columns * i];
}

/* The published files of square#red are made of its present states. */
static void check_red(const char *dir, rs_run *run, bool pasted)
{
    rs_job *red = t_stages_job(run, 0, 1);
    rs_archive *f = open_archive(dir, "out/archive/square.h5");
    rs_tensor frames = dataset(f, "/edits/red/frames");
    rs_tensor source = dataset(f, "/source/frames"), mask = dataset(f, "/source/mask");
    double outside = psnr(frames, source, mask, 0), written;
    same(frames, state(run, red, RS_STAGE_DECODE, "frames"), "archived frames");
    same(dataset(f, "/edits/red/latent"), state(run, red, RS_STAGE_EDIT, "latent"), "latent");
    T_EQ_S(attribute(f, "/edits/red", "state"), "done");
    T_EQ_S(attribute(f, "/edits/red", "key"), red->key[RS_STAGE_DECODE]);
    T_EQ_S(attribute(f, "/edits/red", "seed"), "3");
    T_OK(rs_archive_get_f64(&written, f, "/edits/red/metrics", "psnr_outside"));
    T_NEAR(written, outside, 1e-9);
    T_CHECK(fabs(outside - psnr(frames, source, mask, 255)) > 0.1);
    const rs_cell *r = row(dir, 2);
    double seconds = 0, one;
    static const char *const stages[] = {"appearance", "edit", "decode"};
    for (int i = 0; i < 3; i++) {
        T_OK(rs_archive_get_f64(&one, f, rs_arena_printf(t_arena(), "/stages/%s/red", stages[i]),
                                "seconds"));
        seconds += one;
    }
    rs_archive_close(&f);
    T_EQ_S(r[1].s, "red");
    T_EQ_S(r[2].s, "done");
    T_EQ_S(r[5].s, red->key[RS_STAGE_DECODE]);
    T_EQ_S(r[6].s, "archive/square.h5");
    T_EQ_S(r[7].s, "videos/square/red.mp4");
    T_CHECK(seconds > 0);
    T_NEAR(r[8].f, seconds, 1e-9);
    T_NEAR(r[19 + RS_MEASURE_PSNR_OUTSIDE].f, outside, 1e-9);
    T_CHECKF(pasted == (outside > 20), "background PSNR %g dB", outside);
}

/* Adapters and losses in the archive are the states', under the documented names. */
static void check_training(const char *dir, rs_run *run)
{
    rs_job *red = t_stages_job(run, 0, 1);
    rs_archive *f = open_archive(dir, "out/archive/square.h5");
    const char *at = "/stages/appearance/red";
    same(dataset(f, "/stages/motion/loss"), state(run, red, RS_STAGE_MOTION, "losses"), "loss");
    same(dataset(f, "/stages/appearance/red/adapter/blocks.0.attn2.to_v/A"),
         state(run, red, RS_STAGE_APPEARANCE, "blocks.0.attn2.to_v.lora_A.weight"), "A");
    same(dataset(f, "/stages/appearance/red/adapter/blocks.0.ffn.net.2/B"),
         state(run, red, RS_STAGE_APPEARANCE, "blocks.0.ffn.net.2.lora_B.weight"), "B");
    T_EQ_S(attribute(f, at, "step"), "10");
    T_EQ_S(attribute(f, rs_arena_printf(t_arena(), "%s/adapter", at), "rank"), "3");
    T_EQ_S(attribute(f, rs_arena_printf(t_arena(), "%s/adapter", at), "alpha"), "6");
    T_CHECK(!rs_archive_exists(f, "/stages/appearance/plain"));
    rs_archive_close(&f);
}

static double fps_of(const char *path)
{
    rs_clip clip;
    rs_clip_opts o = {0};
    T_OK(rs_clip_load(&clip, t_arena(), path, &o));
    return (double)clip.fps.num / (double)clip.fps.den;
}

static void run_again(const char *dir, const char *more, int want)
{
    char *said;
    int rc = t_stages_run(&said, dir, "out", more);
    T_CHECKF(rc == want, "%d: %s", rc, said);
}

/* Chessboard distance of a pixel to the mask, at most `cap`. */
static int64_t distance(const uint8_t *mask, int64_t y, int64_t x, int64_t cap)
{
    int64_t best = cap;
    for (int64_t dy = -cap; dy <= cap; dy++)
        for (int64_t dx = -cap; dx <= cap; dx++) {
            int64_t d = labs(dy) > labs(dx) ? labs(dy) : labs(dx);
            bool in = y + dy >= 0 && y + dy < 48 && x + dx >= 0 && x + dx < 64;
            if (in && d < best && mask[(y + dy) * 64 + x + dx] == 255)
                best = d;
        }
    return best;
}

/* Pasted frames: the model's inside the mask, the source's `feather` and more away, a blend in
 * between. */
static void check_pasted(rs_run *run, rs_tensor plain, int64_t feather)
{
    rs_job *red = t_stages_job(run, 0, 1);
    T_OK(rs_job_load_source(run, red));
    rs_tensor got = state(run, red, RS_STAGE_DECODE, "frames");
    const uint8_t *p = got.data, *m = plain.data, *s = red->source.frames.data;
    int64_t between = 0;
    for (int64_t i = 0; i < 9 * 48 * 64; i++) {
        const uint8_t *mask = (const uint8_t *)red->source.mask.data + i / (48 * 64) * (48 * 64);
        int64_t d = distance(mask, i % (48 * 64) / 64, i % 64, feather + 1);
        double w = 1.0 - (double)d / (double)(feather + 1);
        between += d > 0 && d <= feather;
        for (int64_t c = 3 * i; c < 3 * i + 3; c++)
            T_NEAR(p[c], w * m[c] + (1 - w) * s[c], w > 0 && w < 1 ? 0.51 : 0);
    }
    T_CHECK(between > 1000);
}

/* The archive, catalog.h5 and the mp4 files are the first run's results, and after a change of
 * decoding alone the new ones. */
static void t_published_files_follow_the_states(void)
{
    const char *dir = t_stages_world();
    rs_run_session s;
    run_again(dir, "--only motion", 0);
    T_CHECK(!rs_path_exists(t_stages_path(dir, "out/archive/square.h5")));
    run_again(dir, "", 0);
    t_stages_open(&s, dir, "out", NULL);
    check_red(dir, &s.run, false);
    check_training(dir, &s.run);
    rs_tensor plain = state(&s.run, t_stages_job(&s.run, 0, 1), RS_STAGE_DECODE, "frames");
    rs_session_close(&s);
    T_NEAR(fps_of(t_stages_path(dir, "out/videos/square/red.mp4")), 12, 0);
    T_NEAR(fps_of(t_stages_path(dir, "out/videos/other/late.mp4")), 6.0 * 5 / 9, 1e-3);
    run_again(dir, "--set edit.paste_back=true --set edit.feather=4", 0);
    t_stages_open(&s, dir, "out", "edit.paste_back=true");
    s.cfg->edit.feather = 4;
    check_red(dir, &s.run, true);
    check_pasted(&s.run, plain, 4);
    rs_session_close(&s);
}

/* Settings of the mp4 files change these alone, a lost mp4 is written again, and an edit that fails
 * later has its reason beside its last results until it is mended. */
static void t_publishing_again(void)
{
    const char *dir = t_stages_world(), *mp4 = t_stages_path(dir, "out/videos/other/late.mp4");
    const char *first = t_stages_path(dir, "plain.png"), *again = "--set edit.steps=1";
    run_again(dir, "--set edit.steps=1", 0);
    int64_t bytes = rs_file_size(mp4);
    run_again(dir, "--set edit.steps=1 --set video.crf=45", 0);
    T_CHECK(rs_file_size(mp4) > 0 && rs_file_size(mp4) < bytes);
    T_EQ_I(unlink(mp4), 0);
    run_again(dir, "--set edit.steps=1 --set video.crf=45 --set edit.fps=5", 0);
    T_NEAR(fps_of(mp4), 5, 0);
    T_EQ_I(unlink(mp4), 0);
    run_again(dir, "--set edit.steps=1 --set video.crf=45 --set edit.fps=5", 0);
    T_CHECK(rs_file_size(mp4) > 0);

    char *good, *reason;
    size_t n;
    T_OK(rs_read_file(&good, &n, t_arena(), first));
    T_OK(rs_write_file_atomic(first, "garbage", 7));
    run_again(dir, again, 3);
    rs_archive *f = open_archive(dir, "out/archive/square.h5");
    T_EQ_S(attribute(f, "/edits/plain", "state"), "failed");
    T_EQ_S(attribute(f, "/edits/plain", "stage"), "inputs");
    T_OK(rs_archive_get_string(&reason, t_arena(), f, "/edits/plain", "reason"));
    T_CHECKF(strstr(reason, "plain.png"), "%s", reason);
    rs_archive_close(&f);
    const rs_cell *r = row(dir, 1);
    T_EQ_S(r[1].s, "plain");
    T_EQ_S(r[2].s, "failed");
    T_EQ_S(r[3].s, "inputs");
    T_EQ_S(r[4].s, reason);
    T_EQ_S(row(dir, 0)[2].s, "done");

    T_OK(rs_write_file_atomic(first, good, n));
    run_again(dir, again, 0);
    T_CHECK(rs_path_exists(t_stages_path(dir, "out/videos/square/plain.mp4")));
    T_EQ_S(row(dir, 1)[2].s, "done");
}

static const rs_test_case cases[] = {
    T_CASE(t_stages_stop_and_continue_after_any_step),
    T_CASE(t_published_files_follow_the_states),
    T_CASE(t_publishing_again),
};
RS_TEST_MAIN(cases)
