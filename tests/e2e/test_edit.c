// ctest: TIMEOUT 600
// reshoot edit: samples the archive's own result again bit for bit, follows every change as a run
// would, and mixes adapters by their weights.
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "harness/stages.h"
#include "harness/test.h"
#include "media/image.h"
#include "store/archive.h"
#include "store/safetensors.h"

static char *in(const char *dir, const char *name)
{
    return t_stages_path(dir, name);
}

/* Settings put into a section of the experiment, "mode: separate, ". */
static void put_settings(const char *dir, const char *section, const char *settings)
{
    char *said;
    T_EQ_I(t_shell(&said, "sed -i 's/^%s: {/&%s/' %s/stages.yaml", section, settings, dir), 0);
}

static void run(const char *dir, const char *output)
{
    char *said;
    T_CHECKF(t_stages_run(&said, dir, output, "") == 0, "%s", said);
}

static void reshoot(const char *dir, const char *args)
{
    char *said;
    int rc = t_shell(&said, "cd '%s' && %s/reshoot %s", dir, T_BIN, args);
    T_CHECKF(rc == 0, "reshoot %s: exit %d: %s", args, rc, said);
}

static rs_tensor latent_file(const char *path)
{
    rs_safetensors *f;
    T_OK(rs_safetensors_open(&f, path));
    const rs_tensor *t = rs_safetensors_find(f, "latent");
    T_CHECK(t && t->dtype == RS_DTYPE_F32);
    rs_tensor copy = *t;
    copy.data = rs_arena_memdup(t_arena(), t->data, rs_tensor_bytes(*t));
    rs_safetensors_close(&f);
    return copy;
}

/* The latent of edit `args` of the archive, of square in out unless given whole. */
static rs_tensor sample(const char *dir, const char *args)
{
    reshoot(dir, rs_arena_printf(t_arena(), "edit out/archive/square.h5 --latent l.safetensors %s",
                                 args));
    return latent_file(in(dir, "l.safetensors"));
}

static rs_tensor archived(const char *dir, const char *archive, const char *object)
{
    rs_archive *f;
    rs_tensor t;
    T_OK(rs_archive_open(&f, in(dir, archive)));
    T_OK(rs_archive_read_tensor(&t, t_arena(), f, object));
    rs_archive_close(&f);
    return t;
}

static bool equal(rs_tensor a, rs_tensor b)
{
    return rs_tensor_same_shape(a, b) && memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0;
}

static void same(rs_tensor got, rs_tensor want, const char *what)
{
    T_CHECKF(equal(got, want), "%s differs", what);
}

static void differ(rs_tensor got, rs_tensor other, const char *what)
{
    T_CHECKF(rs_tensor_same_shape(got, other) && !equal(got, other), "%s changes nothing", what);
}

/* ---- the archive's own result ---- */

static void same_movie(const char *dir, const char *a, const char *b)
{
    char x[RS_HASH_HEX], y[RS_HASH_HEX];
    T_OK(rs_hash_file(x, in(dir, a)));
    T_OK(rs_hash_file(y, in(dir, b)));
    T_CHECKF(strcmp(x, y) == 0, "%s and %s differ", a, b);
}

static void same_frames(const char *dir, const char *folder, rs_tensor want)
{
    for (int64_t i = 0; i < want.shape[0]; i++) {
        rs_tensor rgb;
        T_OK(rs_image_load(&rgb, t_arena(),
                           rs_arena_printf(t_arena(), "%s/%s/%05d.png", dir, folder, (int)i)));
        same(rgb, rs_tensor_reshape(rs_tensor_slice(want, i, i + 1), 3, want.shape + 1), folder);
    }
}

