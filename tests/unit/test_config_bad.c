// config: every kind of mistake in an experiment file, with its exact place; overrides; hostile
// YAML.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/str.h"
#include "config/config.h"
#include "harness/test.h"

/* The settings every experiment needs, in line 1. */
#define R "{name: t, output: o, catalog: c, model: {path: m}"
/* The same as a block: one line each, then line 5 follows. */
#define B "name: t\noutput: o\ncatalog: c\nmodel: {path: m}\n"

typedef struct bad_case {
    const char *text;
    size_t bytes;      /* 0: strlen(text) */
    const char *start; /* how the message starts after "bad.yaml:" */
    const char *part;  /* what it also contains */
} bad_case;

static const bad_case k_bad[] = {
    /* the file as a whole */
    {"", 0, "1:1: the file is empty", ""},
    {"# only a comment\n", 0, "1:1: the file is empty", ""},
    {"---\n", 0, "2:1: the file is empty", ""},
    {"- name: x\n", 0, "1:1: expected a mapping (key: value), found a list", ""},
    {"just text\n", 0, "1:1: expected a mapping (key: value), found 'just text'", ""},
    {B "---\n" B, 0, "5:1: a second YAML document", ""},
    {"name: a\n---\n---\n", 0, "2:1: a second YAML document", ""},
    {"name: t\n\xff\xfe: 1\n", 0, "2:1: not UTF-8: byte 0xFF at offset 8", ""},
    {"name: \xc3\xa9\xc3\xa9\xc3(\n", 0, "1:9: not UTF-8: byte 0xC3 at offset 10", ""},
    {"name: \xed\xa0\x80\n", 0, "1:7: not UTF-8: byte 0xED at offset 6", ""}, /* surrogate */
    {"name: \xc0\xaf\n", 0, "1:7: not UTF-8: byte 0xC0 at offset 6", ""},     /* overlong */
    {"name: \xf4\x90\x80\x80\n", 0, "1:7: not UTF-8: byte 0xF4 at offset 6", ""},
    {"name: ab\xe2\x82", 0, "1:9: not UTF-8: byte 0xE2 at offset 8", ""}, /* cut off */
    {"name: a\0b\n", 10, "1:8: not valid YAML: control characters are not allowed", "offset 7"},
    {"name: a\x07\n", 0, "1:8: not valid YAML: control characters", ""},
    {"\xff\xfen\0a\0", 6, "1:1: not UTF-8", ""},                  /* UTF-16 */
    {"\xef\xbb\xbf[a]: 1\n", 0, "1:1: a key must be a word", ""}, /* byte order mark */
    /* YAML syntax */
    {"clip:\n\tframes: 5\n", 0, "2:1: not valid YAML: a tab; indent with spaces", ""},
    {"clip: {frames: 5\n", 0, "2:1: not valid YAML: did not find expected ',' or '}'",
     "that starts in line 1"},
    {"name: 'abc\n\n", 0, "3:1: not valid YAML: found unexpected end of stream", "line 1"},
    {"name: \"\\q\"\n", 0, "1:8: not valid YAML: found unknown escape character", ""},
    {"name: @x\n", 0, "1:7: not valid YAML: found character that cannot start any token", ""},
    {"name: a\n  output: b\n", 0, "2:9: not valid YAML: mapping values are not allowed", ""},
    {"name: a: b\n", 0, "1:8: not valid YAML: mapping values are not allowed", ""},
    {"name: *nowhere\n", 0, "1:7: not valid YAML: found undefined alias", ""},
    {"%YAML 3.0\n---\nname: a\n", 0, "1:1: not valid YAML: found incompatible YAML document", ""},
    {B "seed: !!int 5\n", 0, "5:7: tags are not used here: tag:yaml.org,2002:int", ""},
    {B "clip: !custom {frames: 5}\n", 0, "5:7: tags are not used here: !custom", ""},
    {"[a]: 1\n", 0, "1:1: a key must be a word, found a list", ""},
    {B "? {a: b}\n: 1\n", 0, "5:3: a key must be a word, found a mapping", ""},
    {"base: &b {frames: 5}\n" B "clip:\n  <<: *b\n", 0, "1:1: unknown key 'base'", ""},
    {B "clip:\n  <<: {frames: 5}\n", 0, "6:3: clip: merge keys (<<) are not used here", ""},
    /* keys */
    {B "motions: {steps: 3}\n", 0, "5:1: unknown key 'motions', did you mean 'motion'?", ""},
    {B "motion:\n  stpes: 3\n", 0, "6:3: motion: unknown key 'stpes', did you mean 'steps'?", ""},
    {B "frames: 5\n", 0, "5:1: unknown key 'frames', did you mean 'clip.frames'?", ""},
    {B "optimizer: {lr: 1}\n", 0, "5:13: optimizer: unknown key 'lr', did you mean 'motion.lr'?",
     ""},
    {B "prompt: {zzzzzzzzz: 1}\n", 0, "5:10: prompt: unknown key 'zzzzzzzzz' (known: prefix)", ""},
    {B "name: u\n", 0, "5:1: key 'name' is given twice, first in line 1", ""},
    {B "clip: {width: 64, width: 64}\n", 0, "5:19: clip: key 'width' is given twice", "line 5"},
    {B "clip: {frames: 5}\nclip: {width: 64}\n", 0, "6:1: key 'clip' is given twice", "line 5"},
    {"output: o\ncatalog: c\nmodel: {path: m}\n", 0, "1:1: name: is required", ""},
    {"name: ''\noutput: o\ncatalog: c\nmodel: {path: m}\n", 0, "1:7: name: is required", ""},
    {"name: t\noutput: o\ncatalog: c\n", 0, "1:1: model.path: is required", "Diffusers"},
    {"name: t\noutput:\ncatalog: c\nmodel: {path: m}\n", 0, "2:8: output: expected text",
     "found nothing (+1 more)"},
    /* types */
    {B "clip: [5]\n", 0, "5:7: clip: expected a mapping (key: value), found a list", ""},
    {B "clip: 5\n", 0, "5:7: clip: expected a mapping (key: value), found '5'", ""},
    {B "clip: {frames: five}\n", 0, "5:16: clip.frames: expected an integer, found 'five'", ""},
    {B "clip: {frames: \"5\"}\n", 0, "5:16: clip.frames: expected an integer, found \"5\"",
     "(in quotes)"},
    {B "clip: {frames: 5.0}\n", 0, "5:16: clip.frames: expected an integer, found '5.0'", ""},
    {B "clip: {frames: 0x5}\n", 0, "5:16: clip.frames: expected an integer, found '0x5'", ""},
    {B "clip: {frames: [5]}\n", 0, "5:16: clip.frames: expected an integer, found a list", ""},
    {B "clip: {frames: }\n", 0, "5:16: clip.frames: expected an integer, found nothing", ""},
    {B "motion: {lr: fast}\n", 0, "5:14: motion.lr: expected a number, found 'fast'", ""},
    {B "motion: {lr: 1e-4x}\n", 0, "5:14: motion.lr: expected a number, found '1e-4x'", ""},
    {B "motion: {lr: nan}\n", 0, "5:14: motion.lr: expected a number, found 'nan'", ""},
    {B "motion: {lr: .inf}\n", 0, "5:14: motion.lr: expected a number, found '.inf'", ""},
    {B "motion: {lr: 1-2}\n", 0, "5:14: motion.lr: expected a number, found '1-2'", ""},
    {B "edit: {paste_back: yes}\n", 0, "5:20: edit.paste_back: expected true or false, found 'yes'",
     ""},
    {B "edit: {paste_back: 'true'}\n", 0, "5:20: edit.paste_back: expected true or false",
     "quotes"},
    {B "prompt: {prefix: [a]}\n", 0, "5:18: prompt.prefix: expected text, found a list", ""},
    {B "prompt: {prefix: \"a\\0b\"}\n", 0, "5:18: prompt.prefix: the text contains a zero byte",
     ""},
    {B "lora: {targets: attn1.to_q}\n", 0, "5:17: lora.targets: expected a list of words", ""},
    {B "lora: {targets: []}\n", 0, "5:17: lora.targets: expected a list of words, found an empty",
     ""},
    {B "lora: {targets: [[a]]}\n", 0, "5:18: lora.targets: expected text, found a list", ""},
    /* ranges and words */
    {B "clip: {frames: 0}\n", 0, "5:16: clip.frames: 0 is out of range 1..401", ""},
    {B "clip: {frames: 99999999999999999999}\n", 0,
     "5:16: clip.frames: 99999999999999999999 is out", ""},
    {B "seed: -1\n", 0, "5:7: seed: -1 is out of range: at least 0", ""},
    {B "seed: 9223372036854775808\n", 0, "5:7: seed: 9223372036854775808 is out of range", ""},
    {B "edit: {steps: 0}\n", 0, "5:15: edit.steps: 0 is out of range 1..1000", ""},
    {B "motion: {lr: 0}\n", 0, "5:14: motion.lr: 0 is out of range: above 0 and at most 1", ""},
    {B "motion: {lr: 1e999}\n", 0, "5:14: motion.lr: 1e999 is out of range", ""},
    {B "mask: {grow: -0.1}\n", 0,
     "5:14: mask.grow: -0.1 is out of range: at least 0 and at most 10", ""},
    {B "mask: {threshold: 255}\n", 0, "5:19: mask.threshold: 255 is out of range 0..254", ""},
    {B "edit: {sampler: eular}\n", 0,
     "5:17: edit.sampler: 'eular' is not allowed, did you mean "
     "'euler'? (one of: euler, euler-diffusers, unipc, ",
     ""},
    {B "model: {family: hunyuanvideo}\n", 0, "5:1: key 'model' is given twice", ""},
    {B "appearance: {schedule: Paper}\n", 0,
     "5:24: appearance.schedule: 'Paper' is not allowed, did "
     "you mean 'paper'?",
     ""},
    {B "lora: {targets: [attn1.to_q, attn2.to_out.1]}\n", 0,
     "5:30: lora.targets: 'attn2.to_out.1' "
     "is not allowed, did you mean "
     "'attn2.to_out.0'?",
     ""},
    {B "lora:\n  targets:\n    - ffn.net.2\n    - ffn.net.2\n", 0,
     "8:7: lora.targets: 'ffn.net.2' is listed twice", ""},
    /* rules across settings */
    {B "clip: {frames: 48}\n", 0, "5:16: clip.frames: 48 is not 4n+1; the nearest is 49", ""},
    {B "clip: {frames: 50}\n", 0, "5:16: clip.frames: 50 is not 4n+1; the nearest is 49", ""},
    {B "clip: {frames: 51}\n", 0, "5:16: clip.frames: 51 is not 4n+1; the nearest is 49", ""},
    {B "clip:\n  width: 840\n", 0,
     "6:10: clip.width: 840 is not a multiple of 16; the nearest is 832", ""},
    {B "clip: {height: 475}\n", 0,
     "5:16: clip.height: 475 is not a multiple of 16; the nearest is 480", ""},
    {B "clip: {width: 64, height: 32}\nedit: {paste_back: true, feather: 16}\n", 0,
     "6:35: edit.feather: 16 leaves nothing unblended in 64x32 frames", ""},
    {B "motion: {window: 10}\n", 0, "5:18: motion.window: 10 is not 4n+1; the nearest is 9", ""},
    {B "motion: {window: 1}\n", 0, "5:18: motion.window: 1 leaves nothing to learn", ""},
    {B "motion: {window: 9, window_stride: 10}\n", 0,
     "5:36: motion.window_stride: 10 leaves out frames between windows of 9", ""},
    {B "motion: {window_stride: 0}\n", 0, "5:25: motion.window_stride: 0 is out of range", ""},
    {B "motion: {steps: -1}\n", 0, "5:17: motion.steps: -1 is out of range 0..1000000", ""},
    {B "motion: {condition: mask}\n", 0,
     "5:21: motion.condition: 'mask' is not allowed, did you mean 'masked'?", "keep-none"},
    {B "appearance: {max_references: -1}\n", 0, "5:30: appearance.max_references: -1 is out", ""},
    {B "appearance: {when: always}\n", 0, "5:20: appearance.when: 'always' is not allowed",
     "references"},
    {B "edit: {condition: keep}\n", 0, "5:19: edit.condition: 'keep' is not allowed", "keep-all"},
    {B "edit: {blend: true, sampler: unipc}\n", 0,
     "5:15: edit.blend: needs edit.sampler euler or euler-diffusers", "unipc"},
    /* many at once: the first in the file comes first */
    {"name: t\nsede: 1\nclip: {frames: 4, width: 1}\noutput: o\n", 0, "1:1: catalog: is required",
     "(+4 more)"},
};

