// config: defaults, loading, overrides, paths, round trips, hashes, generated references.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "config/config.h"
#include "harness/test.h"

#define REQUIRED "name: t\noutput: out\ncatalog: c.yaml\nmodel: {path: m}\n"

static rs_config *load_text(const char *text, const char *const *sets, int64_t n)
{
    rs_problems *problems = rs_problems_create();
    rs_config *cfg = NULL;
    rs_status st =
        rs_config_load_text(&cfg, problems, "t.yaml", "dir", text, strlen(text), sets, n);
    rs_problems_destroy(&problems);
    T_CHECKF(st == RS_OK, "%s", rs_error_message());
    return cfg;
}

static void t_defaults_are_the_papers(void)
{
    rs_config *cfg = load_text(REQUIRED, NULL, 0);
    T_EQ_S(cfg->name, "t");
    T_EQ_S(cfg->output, "out");
    T_EQ_S(cfg->catalog, "dir/c.yaml");
    T_EQ_S(cfg->catalog_root, "");
    T_EQ_S(cfg->model.path, "dir/m");
    T_EQ_I(cfg->clip.frames, 49);
    T_EQ_I(cfg->clip.width, 832);
    T_EQ_I(cfg->clip.height, 480);
    T_EQ_I(cfg->clip.sampling, RS_CFG_SAMPLING_EVEN);
    T_EQ_S(cfg->prompt.prefix, "p3rs0n,");
    T_EQ_I(cfg->mask.shape, RS_CFG_MASK_SHAPE_BOX);
    T_CHECK(cfg->mask.grow == 0.1);
    T_EQ_I(cfg->mask.min_area, 50);
    T_EQ_I(cfg->mask.threshold, 200);
    T_EQ_I(cfg->condition.fill, 128);
    T_EQ_I(cfg->lora.rank, 16);
    T_CHECK(cfg->lora.alpha == 16.0);
    T_EQ_I(cfg->lora.targets.n, 10);
    T_EQ_S(cfg->lora.targets.items[0], "attn1.to_q");
    T_EQ_S(cfg->lora.targets.items[9], "ffn.net.2");
    T_CHECK(cfg->optimizer.beta1 == 0.9 && cfg->optimizer.beta2 == 0.99);
    T_CHECK(cfg->optimizer.eps == 1e-8 && cfg->optimizer.weight_decay == 0.01);
    T_CHECK(cfg->optimizer.grad_clip == 1.0);
    T_EQ_I(cfg->motion.steps, 100);
    T_CHECK(cfg->motion.lr == 1e-4 && cfg->appearance.lr == 1e-4);
    T_EQ_I(cfg->appearance.steps, 100);
    T_EQ_I(cfg->appearance.epochs, 10);
    T_EQ_I(cfg->appearance.repeats, 9);
    T_EQ_I(cfg->edit.sampler, RS_CFG_SAMPLER_EULER);
    T_EQ_I(cfg->edit.steps, 30);
    T_CHECK(cfg->edit.shift == 5 && cfg->edit.guidance == 5 && cfg->edit.fps == 0);
    T_CHECK(!cfg->edit.paste_back);
    T_CHECK(strstr(cfg->edit.negative_prompt, "Overexposure, static") == cfg->edit.negative_prompt);
    T_CHECK(strstr(cfg->edit.negative_prompt, "in the background, upside down"));
    rs_config_destroy(&cfg);
    T_CHECK(!cfg);
}

static void t_overrides_win_over_the_file(void)
{
    const char *sets[] = {"motion.steps=7",
                          "motion.lr=2e-4",
                          "edit.paste_back=true",
                          "edit.sampler=unipc",
                          "lora.targets=[ffn.net.2, attn2.add_k_proj]",
                          "prompt.prefix=a: [b] = \"c\"",
                          "edit.negative_prompt=",
                          "catalog=other.yaml",
                          "motion.steps=8"};
    rs_config *cfg = load_text(REQUIRED "motion: {steps: 3}\nclip:\n", sets, 9);
    T_EQ_I(cfg->motion.steps, 8); /* the last one counts */
    T_CHECK(cfg->motion.lr == 2e-4);
    T_CHECK(cfg->edit.paste_back);
    T_EQ_I(cfg->edit.sampler, RS_CFG_SAMPLER_UNIPC);
    T_EQ_I(cfg->lora.targets.n, 2);
    T_EQ_S(cfg->lora.targets.items[1], "attn2.add_k_proj");
    T_EQ_S(cfg->prompt.prefix, "a: [b] = \"c\""); /* text is taken literally */
    T_EQ_S(cfg->edit.negative_prompt, "");
    T_EQ_S(cfg->catalog, "other.yaml"); /* from the current directory, not the file's folder */
    rs_config_destroy(&cfg);
}

