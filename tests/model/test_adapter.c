/* Adapters: creation, initial values, weights, export and import in every spelling. */
#include <math.h>

#include "model/dit_fixture.h"

static t_dit open_bound(void)
{
    t_dit t = t_open_dit(t_make_dit("m", t_i2v, RS_DTYPE_F32), 2, NULL);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, false));
    return t;
}

static void t_weight_zero_is_none(void)
{
    t_dit t = open_bound();
    rs_tensor none = t_dit_forward(&t);
    t_dit_adapter(&t, 3, 4.0f);
    T_CHECK(!t_same_bits(t_dit_forward(&t), none));
    T_OK(rs_denoiser_set_adapters(t.m, &t.a, (const float[]){0.0f}, 1));
    T_CHECK(t_same_bits(t_dit_forward(&t), none));
    t_close_dit(&t);
}

static void t_weights_add_up(void)
{
    t_dit t = open_bound();
    t_dit_adapter(&t, 3, 4.0f);
    rs_tensor one = t_dit_forward(&t);
    rs_adapter *twice[2] = {t.a, t.a};
    T_OK(rs_denoiser_set_adapters(t.m, twice, (const float[]){0.25f, 0.75f}, 2));
    rs_tensor two = t_dit_forward(&t);
    T_REL_L2(rs_f32(two), rs_f32(one), rs_tensor_count(one), 2e-6);
    t_close_dit(&t);
}

static void t_initial_values(void)
{
    t_dit t = open_bound();
    rs_tensor none = t_dit_forward(&t);
    t_dit_adapter(&t, 4, 4.0f);
    rs_adapter_init(t.a, 11, 22);
    T_CHECK(t_same_bits(t_dit_forward(&t), none)); /* B = 0 */
    rs_tensor_list first = {0}, again = {0}, other = {0};
    rs_adapter_export(t.a, &first, t_arena(), true, true);
    rs_adapter_init(t.a, 11, 22);
    rs_adapter_export(t.a, &again, t_arena(), true, true);
    rs_adapter_init(t.a, 11, 23);
    rs_adapter_export(t.a, &other, t_arena(), true, true);
    T_EQ_I(first.n, t.a->n * 8);
    for (int64_t i = 0; i < first.n; i++) {
        const char *name = first.items[i].name;
        rs_tensor v = first.items[i].t;
        bool is_a = strstr(name, "blocks") == name && strstr(name, ".lora_A.weight");
        double most = 0, sum = 0;
        for (int64_t k = 0; k < rs_tensor_count(v); k++) {
            most = fmax(most, fabs((double)rs_f32(v)[k]));
            sum += (double)rs_f32(v)[k];
        }
        double bound = 1.0 / sqrt((double)rs_tensor_cols(v));
        T_CHECKF(is_a ? most <= bound && most > 0.9 * bound : most == 0, "%s: %g", name, most);
        T_CHECKF(fabs(sum) < bound * 0.4 * (double)rs_tensor_count(v), "%s: mean", name);
        T_CHECK(t_same_bits(v, again.items[i].t));
        T_CHECK(t_same_bits(v, other.items[i].t) == !is_a);
    }
    t_close_dit(&t);
}

typedef const char *renamer(const rs_lora *l, char part);

static const char *diffusers(const rs_lora *l, char part)
{
    return rs_arena_printf(t_arena(), "transformer.%s.lora_%c.weight", l->module, part);
}

static const char *peft(const rs_lora *l, char part)
{
    return rs_arena_printf(t_arena(), "base_model.model.%s.lora_%c.weight", l->module, part);
}

static const char *comfyui(const rs_lora *l, char part)
{
    return rs_arena_printf(t_arena(), "diffusion_model.%s.lora_%s.weight", l->original,
                           part == 'A' ? "down" : "up");
}

