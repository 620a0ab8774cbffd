// catalog: reading, paths, boxes, every kind of mistake with its place, hostile files.
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "config/catalog.h"
#include "harness/test.h"

static char *write_file(const char *name, const char *text)
{
    char *path = rs_path_join(t_arena(), t_tmpdir(), name);
    T_OK(rs_write_file_atomic(path, text, strlen(text)));
    return path;
}

#define EDITS "    edits: [{id: e, first_frame: e.png, prompt: q}]\n"

static const char *const k_full =
    "# a comment\n"
    "license: BSD\n"
    "videos:\n"
    "  - id: car-shadow\n"
    "    source: car/frames\n"
    "    mask: car/masks\n"
    "    prompt: a car turns\n"
    "    frames: 13\n"
    "    fps: 23.976\n"
    "    edits:\n"
    "      - id: red\n"
    "        first_frame: /abs/red.png\n"
    "        prompt: a red car turns\n"
    "        seed: 3\n"
    "        truth: red/frames\n"
    "        references:\n"
    "          - {frame: 12, image: red_12.png}\n"
    "          - {frame: 4, image: red_4.png, prompt: the red car}\n"
    "      - {id: blue, first_frame: blue.png, prompt: \"\"}\n"
    "  - id: walk\n"
    "    source: vtest.avi\n"
    "    mask: {boxes: [{frame: 0, x: 1, y: 2, w: 3, h: 4}, {frame: 9, x: 5, y: 6, w: 7, h: 8}]}\n"
    "    prompt: people\n" EDITS "  - id: list\n"
    "    source: vtest.avi\n"
    "    mask: [{frame: 0, x: 1, y: 2, w: 3, h: 4}]\n"
    "    prompt: people\n" EDITS;

static void t_reads_everything(void)
{
    char *path = write_file("c.yaml", k_full);
    rs_catalog *c = NULL;
    T_OK(rs_catalog_load(&c, path, NULL));
    T_EQ_I(c->n_videos, 3);
    T_EQ_S(c->license, "BSD");
    const rs_catalog_video *v = &c->videos[0];
    T_EQ_S(v->id, "car-shadow");
    T_EQ_S(v->source.path, rs_path_join(t_arena(), t_tmpdir(), "car/frames"));
    T_EQ_S(v->source.where, rs_arena_printf(t_arena(), "%s:5:13", path));
    T_EQ_S(v->mask.path, rs_path_join(t_arena(), t_tmpdir(), "car/masks"));
    T_EQ_I(v->frames, 13);
    T_CHECK(v->fps == 23.976);
    T_EQ_S(v->where, rs_arena_printf(t_arena(), "%s:4:5", path));
    T_EQ_I(v->n_edits, 2);
    T_EQ_S(v->edits[0].first_frame.path, "/abs/red.png");
    T_EQ_I(v->edits[0].seed, 3);
    T_EQ_S(v->edits[0].truth.path, rs_path_join(t_arena(), t_tmpdir(), "red/frames"));
    T_EQ_S(v->edits[0].truth.where, rs_arena_printf(t_arena(), "%s:15:16", path));
    T_CHECK(!v->edits[1].truth.path);
    T_EQ_I(v->edits[0].n_references, 2);
    T_EQ_I(v->edits[0].references[0].frame, 12);
    T_EQ_S(v->edits[0].references[0].prompt, "a red car turns");
    T_EQ_S(v->edits[0].references[1].prompt, "the red car");
    T_EQ_I(v->edits[1].seed, -1);
    T_EQ_S(v->edits[1].prompt, "");
    T_EQ_I(v->edits[1].n_references, 0);
    v = &c->videos[1];
    T_EQ_I(v->n_boxes, 2);
    T_CHECK(!v->mask.path);
    T_EQ_I(v->boxes[1].frame, 9);
    T_EQ_I(v->boxes[1].x, 5);
    T_EQ_I(v->boxes[1].h, 8);
    T_EQ_I(v->frames, 0);
    T_EQ_I(c->videos[2].n_boxes, 1);
    rs_catalog_destroy(&c);
    T_CHECK(!c);
}

