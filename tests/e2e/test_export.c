// ctest: TIMEOUT 300
// reshoot export: every spelling holds the archive's adapter, and loads into the model again.
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "harness/world.h"
#include "model/model.h"
#include "store/archive.h"
#include "store/safetensors.h"

enum { RANK = 2, ALPHA = 3, MODULES_PER_BLOCK = 10 };

static const char *in(const char *folder, const char *name)
{
    return rs_path_join(t_arena(), folder, name);
}

static void reshoot(const char *world, int want, const char *args)
{
    char *text;
    int rc = t_shell(&text, "cd '%s' && %s/reshoot %s", world, T_BIN, args);
    T_CHECKF(rc == want, "reshoot %s: exit %d, want %d: %s", args, rc, want, text);
}

static const char *run_world(void)
{
    const char *world = in(t_tmpdir(), "world");
    t_world_make(world, true);
    reshoot(world, 0, "run exp.yaml --set lora.alpha=3 --set motion.steps=2 --set motion.lr=0.01");
    return world;
}

/* One factor of the archive. */
static rs_tensor factor(const char *world, const char *stage, const char *module, const char *which)
{
    rs_archive *f;
    rs_tensor t;
    T_OK(rs_archive_open(&f, in(world, "out/archive/square.h5")));
    T_OK(rs_archive_read_tensor(
        &t, t_arena(), f,
        rs_arena_printf(t_arena(), "/stages/%s/adapter/%s/%s", stage, module, which)));
    rs_archive_close(&f);
    return t;
}

/* The tensor `name` of a file is `scale` times `want`, bit for bit. */
static void same(const char *path, const char *name, rs_tensor want, float scale)
{
    rs_safetensors *f;
    T_OK(rs_safetensors_open(&f, path));
    const rs_tensor *t = rs_safetensors_find(f, name);
    T_CHECKF(t, "%s has no %s", path, name);
    T_CHECKF(t->dtype == RS_DTYPE_F32 && rs_tensor_same_shape(*t, want), "%s: shape", name);
    for (int64_t i = 0; i < rs_tensor_count(want); i++)
        T_CHECKF(rs_f32(*t)[i] == scale * rs_f32(want)[i], "%s[%d]: %g, want %g", name, (int)i,
                 (double)rs_f32(*t)[i], (double)(scale * rs_f32(want)[i]));
    rs_safetensors_close(&f);
}

static void t_every_spelling_holds_the_factors(void)
{
    const char *world = run_world();
    rs_tensor a = factor(world, "motion", "blocks.1.attn1.to_out.0", "A");
    rs_tensor b = factor(world, "motion", "blocks.1.attn1.to_out.0", "B");
    rs_tensor alpha = rs_tensor_new(t_arena(), RS_SHAPE(1));
    rs_f32(alpha)[0] = ALPHA;
    reshoot(world, 0, "export out/archive/square.h5 --out d.safetensors");
    same(in(world, "d.safetensors"), "transformer.blocks.1.attn1.to_out.0.lora_A.weight", a, 1);
    same(in(world, "d.safetensors"), "transformer.blocks.1.attn1.to_out.0.lora_B.weight", b, 1.5f);
    reshoot(world, 0, "export out/archive/square.h5 --out o.safetensors --format original");
    same(in(world, "o.safetensors"), "diffusion_model.blocks.1.self_attn.o.lora_A.weight", a, 1);
    same(in(world, "o.safetensors"), "diffusion_model.blocks.1.self_attn.o.lora_B.weight", b, 1.5f);
    reshoot(world, 0, "export out/archive/square.h5 --out k.safetensors --format kohya");
    same(in(world, "k.safetensors"), "lora_unet_blocks_1_self_attn_o.lora_down.weight", a, 1);
    same(in(world, "k.safetensors"), "lora_unet_blocks_1_self_attn_o.lora_up.weight", b, 1);
    same(in(world, "k.safetensors"), "lora_unet_blocks_1_self_attn_o.alpha", alpha, 1);
    reshoot(world, 0,
            "export out/archive/square.h5 --stage appearance --edit red --out a.safetensors");
    same(in(world, "a.safetensors"), "transformer.blocks.0.ffn.net.2.lora_A.weight",
         factor(world, "appearance/red", "blocks.0.ffn.net.2", "A"), 1);
}

/* The file as an adapter of the model: alpha/rank B is the archive's, whatever carries the factor.
 */
static void check_import(const char *world, rs_denoiser *m, const char *file)
{
    rs_safetensors *f;
    rs_tensor_list list = {0}, got = {0};
    rs_adapter *a;
    T_OK(rs_safetensors_open(&f, in(world, file)));
    for (int64_t i = 0; i < rs_safetensors_count(f); i++)
        rs_tensor_list_add(&list, t_arena(), rs_safetensors_name(f, i), *rs_safetensors_at(f, i));
    T_OK(rs_adapter_create_from(&a, m, &list, 0, false));
    T_EQ_I(a->rank, RANK);
    T_EQ_I(a->n, MODULES_PER_BLOCK * rs_denoiser_get_info(m)->blocks);
    rs_adapter_export(a, &got, t_arena(), false, false);
    for (int64_t i = 0; i < a->n; i++) {
        const char *module = a->items[i].module;
        rs_tensor want = factor(world, "motion", module, "B");
        const rs_tensor *b =
            rs_tensor_list_find(&got, rs_arena_printf(t_arena(), "%s.lora_B.weight", module));
        T_CHECK(rs_f32(want)[0] != 0); /* it was trained */
        for (int64_t k = 0; k < rs_tensor_count(want); k++)
            T_NEAR(a->alpha / RANK * rs_f32(*b)[k], 1.5f * rs_f32(want)[k], 1e-9);
    }
    rs_adapter_destroy(&a);
    rs_safetensors_close(&f);
}

static void t_every_spelling_loads_again(void)
{
    static const char *const formats[] = {"diffusers", "original", "kohya"};
    const char *world = run_world();
    rs_device *dev;
    rs_denoiser *m;
    rs_denoiser_opts opts = {.home = RS_HOME_MAPPED};
    T_OK(rs_device_open(&dev, &(rs_device_opts){.threads = 1}));
    T_OK(rs_denoiser_open(&m, dev, in(world, "model"), &opts));
    for (int i = 0; i < 3; i++) {
        reshoot(world, 0,
                rs_arena_printf(t_arena(),
                                "export out/archive/square.h5 --out x.safetensors --format %s",
                                formats[i]));
        check_import(world, m, "x.safetensors");
    }
    rs_denoiser_close(&m);
    rs_device_destroy(&dev);
}

static void t_half_precision_is_rounded(void)
{
    const char *world = run_world();
    rs_safetensors *f;
    rs_tensor a = factor(world, "motion", "blocks.0.attn2.to_q", "A");
    reshoot(world, 0, "export out/archive/square.h5 --out h.safetensors --dtype BF16");
    T_OK(rs_safetensors_open(&f, in(world, "h.safetensors")));
    const rs_tensor *t = rs_safetensors_find(f, "transformer.blocks.0.attn2.to_q.lora_A.weight");
    T_CHECK(t && t->dtype == RS_DTYPE_BF16);
    for (int64_t i = 0; i < rs_tensor_count(a); i++)
        T_EQ_I(((const uint16_t *)t->data)[i], rs_bf16_from_f32(rs_f32(a)[i]));
    rs_safetensors_close(&f);
}

static const rs_test_case cases[] = {
    T_CASE(t_every_spelling_holds_the_factors),
    T_CASE(t_every_spelling_loads_again),
    T_CASE(t_half_precision_is_rounded),
};
RS_TEST_MAIN(cases)
