// ctest: TIMEOUT 300
// reshoot plan: sizes, costs from JSON and from a run, the simulation by hand, bad input.
#include <math.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "harness/world.h"
#include "store/json.h"

/* Every stage takes 10 s; nothing waits for messages. */
static const char k_costs[] =
    "{\"stages\": {\"ingest\": {\"mean\": 10}, \"motion\": {\"mean\": 10}, \"appearance\": "
    "{\"mean\": 10}, \"edit\": {\"mean\": 10}, \"decode\": {\"mean\": 10}, \"publish\": "
    "{\"mean\": 10}}}";

static const char *world(void)
{
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), "world");
    t_world_make(dir, true);
    T_OK(
        rs_write_file_atomic(rs_path_join(t_arena(), dir, "costs.json"), k_costs, strlen(k_costs)));
    return dir;
}

/* `reshoot plan exp.yaml ARGS --json` in the folder. The document is the caller's. */
static rs_json *plan(const char *dir, const char *args)
{
    char *out;
    rs_json *doc;
    int rc = t_shell(&out, "cd %s && " T_BIN "/reshoot plan exp.yaml %s --json", dir, args);
    T_CHECKF(rc == 0, "plan %s: exit %d: %s", args, rc, out);
    T_OK(rs_json_parse(&doc, out, strlen(out), args));
    return doc;
}

static const rs_json *object(const rs_json *o, const char *key)
{
    const rs_json *v;
    T_OK(rs_json_object(&v, o, key));
    return v;
}

static double number(const rs_json *o, const char *key)
{
    double v;
    T_OK(rs_json_f64(&v, o, key));
    return v;
}

static const rs_json *show(rs_json **doc, const char *dir)
{
    char *out;
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot show out/archive/square.h5 --json", dir), 0);
    T_OK(rs_json_parse(doc, out, strlen(out), "show"));
    return *doc;
}

/* The stage of this name in what `show` prints. */
static const rs_json *shown_stage(const rs_json *show, const char *name)
{
    return object(object(show, "stages"), name);
}

static void t_sizes_are_those_of_a_run(void)
{
    const char *dir = world();
    rs_json *p = plan(dir, ""), *s;
    char *out;
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot run exp.yaml --set log.level=info", dir), 0);
    const rs_json *bytes = object(p, "bytes"), *model = object(p, "model");
    /* 9 frames are 3 latent ones; 64x48 pixels are 8x6 latent ones, 4x3 patches */
    T_NEAR(number(model, "tokens"), 3 * 4 * 3, 0);
    T_CHECKF(strstr(out, "= 36 tokens"), "%s", out);
    T_NEAR(number(bytes, "transformer_resident"), 4 * number(model, "parameters"), 0);
    double params = number(object(shown_stage(show(&s, dir), "motion"), "adapter"), "parameters");
    /* factors, gradients, two moments; a sum for each gradient of ten linears in four blocks */
    T_NEAR(number(bytes, "adapter_training"), 4 * 4 * params + 4 * 2 * 10 * 4, 0);
    T_NEAR(number(bytes, "checkpoint"), 3 * 4 * params, 0);
    T_CHECK(number(bytes, "activations_training") > number(bytes, "activations_sampling"));
    T_CHECK(number(bytes, "vae") > 0);
    T_NEAR(number(bytes, "transformer_mapped"), 0, 0); /* its files are fp32: used in place */
    T_CHECK(rs_json_is_null(p, "costs"));
    /* what launch/ asks for */
    const char *output;
    T_OK(rs_json_string(&output, object(p, "run"), "output"));
    T_EQ_S(output, "out");
    rs_json_destroy(&p);
    p = plan(dir, "--set motion.window=5 --set cluster.threads=3");
    T_NEAR(number(object(p, "run"), "threads"), 3, 0);
    T_NEAR(number(object(p, "model"), "tokens_training"), 2 * 4 * 3, 0);
    T_NEAR(number(object(p, "model"), "tokens"), 3 * 4 * 3, 0);
    rs_json_destroy(&p);
    rs_json_destroy(&s);
}