static void check_reproduced(const char *dir, const char *video, const char *edit)
{
    rs_arena *a = t_arena();
    const char *archive = rs_arena_printf(a, "out/archive/%s.h5", video);
    reshoot(dir, rs_arena_printf(a,
                                 "edit %s --edit %s --out again/%s.mp4 --frames again/%s "
                                 "--latent again/%s.safetensors",
                                 archive, edit, edit, edit, edit));
    same(latent_file(rs_arena_printf(a, "%s/again/%s.safetensors", dir, edit)),
         archived(dir, archive, rs_arena_printf(a, "/edits/%s/latent", edit)), edit);
    same_frames(dir, rs_arena_printf(a, "again/%s", edit),
                archived(dir, archive, rs_arena_printf(a, "/edits/%s/frames", edit)));
    same_movie(dir, rs_arena_printf(a, "again/%s.mp4", edit),
               rs_arena_printf(a, "out/videos/%s/%s.mp4", video, edit));
}

static void t_the_archives_own_result(void)
{
    char *said;
    const char *dir = t_stages_world();
    run(dir, "out");
    check_reproduced(dir, "square", "plain");
    check_reproduced(dir, "square", "red");
    check_reproduced(dir, "other", "late");
    reshoot(dir, "edit out/archive/other.h5 --out only.mp4"); /* its only edit */
    same_movie(dir, "only.mp4", "out/videos/other/late.mp4");
    T_EQ_I(t_shell(&said, "find %s -name '.*.tmp.*' | grep .", dir), 1);
}

static void t_the_archives_own_result_with_every_weight(void)
{
    const char *dir = t_stages_world();
    put_settings(dir, "appearance", "mode: separate, ");
    put_settings(dir, "edit",
                 "motion_weight: 0.5, appearance_weight: 0.75, paste_back: true, fps: 5, ");
    run(dir, "out");
    check_reproduced(dir, "square", "plain");
    check_reproduced(dir, "square", "red");
}

/* The model may have moved; nothing else of the run is needed. */
static void t_an_archive_and_a_model_are_enough(void)
{
    char *said;
    const char *dir = t_stages_world();
    run(dir, "out");
    rs_tensor want = archived(dir, "out/archive/square.h5", "/edits/red/latent");
    T_EQ_I(t_shell(&said,
                   "cd %s && mkdir alone && mv out/archive/square.h5 model alone && rm -r out "
                   "*.yaml *.png *.mp4 src mask",
                   dir),
           0);
    reshoot(dir, "edit alone/square.h5 --model alone/model --edit red --latent l.safetensors");
    same(latent_file(in(dir, "l.safetensors")), want, "latent");
}

/* ---- changes ---- */

/* Seed, steps, caption and first frame: as a run whose catalog says so. */
static void t_changes_are_those_of_a_run(void)
{
    char *said;
    const char *dir = t_stages_world();
    run(dir, "out");
    rs_tensor before = archived(dir, "out/archive/square.h5", "/edits/plain/latent");
    T_EQ_I(t_shell(&said,
                   "cd %s && sed -i 's/plain.png, prompt: a plain square moves/ref.png, seed: 9, "
                   "prompt: a green square/' stages-cat.yaml",
                   dir),
           0);
    T_EQ_I(t_shell(&said, "sed -i '/^edit/s/steps: 3/steps: 4/' %s/stages.yaml", dir), 0);
    run(dir, "new");
    rs_tensor want = archived(dir, "new/archive/square.h5", "/edits/plain/latent");
    same(sample(dir, "--edit plain --seed 9 --steps 4 --prompt 'a green square' "
                     "--first-frame ref.png"),
         want, "a changed edit");
    static const char *const k_one[] = {"--seed 9",
                                        "--steps 4",
                                        "--prompt 'a green square'",
                                        "--first-frame ref.png",
                                        "--set edit.guidance=2",
                                        "--set condition.fill=10",
                                        "--set prompt.prefix=x"};
    for (size_t i = 0; i < sizeof k_one / sizeof k_one[0]; i++)
        differ(sample(dir, rs_arena_printf(t_arena(), "--edit plain %s", k_one[i])), before,
               k_one[i]);
}