static void t_bad_files_name_the_place(void)
{
    char *path = rs_path_join(t_arena(), t_tmpdir(), "bad.yaml");
    int n = (int)(sizeof k_bad / sizeof *k_bad), wrong = 0;
    T_CHECK(n >= 40);
    for (int i = 0; i < n; i++) {
        const bad_case *b = &k_bad[i];
        T_OK(rs_write_file_atomic(path, b->text, b->bytes ? b->bytes : strlen(b->text)));
        rs_config *cfg = NULL;
        rs_status st = rs_config_load(&cfg, path, NULL, 0);
        const char *want = rs_arena_printf(t_arena(), "%s:%s", path, b->start);
        const char *got = st == RS_OK ? "(loaded)" : rs_error_message();
        if (st != RS_CONFIG || cfg || strncmp(got, want, strlen(want)) != 0 ||
            !strstr(got, b->part) || strpbrk(got, "\n\t\x07")) {
            fprintf(stderr, "case %d (%s)\n got %s\nwant %s ... %s\n", i, rs_status_name(st), got,
                    want, b->part);
            wrong++;
        }
    }
    T_CHECKF(wrong == 0, "%d of %d cases", wrong, n);
}

static void t_unreadable_files(void)
{
    rs_config *cfg = NULL;
    T_FAILS(rs_config_load(&cfg, "/nowhere/x.yaml", NULL, 0), CONFIG,
            "/nowhere/x.yaml: cannot open");
    T_FAILS(rs_config_load(&cfg, t_tmpdir(), NULL, 0), CONFIG, "is a folder");
    T_CHECK(!cfg);
}

