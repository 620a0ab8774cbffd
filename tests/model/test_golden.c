// ctest: TIMEOUT 300
/* Every golden case but the long ones, held against the real PyTorch classes' values. */
#include "model/golden_case.h"

static const char k_cases_dir[] = RS_SOURCE_DIR "/tests/golden/cases";

static const char *const k_components[] = {"dit",      "dit-grad",    "train",      "sample",
                                           "schedule", "vae-encode",  "vae-decode", "text",
                                           "image",    "image-embed", "tokens"};
enum { N_COMPONENTS = sizeof k_components / sizeof k_components[0] };

static void t_dit(void)
{
    t_run_component(k_cases_dir, "dit", false);
}

static void t_dit_grad(void)
{
    t_run_component(k_cases_dir, "dit-grad", false);
}

static void t_train(void)
{
    t_run_component(k_cases_dir, "train", false);
}

static void t_sample(void)
{
    t_run_component(k_cases_dir, "sample", false);
}

static void t_schedule(void)
{
    t_run_component(k_cases_dir, "schedule", false);
}

static void t_vae_encode(void)
{
    t_run_component(k_cases_dir, "vae-encode", false);
}

static void t_vae_decode(void)
{
    t_run_component(k_cases_dir, "vae-decode", false);
}

static void t_text(void)
{
    t_run_component(k_cases_dir, "text", false);
}

static void t_image(void)
{
    t_run_component(k_cases_dir, "image", false);
}

static void t_image_embed(void)
{
    t_run_component(k_cases_dir, "image-embed", false);
}

static void t_tokens(void)
{
    t_run_component(k_cases_dir, "tokens", false);
}

/* No case is left out because nobody runs its component. */
static void t_every_component_is_known(void)
{
    rs_arena *a = t_arena();
    char **names;
    int64_t n;
    T_OK(rs_list_dir(&names, &n, a, k_cases_dir));
    for (int64_t i = 0; i < n; i++) {
        const char *dot = strrchr(names[i], '.'), *component = NULL;
        if (!dot || strcmp(dot, ".json") != 0 || strcmp(names[i], "tokens.json") == 0)
            continue;
        rs_json *doc = NULL;
        T_OK(rs_json_load(&doc, rs_path_join(a, k_cases_dir, names[i])));
        T_OK(rs_json_string(&component, doc, "component"));
        bool known = false;
        for (int k = 0; k < N_COMPONENTS; k++)
            known = known || strcmp(component, k_components[k]) == 0;
        T_CHECKF(known, "%s: component \"%s\" is run by no test", names[i], component);
        rs_json_destroy(&doc);
    }
}

static const rs_test_case k_cases[] = {
    T_CASE(t_every_component_is_known),
    T_CASE(t_dit),
    T_CASE(t_dit_grad),
    T_CASE(t_train),
    T_CASE(t_sample),
    T_CASE(t_schedule),
    T_CASE(t_vae_encode),
    T_CASE(t_vae_decode),
    T_CASE(t_text),
    T_CASE(t_image),
    T_CASE(t_image_embed),
    T_CASE(t_tokens),
};
RS_TEST_MAIN(k_cases)
