/* What a pass computes, counted where the device calls its ops, against what is planned: under each
 * policy, adapter and model. And the figures of the 14B model. */
#include "device/device_priv.h"
#include "harness/comm_cases.h"
#include "harness/lanes.h"
#include "model/dit_fixture.h"
#include "model/sizes.h"

enum { RANKS = 8 };

typedef struct work {
    int64_t attentions;
    rs_flops flops;
} work;

static _Thread_local work g_work; /* of the rank that the thread is */
static rs_backend g_counting;
static const rs_backend *g_plain;

static void count_attention(rs_device *d, const rs_attention_fwd_args *a)
{
    double n = (double)rs_tensor_rows(a->q) * (double)rs_tensor_rows(a->k);
    g_work.attentions++;
    g_work.flops.attention += 4 * n * (double)rs_tensor_cols(a->q);
    g_plain->op_attention_fwd(d, a);
}

static void count_attention_bwd(rs_device *d, const rs_attention_bwd_args *a)
{
    double n = (double)rs_tensor_rows(a->q) * (double)rs_tensor_rows(a->k);
    g_work.flops.attention_bwd += 10 * n * (double)rs_tensor_cols(a->q);
    g_plain->op_attention_bwd(d, a);
}

static void count_gemm(rs_device *d, const rs_gemm_args *a)
{
    int64_t k = a->trans_a ? rs_tensor_rows(a->a) : rs_tensor_cols(a->a);
    g_work.flops.gemm += 2 * (double)rs_tensor_count(a->y) * (double)k;
    for (int i = 0; i < a->parts; i++)
        if (rs_has(a->ta[i]))
            g_work.flops.gemm +=
                2 * (double)rs_tensor_count(a->ta[i]) * (double)rs_tensor_cols(a->y);
    g_plain->op_gemm(d, a);
}

/* Of the pairs of a thin product with a matrix of so many columns. */
static double thin(const rs_tensor *low, int n, rs_tensor wide)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        if (rs_has(low[i]))
            sum += 2 * (double)rs_tensor_count(low[i]) * (double)rs_tensor_cols(wide);
    return sum;
}

static void count_lora_down(rs_device *d, const rs_lora_down_args *a)
{
    g_work.flops.gemm += thin(a->low, a->parts * a->each, a->x);
    g_plain->op_lora_down(d, a);
}

static void count_lora_grad(rs_device *d, const rs_lora_grad_args *a)
{
    g_work.flops.gemm += thin(a->low, a->parts * a->each, a->x);
    g_plain->op_lora_grad(d, a);
}

static void count_ops_of(rs_device *d)
{
    g_plain = d->backend;
    g_counting = *d->backend;
    g_counting.op_attention_fwd = count_attention;
    g_counting.op_attention_bwd = count_attention_bwd;
    g_counting.op_gemm = count_gemm;
    g_counting.op_lora_down = count_lora_down;
    g_counting.op_lora_grad = count_lora_grad;
    d->backend = &g_counting;
}

/* Each rank of a lane does what is planned for it. */
typedef struct lane_plan {
    const t_lane_case *k;
    rs_flops planned[RANKS], counted[RANKS];
} lane_plan;

static rs_status count_rank(rs_comm *c, void *ctx)
{
    lane_plan *p = ctx;
    const t_lane_case *k = p->k;
    int r = rs_comm_rank(c);
    float loss;
    t_lane t;
    rs_status st = t_lane_open(&t, c, k);
    if (st == RS_OK) {
        t.d->backend = &g_counting;
        g_work = (work){0};
        st = t_lane_loss_grad(&t, &loss);
        p->counted[r] = g_work.flops;
        p->planned[r] =
            rs_denoiser_flops(t.m, k->F, k->H, k->W, T_LANE_ROWS, T_LANE_IMAGE_ROWS, true);
    }
    t_lane_close(&t);
    return st;
}

static void same_flops(rs_flops planned, const char *what)
{
    rs_flops f = g_work.flops;
    T_CHECKF(planned.gemm == f.gemm, "%s: GEMM %.0f planned, %.0f counted", what, planned.gemm,
             f.gemm);
    T_CHECKF(planned.attention == f.attention, "%s: attention %.0f planned, %.0f counted", what,
             planned.attention, f.attention);
    T_CHECKF(planned.attention_bwd == f.attention_bwd, "%s: backward %.0f planned, %.0f counted",
             what, planned.attention_bwd, f.attention_bwd);
}

/* One step, and its operations against the plan. */
static work work_of(t_dit *t, rs_kept kept)
{
    rs_denoiser_set_kept(t->m, kept);
    T_OK(rs_denoiser_bind(t->m, T_F, T_H, T_W, true));
    g_work = (work){0};
    t_dit_loss(t);
    same_flops(rs_denoiser_flops(t->m, T_F, T_H, T_W, T_ROWS, T_IMAGE_ROWS, true), "step");
    return g_work;
}

