// ctest: TIMEOUT 300
/* Every golden case but the long ones, held against the real PyTorch classes' values. */
#include "model/golden_case.h"

static const char k_cases_dir[] = RS_SOURCE_DIR "/tests/golden/cases";

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

static const rs_test_case k_cases[] = {
    T_CASE(t_dit),        T_CASE(t_dit_grad),   T_CASE(t_train), T_CASE(t_schedule),
    T_CASE(t_vae_encode), T_CASE(t_vae_decode), T_CASE(t_text),  T_CASE(t_image),
};
RS_TEST_MAIN(k_cases)
