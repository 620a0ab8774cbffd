// ctest: TIMEOUT 600
// reshoot show and reshoot verify on a real archive, on damaged ones and on incomplete ones.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "harness/world.h"
#include "store/archive.h"
#include "store/json.h"

#define ARCHIVE "out/archive/square.h5"

/* A world that was run once; the folder. */
static const char *run_world(void)
{
    char *text;
    const char *world = rs_path_join(t_arena(), t_tmpdir(), "world");
    t_world_make(world, true);
    int rc = t_shell(&text, "cd %s && %s/reshoot run exp.yaml", world, T_BIN);
    T_CHECKF(rc == 0, "run: exit %d: %s", rc, text);
    return world;
}

/* Runs a command in the world and checks its exit code. */
static char *reshoot(const char *world, int want, const char *args)
{
    char *text;
    int rc = t_shell(&text, "cd %s && %s/reshoot %s", world, T_BIN, args);
    T_CHECKF(rc == want, "reshoot %s: exit %d, want %d: %s", args, rc, want, text);
    return text;
}

static void t_show_tells_what_is_in_it(void)
{
    static const char *const wanted[] = {"square  " ARCHIVE ", ",
                                         "9 frames of 64x48",
                                         "latents 16x3x6x8",
                                         "a square moves",
                                         "first_frame",
                                         "transformer",
                                         "\n  motion          done        1",
                                         " -> ", /* first and last loss */
                                         "rank 2, 40 modules",
                                         "\n  appearance/red  done",
                                         "\n  decode/red      done",
                                         "\n  edit red: done",
                                         "psnr_outside"};
    const char *world = run_world();
    char *text = reshoot(world, 0, "show " ARCHIVE);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        T_CHECKF(strstr(text, wanted[i]), "\"%s\" is not in:\n%s", wanted[i], text);
    text = reshoot(world, 0, "show out/catalog.h5");
    T_CHECKF(strstr(text, "1 job\n") && strstr(text, "square  red   done"), "%s", text);
}

static void t_show_json_can_be_read(void)
{
    const char *world = run_world();
    char *text = reshoot(world, 0, "show --json " ARCHIVE);
    rs_json *doc;
    const rs_json *stages, *motion, *adapter, *edits, *red, *loss, *metrics;
    int64_t rank;
    double psnr;
    T_OK(rs_json_parse(&doc, text, strlen(text), "show"));
    T_OK(rs_json_object(&stages, doc, "stages"));
    T_OK(rs_json_object(&motion, stages, "motion"));
    T_OK(rs_json_array(&loss, motion, "loss"));
    T_EQ_I(rs_json_size(loss), 1);
    T_OK(rs_json_object(&adapter, motion, "adapter"));
    T_OK(rs_json_i64(&rank, adapter, "rank"));
    T_EQ_I(rank, 2);
    T_OK(rs_json_object(&edits, doc, "edits"));
    T_OK(rs_json_object(&red, edits, "red"));
    T_OK(rs_json_object(&metrics, red, "metrics"));
    T_OK(rs_json_f64(&psnr, metrics, "psnr_outside"));
    T_CHECKF(psnr > 0 && psnr < 100, "psnr_outside %g", psnr);
    rs_json_destroy(&doc);
}

static void t_verify_finds_changed_inputs(void)
{
    const char *world = run_world();
    char *text = reshoot(world, 0, "verify " ARCHIVE " out/catalog.h5 --deep");
    T_CHECKF(strstr(text, ARCHIVE ": ok, ") && strstr(text, "out/catalog.h5: ok, "), "%s", text);
    T_EQ_I(t_shell(NULL, "cd %s && cp ref.png first.png && rm -r mask out/videos", world), 0);
    (void)reshoot(world, 0, "verify " ARCHIVE);
    text = reshoot(world, 3, "verify --deep " ARCHIVE);
    T_CHECKF(strstr(text, ARCHIVE ": first_frame: first.png: has changed since"), "%s", text);
    T_CHECKF(strstr(text, ARCHIVE ": mask: mask: no longer there"), "%s", text);
    text = reshoot(world, 3, "verify out/catalog.h5");
    T_CHECKF(strstr(text, "/jobs[0]: the movie out/videos/"), "%s", text);
    T_EQ_I(t_shell(NULL, "rm %s/" ARCHIVE, world), 0);
    text = reshoot(world, 3, "verify out/catalog.h5");
    T_CHECKF(strstr(text, "/videos/square: the group is missing"), "%s", text);
}