/* A picture of the source's size goes the way of the source's frames. */
static void t_a_first_frame_of_the_sources_size(void)
{
    char *said;
    const char *dir = t_stages_world();
    T_EQ_I(t_shell(&said, "sed -i 's/width: 64, height: 48/width: 32, height: 32/' %s/stages.yaml",
                   dir),
           0);
    run(dir, "out");
    same(sample(dir, "--edit plain --first-frame plain.png"),
         archived(dir, "out/archive/square.h5", "/edits/plain/latent"), "the edit's own picture");
}

/* ---- weights ---- */

static void t_weight_zero_is_no_adapter(void)
{
    const char *dir = t_stages_world();
    run(dir, "out");
    rs_tensor own = sample(dir, "--edit red");
    rs_tensor none = sample(dir, "--edit red --set edit.motion_weight=0 "
                                 "--set edit.appearance_weight=0");
    differ(none, own, "no adapter");
    same(sample(dir, "--edit red --adapter out/archive/square.h5:motion=0"), none, "weight 0");
    same(sample(dir, "--edit red --adapter out/archive/square.h5:red=0 "
                     "--adapter out/archive/other.h5:motion=0"),
         none, "weights 0");
}

/* scale/2 twice is scale, up to fp32 sums of the terms. One forward is known to 2e-6 then
 * (model/test_adapter.c); guidance 4 takes 4 v - 3 u, so at most 7 times that, and 3 steps add up.
 * Half of it is half an adapter away. */
static void t_halves_add_up(void)
{
    const char *dir = t_stages_world();
    run(dir, "out");
    rs_tensor one = sample(dir, "--edit red --adapter out/archive/square.h5:red=1");
    rs_tensor halves = sample(dir, "--edit red --adapter out/archive/square.h5:red=0.5 "
                                   "--adapter out/archive/square.h5:appearance/red=0.5");
    rs_tensor half = sample(dir, "--edit red --adapter out/archive/square.h5:red=0.5");
    int64_t n = rs_tensor_count(one);
    T_REL_L2(rs_f32(halves), rs_f32(one), n, 3 * 7 * 2e-6);
    T_CHECK(rs_rel_l2(rs_f32(half), rs_f32(one), n) > 10 * 3 * 7 * 2e-6);
    same(sample(dir, "--edit red"), one, "weight 1");
}

/* A continued adapter A holds the motion M too: m M + a (A - M). */
static void t_weights_of_settings_are_weights_of_adapters(void)
{
    const char *dir = t_stages_world();
    run(dir, "out");
    same(sample(dir, "--edit red --set edit.appearance_weight=0"),
         sample(dir, "--edit red --adapter out/archive/square.h5:motion"), "motion alone");
    same(sample(dir, "--edit red --set edit.appearance_weight=0.5"),
         sample(dir, "--edit red --adapter out/archive/square.h5:motion=0.5 "
                     "--adapter out/archive/square.h5:red=0.5"),
         "half of the appearance");
    put_settings(dir, "appearance", "mode: separate, ");
    run(dir, "out");
    same(sample(dir, "--edit red --set edit.appearance_weight=0.5"),
         sample(dir, "--edit red --adapter out/archive/square.h5:motion "
                     "--adapter out/archive/square.h5:red=0.5"),
         "half of a separate appearance");
}

/* ---- other videos, files and ranks ---- */

/* Motion of one video with the appearance of another, from archives and from files. alpha/rank is
 * 2 here, so that files without alpha hold 2 B, exactly. */
static void t_motion_of_one_with_appearance_of_another(void)
{
    const char *dir = t_stages_world();
    put_settings(dir, "appearance", "mode: separate, ");
    run(dir, "out");
    rs_tensor own = sample(dir, "--edit red");
    rs_tensor mixed = sample(dir, "--edit red --adapter out/archive/other.h5:motion "
                                  "--adapter out/archive/square.h5:appearance/red");
    rs_tensor motion = sample(dir, "--edit red --adapter out/archive/other.h5:motion");
    differ(mixed, own, "another motion");
    differ(mixed, motion, "the appearance");
    static const char *const k_formats[] = {"diffusers", "original", "kohya"};
    for (int i = 0; i < 3; i++) {
        reshoot(dir, rs_arena_printf(t_arena(),
                                     "export out/archive/other.h5 --out m.safetensors --format %s",
                                     k_formats[i]));
        reshoot(dir, rs_arena_printf(t_arena(),
                                     "export out/archive/square.h5 --stage appearance --edit red "
                                     "--out a.safetensors --format %s",
                                     k_formats[i]));
        same(sample(dir, "--edit red --adapter m.safetensors --adapter a.safetensors=1.0"), mixed,
             k_formats[i]);
    }
}