static const char *kohya(const rs_lora *l, char part)
{
    char *s = rs_arena_printf(t_arena(), "lora_unet_%s", l->original);
    for (char *c = s; *c; c++)
        *c = *c == '.' ? '_' : *c;
    return rs_arena_printf(t_arena(), "%s.lora_%s.weight", s, part == 'A' ? "down" : "up");
}

static rs_tensor_list factors(const t_dit *t, renamer *name, bool alpha)
{
    rs_tensor_list plain = {0}, out = {0};
    rs_adapter_export(t->a, &plain, t_arena(), false, false);
    T_EQ_I(plain.n, 2 * t->a->n);
    for (int64_t i = 0; i < t->a->n; i++) {
        const rs_lora *l = &t->a->items[i];
        rs_tensor_list_add(&out, t_arena(), name(l, 'A'), plain.items[2 * i].t);
        rs_tensor_list_add(&out, t_arena(), name(l, 'B'), plain.items[2 * i + 1].t);
        if (alpha) {
            rs_tensor v = rs_tensor_new(t_arena(), RS_SHAPE(1));
            rs_f32(v)[0] = t->a->alpha;
            char *module = rs_arena_strdup(t_arena(), name(l, 'A'));
            *strstr(module, ".lora_") = 0;
            rs_tensor_list_add(&out, t_arena(), rs_arena_printf(t_arena(), "%s.alpha", module), v);
        }
    }
    return out;
}

static void t_every_spelling_is_read(void)
{
    static renamer *const k_names[] = {diffusers, peft, comfyui, kohya};
    const float one = 1.0f;
    t_dit t = open_bound();
    t_dit_adapter(&t, 3, 4.0f);
    rs_tensor want = t_dit_forward(&t);
    for (int k = 0; k < 4; k++) {
        rs_adapter *copy;
        rs_tensor_list list = factors(&t, k_names[k], k >= 2);
        T_OK(rs_adapter_create_from(&copy, t.m, &list, k >= 2 ? 0.0f : 4.0f, false));
        T_EQ_I(copy->rank, 3);
        T_EQ_I(copy->n, t.a->n);
        T_OK(rs_denoiser_set_adapters(t.m, &copy, &one, 1));
        T_CHECK(t_same_bits(t_dit_forward(&t), want));
        T_OK(rs_denoiser_set_adapters(t.m, NULL, NULL, 0));
        rs_adapter_destroy(&copy);
    }
    t_close_dit(&t);
}

/* A file's alpha is kept as a product when the adapter has another one. */
static void t_alpha_of_the_file(void)
{
    const float one = 1.0f;
    t_dit t = open_bound();
    t_dit_adapter(&t, 3, 4.0f);
    rs_tensor want = t_dit_forward(&t);
    rs_tensor_list list = factors(&t, comfyui, true);
    rs_adapter *copy;
    T_OK(rs_adapter_create_from(&copy, t.m, &list, 1.5f, false));
    T_CHECK(copy->alpha == 1.5f);
    T_OK(rs_denoiser_set_adapters(t.m, &copy, &one, 1));
    rs_tensor got = t_dit_forward(&t);
    T_REL_L2(rs_f32(got), rs_f32(want), rs_tensor_count(want), 2e-6);
    T_OK(rs_denoiser_set_adapters(t.m, NULL, NULL, 0));
    rs_adapter_destroy(&copy);
    t_close_dit(&t);
}