/* A flipped bit is found wherever HDF5 keeps something; nothing ever crashes. */
static void t_verify_survives_flipped_bits(void)
{
    enum { FLIPS = 60 };
    const char *world = run_world();
    char *good, *text;
    size_t bytes;
    int found = 0;
    T_OK(rs_read_file(&good, &bytes, t_arena(), rs_path_join(t_arena(), world, ARCHIVE)));
    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = (bytes - 1) * i / (FLIPS - 1);
        good[at] ^= (char)(1 << i % 8);
        T_OK(rs_write_file_atomic(rs_path_join(t_arena(), world, "flip.h5"), good, bytes));
        good[at] ^= (char)(1 << i % 8);
        int rc = t_shell(&text, "cd %s && %s/reshoot verify flip.h5", world, T_BIN);
        T_CHECKF(rc == 0 || rc == 3, "bit %d of byte %d: exit %d: %s", (int)i % 8, (int)at, rc,
                 text);
        found += rc == 3;
    }
    printf("    %d of %d flips found\n", found, FLIPS);
    T_CHECKF(found >= FLIPS * 9 / 10, "only %d of %d flipped bits found", found, FLIPS);
}

/* ---- archives that lack or contradict something ---- */

static void copy_attributes(rs_archive *to, const rs_archive *from, const char *group)
{
    char **names, *text;
    int64_t n, i64;
    double f64;
    T_OK(rs_archive_list_attributes(&names, &n, t_arena(), from, group));
    for (int64_t i = 0; i < n; i++) {
        if (rs_archive_get_string(&text, t_arena(), from, group, names[i]) == RS_OK)
            T_OK(rs_archive_set_string(to, group, names[i], text));
        else if (rs_archive_get_i64(&i64, from, group, names[i]) == RS_OK)
            T_OK(rs_archive_set_i64(to, group, names[i], i64));
        else if (rs_archive_get_f64(&f64, from, group, names[i]) == RS_OK)
            T_OK(rs_archive_set_f64(to, group, names[i], f64));
    }
}

static void copy_but(rs_archive *to, const rs_archive *from, const char *group, const char *without)
{
    char **names;
    int64_t n;
    T_OK(rs_archive_list(&names, &n, t_arena(), from, group));
    for (int64_t i = 0; i < n; i++) {
        const char *object =
            rs_arena_printf(t_arena(), "%s/%s", strcmp(group, "/") ? group : "", names[i]);
        size_t len = strlen(object);
        if (strcmp(object, without) == 0)
            continue;
        if (strncmp(object, without, len) == 0 && without[len] == '/') {
            T_OK(rs_archive_make_group(to, object));
            copy_attributes(to, from, object);
            copy_but(to, from, object, without);
        } else {
            T_OK(rs_archive_copy(to, object, from, object));
        }
    }
}

/* A copy of the archive in which one object is missing. */
static rs_archive *copy_without(const char *world, const char *without)
{
    rs_archive *from, *to;
    T_OK(rs_archive_open(&from, rs_path_join(t_arena(), world, ARCHIVE)));
    T_OK(rs_archive_create(&to, rs_path_join(t_arena(), world, "copy.h5")));
    copy_attributes(to, from, "/");
    copy_but(to, from, "/", without);
    rs_archive_close(&from);
    return to;
}

static void expect(const char *world, rs_archive *copy, const char *want)
{
    T_OK(rs_archive_commit(&copy));
    char *text = reshoot(world, *want ? 3 : 0, "verify copy.h5");
    T_CHECKF(strstr(text, want), "\"%s\" is not in:\n%s", want, text);
}

