// config: defaults, loading, overrides, paths, round trips, hashes, generated references.
#include <stdlib.h>
#include <string.h>

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

static const rs_test_case k_cases[] = {
    T_CASE(t_defaults_are_the_papers),
};
RS_TEST_MAIN(k_cases)