/* Without measured costs: operations over rates, stage by stage; the rates are this machine's. */
static void t_seconds_from_sizes(void)
{
    const char *dir = world();
    rs_json *p = plan(dir, "--set motion.steps=7 --set edit.steps=5 --set edit.guidance=3 "
                           "--set appearance.steps=11 --ranks 2 --copies 4");
    const rs_json *stages = object(p, "stages"), *motion = object(stages, "motion"),
                  *edit = object(stages, "edit"), *expected = object(p, "expected");
    const rs_json *rates = object(p, "rates"), *flop = object(p, "flop");
    double step = number(expected, "training_step"), sample = number(expected, "sampling_step");
    double lo = number(rates, "gemm"), hi = lo;
    static const char *const k_kinds[] = {"attention", "attention_backward"};
    for (int i = 0; i < 2; i++) {
        lo = fmin(lo, number(rates, k_kinds[i]));
        hi = fmax(hi, number(rates, k_kinds[i]));
    }
    T_CHECK(lo > 1e8 && step <= number(flop, "step") / lo && step >= number(flop, "step") / hi);
    T_NEAR(number(motion, "mean"), 7 * step, 1e-12);
    T_NEAR(number(motion, "step"), step, 1e-12);
    double encoding = number(edit, "mean") - 5 * sample;
    T_CHECK(sample >= 2 * number(flop, "forward") / hi && encoding > 0);
    double sum = 0;
    for (int i = 0; i < 6; i++) {
        static const char *const k_stages[] = {"ingest", "motion", "appearance",
                                               "edit",   "decode", "publish"};
        double mean = number(object(stages, k_stages[i]), "mean");
        T_NEAR(number(object(stages, k_stages[i]), "predicted"), mean, 0);
        sum += mean;
    }
    T_NEAR(number(p, "work"), 4 * sum, 1e-9);
    T_NEAR(number(p, "bound"), 2 * sum, 1e-9);
    T_NEAR(number(p, "videos_per_hour"), 3600 * 4 / (2 * sum), 1e-6 * 3600 * 2 / sum);
    rs_json_destroy(&p);
    /* of a device that is not here: the same each time */
    rs_json *a = plan(dir, "--device h100"), *b = plan(dir, "--device h200");
    T_NEAR(number(object(a, "rates"), "gemm"), 693e12, 0);
    T_NEAR(number(a, "work"), number(b, "work"), 0);
    T_CHECK(number(object(b, "bytes"), "budget") > number(object(a, "bytes"), "budget"));
    rs_json_destroy(&a);
    rs_json_destroy(&b);
}

/* Means and spreads of the archives: here of one task each. */
static void t_costs_of_a_finished_run(void)
{
    static const char *const names[][2] = {{"ingest", "ingest"},
                                           {"motion", "motion"},
                                           {"appearance", "appearance/red"},
                                           {"edit", "edit/red"},
                                           {"decode", "decode/red"}};
    const char *dir = world();
    char *out;
    rs_json *s;
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot run exp.yaml", dir), 0);
    rs_json *p = plan(dir, "--costs out --simulate --latency 0 --set motion.steps=4");
    double sum = 0;
    show(&s, dir);
    for (int i = 0; i < 5; i++) {
        const rs_json *stage = object(object(p, "stages"), names[i][0]);
        double seconds = number(shown_stage(s, names[i][1]), "seconds");
        T_NEAR(number(stage, "mean"), seconds, 1e-12 * seconds);
        T_NEAR(number(stage, "cv"), 0, 0);
        T_NEAR(number(stage, "measured"), 1, 0);
        sum += seconds;
    }
    const rs_json *motion = object(object(p, "stages"), "motion");
    T_NEAR(number(motion, "step"), number(motion, "mean") / 4, 1e-12);
    T_CHECK(rs_json_is_null(object(object(p, "stages"), "publish"), "mean"));
    T_NEAR(number(p, "work"), sum, 1e-9);
    T_NEAR(number(object(object(p, "simulation"), "stages"), "makespan"), sum, 1e-9);
    rs_json_destroy(&p);
    rs_json_destroy(&s);
}

/* Of two edits: deviation |a - b| / sqrt(2). */
static void t_spread_of_a_finished_run(void)
{
    const char *dir = world();
    char *out;
    rs_json *s;
    T_EQ_I(t_shell(&out,
                   "cd %s && printf '%%s\\n' '      - id: blue' '        first_frame: ref.png' "
                   "'        prompt: a blue square' >> cat.yaml && " T_BIN "/reshoot run exp.yaml",
                   dir),
           0);
    rs_json *p = plan(dir, "--costs out");
    show(&s, dir);
    double a = number(shown_stage(s, "edit/red"), "seconds");
    double b = number(shown_stage(s, "edit/blue"), "seconds");
    const rs_json *edit = object(object(p, "stages"), "edit");
    T_NEAR(number(edit, "mean"), (a + b) / 2, 1e-9);
    T_NEAR(number(edit, "cv"), fabs(a - b) / sqrt(2) / ((a + b) / 2), 1e-9);
    T_NEAR(number(edit, "measured"), 2, 0);
    T_NEAR(number(object(object(p, "stages"), "appearance"), "tasks"), 1, 0);
    rs_json_destroy(&p);
    rs_json_destroy(&s);
}

