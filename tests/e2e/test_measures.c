// ctest: TIMEOUT 600
// Measures of a run: archive, show, table, CSV and JSON say the same, and what the formulas give;
// the command hook; what is measured again and what is not; models that cannot.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/str.h"
#include "harness/stages.h"
#include "harness/test.h"
#include "stage/common.h"
#include "stage/measure_edit.h"
#include "stage/state_io.h"
#include "store/archive.h"
#include "store/json.h"
#include "store/safetensors.h"

/* The world of harness/stages.h; square#red has the frames of src as its truth. */
static const char *world(void)
{
    const char *dir = t_stages_world();
    char *text;
    int rc = t_shell(&text,
                     "cd %s && cp -r src truth && "
                     "sed -i 's/^        seed: 3$/        seed: 3\\n        truth: truth/' "
                     "stages-cat.yaml && grep -q truth stages-cat.yaml",
                     dir);
    T_CHECKF(rc == 0, "%s", text);
    return dir;
}

static char *run(const char *dir, const char *more)
{
    char *said;
    int rc = t_stages_run(&said, dir, "out", more);
    T_CHECKF(rc == 0, "%d: %s", rc, said);
    return said;
}

static char *read_text(const char *dir, const char *name)
{
    char *text;
    size_t n;
    T_OK(rs_read_file(&text, &n, t_arena(), t_stages_path(dir, name)));
    return text;
}

/* Measures in the archive, NAN where there is none. */
static rs_measures archived(const char *dir, const char *video, const char *edit)
{
    rs_archive *f;
    rs_measures m = rs_measures_none();
    const char *group = rs_arena_printf(t_arena(), "/edits/%s/metrics", edit);
    T_OK(rs_archive_open(
        &f, t_stages_path(dir, rs_arena_printf(t_arena(), "out/archive/%s.h5", video))));
    for (int i = 0; i < RS_MEASURE_COUNT; i++) {
        const char *name = rs_measure_get_info((rs_measure_id)i)->name;
        if (rs_archive_has(f, group, name))
            T_OK(rs_archive_get_f64(&m.v[i], f, group, name));
    }
    rs_archive_close(&f);
    return m;
}

/* Cell of measures.csv, "" where it is empty; `edit` is unique in the catalog. */
static const char *cell(const char *dir, const char *edit, const char *column)
{
    char *lines = read_text(dir, "out/measures.csv"), *head = strtok_r(lines, "\n", &lines);
    int64_t at = -1, k = 0;
    for (char *name; (name = strsep(&head, ",")); k++)
        if (strcmp(name, column) == 0)
            at = k;
    T_CHECKF(at >= 0, "no column %s", column);
    for (char *line; (line = strtok_r(NULL, "\n", &lines));) {
        const char *want = NULL;
        bool mine = false;
        k = 0;
        for (char *text; (text = strsep(&line, ",")); k++) {
            mine = mine || (k == 1 && strcmp(text, edit) == 0);
            want = k == at ? text : want;
        }
        if (mine)
            return want;
    }
    T_CHECKF(false, "no row %s", edit);
    return NULL;
}

static double number(const char *text)
{
    return *text ? strtod(text, NULL) : NAN;
}

static void same_number(double got, double want, const char *what)
{
    T_CHECKF(got == want || (isnan(got) && isnan(want)), "%s: %.17g, want %.17g", what, got, want);
}

/* Row i of measures.json against CSV and archive; returns its object. */
static void check_json(const char *dir, const rs_json *doc, int64_t i, const char *video,
                       const char *edit)
{
    const rs_json *edits, *row;
    const char *text;
    double v;
    rs_measures m = archived(dir, video, edit);
    T_OK(rs_json_array(&edits, doc, "edits"));
    row = rs_json_at(edits, i);
    T_OK(rs_json_string(&text, row, "edit"));
    T_EQ_S(text, edit);
    T_OK(rs_json_string(&text, row, "state"));
    T_EQ_S(text, "done");
    T_EQ_S(cell(dir, edit, "state"), "done");
    T_EQ_S(cell(dir, edit, "video"), video);
    for (int k = 0; k < RS_MEASURE_COUNT; k++) {
        const char *name = rs_measure_get_info((rs_measure_id)k)->name;
        same_number(number(cell(dir, edit, name)), m.v[k], name);
        if (isnan(m.v[k]))
            T_CHECK(rs_json_type_of(rs_json_find(row, name)) == RS_JSON_NULL);
        else
            T_OK(rs_json_f64(&v, row, name));
        same_number(isnan(m.v[k]) ? NAN : v, m.v[k], name);
    }
    T_OK(rs_json_f64(&v, row, "train_s"));
    same_number(number(cell(dir, edit, "train_s")), v, "train_s");
    T_OK(rs_json_f64(&v, row, "sample_s"));
    same_number(number(cell(dir, edit, "sample_s")), v, "sample_s");
}