static void t_state_round_trip(void)
{
    t_dit t = open_bound();
    t_dit_adapter(&t, 3, 4.0f);
    for (int64_t i = 0; i < t.a->n; i++) {
        rs_lora *l = &t.a->items[i];
        const rs_tensor state[4] = {l->ma, l->va, l->mb, l->vb};
        for (int k = 0; k < 4; k++) {
            rs_tensor v = t_values(rs_arena_printf(t_arena(), "%s%d", l->module, k), state[k].ndim,
                                   state[k].shape);
            rs_device_put(t.d, state[k].data, v.data, rs_tensor_bytes(v));
        }
    }
    rs_tensor_list before = {0}, after = {0};
    rs_adapter_export(t.a, &before, t_arena(), true, false);
    rs_adapter_init(t.a, 1, 1);
    T_OK(rs_adapter_import(t.a, &before, true));
    rs_adapter_export(t.a, &after, t_arena(), true, false);
    T_EQ_I(after.n, 6 * t.a->n);
    for (int64_t i = 0; i < after.n; i++)
        T_CHECK(t_same_bits(before.items[i].t, after.items[i].t));
    t_close_dit(&t);
}

static void t_errors(void)
{
    static const char *const k_typo[] = {"attn1.to_w"}, *const k_twice[] = {"ffn.net.2",
                                                                            "ffn.net.2"};
    static const char *const k_image[] = {"attn2.add_k_proj"};
    rs_adapter *a = NULL;
    t_dit t = open_bound();
    T_FAILS(rs_adapter_create(&a, t.m, 2, 2.0f, k_typo, 1, false), CONFIG, "did you mean");
    T_FAILS(rs_adapter_create(&a, t.m, 2, 2.0f, k_twice, 2, false), CONFIG, "twice");
    T_FAILS(rs_adapter_create(&a, t.m, 0, 2.0f, k_image, 1, false), CONFIG, "rank");
    T_FAILS(rs_adapter_create(&a, t.m, 2, 0.0f, k_image, 1, false), CONFIG, "alpha");
    t_dit_adapter(&t, 3, 4.0f);
    rs_tensor want = t_dit_forward(&t);
    rs_tensor_list list = factors(&t, diffusers, false);
    list.n--;
    T_FAILS(rs_adapter_import(t.a, &list, false), MODEL, "is missing");
    list.n++;
    list.items[4].name = "transformer.blocks.7.attn1.to_q.lora_A.weight";
    T_FAILS(rs_adapter_import(t.a, &list, false), MODEL, "blocks.7");
    list.items[4].name = list.items[5].name;
    T_FAILS(rs_adapter_import(t.a, &list, false), MODEL, "the same factor");
    list = factors(&t, diffusers, false);
    list.items[4].t.shape[0]--;
    T_FAILS(rs_adapter_import(t.a, &list, false), MODEL, "F32[2,32]");
    T_CHECK(t_same_bits(t_dit_forward(&t), want)); /* nothing was changed */
    t_close_dit(&t);
    t = t_open_dit(t_make_dit("t2v", t_t2v, RS_DTYPE_F32), 1, NULL);
    T_FAILS(rs_adapter_create(&a, t.m, 2, 2.0f, k_image, 1, false), CONFIG, "no such layer");
    T_CHECK(a == NULL);
    t_close_dit(&t);
}

static void t_default_targets(void)
{
    int n;
    t_dit t = open_bound();
    const char *const *targets = rs_adapter_default_targets(&n);
    T_EQ_I(n, 10);
    T_OK(rs_adapter_create(&t.a, t.m, 16, 16.0f, targets, n, false));
    T_EQ_I(t.a->n, 30);
    /* 8 r (2D) + 2 r (D + Fd) per block */
    T_EQ_I(rs_adapter_params(t.a), 3 * 16 * (8 * 2 * 32 + 2 * (32 + 72)));
    T_EQ_S(t.a->items[10].module, "blocks.1.attn1.to_q");
    T_EQ_S(t.a->items[19].original, "blocks.1.ffn.2");
    t_close_dit(&t);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_default_targets),        T_CASE(t_initial_values),
    T_CASE(t_weight_zero_is_none),    T_CASE(t_weights_add_up),
    T_CASE(t_every_spelling_is_read), T_CASE(t_alpha_of_the_file),
    T_CASE(t_state_round_trip),       T_CASE(t_errors),
};
RS_TEST_MAIN(k_cases)