static void same_forward(t_dit *t)
{
    g_work = (work){0};
    t_dit_forward(t);
    same_flops(rs_denoiser_flops(t->m, T_F, T_H, T_W, T_ROWS, T_IMAGE_ROWS, false), "forward");
}

/* Three attentions a block: to itself, to the text, to the image. */
static void t_policies_save_what_they_keep(void)
{
    t_dit t = t_open_dit(t_make_dit("m", t_i2v, RS_DTYPE_F32), 1, NULL);
    t_dit_adapter(&t, 3, 4.0f);
    count_ops_of(t.d);
    work all = work_of(&t, RS_KEPT_ALL), none = work_of(&t, (rs_kept){0});
    work attention = work_of(&t, RS_KEPT_ATTENTION);
    work mixed = work_of(&t, (rs_kept){.store = 2, .attention = 1});
    T_EQ_I(all.attentions, 3 * 3);
    T_EQ_I(none.attentions, all.attentions + 2 * 3); /* the last block is always stored */
    T_EQ_I(attention.attentions, none.attentions - 2);
    T_EQ_I(mixed.attentions, all.attentions + 2);
    T_CHECK(attention.flops.gemm == none.flops.gemm);
    T_CHECK(none.flops.gemm > mixed.flops.gemm && mixed.flops.gemm > all.flops.gemm);
    same_forward(&t);
    t_close_dit(&t);
}

/* One adapter on the targets, a frozen one beneath it if asked. */
static void check_targets(const char *config, const char *const *targets, int n, bool frozen)
{
    static const rs_kept k_kept[] = {{0}, {.attention = 9}, {.store = 2}, {.store = 9}};
    const float one = 1.0f;
    t_dit t = t_open_dit(t_make_dit("m", config, RS_DTYPE_F32), 1, NULL);
    T_OK(rs_adapter_create(&t.a, t.m, 4, 4.0f, targets, n, true));
    t_dit_fill(&t, t.a, "");
    T_OK(rs_denoiser_set_adapters(t.m, &t.a, &one, 1));
    if (frozen)
        t_dit_frozen(&t, 0.5f);
    count_ops_of(t.d);
    for (int k = 0; k < 4; k++)
        work_of(&t, k_kept[k]);
    same_forward(&t);
    t_close_dit(&t);
}

static void t_every_adapter_is_counted(void)
{
    static const char *const k_all[] = {"attn1.to_q",       "attn1.to_k",     "attn2.to_q",
                                        "attn2.to_k",       "attn2.to_v",     "attn2.to_out.0",
                                        "ffn.net.0.proj",   "ffn.net.2",      "attn2.add_k_proj",
                                        "attn2.add_v_proj", "attn1.to_out.0", "attn1.to_v"};
    static const char *const k_ffn[] = {"ffn.net.2"}, *const k_text[] = {"attn2.to_v"};
    check_targets(t_i2v, k_all, 12, false);
    check_targets(t_i2v, k_all, 12, true);
    check_targets(t_t2v, k_all, 8, true);
    check_targets(t_i2v, k_ffn, 1, false);
    check_targets(t_i2v, k_text, 1, true);
}

static void t_lanes_are_counted(void)
{
    t_lane_case k = t_lane_case_small(t_make_dit("m", t_lane_i2v, RS_DTYPE_F32));
    rs_device *d;
    double alone = 0;
    k.frozen = true;
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = 1}));
    count_ops_of(d); /* the table, for all ranks */
    for (int width = 1; width <= RANKS; width *= 2) {
        lane_plan p = {.k = &k};
        double all = 0;
        T_OK(rs_comm_threads_run(width, count_rank, &p, NULL));
        for (int r = 0; r < width; r++) {
            g_work = (work){.flops = p.counted[r]};
            same_flops(p.planned[r], rs_arena_printf(t_arena(), "rank %d of %d", r, width));
            all += p.counted[r].attention_bwd;
        }
        alone = width == 1 ? all : alone;
        T_CHECKF(all == alone, "width %d: %.0f in all, alone %.0f", width, all, alone);
    }
    rs_device_destroy(&d);
}