static rs_tensor state(rs_run *run, rs_job *job, rs_stage_id id, const char *name)
{
    rs_tensor_list l = {0};
    rs_meta_list meta = {0};
    rs_tensor t;
    T_OK(rs_stage_load(run, job, id, t_arena(), &l, &meta));
    T_OK(rs_state_need(&t, &l, name, rs_stage_path(run, job, id)));
    return t;
}

static double cosine(rs_run *run, rs_tensor a, rs_tensor b)
{
    rs_tensor p, q;
    double pp = 0, qq = 0, pq = 0;
    T_OK(rs_models_embed_image(&run->models, t_arena(), &p, a));
    T_OK(rs_models_embed_image(&run->models, t_arena(), &q, b));
    for (int64_t i = 0; i < rs_tensor_count(p); i++) {
        pp += (double)rs_f32(p)[i] * (double)rs_f32(p)[i];
        qq += (double)rs_f32(q)[i] * (double)rs_f32(q)[i];
        pq += (double)rs_f32(p)[i] * (double)rs_f32(q)[i];
    }
    return pq / sqrt(pp) / sqrt(qq);
}

/* The measures of an edit from its states, put together here again. */
static rs_measures expected(rs_run *run, rs_job *job, bool with_truth)
{
    double psnr[RS_REGION_COUNT], ssim[RS_REGION_COUNT], clip = 0, input = 0;
    rs_measures m = rs_measures_none();
    T_OK(rs_job_load_source(run, job));
    const rs_ingest *s = &job->source;
    rs_tensor frames = state(run, job, RS_STAGE_DECODE, "frames"), object;
    rs_tensor first = state(run, job, RS_STAGE_EDIT, "first_frame"), like = s->frames;
    int64_t T = frames.shape[0];
    for (int64_t t = 0; t < T; t++) {
        rs_tensor one = rs_tensor_slice(frames, t, t + 1);
        clip += cosine(run, one, first) / (double)T;
        input += cosine(run, one, rs_tensor_slice(s->frames, t, t + 1)) / (double)T;
    }
    m.v[RS_MEASURE_CLIP_SCORE] = clip;
    m.v[RS_MEASURE_INPUT_SIMILARITY] = input;
    rs_measure_psnr(psnr, frames, s->frames, s->mask);
    rs_measure_ssim(ssim, t_arena(), frames, s->frames, s->mask);
    m.v[RS_MEASURE_PSNR_OUTSIDE] = psnr[RS_REGION_OUTSIDE];
    m.v[RS_MEASURE_SSIM_OUTSIDE] = ssim[RS_REGION_OUTSIDE];
    T_OK(rs_stage_object_mask(&object, t_arena(), run, job));
    m.v[RS_MEASURE_MOTION_ERROR] = rs_measure_motion(t_arena(), frames, s->frames, object);
    rs_tensor made = rs_tensor_slice(frames, 1, T), mask = rs_tensor_slice(s->mask, 1, T);
    if (with_truth) {
        rs_clip truth;
        T_OK(rs_stage_load_clip(&truth, t_arena(), run, job, &job->edit->truth));
        like = truth.rgb;
        rs_measure_psnr(psnr, made, rs_tensor_slice(like, 1, T), mask);
        rs_measure_ssim(ssim, t_arena(), made, rs_tensor_slice(like, 1, T), mask);
        m.v[RS_MEASURE_PSNR] = psnr[RS_REGION_ALL];
        m.v[RS_MEASURE_SSIM] = ssim[RS_REGION_ALL];
        m.v[RS_MEASURE_PSNR_INSIDE] = psnr[RS_REGION_INSIDE];
        m.v[RS_MEASURE_SSIM_INSIDE] = ssim[RS_REGION_INSIDE];
    }
    m.v[RS_MEASURE_JITTER] =
        rs_measure_flicker(made, mask) - rs_measure_flicker(rs_tensor_slice(like, 1, T), mask);
    return m;
}