static void t_root_moves_relative_paths(void)
{
    char *path = write_file("c.yaml", "root: sub\nvideos:\n  - id: a\n    source: s\n    mask: m\n"
                                      "    prompt: p\n" EDITS);
    rs_catalog *c = NULL;
    T_OK(rs_catalog_load(&c, path, NULL));
    T_EQ_S(c->videos[0].source.path, rs_path_join(t_arena(), t_tmpdir(), "sub/s"));
    T_EQ_S(c->videos[0].edits[0].first_frame.path,
           rs_path_join(t_arena(), t_tmpdir(), "sub/e.png"));
    rs_catalog_destroy(&c);
    T_OK(rs_catalog_load(&c, path, "elsewhere"));
    T_EQ_S(c->videos[0].source.path, "elsewhere/s");
    rs_catalog_destroy(&c);
}

typedef struct bad_case {
    const char *text;
    const char *place; /* "line:col" */
    const char *part;  /* of the message */
} bad_case;

#define V      "videos:\n  - id: a\n    source: s\n    mask: m\n    prompt: p\n"
#define V_MASK "videos:\n  - id: a\n    source: s\n    prompt: p\n" EDITS

static const bad_case k_bad[] = {
    {"", "1:1", "the file is empty"},
    {"~\n", "1:1", "the file is empty"},
    {"- a\n", "1:1", "expected a mapping (key: value), found a list"},
    {"note: x\n", "1:1", "videos: is required"},
    {"videos: []\n", "1:9", "expected a list of videos, found an empty one"},
    {"videos: {a: 1}\n", "1:9", "expected a list of videos, found a mapping"},
    {"videos:\n", "1:8", "expected a list of videos, found nothing"},
    {"video: []\nvideos: [1]\n", "1:1", "unknown key 'video', did you mean 'videos'?"},
    {"videos: [1]\n", "1:10", "videos[0]: expected a mapping (key: value), found '1'"},
    {"videos:\n  - source: s\n    mask: m\n    prompt: p\n" EDITS, "2:5",
     "videos[0].id: is required"},
    {"videos:\n  - id: a b\n    source: s\n    mask: m\n    prompt: p\n" EDITS, "2:9",
     "'a b' is no id"},
    {"videos:\n  - id: ../x\n    source: s\n    mask: m\n    prompt: p\n" EDITS, "2:9",
     "'../x' is no id"},
    {"videos:\n  - id: ''\n    source: s\n    mask: m\n    prompt: p\n" EDITS, "2:9", "is no id"},
    {"videos:\n  - id: [a]\n    source: s\n    mask: m\n    prompt: p\n" EDITS, "2:9",
     "expected text, found a list"},
    {"videos:\n  - id: a\n    mask: m\n    prompt: p\n" EDITS, "2:5", "source: is required"},
    {"videos:\n  - id: a\n    source: ''\n    mask: m\n    prompt: p\n" EDITS, "3:13",
     "the path is empty"},
    {V_MASK, "2:5", "videos[0].mask: is required"},
    {V_MASK "    mask: {box: 1, boxes: [{frame: 0, x: 1, y: 2, w: 3, h: 4}]}\n", "6:12",
     "unknown key 'box', did you mean 'boxes'?"},
    {V_MASK "    mask: []\n", "6:11", "expected a list of boxes, found an empty one"},
    {V_MASK "    mask: [7]\n", "6:12", "mask[0]: expected a mapping"},
    {V_MASK "    mask: [{frame: 0, x: 1, y: 2, w: 3}]\n", "6:12", "mask[0].h: is required"},
    {V_MASK "    mask: [{frame: 0, x: -1, y: 2, w: 3, h: 4}]\n", "6:26",
     "mask[0].x: -1 is out of range 0..65535"},
    {V_MASK "    mask: [{frame: 0, x: 1, y: 2, w: 0, h: 4}]\n", "6:38",
     "mask[0].w: 0 is out of range 1..65535"},
    {V_MASK "    mask: [{frame: 0, x: 1.5, y: 2, w: 1, h: 4}]\n", "6:26",
     "expected an integer, found '1.5'"},
    {V_MASK "    mask:\n    - {frame: 4, x: 1, y: 2, w: 1, h: 4}\n"
            "    - {frame: 4, x: 1, y: 2, w: 1, h: 4}\n",
     "8:7", "mask[1]: frame 4 does not come after frame 4"},
    {"videos:\n  - id: a\n    source: s\n    mask: m\n" EDITS, "2:5", "prompt: is required"},
    {V "    frames: 12\n" EDITS, "6:13", "frames: 12 is not 4n+1"},
    {V "    fps: 0\n" EDITS, "6:10", "fps: 0 is out of range: above 0 and at most 1000"},
    {V, "2:5", "edits: is required"},
    {V "    edits: []\n", "6:12", "expected a list of edits, found an empty one"},
    {V "    edits: [{first_frame: a, prompt: b}]\n", "6:13", "edits[0].id: is required"},
    {V "    edits: [{id: a, prompt: b}]\n", "6:13", "first_frame: is required"},
    {V "    edits: [{id: a, first_frame: b}]\n", "6:13", "prompt: is required"},
    {V "    edits: [{id: a, first_frame: b, prompt: c, seed: -1}]\n", "6:54",
     "-1 is out of range: at least 0"},
    {V "    edits: [{id: a, firstframe: b, first_frame: b, prompt: c}]\n", "6:21",
     "unknown key 'firstframe', did you mean 'first_frame'?"},
    {V "    edits:\n    - {id: a, first_frame: b, prompt: c}\n"
       "    - {id: a, first_frame: b, prompt: c}\n",
     "8:7", "videos[0].edits[1]: id 'a' is used already at "},
    {V EDITS "  - {id: a, source: s, mask: m, prompt: p, edits: "
             "[{id: e, first_frame: f, prompt: q}]}\n",
     "7:5", "videos[1]: id 'a' is used already at "},
    {V "    edits: [{id: a, first_frame: b, prompt: c, references: {}}]\n", "6:60",
     "expected a list of references, found a mapping"},
    {V "    edits: [{id: a, first_frame: b, prompt: c, references: [{image: x}]}]\n", "6:61",
     "references[0].frame: is required"},
    {V "    edits: [{id: a, first_frame: b, prompt: c, references: [{frame: 0}]}]\n", "6:61",
     "references[0].image: is required"},
    {V "    edits: [{id: a, first_frame: b, prompt: c, references: [{frame: 999, image: i}]}]\n",
     "6:69", "999 is out of range 0..400"},
    {V "    edits: [{id: a, first_frame: b, prompt: c, references: [{frame: 3, image: i},"
       " {frame: 3, image: j}]}]\n",
     "6:83", "frame 3 has a reference already"},
};

