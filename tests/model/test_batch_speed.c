// ctest: LABELS long TIMEOUT 900
/* One-frame training steps of several jobs in one walk over streamed bf16 weights: time per job for
 * docs/benchmarks.md, with equal losses as the check of the values. The numbers of jobs take turns,
 * so that a load of the machine meets all alike. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "model/dit_fixture.h"

enum { RANK = 16, TEXT_ROWS = 20, IMAGE_ROWS = 17, MOST = 4, REPEATS = 5, WAYS = 3 };
static const int k_n[WAYS] = {1, 2, 4};

typedef struct bench {
    rs_device *d;
    rs_denoiser *m;
    int64_t H, W;
    rs_adapter *adapters[MOST];
    rs_denoiser_cond *conds[MOST];
    rs_denoiser_sample samples[MOST];
} bench;

static const float k_one = 1.0f;

static const char *make_model(int64_t dim, int64_t heads, int64_t ffn, int64_t layers)
{
    char *config = rs_arena_printf(
        t_arena(),
        "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": %lld,"
        " \"attention_head_dim\": %lld, \"num_layers\": %lld, \"ffn_dim\": %lld,"
        " \"in_channels\": 36, \"text_dim\": %d, \"image_dim\": %d, \"added_kv_proj_dim\": %lld}",
        (long long)heads, (long long)(dim / heads), (long long)layers, (long long)ffn, T_TEXT,
        T_IMAGE, (long long)dim);
    return t_make_dit("m", config, RS_DTYPE_BF16);
}

static void open_bench(bench *b, const char *dir, int64_t H, int64_t W)
{
    rs_denoiser_opts opts = {.home = RS_HOME_MAPPED};
    int n;
    const char *const *targets = rs_adapter_default_targets(&n);
    *b = (bench){.H = H, .W = W};
    T_OK(rs_device_open(&b->d, NULL));
    T_OK(rs_denoiser_open(&b->m, b->d, dir, &opts));
    for (int k = 0; k < MOST; k++) {
        T_OK(rs_adapter_create(&b->adapters[k], b->m, RANK, RANK, targets, n, true));
        rs_adapter_init(b->adapters[k], 1, (uint64_t)k);
        T_OK(rs_denoiser_cond_create(&b->conds[k], b->m, t_values("y", RS_SHAPE(20, 1, H, W)),
                                     t_values("text", RS_SHAPE(TEXT_ROWS, T_TEXT)),
                                     t_values("image", RS_SHAPE(IMAGE_ROWS, T_IMAGE))));
        b->samples[k] = (rs_denoiser_sample){
            .adapters = &b->adapters[k],
            .weights = &k_one,
            .n_adapters = 1,
            .x = t_values(rs_arena_printf(t_arena(), "x %d", k), RS_SHAPE(16, 1, H, W)),
            .target = t_values("target", RS_SHAPE(16, 1, H, W)),
            .t = 500.0f + 10.0f * (float)k,
            .cond = b->conds[k]};
    }
}

static void close_bench(bench *b)
{
    for (int k = 0; k < MOST; k++) {
        rs_adapter_destroy(&b->adapters[k]);
        rs_denoiser_cond_destroy(&b->conds[k]);
    }
    rs_denoiser_close(&b->m);
    rs_device_destroy(&b->d);
}

/* A step of all MOST jobs, n at a time: wall and process seconds per job. */
static void step(bench *b, int n, double *wall, double *cpu, float *losses)
{
    T_OK(rs_denoiser_bind_many(b->m, n, 1, b->H, b->W));
    double t0 = rs_now();
    clock_t c0 = clock();
    for (int k = 0; k < MOST; k += n)
        T_OK(rs_denoiser_loss_grad_many(b->m, b->samples + k, n));
    *wall = fmin(*wall, (rs_now() - t0) / MOST);
    *cpu = fmin(*cpu, (double)(clock() - c0) / CLOCKS_PER_SEC / MOST);
    for (int k = 0; k < MOST; k++)
        losses[k] = b->samples[k].loss;
}

static void run(int64_t dim, int64_t heads, int64_t ffn, int64_t layers, int64_t H, int64_t W)
{
    bench b;
    double wall[WAYS], cpu[WAYS];
    float losses[WAYS][MOST];
    for (int i = 0; i < WAYS; i++)
        wall[i] = cpu[i] = INFINITY;
    open_bench(&b, make_model(dim, heads, ffn, layers), H, W);
    for (int r = 0; r < REPEATS; r++)
        for (int i = 0; i < WAYS; i++)
            step(&b, k_n[i], &wall[i], &cpu[i], losses[i]);
    for (int i = 0; i < WAYS; i++) {
        for (int k = 0; k < MOST; k++)
            T_CHECK(isfinite(losses[i][k]) && losses[i][k] == losses[0][k]);
        RS_LOG(INFO,
               "width %lld, %lld blocks, %lld tokens, %d at once: per job wall %.1f ms (%d "
               "threads), process %.1f ms, %.2f of one alone; activations %.1f MiB",
               (long long)dim, (long long)layers, (long long)(H * W / 4), k_n[i], 1e3 * wall[i],
               rs_device_threads(b.d), 1e3 * cpu[i], wall[i] / wall[0],
               (double)rs_denoiser_plan_many(b.m, k_n[i], 1, H, W) / 0x1p20);
    }
    close_bench(&b);
}

static void t_width_384(void)
{
    run(384, 12, 1536, 4, 12, 20);
}

/* Two blocks of the 1.3B model's size. */
static void t_width_1536_few_tokens(void)
{
    run(1536, 12, 8960, 2, 8, 12);
}

static void t_width_1536(void)
{
    run(1536, 12, 8960, 2, 12, 20);
}

static void t_width_1536_more_tokens(void)
{
    run(1536, 12, 8960, 2, 32, 32);
}

static const rs_test_case k_cases[] = {T_CASE(t_width_384), T_CASE(t_width_1536_few_tokens),
                                       T_CASE(t_width_1536), T_CASE(t_width_1536_more_tokens)};
RS_TEST_MAIN(k_cases)