static void check_values(const char *dir)
{
    static const char *const edits[][2] = {
        {"square", "plain"}, {"square", "red"}, {"other", "late"}};
    rs_run_session s;
    t_stages_open(&s, dir, "out", NULL);
    for (int i = 0; i < 3; i++) {
        rs_job *job = t_stages_job(&s.run, i / 2, i % 2);
        rs_measures got = archived(dir, edits[i][0], edits[i][1]);
        rs_measures want = expected(&s.run, job, i == 1);
        double train = rs_stage_seconds(&s.run, job, RS_STAGE_MOTION) +
                       rs_stage_seconds(&s.run, job, RS_STAGE_APPEARANCE);
        for (int k = 0; k < RS_MEASURE_COUNT; k++) {
            if (isnan(want.v[k]))
                T_CHECK(isnan(got.v[k]));
            else
                T_NEAR(got.v[k], want.v[k], 1e-9); /* sums of doubles in another order */
        }
        T_CHECK(train > 0);
        same_number(number(cell(dir, edits[i][1], "train_s")), train, "train_s");
        same_number(number(cell(dir, edits[i][1], "sample_s")),
                    rs_stage_seconds(&s.run, job, RS_STAGE_EDIT), "sample_s");
    }
    rs_session_close(&s);
}

/* The line of the table at the end of a run. */
static void check_table(const char *dir, const char *said)
{
    rs_measures m = archived(dir, "square", "red");
    const char *line = rs_arena_printf(
        t_arena(), "  square#red   %6.4f %6.4f %6.2f %6.2f %6.4f %6.2f %6.1f %6.1f\n",
        m.v[RS_MEASURE_CLIP_SCORE], m.v[RS_MEASURE_INPUT_SIMILARITY], m.v[RS_MEASURE_PSNR_INSIDE],
        m.v[RS_MEASURE_PSNR_OUTSIDE], m.v[RS_MEASURE_JITTER], m.v[RS_MEASURE_MOTION_ERROR],
        number(cell(dir, "red", "train_s")), number(cell(dir, "red", "sample_s")));
    T_CHECKF(
        strstr(said, "  measures       CLIP  input PSNRin PSNRbg jitter motion  train sample\n"),
        "%s", said);
    T_CHECKF(strstr(said, line), "\"%s\" is not in:\n%s", line, said);
    const char *late = strstr(said, "  other#late ");
    T_CHECKF(late && strstr(late, "      - "), "%s", said); /* no truth: no PSNR inside */
}

/* Archive, table, CSV and JSON agree with each other and with the states, after the run, after one
 * that has nothing to do, and after one of another video only. */
static void t_everything_agrees(void)
{
    const char *dir = world();
    rs_json *doc = NULL;
    char *said = run(dir, ""), *csv = read_text(dir, "out/measures.csv");
    check_values(dir);
    check_table(dir, said);
    T_OK(rs_json_load(&doc, t_stages_path(dir, "out/measures.json")));
    check_json(dir, doc, 0, "square", "plain");
    check_json(dir, doc, 1, "square", "red");
    check_json(dir, doc, 2, "other", "late");
    rs_json_destroy(&doc);
    said = run(dir, "");
    T_CHECKF(strstr(said, "nothing to do"), "%s", said);
    check_table(dir, said);
    T_EQ_S(read_text(dir, "out/measures.csv"), csv);
    run(dir, "--videos other --set video.crf=30");
    T_EQ_S(read_text(dir, "out/measures.csv"), csv);
    T_EQ_I(t_reshoot(&said, "show %s/out/archive/square.h5", dir), 0);
    const char *line = rs_arena_printf(t_arena(), "    ssim_inside          %.4f\n",
                                       archived(dir, "square", "red").v[RS_MEASURE_SSIM_INSIDE]);
    T_CHECKF(strstr(said, line), "\"%s\" is not in %s", line, said);
    T_EQ_I(t_reshoot(&said, "verify %s/out/archive/square.h5 %s/out/catalog.h5", dir, dir), 0);
}

/* Pixels that are the source's own: infinitely good, and said so everywhere. */
static void t_equal_pixels(void)
{
    const char *dir = world(), *text;
    const rs_json *edits;
    rs_json *doc;
    char *said = run(dir, "--videos other --set edit.steps=1 --set motion.steps=1 "
                          "--set edit.paste_back=true --set edit.feather=0");
    T_CHECKF(strstr(said, "    inf "), "%s", said);
    T_CHECK(isinf(archived(dir, "other", "late").v[RS_MEASURE_PSNR_OUTSIDE]));
    T_EQ_S(cell(dir, "late", "psnr_outside"), "inf");
    T_NEAR(number(cell(dir, "late", "ssim_outside")), 1, 0.5); /* windows reach inside */
    T_OK(rs_json_load(&doc, t_stages_path(dir, "out/measures.json")));
    T_OK(rs_json_array(&edits, doc, "edits"));
    T_OK(rs_json_string(&text, rs_json_at(edits, 2), "psnr_outside"));
    T_EQ_S(text, "inf");
    rs_json_destroy(&doc);
    T_EQ_I(t_reshoot(&said, "show --json %s/out/archive/other.h5", dir), 0);
    T_CHECKF(strstr(said, "\"psnr_outside\": \"inf\""), "%s", said);
    T_EQ_I(t_reshoot(&said, "verify %s/out/archive/other.h5", dir), 0);
}

