// config: arms and claims of an experiment: effective settings, and every mistake with its place.
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "config/arms.h"
#include "harness/test.h"

/* Lines 1 to 5; the arms follow in line 6. */
#define HEAD                                                                                       \
    "name: t\noutput: out\ncatalog: c.yaml\nmodel: {path: m}\n"                                    \
    "clip: {frames: 9, width: 64, height: 48}\n"

static const char *const k_measures[] = {"psnr", "motion_error", "train_s"};

typedef struct loaded {
    rs_config *cfg;
    rs_arms *arms;
    rs_problems *problems;
} loaded;

static loaded load(const char *text, const char *const *sets, int64_t n)
{
    loaded l = {.problems = rs_problems_create()};
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "exp.yaml");
    T_OK(rs_write_file_atomic(path, text, strlen(text)));
    rs_status st = rs_config_load_all(&l.cfg, l.problems, path, sets, n);
    T_CHECK((st == RS_OK) == (rs_problems_count(l.problems) == 0));
    int64_t before = rs_problems_count(l.problems);
    st = rs_arms_load(&l.arms, l.problems, l.cfg, k_measures, 3);
    T_CHECK((st == RS_OK) == (rs_problems_count(l.problems) == before));
    return l;
}

static void unload(loaded *l)
{
    rs_arms_destroy(&l->arms);
    rs_config_destroy(&l->cfg);
    rs_problems_destroy(&l->problems);
}

static const char *all_problems(rs_problems *p)
{
    rs_strbuf b = rs_strbuf_on(t_arena());
    for (int64_t i = 0; i < rs_problems_kept(p); i++)
        rs_strbuf_printf(&b, "%s\n", rs_path_basename(rs_problems_text(p, i)));
    return b.data;
}

static void t_settings_of_arms_lie_on_top_of_file_and_set(void)
{
    const char *sets[] = {"motion.steps=7", "edit.steps=3"};
    loaded l = load(HEAD "seed: 4\nmotion: {lr: 0.5}\narms:\n"
                         "  - name: plain\n"
                         "  - {name: two, note: a note, set: {motion.steps: 2, model.path: n, "
                         "seed: 9, mask.shape: exact}}\n",
                    sets, 2);
    T_CHECKF(l.arms, "%s", all_problems(l.problems));
    T_EQ_I(l.arms->n, 2);
    T_EQ_I(l.arms->n_claims, 0);
    const rs_arm *plain = &l.arms->items[0], *two = &l.arms->items[1];
    T_EQ_S(plain->name, "plain");
    T_EQ_S(plain->note, "");
    T_EQ_S(plain->set, "");
    T_EQ_S(plain->cfg->name, "t/plain");
    T_EQ_S(plain->cfg->output, "out/arms/plain");
    T_EQ_I(plain->cfg->motion.steps, 7);
    T_EQ_I(plain->cfg->edit.steps, 3);
    T_EQ_I(plain->cfg->edit.seed, 4);
    T_EQ_I(plain->cfg->clip.frames, 9);
    T_EQ_S(two->note, "a note");
    T_EQ_S(two->set, "motion.steps=2 model.path=n seed=9 mask.shape=exact");
    T_EQ_I(two->cfg->motion.steps, 2);
    T_EQ_I(two->cfg->edit.steps, 3);
    T_CHECK(two->cfg->motion.lr == 0.5);
    T_EQ_I(two->cfg->mask.shape, RS_CFG_MASK_SHAPE_EXACT);
    /* edit.seed -1 means the arm's own seed; paths start from the file's folder */
    T_EQ_I(two->cfg->edit.seed, 9);
    T_EQ_S(two->cfg->model.path, rs_path_join(t_arena(), t_tmpdir(), "n"));
    T_EQ_S(two->cfg->catalog, l.cfg->catalog);
    /* the experiment itself keeps its own */
    T_EQ_I(l.cfg->motion.steps, 7);
    T_EQ_S(l.cfg->output, "out");
    unload(&l);
}

static void t_experiments_without_arms_have_none(void)
{
    loaded l = load(HEAD, NULL, 0);
    T_CHECK(!l.arms);
    T_EQ_I(rs_problems_count(l.problems), 0);
    unload(&l);
    rs_config *cfg = rs_config_defaults();
    rs_problems *p = rs_problems_create();
    rs_arms *arms;
    T_OK(rs_arms_load(&arms, p, cfg, k_measures, 3));
    T_CHECK(!arms);
    rs_problems_destroy(&p);
    rs_config_destroy(&cfg);
}