static void t_encoders_are_counted(void)
{
    enum { ROWS = 11 };
    const char *dir = RS_SOURCE_DIR "/datasets/smallworld/model";
    rs_device *d;
    rs_text_encoder *text;
    rs_image_encoder *image;
    rs_encoder_sizes size;
    int32_t ids[ROWS] = {1, 2, 3};
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = 1}));
    T_OK(rs_text_encoder_open(&text, d, dir));
    size_t before = rs_device_bytes(d);
    T_OK(rs_text_encoder_sizes(&size, d, dir, ROWS));
    T_EQ_I(before, size.weights); /* half floats: two blocks in the ring */
    count_ops_of(d);
    g_work = (work){0};
    T_OK(rs_text_encode(text, rs_tensor_new(t_arena(), RS_SHAPE(ROWS, size.dim)), ids, ROWS));
    same_flops(size.flops, "text encoder");
    T_EQ_I(rs_device_bytes(d) - before, size.work);
    rs_text_encoder_close(&text);

    T_OK(rs_image_encoder_open(&image, d, dir));
    T_OK(rs_image_encoder_sizes(&size, d, dir));
    T_EQ_I(rs_device_bytes(d), size.weights + size.work);
    int64_t side = rs_image_encoder_size(image);
    g_work = (work){0};
    T_OK(rs_image_encode(image, rs_tensor_new(t_arena(), RS_SHAPE(size.rows, size.dim)),
                         rs_tensor_new(t_arena(), RS_SHAPE(3, side, side))));
    same_flops(size.flops, "image encoder");
    rs_image_encoder_close(&image);
    rs_device_destroy(&d);
}

/* Wan2.1-I2V-14B, 49 frames of 832x480: 20,280 tokens. design: 3.05 PFLOP when the whole forward is
 * computed again, 2.70 with attention kept, 2.21 stored. The program does less: neither a block's
 * last linear nor the last block is computed again. */
static void t_the_14b_model(void)
{
    static const char k_config[] =
        "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 40,"
        " \"attention_head_dim\": 128, \"in_channels\": 36, \"out_channels\": 16,"
        " \"text_dim\": 4096, \"freq_dim\": 256, \"ffn_dim\": 13824, \"num_layers\": 40,"
        " \"image_dim\": 1280, \"added_kv_proj_dim\": 5120, \"patch_size\": [1, 2, 2]}";
    enum { F = 13, H = 60, W = 104, TEXT = 512, IMAGE = 257 };
    const double S = 20280, D = 5120, FFN = 13824, L = 40, PETA = 1e-15;
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), "m");
    const float one = 1;
    int n;
    rs_device *d;
    rs_denoiser *m;
    rs_adapter *a;
    T_OK(rs_make_dirs(rs_path_join(t_arena(), dir, "transformer")));
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "transformer/config.json"), k_config,
                              strlen(k_config)));
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = 1}));
    T_OK(rs_denoiser_open(&m, d, dir, &(rs_denoiser_opts){.describe = true}));
    const char *const *targets = rs_adapter_default_targets(&n);
    T_OK(rs_adapter_create(&a, m, 16, 16.0f, targets, n, true));
    T_OK(rs_denoiser_set_adapters(m, &a, &one, 1));
    rs_flops fwd = rs_denoiser_flops(m, F, H, W, TEXT, IMAGE, false);
    rs_denoiser_set_kept(m, RS_KEPT_ALL);
    double store = rs_flops_total(rs_denoiser_flops(m, F, H, W, TEXT, IMAGE, true)) * PETA;
    rs_denoiser_set_kept(m, RS_KEPT_ATTENTION);
    double attention = rs_flops_total(rs_denoiser_flops(m, F, H, W, TEXT, IMAGE, true)) * PETA;
    rs_denoiser_set_kept(m, (rs_kept){0});
    double none = rs_flops_total(rs_denoiser_flops(m, F, H, W, TEXT, IMAGE, true)) * PETA;
    T_NEAR(store, 2.21, 0.01);
    T_NEAR(store + rs_flops_total(fwd) * PETA, 3.05, 0.01);
    T_NEAR(store + fwd.gemm * PETA, 2.70, 0.01);
    double last = 2 * S * D * FFN * PETA, self = 4 * S * S * D * PETA;
    T_NEAR(none - attention, (L - 1) * self, 1e-4);
    /* what is computed again: all but the last linear; adapters and context are below 0.01 */
    T_NEAR(none, store + (L - 1) / L * rs_flops_total(fwd) * PETA - (L - 1) * last, 0.01);
    T_NEAR((double)rs_denoiser_get_info(m)->params * 1e-9, 16.4, 0.01);
    T_EQ_I(rs_device_bytes(d), 0); /* described only */
    rs_adapter_destroy(&a);
    rs_denoiser_close(&m);
    rs_device_destroy(&d);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_policies_save_what_they_keep),
    T_CASE(t_every_adapter_is_counted),
    T_CASE(t_lanes_are_counted),
    T_CASE(t_encoders_are_counted),
    T_CASE(t_the_14b_model),
};
RS_TEST_MAIN(k_cases)