/* A stage that was stopped goes on counting where it was: its first part is made to have taken 1000
 * seconds. */
static void t_times_add_up_over_restarts(void)
{
    const char *dir = world();
    rs_run_session s;
    bool ran;
    t_stages_open(&s, dir, "out", "motion.steps=2");
    rs_job *job = t_stages_job(&s.run, 1, 0);
    T_OK(rs_stage_run(&s.run, job, RS_STAGE_INGEST, &ran));
    T_CHECK(isnan(rs_stage_seconds(&s.run, job, RS_STAGE_MOTION)));
    T_NEAR(rs_stage_seconds(&s.run, job, RS_STAGE_APPEARANCE), 0, 0); /* it has no references */
    *t_stages_stop() = 1;
    job->scratch = t_arena();
    job->begin = rs_now();
    job->spent = 1000;
    T_FAILS(rs_stage_get(RS_STAGE_MOTION)->run(&s.run, job), STOPPED, "after step 1 of 2");
    rs_session_close(&s);
    run(dir, "--videos other --set edit.steps=1 --set motion.steps=2");
    double train = number(cell(dir, "late", "train_s"));
    T_CHECKF(train > 1000 && train < 1100, "%g s", train);
    T_EQ_S(cell(dir, "red", "state"), "none");
    T_EQ_S(cell(dir, "red", "train_s"), "");
}

/* ---- the command ---- */

static void script(const char *dir, const char *text)
{
    T_OK(rs_write_file_atomic(t_stages_path(dir, "score.sh"), text, strlen(text)));
}

/* --set of the command `sh <dir>/score.sh <args>`. */
static const char *command(const char *dir, const char *args, const char *more)
{
    return rs_arena_printf(t_arena(), "--set 'measure.deqa_command=sh %s/score.sh %s' %s", dir,
                           args, more);
}

static double deqa(const char *dir, const char *edit)
{
    return archived(dir, strcmp(edit, "late") == 0 ? "other" : "square", edit).v[RS_MEASURE_DEQA];
}