#define TWO HEAD "arms: [{name: a}, {name: b, set: {seed: 1}}]\nclaims:\n"

static void t_claims(void)
{
    loaded l = load(TWO "  - {name: x, says: b wins, measure: motion_error, better: b, than: a}\n"
                        "  - {name: y, says: a will do, measure: psnr, no_worse: a, than: b, "
                        "margin: 0.25}\n"
                        "  - {name: z, says: far, measure: train_s, better: a, than: b, margin: 2}",
                    NULL, 0);
    T_CHECKF(l.arms, "%s", all_problems(l.problems));
    T_EQ_I(l.arms->n_claims, 3);
    const rs_claim *c = l.arms->claims;
    T_EQ_S(c[0].name, "x");
    T_EQ_S(c[0].says, "b wins");
    T_CHECK(c[0].measure == 1 && c[0].arm == 1 && c[0].than == 0);
    T_CHECK(!c[0].no_worse && c[0].margin == 0);
    T_CHECK(c[1].measure == 0 && c[1].arm == 0 && c[1].than == 1);
    T_CHECK(c[1].no_worse && c[1].margin == 0.25);
    T_CHECK(c[2].measure == 2 && !c[2].no_worse && c[2].margin == 2);
    unload(&l);
}

typedef struct bad_case {
    const char *text;
    const char *want; /* all problems, one line each */
} bad_case;

#define ARM(text)   HEAD "arms:\n  - name: a\n  - {name: b, " text "}\n"
#define CLAIM(text) TWO "  - {name: x, says: s, " text "}\n"