static void t_overrides_supply_what_is_required(void)
{
    const char *sets[] = {"name=n", "output=o", "catalog=c", "model.path=m"};
    rs_config *cfg = load_text("{}", sets, 4);
    T_EQ_S(cfg->model.path, "m");
    rs_config_destroy(&cfg);
}

static void t_paths_start_from_the_files_folder(void)
{
    rs_config *cfg = load_text("name: t\noutput: runs/x\ncatalog: /abs/c.yaml\n"
                               "catalog_root: ../data\nmodel: {path: ../m}\n",
                               NULL, 0);
    T_EQ_S(cfg->output, "runs/x");
    T_EQ_S(cfg->catalog, "/abs/c.yaml");
    T_EQ_S(cfg->catalog_root, "dir/../data");
    T_EQ_S(cfg->model.path, "dir/../m");
    rs_config_destroy(&cfg);
    char *path = rs_path_join(t_arena(), t_tmpdir(), "e.yaml");
    T_OK(rs_write_file_atomic(path, REQUIRED, strlen(REQUIRED)));
    T_OK(rs_config_load(&cfg, path, NULL, 0));
    T_EQ_S(cfg->catalog, rs_path_join(t_arena(), t_tmpdir(), "c.yaml"));
    T_EQ_S(cfg->file, path);
    rs_config_destroy(&cfg);
}

static void t_yaml_that_is_fine(void)
{
    rs_config *cfg = load_text("\xEF\xBB\xBF# mark, comments, anchors, blocks\n---\n" REQUIRED
                               "motion: &s {lr: 3.e-4}\nappearance: *s\n"
                               "prompt:\n  prefix: |-\n    two\n    lines\nseed: +12\n"
                               "mask: ~\nclip: null\nedit:\n  negative_prompt: 'é ü 镜头'\n...\n",
                               NULL, 0);
    T_CHECK(cfg->motion.lr == 3e-4 && cfg->appearance.lr == 3e-4);
    T_EQ_S(cfg->prompt.prefix, "two\nlines");
    T_EQ_I(cfg->seed, 12);
    T_EQ_S(cfg->edit.negative_prompt, "é ü 镜头");
    rs_config_destroy(&cfg);
    cfg = load_text("name: 2024\noutput: out\ncatalog: c.yaml\nmodel: {path: m}\n"
                    "clip: {width: 16, height: 4096, frames: 1}\n",
                    NULL, 0);
    T_EQ_S(cfg->name, "2024");
    rs_config_destroy(&cfg);
}

static void t_edit_seed_follows_the_seed(void)
{
    rs_config *cfg = load_text(REQUIRED "seed: 5\n", NULL, 0);
    T_EQ_I(cfg->edit.seed, 5);
    rs_config_destroy(&cfg);
    cfg = load_text(REQUIRED "seed: 5\nedit: {seed: 0}\n", NULL, 0);
    T_EQ_I(cfg->edit.seed, 0);
    rs_config_destroy(&cfg);
}

/* Dump, load, dump: the same text and the same hash of everything, with odd values in every kind.
 */
static void check_round_trip(const char *text)
{
    rs_config *a = load_text(text, NULL, 0);
    char *first = rs_config_dump(t_arena(), a);
    rs_config *b = load_text(first, NULL, 0);
    T_EQ_S(rs_config_dump(t_arena(), b), first);
    T_CHECK(a->motion.lr == b->motion.lr && a->mask.grow == b->mask.grow);
    T_EQ_S(a->prompt.prefix, b->prompt.prefix);
    T_EQ_S(a->edit.negative_prompt, b->edit.negative_prompt);
    T_EQ_I(a->lora.targets.n, b->lora.targets.n);
    rs_config_destroy(&a);
    rs_config_destroy(&b);
}