static int64_t calls(const char *dir)
{
    const char *text = read_text(dir, "calls");
    int64_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* Once per published edit, with the movie as its last argument or where {video} stands; again for
 * an edit whose frames, truth or command changed, and for no other. */
static void t_command_scores_once(void)
{
    const char *dir = world(), *fast = "--set edit.steps=1 --set motion.steps=1";
    script(dir, rs_arena_printf(t_arena(),
                                "echo $# \"$@\" >> %s/calls; test -s \"$2\" && echo 4.25", dir));
    const char *cmd = command(dir, "a", fast);
    char *said = run(dir, cmd);
    T_NEAR(deqa(dir, "red"), 4.25, 0);
    T_NEAR(deqa(dir, "late"), 4.25, 0);
    T_EQ_S(cell(dir, "plain", "deqa"), "4.25");
    T_CHECKF(strstr(said, "  DeQA ") && strstr(said, " 4.250 "), "%s", said);
    T_EQ_I(calls(dir), 3);
    T_CHECKF(strstr(read_text(dir, "calls"), "/out/videos/square/red.mp4\n"), "%s",
             read_text(dir, "calls"));
    run(dir, cmd);
    run(dir, rs_arena_printf(t_arena(), "%s --set video.crf=30", cmd));
    T_EQ_I(calls(dir), 3);
    T_NEAR(deqa(dir, "red"), 4.25, 0);
    T_EQ_I(t_shell(&said, "cd %s && cp truth/00003.png truth/00004.png", dir), 0);
    double psnr = archived(dir, "square", "red").v[RS_MEASURE_PSNR];
    run(dir, cmd);
    T_EQ_I(calls(dir), 4);
    T_CHECK(fabs(archived(dir, "square", "red").v[RS_MEASURE_PSNR] - psnr) > 1e-6);
}

/* One number per frame; the frames as PNG files where the command asks for them. */
static void t_command_gets_frames(void)
{
    const char *dir = world(), *fast = "--set edit.steps=1 --set motion.steps=1 --videos other";
    char *left;
    script(dir, "n=0; for f in \"$2\"/*.png; do test -s \"$f\" && n=$((n + 1)) && echo \" $n.5\"; "
                "done; echo; test -s \"$1\"");
    run(dir, command(dir, "{video} {frames}", fast));
    T_NEAR(deqa(dir, "late"), 3.5, 0); /* 1.5 to 5.5 of five frames */
    T_EQ_I(t_shell(&left, "ls -A %s/out/videos/other", dir), 0);
    T_EQ_S(left, "late.mp4\n");
}

/* A command that fails in any way costs its number and a warning, never the job, and is tried again
 * by the next run. */
static void t_command_may_fail(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"echo 1; echo no GPU here >&2; echo more >&2; exit 4", "exited with 4: no GPU here"},
        {"echo 1; kill -9 $$", "was ended by signal 9"},
        {"echo good", "printed \"good\", which is no number"},
        {"echo nan", "printed \"nan\", which is no number"},
        {":", "printed 0 numbers; expected one, or one for each of 5 frames"},
        {"echo 1; echo 2", "printed 2 numbers"},
        {"echo 1; echo loading >&2; sleep 60", "was ended after 0.5 s: loading"},
    };
    const char *dir = world();
    const char *fast = "--set edit.steps=1 --set motion.steps=1 --set measure.deqa_timeout=0.5 "
                       "--videos other";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        script(dir, cases[i].text);
        char *said = run(dir, command(dir, "", fast));
        T_CHECKF(strstr(said, cases[i].want) &&
                     strstr(said, "W other | measure.deqa_command \"sh "),
                 "\"%s\" is not in %s", cases[i].want, said);
        T_CHECK(isnan(deqa(dir, "late")) &&
                rs_path_exists(t_stages_path(dir, "out/archive/other.h5")));
        T_CHECK(isfinite(archived(dir, "other", "late").v[RS_MEASURE_PSNR_OUTSIDE]));
    }
    char *said = run(dir, rs_arena_printf(t_arena(), "%s --set measure.deqa_command=./nix", fast));
    T_CHECKF(strstr(said, "./nix: cannot be started"), "%s", said);
    script(dir, "echo 1.5");
    run(dir, command(dir, "", fast));
    T_NEAR(deqa(dir, "late"), 1.5, 0);
}

/* ---- CLIP ---- */

/* Without the weights that only embeddings need, edits are made as before and say what they lack;
 * measure.clip=false does not ask. */
static void t_models_without_embeddings(void)
{
    const char *dir = world(), *fast = "--set edit.steps=1 --set motion.steps=1 --videos other";
    const char *file = t_stages_path(dir, "model/image_encoder/model.safetensors");
    rs_safetensors *f;
    rs_tensor_list kept = {0};
    char *said = run(dir, rs_arena_printf(t_arena(), "%s --set measure.clip=false", fast));
    T_CHECKF(!strstr(said, "clip_score") && !strstr(said, "CLIP"), "%s", said);
    T_CHECK(isnan(archived(dir, "other", "late").v[RS_MEASURE_CLIP_SCORE]));
    run(dir, fast);
    T_CHECK(archived(dir, "other", "late").v[RS_MEASURE_CLIP_SCORE] > -1);
    T_OK(rs_safetensors_open(&f, file));
    for (int64_t i = 0; i < rs_safetensors_count(f); i++) {
        rs_tensor t = *rs_safetensors_at(f, i);
        t.data = rs_arena_memdup(t_arena(), t.data, rs_tensor_bytes(t));
        if (!strstr(rs_safetensors_name(f, i), "post_layernorm"))
            rs_tensor_list_add(&kept, t_arena(), rs_safetensors_name(f, i), t);
    }
    rs_safetensors_close(&f);
    T_OK(rs_safetensors_write(file, &kept, NULL, 0));
    said = run(dir, fast);
    T_CHECKF(strstr(said, "clip_score and input_similarity are not available") &&
                 strstr(said, "post_layernorm.weight\" is missing"),
             "%s", said);
    T_CHECK(isnan(archived(dir, "other", "late").v[RS_MEASURE_INPUT_SIMILARITY]));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_everything_agrees),          T_CASE(t_equal_pixels),
    T_CASE(t_times_add_up_over_restarts), T_CASE(t_command_scores_once),
    T_CASE(t_command_gets_frames),        T_CASE(t_command_may_fail),
    T_CASE(t_models_without_embeddings),
};
RS_TEST_MAIN(k_cases)