static rs_status load(rs_config **cfg, rs_problems *p, const char *text, const char *const *sets,
                      int64_t n)
{
    return rs_config_load_text(cfg, p, "t.yaml", "", text, strlen(text), sets, n);
}

/* Fails with exactly this message. */
static void expect_set(const char *set, const char *want)
{
    rs_problems *p = rs_problems_create();
    rs_config *cfg = NULL;
    rs_status st = load(&cfg, p, B, &set, 1);
    T_CHECKF(st == RS_CONFIG && strstr(rs_error_message(), want) == rs_error_message(),
             "--set %s: %s %s", set, rs_status_name(st), rs_error_message());
    rs_problems_destroy(&p);
}

static void t_bad_overrides_name_the_setting(void)
{
    expect_set("motion.steps", "--set motion.steps: expected setting=value");
    expect_set("=3", "--set =3: expected setting=value");
    expect_set("motion.stps=3", "--set motion.stps: unknown setting, did you mean 'motion.steps'?");
    expect_set("epochs=3", "--set epochs: unknown setting, did you mean 'appearance.epochs'?");
    expect_set("zzzzzzzz=3", "--set zzzzzzzz: unknown setting");
    expect_set("motion=3", "--set motion: a section; name one of its settings, e.g. motion.steps");
    expect_set("motion.steps=x", "--set motion.steps: expected an integer, found 'x'");
    expect_set("motion.steps=", "--set motion.steps: the value is empty");
    expect_set("motion.steps=[1", "--set motion.steps: not valid YAML");
    expect_set("clip.frames=48", "--set clip.frames: 48 is not 4n+1");
    expect_set("edit.sampler=rk4", "--set edit.sampler: 'rk4' is not allowed");
    expect_set("lora.targets=[a]", "--set lora.targets: 'a' is not allowed");
    expect_set("name=", "--set name: is required");
    expect_set("name=\xff", "--set name: not UTF-8: byte 0xFF at offset 0");
}