static double lost(const char *dir, int every)
{
    rs_json *p = plan(dir, rs_arena_printf(t_arena(),
                                           "--costs costs.json --simulate --copies 64 --ranks 4 "
                                           "--mtbf 0.05 --set motion.steps=10 --set edit.steps=10 "
                                           "--set appearance.steps=10 --set checkpoint.every=%d",
                                           every));
    const rs_json *r = object(object(p, "simulation"), "stages");
    double failures = number(r, "failures"), s = number(r, "lost");
    T_CHECK(failures > 5);
    rs_json_destroy(&p);
    return s / failures;
}

/* Steps of 1 s: of training and sampling, half of the work, at most one step is lost, or all. */
static void t_checkpoints_of_the_settings(void)
{
    const char *dir = world();
    double often = lost(dir, 1), never = lost(dir, 1000);
    T_CHECKF(often > 0 && often < never && never <= 10, "%g and %g s lost", often, never);
}

static void t_a_simulation_by_hand(void)
{
    const char *dir = world();
    rs_json *p = plan(dir, "--costs costs.json --simulate --copies 3 --ranks 2 --latency 0");
    const rs_json *sim = object(p, "simulation");
    T_NEAR(number(p, "videos"), 3, 0);
    T_NEAR(number(p, "work"), 180, 0);
    T_NEAR(number(p, "bound"), 90, 0);
    T_NEAR(number(sim, "longest_video"), 60, 0);
    static const char *const kinds[] = {"stages", "whole_videos"};
    for (int i = 0; i < 2; i++) {
        const rs_json *r = object(sim, kinds[i]);
        T_NEAR(number(r, "makespan"), 120, 0);
        T_NEAR(number(r, "ratio"), 120.0 / 90, 1e-12);
        T_NEAR(number(r, "utilisation"), 0.75, 1e-12);
        T_NEAR(number(r, "utilisation_no_tail"), 1, 1e-12);
        T_NEAR(number(r, "tasks"), i ? 3 : 18, 0);
    }
    T_NEAR(number(object(sim, "even_split"), "makespan"), 120, 0);
    rs_json_destroy(&p);
    p = plan(dir, "--costs costs.json --simulate --copies 64 --ranks 4 --mtbf 0.1 "
                  "--ranks-per-node 2 --ranks-per-world 4 --restart 60");
    const rs_json *r = object(object(p, "simulation"), "stages");
    T_CHECK(number(r, "failures") > 0 && number(r, "lost") > 0 && number(r, "ratio") > 1);
    T_CHECK(number(r, "down") > 60 * 4 * (number(r, "failures") - 1));
    rs_json_destroy(&p);
}

/* The text has the same numbers. */
/* Of the tasks that are stages. */
static double simulated(const char *dir, const char *args, const char *key)
{
    const char *more =
        rs_arena_printf(t_arena(), "--simulate --costs spread.json --latency 0 %s", args);
    rs_json *doc = plan(dir, more);
    double v = number(object(object(doc, "simulation"), "stages"), key);
    rs_json_destroy(&doc);
    return v;
}

/* Ranks that share weights walk the longer passes of others; with a copy each they do not. */
static void t_gangs_and_lanes_are_simulated(void)
{
    static const char spread[] =
        "{\"stages\": {\"ingest\": {\"mean\": 1}, \"motion\": {\"mean\": 50, \"cv\": 0.4}, "
        "\"appearance\": {\"mean\": 20, \"cv\": 0.4}, \"edit\": {\"mean\": 30}, "
        "\"decode\": {\"mean\": 3}}}";
    const char *dir = world(), *four = "--ranks 4 --ranks-per-node 4 --copies 40 ";
    char *out;
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "spread.json"), spread, strlen(spread)));
    const char *gang =
        rs_arena_printf(t_arena(), "%s --set memory.home=sharded --set cluster.gang=4", four);
    T_NEAR(simulated(dir, four, "waited"), 0, 0);
    T_CHECK(simulated(dir, gang, "waited") > 0);
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot plan exp.yaml %s", dir, gang), 0);
    T_CHECKF(strstr(out, "gangs of 4: of these steps"), "%s", out);
    const char *two = "--ranks 2 --ranks-per-node 2";
    const char *lanes = rs_arena_printf(t_arena(), "%s --set cluster.lanes=auto", two);
    T_NEAR(simulated(dir, two, "helped"), 0, 0);
    T_CHECK(simulated(dir, lanes, "helped") > 0);
    T_CHECK(simulated(dir, lanes, "makespan") < simulated(dir, two, "makespan"));
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot plan exp.yaml --ranks 3 --set cluster.lanes=2",
                   dir),
           2);
    T_CHECKF(strstr(out, "lanes of 2 ranks do not divide 3"), "%s", out);
}