static void t_bad_catalogs_name_the_place(void)
{
    for (size_t i = 0; i < sizeof k_bad / sizeof *k_bad; i++) {
        char *path = write_file("bad.yaml", k_bad[i].text);
        rs_catalog *c = NULL;
        rs_status st = rs_catalog_load(&c, path, NULL);
        const char *want = rs_arena_printf(t_arena(), "%s:%s: ", path, k_bad[i].place);
        const char *got = rs_error_message();
        T_CHECKF(st == RS_CONFIG && !c, "case %zu: loaded\n%s", i, k_bad[i].text);
        T_CHECKF(strncmp(got, want, strlen(want)) == 0, "case %zu:\n got %s\nwant %s", i, got,
                 want);
        T_CHECKF(strstr(got, k_bad[i].part), "case %zu:\n got %s\nwant %s", i, got, k_bad[i].part);
        T_CHECKF(!strchr(got, '\n'), "case %zu: more than one line", i);
    }
}

static void t_all_problems_in_one_pass(void)
{
    char *path = write_file("c.yaml", "videos:\n  - id: a b\n    source: s\n    mask: 1\n"
                                      "    promt: x\n    frames: 4\n    edits: 3\n");
    rs_problems *p = rs_problems_create();
    rs_catalog *c = NULL;
    T_FAILS(rs_catalog_load_all(&c, p, path, NULL), CONFIG,
            ":2:5: videos[0].prompt: is required (+4 more)");
    T_EQ_I(rs_problems_count(p), 5);
    const char *const places[] = {":2:5: ", ":2:9: ", ":5:5: ", ":6:13: ", ":7:12: "};
    for (int64_t i = 0; i < 5; i++)
        T_CHECKF(strstr(rs_problems_text(p, i), places[i]), "%s", rs_problems_text(p, i));
    rs_problems_destroy(&p);
}