static void t_verify_misses_what_is_missing(void)
{
    static const struct {
        const char *without, *want;
    } rows[] = {
        {"/nothing", ""},
        {"/provenance/config", "copy.h5: /provenance/config: the text is missing"},
        {"/provenance/inputs", "copy.h5: /provenance/inputs: the table is missing"},
        {"/source/mask", "copy.h5: /source/mask: the tensor is missing"},
        {"/source/frames", "copy.h5: /source/frames: the tensor is missing"},
        {"/condition/y", "copy.h5: /condition/y: the tensor is missing"},
        {"/stages/ingest", "copy.h5: /stages/ingest: the group is missing"},
        {"/stages/motion/loss", "copy.h5: /stages/motion/loss: the tensor is missing"},
        {"/stages/motion/adapter", "copy.h5: /stages/motion/adapter: the group is missing"},
        {"/stages/motion/adapter/blocks.0.attn1.to_q/B",
         "copy.h5: /stages/motion/adapter/blocks.0.attn1.to_q/B: the tensor is missing"},
        {"/stages/decode/red", "copy.h5: /stages/decode/red: the group is missing"},
        {"/edits/red/metrics", "copy.h5: /edits/red/metrics: the group is missing"},
        {"/edits/red/frames", "copy.h5: /edits/red/frames: the tensor is missing"},
        {"/edits/red", "copy.h5: /edits: there are no edits"},
        {"/edits", "copy.h5: /edits: the group is missing"},
    };
    const char *world = run_world();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(world, copy_without(world, rows[i].without), rows[i].want);
}

static void t_verify_sees_contradictions(void)
{
    const char *world = run_world();
    rs_tensor t = rs_tensor_new(t_arena(), RS_SHAPE(16, 3, 6, 8));
    rs_f32(t)[5] = NAN;
    rs_archive *copy = copy_without(world, "/condition/latents");
    T_OK(rs_archive_write_tensor(copy, "/condition/latents", t, 0));
    expect(world, copy, "/condition/latents: 1 of 2304 values are not finite");

    copy = copy_without(world, "/edits/red/latent");
    T_OK(rs_archive_write_tensor(copy, "/edits/red/latent",
                                 rs_tensor_new(t_arena(), RS_SHAPE(16, 2, 6, 8)), 0));
    expect(world, copy, "/edits/red/latent: is F32[16,2,6,8], expected F32[16,3,6,8]");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_f64(copy, "/edits/red/metrics", "jitter", NAN));
    expect(world, copy, "/edits/red/metrics: jitter is not a number");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_string(copy, "/edits/red", "metrics_key", "xyz"));
    expect(world, copy, "/edits/red: \"xyz\" is no content key");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_string(copy, "/edits/red", "state", "half"));
    expect(world, copy, "/edits/red: unknown state \"half\"");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_string(copy, "/stages/motion", "key", "abc"));
    expect(world, copy, "/stages/motion: \"abc\" is no content key");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_string(copy, "/stages/appearance/red/adapter", "mode", "both"));
    expect(world, copy, "/stages/appearance/red/adapter: unknown mode \"both\"");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_i64(copy, "/source", "source_height", 0));
    expect(world, copy, "/source: source_height is 0");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_i64(copy, "/stages/motion/adapter", "rank", 3));
    expect(world, copy, ", expected F32[3,-1] (-1: any)");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_i64(copy, "/stages/motion", "step", 0));
    expect(world, copy, "/stages/motion: has an adapter after 0 steps");

    copy = copy_without(world, "/nothing");
    T_OK(rs_archive_set_string(copy, "/edits/red", "key",
                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    expect(world, copy, "/edits/red: its key is not that of /stages/decode/red");
}

static const rs_test_case cases[] = {
    T_CASE(t_show_tells_what_is_in_it),      T_CASE(t_show_json_can_be_read),
    T_CASE(t_verify_finds_changed_inputs),   T_CASE(t_verify_survives_flipped_bits),
    T_CASE(t_verify_misses_what_is_missing), T_CASE(t_verify_sees_contradictions),
};
RS_TEST_MAIN(cases)