static void t_text(void)
{
    const char *dir = world();
    char *out;
    T_EQ_I(t_shell(&out,
                   "cd %s && " T_BIN "/reshoot plan exp.yaml --costs costs.json --simulate "
                   "--copies 3 --ranks 2 --latency 0",
                   dir),
           0);
    static const char *const want[] = {
        "exp.yaml on 2 ranks",
        ": 36 tokens",
        "1 video made 3 videos, 3 edits, 3 with references",
        "seconds, from costs.json",
        "work 3 min; on 2 ranks at least 90 s (work / ranks)",
        "stages              2 min     1.333     75.0 %       100.0 %",
        "whole videos        2 min     1.333     75.0 %       100.0 %",
        "even split          2 min     1.333     75.0 %",
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        T_CHECKF(strstr(out, want[i]), "\"%s\" is not in:\n%s", want[i], out);
    T_EQ_I(t_shell(&out, "cd %s && " T_BIN "/reshoot plan exp.yaml", dir), 0);
    T_CHECKF(strstr(out, "from operations and rates; give measured ones with --costs"), "%s", out);
}

#define JSON(text) "echo '" text "' > c.json"
#define PLAN       "plan exp.yaml --costs c.json --simulate"

static const t_bad_case k_bad[] = {
    {"no such file", "", "plan exp.yaml --costs nix.json", 3, {"nix.json: ", "No such file"}},
    {"no JSON", JSON("stages"), PLAN, 3, {"c.json:1:"}},
    {"no stages", JSON("{}"), PLAN, 3, {"c.json: ", "stages"}},
    {"unknown member",
     JSON("{\"stages\": {}, \"stage\": 1}"),
     PLAN,
     3,
     {"c.json: stage: unknown member"}},
    {"unknown stage",
     JSON("{\"stages\": {\"moton\": {\"mean\": 1}}}"),
     PLAN,
     3,
     {"c.json: stages: unknown stage \"moton\"; did you mean motion"}},
    {"no mean",
     JSON("{\"stages\": {\"motion\": {\"cv\": 1}}}"),
     PLAN,
     3,
     {"c.json: ", "stages.motion", "mean"}},
    {"unknown member of a stage",
     JSON("{\"stages\": {\"motion\": {\"mean\": 1, \"sd\": 1}}}"),
     PLAN,
     3,
     {"c.json: stages.motion.sd: unknown member"}},
    {"negative seconds",
     JSON("{\"stages\": {\"motion\": {\"mean\": -1}}}"),
     PLAN,
     3,
     {"c.json: stages.motion: mean must be 0..1e9"}},
    {"a stage that the catalog has",
     JSON("{\"stages\": {\"ingest\": {\"mean\": 1}, \"motion\": {\"mean\": 1}, \"edit\": "
          "{\"mean\": 1}, \"decode\": {\"mean\": 1}}}"),
     PLAN,
     2,
     {"c.json: no seconds of the stage appearance"}},
    {"folder without archives", "", "plan exp.yaml --costs src", 3, {"src: no run with archives"}},
    {"empty run",
     "mkdir -p r/archive",
     "plan exp.yaml --costs r",
     3,
     {"r/archive: no archive with seconds"}},
    {"no ranks", "", "plan exp.yaml --ranks 0", 2, {"--ranks must be 1..1000000, got 0"}},
    {"negative copies", "", "plan exp.yaml --copies -1", 2, {"--copies must be 0.."}},
    {"failures without a simulation",
     "",
     "plan exp.yaml --mtbf 5",
     2,
     {"--mtbf is of the simulation"}},
    {"failures without end",
     "",
     "plan exp.yaml --costs costs.json --simulate --mtbf 0.0001",
     2,
     {"the catalog does not end"}},
    {"bad experiment",
     "sed -i '5c\\clip: {frames: 10}' exp.yaml",
     "plan exp.yaml",
     2,
     {"exp.yaml:5:16: clip.frames: 10 is not 4n+1"}},
    {"no model", "rm -r model", "plan exp.yaml", 2, {"model.path: ", "no such model directory"}},
};

static void t_bad_input(void)
{
    t_bad_cases(world(), k_bad, (int)(sizeof k_bad / sizeof *k_bad));
}

static const rs_test_case cases[] = {
    T_CASE(t_sizes_are_those_of_a_run),
    T_CASE(t_seconds_from_sizes),
    T_CASE(t_costs_of_a_finished_run),
    T_CASE(t_spread_of_a_finished_run),
    T_CASE(t_checkpoints_of_the_settings),
    T_CASE(t_a_simulation_by_hand),
    T_CASE(t_gangs_and_lanes_are_simulated),
    T_CASE(t_text),
    T_CASE(t_bad_input),
};
RS_TEST_MAIN(cases)
