// ctest: LABELS long TIMEOUT 900
/* Training steps of the transformer: rates and memory for docs/benchmarks.md, with equal losses as
 * the check of the values. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "model/dit_fixture.h"

enum { RANK = 16, TEXT_ROWS = 20, IMAGE_ROWS = 17, REPEATS = 4 };

typedef struct speed_case {
    int64_t dim, heads, ffn, layers, F, H, W;
} speed_case;

static const char *make_model(const speed_case *c)
{
    char *config = rs_arena_printf(
        t_arena(),
        "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": %lld,"
        " \"attention_head_dim\": %lld, \"num_layers\": %lld, \"ffn_dim\": %lld,"
        " \"in_channels\": 36, \"text_dim\": %d, \"image_dim\": %d, \"added_kv_proj_dim\": %lld}",
        (long long)c->heads, (long long)(c->dim / c->heads), (long long)c->layers,
        (long long)c->ffn, T_TEXT, T_IMAGE, (long long)c->dim);
    return t_make_dit("m", config, RS_DTYPE_BF16);
}

/* FLOP of the forward: linears over the video tokens and both attentions, of all blocks. */
static double forward_flop(const speed_case *c, double *attention, double *down)
{
    double S = (double)(c->F * c->H * c->W) / 4, D = (double)c->dim, Fd = (double)c->ffn;
    double L = (double)c->layers, keys = S + 512 + IMAGE_ROWS;
    *attention = L * 4 * S * keys * D;
    *down = L * 2 * S * D * Fd;
    return L * 2 * S * (6 * D * D) + 2 * *down + *attention;
}

/* A recomputed block stops before its last linear, and the last block is never recomputed. */
static double step_flop(const speed_case *c, rs_block_policy policy)
{
    double attention, down, forward = forward_flop(c, &attention, &down);
    double kept = policy == RS_BLOCK_ATTENTION ? attention : 0;
    double again = (forward - down - kept) * (double)(c->layers - 1) / (double)c->layers;
    return forward + (forward - attention) + 2.5 * attention +
           (policy == RS_BLOCK_STORE ? 0 : again);
}

static float time_steps(const speed_case *c, const char *dir, rs_block_policy policy,
                        rs_precision precision)
{
    static const char *const k_names[] = {"recompute", "keep attention", "store"};
    rs_kept kept = policy == RS_BLOCK_STORE ? RS_KEPT_ALL : (rs_kept){0};
    rs_denoiser_opts opts = {.kept = policy == RS_BLOCK_ATTENTION ? RS_KEPT_ATTENTION : kept};
    rs_tensor none = {0};
    const float one = 1.0f;
    const char *const *targets;
    float loss = 0;
    int n;
    t_dit t = {0};
    T_OK(rs_device_open(&t.d, &(rs_device_opts){.precision = precision}));
    T_OK(rs_denoiser_open(&t.m, t.d, dir, &opts));
    targets = rs_adapter_default_targets(&n);
    T_OK(rs_adapter_create(&t.a, t.m, RANK, RANK, targets, n, true));
    rs_adapter_init(t.a, 1, 1);
    T_OK(rs_denoiser_set_adapters(t.m, &t.a, &one, 1));
    T_OK(rs_denoiser_bind(t.m, c->F, c->H, c->W, true));
    T_OK(rs_denoiser_cond_create(&t.cond, t.m, t_values("y", RS_SHAPE(20, c->F, c->H, c->W)),
                                 t_values("text", RS_SHAPE(TEXT_ROWS, T_TEXT)),
                                 t_values("image", RS_SHAPE(IMAGE_ROWS, T_IMAGE))));
    t.x = t_values("x", RS_SHAPE(16, c->F, c->H, c->W));
    t.target = t_values("target", RS_SHAPE(16, c->F, c->H, c->W));
    double wall = INFINITY, cpu = INFINITY, gflop = 1e-9 * step_flop(c, policy);
    for (int i = 0; i < REPEATS; i++) {
        double t0 = rs_now();
        clock_t c0 = clock();
        T_OK(rs_denoiser_loss_grad(t.m, &loss, none, t.x, 500.0f, t.target, t.cond));
        wall = fmin(wall, rs_now() - t0);
        cpu = fmin(cpu, (double)(clock() - c0) / CLOCKS_PER_SEC);
    }
    RS_LOG(INFO,
           "width %lld, %lld blocks, %lld tokens, %s, %s: %.1f GFLOP, wall %.3f s (%d threads), "
           "cpu %.3f s (%.0f GFLOP/s per core), activations %.1f MiB",
           (long long)c->dim, (long long)c->layers, (long long)(c->F * c->H * c->W / 4),
           k_names[policy], rs_precision_name(precision), gflop, wall, rs_device_threads(t.d), cpu,
           gflop / cpu, (double)rs_denoiser_plan(t.m, c->F, c->H, c->W, true) / 0x1p20);
    t_close_dit(&t);
    return loss;
}

static void run(const speed_case *c)
{
    const char *dir = make_model(c);
    for (int p = 0; p < 2; p++) {
        rs_precision precision = (rs_precision)p;
        float again = time_steps(c, dir, RS_BLOCK_RECOMPUTE, precision),
              part = time_steps(c, dir, RS_BLOCK_ATTENTION, precision),
              all = time_steps(c, dir, RS_BLOCK_STORE, precision);
        T_CHECKF(isfinite(again) && again == all && again == part, "losses %g, %g and %g",
                 (double)again, (double)part, (double)all);
    }
}

static void t_small(void)
{
    run(&(speed_case){128, 4, 384, 4, 4, 16, 16});
}

static void t_medium(void)
{
    run(&(speed_case){384, 12, 1024, 4, 4, 32, 32});
}

/* Two blocks of the 1.3B model's size. */
static void t_large(void)
{
    run(&(speed_case){1536, 12, 8960, 2, 4, 32, 32});
}

static const rs_test_case k_cases[] = {T_CASE(t_small), T_CASE(t_medium), T_CASE(t_large)};
RS_TEST_MAIN(k_cases)
