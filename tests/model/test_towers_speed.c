// ctest: LABELS long TIMEOUT 900
// Wan VAE at its real widths: rates and memory for docs/benchmarks.md, with a sanity check of the
// values.
#include <time.h>

#include "base/log.h"
#include "model/wan/wan_vae_priv.h"
#include "towers_fixture.h"

static const char k_config[] =
    "{\"base_dim\": 96, \"z_dim\": 16, \"dim_mult\": [1, 2, 4, 4], \"num_res_blocks\": 2,"
    "\"attn_scales\": [], \"temperal_downsample\": [false, true, true],"
    "\"latents_mean\": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],"
    "\"latents_std\": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}";
/* Uniform in +-0.04: a 3x3x3 convolution of 96 channels about keeps the size of its input. */
static const t_rule k_rules[] = {
    {"*gamma", 0.2, 1.0}, {"*bias", 0.05, 0.0}, {"*quant_conv*", 0.3, 0.0}, {"*", 0.03, 0.0}};

/* Wall time, and the time of all threads: on a machine shared with others only the second is ours.
 */
typedef struct stopwatch {
    double wall;
    clock_t cpu;
} stopwatch;

static stopwatch start(void)
{
    return (stopwatch){rs_now(), clock()};
}

static void report(const rs_vae *v, rs_device *d, bool decode, stopwatch s)
{
    double wall = rs_now() - s.wall, cpu = (double)(clock() - s.cpu) / CLOCKS_PER_SEC;
    double gflop = 2e-9 * (double)rs_vae_macs(v, decode, 3, 14, 26);
    RS_LOG(
        INFO,
        "vae %s 9 frames 208x112: %.0f GFLOP, wall %.2f s (%.0f GFLOP/s, %d threads), cpu %.2f s "
        "(%.0f GFLOP/s per core), %.1f MiB",
        decode ? "decode" : "encode", gflop, wall, gflop / wall, rs_device_threads(d), cpu,
        gflop / cpu, (double)rs_device_bytes(d) / 0x1p20);
}

static void report_memory(rs_vae *v)
{
    for (int d = 0; d < 2; d++)
        RS_LOG(INFO, "vae %s 480x832: work memory %.0f MiB for 1 frame, %.0f MiB for any more",
               d ? "decode" : "encode", (double)rs_vae_work_bytes(v, d, 1, 60, 104) / 0x1p20,
               (double)rs_vae_work_bytes(v, d, 13, 60, 104) / 0x1p20);
}

static void t_nine_frames_at_real_widths(void)
{
    t_model m = {"vae", k_config, rs_vae_layout, k_rules, NULL, NULL};
    rs_device *d = NULL;
    rs_vae *v = NULL;
    T_OK(rs_device_open(&d, NULL));
    const char *dir = t_write_model(&m, "real", false);
    double t0 = rs_now();
    T_OK(rs_vae_open(&v, d, dir));
    RS_LOG(INFO, "vae open: %.2f s, weights %.1f MiB, peak %.1f MiB", rs_now() - t0,
           (double)rs_device_bytes(d) / 0x1p20, (double)rs_device_peak_bytes(d) / 0x1p20);
    rs_tensor video = t_input("input.video", 1.0, RS_SHAPE(3, 9, 112, 208));
    rs_tensor z = rs_tensor_new(t_arena(), RS_SHAPE(16, 3, 14, 26));
    stopwatch s = start();
    T_OK(rs_vae_encode(v, z, video));
    report(v, d, false, s);
    s = start();
    T_OK(rs_vae_decode(v, video, z, true));
    report(v, d, true, s);
    report_memory(v);
    double size = t_sum(z, 2) / (double)rs_tensor_count(z);
    T_CHECKF(size > 1e-6 && size < 1e6, "latents of mean square %g", size);
    rs_vae_close(&v);
    rs_device_destroy(&d);
}