static void t_dump_loads_to_the_same(void)
{
    check_round_trip(REQUIRED);
    check_round_trip(
        REQUIRED "seed: 9223372036854775807\nmotion: {lr: 0.12345678901234567}\n"
                 "mask: {grow: 0.30000000000000004, shape: grid}\n"
                 "optimizer: {eps: 1e-300}\nlora: {targets: [ffn.net.2]}\n"
                 "edit: {negative_prompt: \"\\\"q\\\" \\\\ \\n \\t \\x7f é: # [\", fps: 29.97}\n"
                 "prompt: {prefix: ''}\n");
}

static char *hash_of(const char *path, const char *set)
{
    rs_config *cfg = load_text(REQUIRED, &set, set ? 1 : 0);
    rs_hash h;
    char *hex = rs_arena_alloc(t_arena(), RS_HASH_HEX, 1);
    rs_hash_init(&h);
    rs_config_hash_section(&h, cfg, path);
    rs_hash_final_hex(&h, hex);
    rs_config_destroy(&cfg);
    return hex;
}

/* Every setting changes the hash of its own section, of itself and of everything, and no other. */
static void t_hash_changes_only_with_its_section(void)
{
    static const char *const k_paths[] = {"model", "clip",       "prompt", "mask", "lora",
                                          "edit",  "appearance", "motion", "log",  "clip.frames",
                                          "seed",  "optimizer",  "output"};
    static const struct {
        const char *set, *changes; /* space-separated */
    } k_cases[] = {
        {"clip.frames=13", " clip clip.frames "},
        {"clip.width=64", " clip "},
        {"prompt.prefix=x", " prompt "},
        {"mask.shape=exact", " mask "},
        {"lora.targets=[ffn.net.2]", " lora "},
        {"motion.lr=2e-4", " motion "},
        {"edit.paste_back=true", " edit "},
        {"optimizer.beta2=0.999", " optimizer "},
        {"output=elsewhere", " output "},
        {"edit.seed=4", " edit "},
        {"seed=4", " seed edit "}, /* edit.seed follows */
        {"motion.lr=1.0e-4", " "}, /* the same value in other letters */
        {"lora.rank=16", " "},
    };
    for (size_t i = 0; i < sizeof k_cases / sizeof *k_cases; i++) {
        for (size_t k = 0; k < sizeof k_paths / sizeof *k_paths; k++) {
            bool differs = strcmp(hash_of(k_paths[k], NULL), hash_of(k_paths[k], k_cases[i].set));
            const char *word = rs_arena_printf(t_arena(), " %s ", k_paths[k]);
            T_CHECKF(differs == (strstr(k_cases[i].changes, word) != NULL), "--set %s, hash of %s",
                     k_cases[i].set, k_paths[k]);
        }
        bool differs = strcmp(hash_of("", NULL), hash_of("", k_cases[i].set));
        T_CHECKF(differs == (strlen(k_cases[i].changes) > 1), "--set %s, hash of all",
                 k_cases[i].set);
    }
}

/* The dump names places for good, the hash does not depend on where a run was started. */
static void t_dump_is_absolute_and_hash_is_not(void)
{
    char here[4096];
    T_CHECK(getcwd(here, sizeof here));
    rs_config *cfg = load_text(REQUIRED, NULL, 0);
    const char *want = rs_arena_printf(t_arena(), "\ncatalog: \"%s/dir/c.yaml\"\n", here);
    T_CHECK(strstr(rs_config_dump(t_arena(), cfg), want));
    rs_config_destroy(&cfg);
    const char *hash = hash_of("catalog", NULL);
    T_CHECK(chdir(t_tmpdir()) == 0);
    const char *elsewhere = hash_of("catalog", NULL);
    T_CHECK(chdir(here) == 0);
    T_EQ_S(elsewhere, hash);
}

/* Archives hold such keys, so the recipe is pinned: SHA-256 over length-prefixed names and
 * canonical values, computed here with Python's hashlib. These three were the whole section
 * "motion" once: keys of then are keys of now. */