static void t_every_problem_is_reported_in_order(void)
{
    rs_problems *p = rs_problems_create();
    rs_config *cfg = NULL;
    const char *sets[] = {"seed=x", "nonsense=1"};
    T_FAILS(
        load(&cfg, p, "motion: {steps: -1, lr: x}\nclip: {width: 100}\nname: n\nzzz: 1\n", sets, 2),
        CONFIG, "(+8 more)");
    const char *const want[] = {"t.yaml:1:1: output",
                                "t.yaml:1:1: catalog",
                                "t.yaml:1:1: model.path",
                                "t.yaml:1:17: motion.steps",
                                "t.yaml:1:25: motion.lr",
                                "t.yaml:2:15: clip.width",
                                "t.yaml:4:1: unknown key 'zzz'",
                                "--set seed: expected an integer",
                                "--set nonsense: unknown"};
    T_EQ_I(rs_problems_count(p), 9);
    for (int64_t i = 0; i < 9; i++)
        T_CHECKF(strstr(rs_problems_text(p, i), want[i]) == rs_problems_text(p, i), "%lld: %s",
                 (long long)i, rs_problems_text(p, i));
    rs_problems_destroy(&p);
}

static void t_a_thousand_problems_are_counted(void)
{
    rs_strbuf s = rs_strbuf_on(t_arena());
    for (int i = 0; i < 1000; i++)
        rs_strbuf_printf(&s, "unknown%d: 1\n", i);
    rs_problems *p = rs_problems_create();
    rs_config *cfg = NULL;
    T_FAILS(load(&cfg, p, s.data, NULL, 0), CONFIG, "(+1003 more)");
    T_EQ_I(rs_problems_kept(p), 200);
    rs_problems_destroy(&p);
}