static const bad_case k_bad[] = {
    {HEAD "arms: 3\n", "exp.yaml:6:7: arms: expected a list of arms, found '3'\n"},
    {HEAD "arms: []\n", "exp.yaml:6:7: arms: expected a list of arms, found an empty one\n"},
    {HEAD "arms:\n", "exp.yaml:6:6: arms: expected a list of arms, found nothing\n"},
    {HEAD "arms: [{note: x}]\n", "exp.yaml:6:8: arms[0].name: is required\n"},
    {HEAD "arms:\n  - name: a\n  -\n", "exp.yaml:8:4: arms[1].name: is required\n"},
    {HEAD "arms: [{name: a/b}]\n",
     "exp.yaml:6:15: arms[0].name: 'a/b' is no id: 1 to 64 letters, digits, '.', '_', '-', not "
     "starting with '.' or '-'\n"},
    {HEAD "arms: [{name: a}, {name: a}]\n", "exp.yaml:6:26: arms[1].name: 'a' is used already\n"},
    {HEAD "arms: [{name: a, sets: {}}]\n",
     "exp.yaml:6:18: arms[0]: unknown key 'sets', did you mean 'set'?\n"},
    {ARM("set: [1]"), "exp.yaml:8:20: arms[1].set: expected a mapping (setting: value), found a "
                      "list\n"},
    {ARM("set: {motion.stpes: 1}"),
     "exp.yaml:8:21: motion.stpes: unknown setting, did you mean 'motion.steps'?\n"},
    {ARM("set: {motion: {steps: 1}}"),
     "exp.yaml:8:21: motion: a section; name one of its settings, e.g. motion.steps\n"},
    {ARM("set: {motion.lr: 1, motion.lr: 0.5}"), "exp.yaml:8:35: motion.lr: is set twice\n"},
    {ARM("set: {motion.steps: many}"),
     "exp.yaml:8:35: motion.steps: expected an integer, found 'many'\n"},
    {ARM("set: {edit.sampler: eulre}"),
     "exp.yaml:8:35: edit.sampler: 'eulre' is not allowed, did you mean 'euler'? (one of: euler, "
     "euler-diffusers, unipc, unipc-official)\n"},
    {ARM("set: {model.precision: bf16}"),
     "exp.yaml:8:21: model.precision: is common to all arms\n"},
    {ARM("set: {memory.home: sharded}"), "exp.yaml:8:21: memory.home: is common to all arms\n"},
    {ARM("set: {output: x, log.level: warn, cluster.threads: 1}"),
     "exp.yaml:8:21: output: is common to all arms\n"
     "exp.yaml:8:32: log.level: is common to all arms\n"
     "exp.yaml:8:49: cluster.threads: is common to all arms\n"},
    /* rules across settings; not said again for what the file itself breaks */
    {ARM("set: {clip.frames: 10}"),
     "exp.yaml:8:5: arm 'b': exp.yaml:8:34: clip.frames: 10 is not 4n+1; the nearest is 9\n"},
    {"name: t\noutput: out\ncatalog: c.yaml\nmodel: {path: m}\nclip: {frames: 10}\n"
     "arms: [{name: a}, {name: a}]\n",
     "exp.yaml:5:16: clip.frames: 10 is not 4n+1; the nearest is 9\n"
     "exp.yaml:6:26: arms[1].name: 'a' is used already\n"},
    /* claims */
    {HEAD "claims: [{name: x}]\n", "exp.yaml:6:9: claims: compare arms, but there is no 'arms'\n"},
    {TWO "  - {name: x}\n",
     "exp.yaml:8:5: claims[0].says: is required\nexp.yaml:8:5: claims[0].measure: is required\n"
     "exp.yaml:8:5: claims[0]: needs 'better: ARM' or 'no_worse: ARM'\n"
     "exp.yaml:8:5: claims[0].than: is required\n"},
    {CLAIM("measure: pnsr, better: a, than: b"),
     "exp.yaml:8:33: claims[0].measure: no measure is called 'pnsr', did you mean 'psnr'?\n"},
    {CLAIM("measure: psnr, better: c, than: elsewhere"),
     "exp.yaml:8:47: claims[0].better: no arm is called 'c' (known: a, b)\n"
     "exp.yaml:8:56: claims[0].than: no arm is called 'elsewhere' (known: a, b)\n"},
    {CLAIM("measure: psnr, better: a, than: a"),
     "exp.yaml:8:56: claims[0].than: compares arm 'a' with itself\n"},
    {CLAIM("measure: psnr, better: a, no_worse: a, than: b"),
     "exp.yaml:8:60: claims[0]: has both 'better' and 'no_worse'\n"},
    {CLAIM("measure: psnr, no_worse: a, than: b"), "exp.yaml:8:5: claims[0].margin: is required\n"},
    {CLAIM("measure: psnr, no_worse: a, than: b, margin: 0"),
     "exp.yaml:8:69: claims[0].margin: 0 is out of range: above 0 and at most 1e+09\n"},
    {CLAIM("measure: psnr, better: a, than: b, margin: -1"),
     "exp.yaml:8:67: claims[0].margin: -1 is out of range: at least 0 and at most 1e+09\n"},
    {CLAIM("measure: psnr, better: a, than: b}\n  - {name: x, says: s, measure: psnr, better: b, "
           "than: a"),
     "exp.yaml:9:12: claims[1].name: 'x' is used already\n"},
};

/* Messages that quote another place have its path in front: only names are compared. */
static char *without_folder(const char *text)
{
    const char *folder = rs_arena_printf(t_arena(), "%s/", t_tmpdir());
    rs_strbuf b = rs_strbuf_on(t_arena());
    for (const char *at; (at = strstr(text, folder)); text = at + strlen(folder))
        rs_strbuf_add(&b, text, (size_t)(at - text));
    rs_strbuf_add(&b, text, strlen(text));
    return b.data;
}

static void t_every_mistake_has_its_place(void)
{
    for (size_t i = 0; i < sizeof k_bad / sizeof k_bad[0]; i++) {
        loaded l = load(k_bad[i].text, NULL, 0);
        rs_strbuf b = rs_strbuf_on(t_arena());
        for (int64_t k = 0; k < rs_problems_kept(l.problems); k++)
            rs_strbuf_printf(&b, "%s\n", without_folder(rs_problems_text(l.problems, k)));
        T_CHECKF(strcmp(b.data, k_bad[i].want) == 0, "%s\ngave\n%swant\n%s", k_bad[i].text, b.data,
                 k_bad[i].want);
        T_CHECK(!l.arms);
        unload(&l);
    }
}

static const rs_test_case cases[] = {
    T_CASE(t_settings_of_arms_lie_on_top_of_file_and_set),
    T_CASE(t_experiments_without_arms_have_none),
    T_CASE(t_claims),
    T_CASE(t_every_mistake_has_its_place),
};
RS_TEST_MAIN(cases)