static void t_hash_is_pinned(void)
{
    static const char *const settings[] = {"motion.steps", "motion.lr", "motion.timestep"};
    rs_config *cfg = load_text(REQUIRED, NULL, 0);
    rs_hash h;
    char hex[RS_HASH_HEX];
    rs_hash_init(&h);
    for (int i = 0; i < 3; i++)
        rs_config_hash_section(&h, cfg, settings[i]);
    rs_hash_final_hex(&h, hex);
    rs_config_destroy(&cfg);
    T_EQ_S(hex, "523f34d924387294386ceb48abaf6c939cfb171e58be308ba6d79abe34d3a172");
}

static void check_golden(const char *name, const char *want)
{
    const char *path = rs_path_join(t_arena(), RS_SOURCE_DIR "/configs", name);
    if (getenv("RS_UPDATE_GOLDEN"))
        T_OK(rs_write_file_atomic(path, want, strlen(want)));
    char *got;
    size_t bytes;
    T_OK(rs_read_file(&got, &bytes, t_arena(), path));
    T_CHECKF(strcmp(got, want) == 0,
             "configs/%s is stale: RS_UPDATE_GOLDEN=1 build-dev/unit_config", name);
}

static void t_references_are_fresh(void)
{
    check_golden("REFERENCE.md", rs_config_schema_md(t_arena()));
    check_golden("reference.yaml", rs_config_schema_yaml(t_arena()));
}

static void t_reference_yaml_loads_to_the_defaults(void)
{
    const char *text = rs_config_schema_yaml(t_arena());
    const char *sets[] = {"name=n", "output=o", "catalog=c", "model.path=m"};
    rs_config *a = load_text(text, sets, 4);
    rs_config *b = load_text("{}", sets, 4);
    T_EQ_S(rs_config_dump(t_arena(), a), rs_config_dump(t_arena(), b));
    rs_config_destroy(&a);
    rs_config_destroy(&b);
}

static void t_defaults_without_a_file(void)
{
    rs_config *cfg = rs_config_defaults();
    T_EQ_I(cfg->clip.frames, 49);
    T_EQ_S(cfg->name, "");
    T_EQ_I(cfg->edit.seed, 0);
    rs_config_destroy(&cfg);
    rs_config_destroy(&cfg);
}

static void t_words_of_enums(void)
{
    T_EQ_S(rs_cfg_sampler_text(RS_CFG_SAMPLER_EULER_DIFFUSERS), "euler-diffusers");
    T_EQ_S(rs_cfg_recompute_text(RS_CFG_RECOMPUTE_BLOCK), "block");
    T_EQ_S(rs_cfg_log_level_text(RS_CFG_LOG_LEVEL_DEBUG), "debug");
}

/* Every experiment of configs/ loads, and asks for what its name says. */
static void t_shipped_experiments_load(void)
{
    char **names;
    int64_t n, loaded = 0;
    T_OK(rs_list_dir(&names, &n, t_arena(), RS_SOURCE_DIR "/configs"));
    for (int64_t i = 0; i < n; i++) {
        if (!strstr(names[i], ".yaml") || strcmp(names[i], "reference.yaml") == 0)
            continue;
        rs_config *cfg;
        T_OK(rs_config_load(&cfg, rs_path_join(t_arena(), RS_SOURCE_DIR "/configs", names[i]), NULL,
                            0));
        T_EQ_S(rs_arena_printf(t_arena(), "%s.yaml", cfg->name), names[i]);
        rs_config_destroy(&cfg);
        loaded++;
    }
    T_CHECK(loaded >= 4);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_defaults_are_the_papers),
    T_CASE(t_overrides_win_over_the_file),
    T_CASE(t_overrides_supply_what_is_required),
    T_CASE(t_paths_start_from_the_files_folder),
    T_CASE(t_yaml_that_is_fine),
    T_CASE(t_edit_seed_follows_the_seed),
    T_CASE(t_dump_loads_to_the_same),
    T_CASE(t_hash_changes_only_with_its_section),
    T_CASE(t_dump_is_absolute_and_hash_is_not),
    T_CASE(t_hash_is_pinned),
    T_CASE(t_references_are_fresh),
    T_CASE(t_reference_yaml_loads_to_the_defaults),
    T_CASE(t_defaults_without_a_file),
    T_CASE(t_words_of_enums),
    T_CASE(t_shipped_experiments_load),
};
RS_TEST_MAIN(k_cases)
