// The numbers of loraedit.md 10 that concern the model and its training: parameter and tensor
// counts of the adapter at full size, key names, the reference's rounded times, the loss of a zero
// prediction.
#include <stdio.h>
#include <string.h>

#include "base/dtype.h"
#include "diffusion/flow.h"
#include "diffusion/sampler.h"
#include "harness/test.h"
#include "model/adapter.h"
#include "model/family.h"
#include "model/layouts.h"

static const char k_wan_14b[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"added_kv_proj_dim\": 5120, "
    "\"attention_head_dim\": 128, "
    "\"cross_attn_norm\": true, \"eps\": 1e-06, \"ffn_dim\": 13824, \"freq_dim\": 256, "
    "\"image_dim\": 1280, "
    "\"in_channels\": 36, \"num_attention_heads\": 40, \"num_layers\": 40, \"out_channels\": 16, "
    "\"patch_size\": [1, 2, 2], \"pos_embed_seq_len\": null, \"qk_norm\": "
    "\"rms_norm_across_heads\", "
    "\"rope_max_seq_len\": 1024, \"text_dim\": 4096}";

static rs_layout wan_14b(void)
{
    rs_layout l = {0};
    rs_json *json;
    T_OK(rs_json_parse(&json, k_wan_14b, strlen(k_wan_14b), "wan-14b"));
    T_OK(rs_dit_layout(&l, t_arena(), json, false));
    rs_json_destroy(&json);
    return l;
}

/* Shape of a target's weight in a block. */
static const int64_t *weight_shape(const rs_layout *l, const char *target, bool original)
{
    for (int64_t i = 0; i < l->n; i++) {
        char name[256], want[256];
        if (l->rows[i].block < 0)
            continue;
        rs_layout_name(name, sizeof name, &l->rows[i], 0, original);
        snprintf(want, sizeof want, "blocks.0.%s.weight", target);
        if (strcmp(name, want) == 0)
            return l->rows[i].shape;
    }
    rs_test_fail(__FILE__, __LINE__, "no weight for target %s", target);
}

static void t_model_sizes(void)
{
    rs_layout l = wan_14b();
    T_EQ_I(rs_layout_params(&l), 16394878784);
    T_EQ_I(rs_layout_block_params(&l), 403838464);
    T_EQ_I(l.blocks, 40);
}

static void t_adapter_has_76677120_parameters_in_800_tensors(void)
{
    rs_layout l = wan_14b();
    int n;
    const char *const *targets = rs_adapter_default_targets(&n);
    int64_t params = 0;
    T_EQ_I(n, 10);
    for (int i = 0; i < n; i++) {
        const int64_t *shape = weight_shape(&l, targets[i], false);
        params += 16 * (shape[0] + shape[1]);
    }
    T_EQ_I(params, 1916928);
    T_EQ_I(params * l.blocks, 76677120);
    T_EQ_I(2 * n * l.blocks, 800);
}

/* Every default target has the authors' name ("diffusion_model.blocks.0.cross_attn.q...") in the
 * family's table. */
static void t_targets_have_the_authors_names(void)
{
    static const char *const original[] = {
        "self_attn.q",  "self_attn.k",  "self_attn.v",  "self_attn.o", "cross_attn.q",
        "cross_attn.k", "cross_attn.v", "cross_attn.o", "ffn.0",       "ffn.2"};
    rs_layout l = wan_14b();
    const rs_family *f = rs_family_find("wan21");
    int n, found = 0;
    const char *const *targets = rs_adapter_default_targets(&n);
    for (int i = 0; i < n; i++) {
        T_CHECK(weight_shape(&l, targets[i], false) == weight_shape(&l, original[i], true));
        for (int k = 0; k < f->n_targets; k++)
            found += strcmp(f->targets[k].name, targets[i]) == 0 &&
                     strcmp(f->targets[k].original, original[i]) == 0;
    }
    T_EQ_I(found, 10);
}

/* loraedit.md 5.4: what the authors' sampler feeds the model after rounding to bf16. We keep exact
 * times. */
static void t_bf16_times_of_the_reference(void)
{
    static const int want[] = {1000, 992, 984, 980, 972, 960, 952, 944, 932, 920,
                               908,  896, 884, 868, 852, 832, 812, 792, 768, 744,
                               716,  680, 644, 604, 556, 500, 434, 358, 264, 147};
    rs_schedule s;
    T_OK(rs_schedule_make(&s, t_arena(), RS_SAMPLER_EULER, 30, 5.0));
    for (int i = 0; i < 30; i++)
        T_CHECK(rs_f32_from_bf16(rs_bf16_from_f32(s.times[i])) == (float)want[i]);
}

static void t_zero_prediction_has_loss_one(void)
{
    enum { N = 1000 };
    rs_device *d;
    rs_device_opts o = {.threads = 1};
    float x0[N] = {0}, noise[N], x_t[N], target[N], loss;
    for (int i = 0; i < N; i++)
        noise[i] = 1.0f;
    rs_flow_pair(x_t, target, x0, noise, 0.25f, N);
    T_OK(rs_device_open(&d, &o));
    rs_tensor zero = rs_tensor_of(x0, RS_DTYPE_F32, RS_SHAPE(N));
    RS_OP(d, mse, .loss = rs_tensor_of(&loss, RS_DTYPE_F32, RS_SHAPE(1)), .p = zero,
          .t = rs_tensor_of(target, RS_DTYPE_F32, RS_SHAPE(N)));
    T_CHECK(loss == 1.0f && x_t[7] == 0.25f);
    rs_device_destroy(&d);
}

static const rs_test_case cases[] = {
    T_CASE(t_model_sizes),
    T_CASE(t_adapter_has_76677120_parameters_in_800_tensors),
    T_CASE(t_targets_have_the_authors_names),
    T_CASE(t_bf16_times_of_the_reference),
    T_CASE(t_zero_prediction_has_loss_one),
};
RS_TEST_MAIN(cases)