/* One encoder at its real width, with few of its layers. */
static void report_encoder(const char *what, rs_device *d, double gflop, stopwatch s)
{
    double wall = rs_now() - s.wall, cpu = (double)(clock() - s.cpu) / CLOCKS_PER_SEC;
    RS_LOG(INFO, "%s: %.1f GFLOP, wall %.2f s, cpu %.2f s (%.0f GFLOP/s per core), peak %.0f MiB",
           what, gflop, wall, cpu, gflop / cpu, (double)rs_device_peak_bytes(d) / 0x1p20);
}

static double mean_square(rs_tensor t)
{
    return t_sum(t, 2) / (double)rs_tensor_count(t);
}

static void t_umt5_layers_at_real_widths(void)
{
    static const t_rule k_text[] = {{"*norm*", 0.2, 1.0}, {"*", 0.02, 0.0}};
    enum { LAYERS = 2, TOKENS = 512, DIM = 4096, INNER = 4096, FFN = 10240 };
    t_model m = {"text_encoder",
                 "{\"vocab_size\": 1000, \"d_model\": 4096, \"d_kv\": 64, \"d_ff\": 10240,"
                 "\"num_layers\": 2, \"num_heads\": 64}",
                 rs_umt5_layout,
                 k_text,
                 NULL,
                 NULL};
    rs_device *d = NULL;
    rs_text_encoder *e = NULL;
    T_OK(rs_device_open(&d, NULL));
    T_OK(rs_text_encoder_open(&e, d, t_write_half(&m, "real")));
    int32_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = i * 37 % 1000;
    for (int64_t n = 32; n <= TOKENS; n *= 16) {
        rs_tensor states = rs_tensor_new(t_arena(), RS_SHAPE(n, DIM));
        double macs = (double)n * (4.0 * DIM * INNER + 3.0 * DIM * FFN + 2.0 * (double)n * INNER);
        stopwatch s = start();
        T_OK(rs_text_encode(e, states, ids, n));
        report_encoder(n == 32 ? "umT5, 2 of 24 layers, bf16 weights, 32 tokens"
                               : "umT5, 2 of 24 layers, bf16 weights, 512 tokens",
                       d, 2e-9 * LAYERS * macs, s);
        T_NEAR(mean_square(states), 1.0, 0.2);
    }
    rs_text_encoder_close(&e);
    rs_device_destroy(&d);
}

static void t_clip_layers_at_real_widths(void)
{
    static const t_rule k_image[] = {{"*norm*weight", 0.2, 1.0}, {"*", 0.03, 0.0}};
    enum { LAYERS = 4, TOKENS = 257, DIM = 1280, FFN = 5120 };
    t_model m = {"image_encoder",
                 "{\"hidden_size\": 1280, \"intermediate_size\": 5120, \"num_hidden_layers\": 5,"
                 "\"num_attention_heads\": 16, \"image_size\": 224, \"patch_size\": 14,"
                 "\"hidden_act\": \"gelu\"}",
                 rs_clip_layout,
                 k_image,
                 NULL,
                 NULL};
    rs_device *d = NULL;
    rs_image_encoder *e = NULL;
    T_OK(rs_device_open(&d, NULL));
    T_OK(rs_image_encoder_open(&e, d, t_write_half(&m, "real")));
    rs_tensor states = rs_tensor_new(t_arena(), RS_SHAPE(TOKENS, DIM));
    double macs = (double)TOKENS * (4.0 * DIM * DIM + 2.0 * DIM * FFN + 2.0 * TOKENS * DIM);
    stopwatch s = start();
    T_OK(rs_image_encode(e, states, t_input("input.img", 2.0, RS_SHAPE(3, 224, 224))));
    report_encoder("CLIP ViT-H, 4 of 31 layers, bf16 weights", d, 2e-9 * LAYERS * macs, s);
    double size = mean_square(states);
    T_CHECKF(size > 1e-6 && size < 1e6, "states of mean square %g", size);
    rs_image_encoder_close(&e);
    rs_device_destroy(&d);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_nine_frames_at_real_widths),
    T_CASE(t_umt5_layers_at_real_widths),
    T_CASE(t_clip_layers_at_real_widths),
};
RS_TEST_MAIN(k_cases)