static void t_missing_files_and_references_past_the_end(void)
{
    char *path = write_file("c.yaml", k_full);
    rs_config *cfg = rs_config_defaults();
    rs_catalog *c = NULL;
    rs_problems *p = rs_problems_create();
    T_OK(rs_catalog_load(&c, path, NULL));
    rs_catalog_check(p, cfg, c);
    T_EQ_I(rs_problems_count(p), 0);
    rs_catalog_video *video = (rs_catalog_video *)&c->videos[0];
    video->frames = 12; /* frames 0..11 */
    rs_catalog_check(p, cfg, c);
    T_FAILS(rs_problems_status(p), CONFIG, "c.yaml:17:13: video 'car-shadow', edit 'red': ");
    T_EQ_I(rs_problems_count(p), 1);
    rs_problems_destroy(&p);
    p = rs_problems_create();
    (void)write_file("vtest.avi", "x");
    (void)write_file("e.png", "x");
    (void)write_file("blue.png", "x");
    T_OK(rs_make_dirs(rs_path_join(t_arena(), t_tmpdir(), "red_4.png")));
    rs_catalog_check_files(p, c);
    T_EQ_I(rs_problems_count(p), 6);
    T_CHECK(strstr(rs_problems_text(p, 0), "c.yaml:5:13: video 'car-shadow': source: "));
    T_CHECK(strstr(rs_problems_text(p, 1), "c.yaml:6:11: video 'car-shadow': mask: "));
    T_CHECK(strstr(rs_problems_text(p, 2), "c.yaml:12:22: "));
    T_CHECK(strstr(rs_problems_text(p, 2), "/abs/red.png: no such file"));
    T_CHECK(strstr(rs_problems_text(p, 3), "c.yaml:15:16: video 'car-shadow': truth: "));
    T_CHECK(strstr(rs_problems_text(p, 4), "c.yaml:17:32: "));
    T_CHECK(strstr(rs_problems_text(p, 5), "is a folder, not an image"));
    rs_problems_destroy(&p);
    rs_catalog_destroy(&c);
    rs_config_destroy(&cfg);
}

static void t_missing_catalog(void)
{
    rs_catalog *c = NULL;
    T_FAILS(rs_catalog_load(&c, "/nowhere/c.yaml", NULL), CONFIG, "/nowhere/c.yaml: cannot open");
    T_FAILS(rs_catalog_load(&c, t_tmpdir(), NULL), CONFIG, "is a folder");
}

/* A 3 kB file that stands for 10^9 references through aliases, and one that contains itself. */
static void t_alias_bombs_end_quickly(void)
{
    const char *bomb =
        "videos:\n  - &v\n    id: a\n    source: s\n    mask: m\n    prompt: p\n    edits:\n"
        "    - &e\n      id: e\n      first_frame: f\n      prompt: q\n      references:\n"
        "      - &r {frame: 0, image: i}\n";
    for (int i = 0; i < 400; i++)
        bomb = rs_arena_printf(t_arena(), "%s      - *r\n", bomb);
    for (int i = 0; i < 400; i++)
        bomb = rs_arena_printf(t_arena(), "%s    - *e\n", bomb);
    for (int i = 0; i < 400; i++)
        bomb = rs_arena_printf(t_arena(), "%s  - *v\n", bomb);
    char *path = write_file("bomb.yaml", bomb);
    rs_catalog *c = NULL;
    T_FAILS(rs_catalog_load(&c, path, NULL), CONFIG, "more)");
    T_FAILS(rs_catalog_load(&c, write_file("self.yaml", "videos: &a [*a, *a]\n"), NULL), CONFIG,
            "videos[0]: expected a mapping (key: value), found a list");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_reads_everything),
    T_CASE(t_root_moves_relative_paths),
    T_CASE(t_bad_catalogs_name_the_place),
    T_CASE(t_all_problems_in_one_pass),
    T_CASE(t_missing_files_and_references_past_the_end),
    T_CASE(t_missing_catalog),
    T_CASE(t_alias_bombs_end_quickly),
};
RS_TEST_MAIN(k_cases)