/* Must end with one problem and within seconds, never crash. */
static void expect_hostile(const char *text, const char *want)
{
    rs_problems *p = rs_problems_create();
    rs_config *cfg = NULL;
    double start = rs_now();
    rs_status st = load(&cfg, p, text, NULL, 0);
    double seconds = rs_now() - start;
    T_CHECKF(st == RS_CONFIG && strstr(rs_error_message(), want), "%s", rs_error_message());
    T_CHECKF(seconds < 10, "%.1f s", seconds);
    rs_problems_destroy(&p);
}

static char *repeat(const char *part, int n, const char *tail)
{
    rs_strbuf s = rs_strbuf_on(t_arena());
    for (int i = 0; i < n; i++)
        rs_strbuf_add(&s, part, strlen(part));
    rs_strbuf_add(&s, tail, strlen(tail));
    return s.data;
}

static void t_deep_nesting_ends(void)
{
    expect_hostile(repeat("[", 1000000, ""), "t.yaml:1:65: nested too deeply");
    expect_hostile(repeat("{a: ", 1000000, ""), "nested too deeply");
    expect_hostile(repeat("- ", 1000000, "a\n"), "nested too deeply");
    expect_hostile(repeat("? ", 1000000, "a\n"), "nested too deeply");
    expect_hostile(repeat("[", 60, repeat("]", 60, "")), "found a list");
    rs_strbuf s = rs_strbuf_on(t_arena());
    for (int i = 0; i < 2000; i++)
        rs_strbuf_printf(&s, "%*sa:\n", i, "");
    expect_hostile(s.data, "t.yaml:65:65: nested too deeply");
}

static void t_huge_values_end(void)
{
    const char *mega = repeat("abcdefgh", 1 << 18, "\n"); /* 2 MiB scalar */
    expect_hostile(rs_arena_printf(t_arena(), B "seed: %s", mega), "found 'abcdefgh");
    expect_hostile(rs_arena_printf(t_arena(), B "%s", mega), "not valid YAML");
    expect_hostile(rs_arena_printf(t_arena(), B "? %s: 1\n", mega), "unknown key 'abcdefgh");
    const char *quoted = rs_arena_printf(t_arena(), B "edit: {sampler: \"%s\"}", mega);
    expect_hostile(quoted, "t.yaml:5:17: edit.sampler: \"abcdefgh");
    expect_hostile(repeat("x", (16 << 20) + 1, ""), "at most 16777216 are accepted");
}

static void t_alias_bombs_end(void)
{
    rs_strbuf s = rs_strbuf_on(t_arena());
    rs_strbuf_printf(&s, "a: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 30; i++)
        rs_strbuf_printf(&s, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                         i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    expect_hostile(s.data, "unknown key 'a'");
    rs_strbuf_printf(&s, "lora: {targets: *a29}\n");
    expect_hostile(s.data, "more)");
    rs_strbuf anchors = rs_strbuf_on(t_arena());
    for (int i = 0; i < 100000; i++)
        rs_strbuf_printf(&anchors, "- &a%d x\n", i);
    expect_hostile(anchors.data, "t.yaml:1001:3: too many anchors");
    expect_hostile(repeat("- a\n", 1 << 20, ""), "too large (more than 1000000 values)");
    expect_hostile(B "clip: &c {frames: *c}\n",
                   "5:7: clip.frames: expected an integer, found a mapping");
    expect_hostile(B "lora: &c {targets: &t [*t, *c]}\n", "lora.targets: expected text");
    expect_hostile("&r {name: *r}\n", "name: expected text, found a mapping");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_bad_files_name_the_place),
    T_CASE(t_unreadable_files),
    T_CASE(t_bad_overrides_name_the_setting),
    T_CASE(t_every_problem_is_reported_in_order),
    T_CASE(t_a_thousand_problems_are_counted),
    T_CASE(t_deep_nesting_ends),
    T_CASE(t_huge_values_end),
    T_CASE(t_alias_bombs_end),
};
RS_TEST_MAIN(k_cases)