static void t_adapters_of_other_ranks_and_targets(void)
{
    const char *dir = t_stages_world();
    char *said;
    run(dir, "out");
    T_EQ_I(t_shell(&said,
                   "sed -i 's/rank: 3, alpha: 6, targets: .*/rank: 5, alpha: 1, targets: "
                   "[attn1.to_q, attn1.to_out.0]}/' %s/stages.yaml",
                   dir),
           0);
    run(dir, "wide");
    rs_tensor narrow = sample(dir, "--edit red --adapter out/archive/square.h5:red");
    rs_tensor wide = sample(dir, "--edit red --adapter wide/archive/square.h5:red=4");
    rs_tensor both = sample(dir, "--edit red --adapter out/archive/square.h5:red "
                                 "--adapter wide/archive/square.h5:red=4");
    rs_tensor swapped = sample(dir, "--edit red --adapter wide/archive/square.h5:red=4 "
                                    "--adapter out/archive/square.h5:red");
    differ(both, narrow, "the wide one");
    differ(both, wide, "the narrow one");
    /* the order is that of fp32 sums, as in t_halves_add_up */
    T_REL_L2(rs_f32(swapped), rs_f32(both), rs_tensor_count(both), 3 * 7 * 2e-6);
}

/* The archive says how its appearance was trained, and export what it writes. */
static void check_told(const char *dir, const char *mode, const char *content)
{
    rs_archive *f;
    char *value, *said;
    T_OK(rs_archive_open(&f, in(dir, "out/archive/square.h5")));
    T_OK(rs_archive_get_string(&value, t_arena(), f, "/stages/appearance/red/adapter", "mode"));
    rs_archive_close(&f);
    T_EQ_S(value, mode);
    T_EQ_I(t_shell(&said,
                   "cd %s && %s/reshoot export out/archive/square.h5 --stage appearance "
                   "--edit red --out a.safetensors && %s/reshoot show out/archive/square.h5 && "
                   "%s/reshoot verify out/archive/square.h5",
                   dir, T_BIN, T_BIN, T_BIN),
           0);
    T_CHECKF(strstr(said, content) && strstr(said, rs_arena_printf(t_arena(), " M, %s\n", mode)),
             "%s", said);
    rs_safetensors *s;
    T_OK(rs_safetensors_open(&s, in(dir, "a.safetensors")));
    T_CHECK(strstr(content, rs_safetensors_metadata(s, "reshoot_content")));
    rs_safetensors_close(&s);
}

static void t_the_mode_is_told(void)
{
    const char *dir = t_stages_world();
    run(dir, "out");
    check_told(dir, "continue", "F32: motion and appearance\n");
    put_settings(dir, "appearance", "mode: separate, ");
    run(dir, "out");
    check_told(dir, "separate", "F32: appearance; to be used with the motion adapter\n");
}

static const rs_test_case cases[] = {
    T_CASE(t_the_archives_own_result),
    T_CASE(t_the_archives_own_result_with_every_weight),
    T_CASE(t_an_archive_and_a_model_are_enough),
    T_CASE(t_changes_are_those_of_a_run),
    T_CASE(t_a_first_frame_of_the_sources_size),
    T_CASE(t_weight_zero_is_no_adapter),
    T_CASE(t_halves_add_up),
    T_CASE(t_weights_of_settings_are_weights_of_adapters),
    T_CASE(t_motion_of_one_with_appearance_of_another),
    T_CASE(t_adapters_of_other_ranks_and_targets),
    T_CASE(t_the_mode_is_told),
};
RS_TEST_MAIN(cases)
