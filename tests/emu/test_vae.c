/* The VAE on the CUDA backend against the CPU's: with fp32 products to their rounding; with bf16,
 * where activations between norm and convolution, and the convolutions' weights, are stored in
 * 16 bits, no further from fp32 than the CPU is, which rounds the same operands inside the op. */
#include <math.h>
#include <stdio.h>

#include "model/towers_fixture.h"
#include "model/wan/wan_vae_priv.h"

#define CONFIG                                                                                     \
    "{\"base_dim\": 16, \"z_dim\": 4, \"dim_mult\": [1, 2, 2, 3], \"num_res_blocks\": 1,"          \
    "\"attn_scales\": [], \"temperal_downsample\": [false, true, true],"                           \
    "\"latents_mean\": [0, 0.1, 0.2, 0.3], \"latents_std\": [1, 2, 1, 2]}"
static const t_rule k_rules[] = {{"*gamma", 0.2, 1.0}, {"*bias", 0.05, 0.0}, {"*", 0.1, 0.0}};
static const t_model k_model = {"vae", CONFIG, rs_vae_layout, k_rules, NULL, NULL};

enum { T = 9, H = 16, W = 24, Z = 4 };

typedef struct result {
    rs_tensor z, x;
} result;

/* A clip to latents, and a latent clip to frames. */
static result both(const char *dir, const char *backend, rs_precision precision, int64_t chunk)
{
    rs_device *d = NULL;
    rs_vae *v = NULL;
    T_OK(rs_device_open(
        &d, &(rs_device_opts){.backend = backend, .threads = 2, .precision = precision}));
    T_OK(rs_vae_open(&v, d, dir));
    rs_vae_set_chunk(v, chunk);
    result r = {rs_tensor_new(t_arena(), RS_SHAPE(Z, (T - 1) / 4 + 1, H / 8, W / 8)),
                rs_tensor_new(t_arena(), RS_SHAPE(3, T, H, W))};
    T_OK(rs_vae_encode(v, r.z, t_input("input.video", 1.0, RS_SHAPE(3, T, H, W))));
    rs_tensor latent = t_input("input.latent", 1.0, RS_SHAPE(Z, (T - 1) / 4 + 1, H / 8, W / 8));
    T_OK(rs_vae_decode(v, r.x, latent, true));
    rs_vae_close(&v);
    rs_device_destroy(&d);
    return r;
}

static double error(rs_tensor a, rs_tensor want)
{
    double e = 0, n = 0;
    for (int64_t i = 0; i < rs_tensor_count(want); i++) {
        double d = (double)rs_f32(a)[i] - (double)rs_f32(want)[i];
        e += d * d;
        n += (double)rs_f32(want)[i] * (double)rs_f32(want)[i];
    }
    return sqrt(e / n);
}

static void t_vae_equals_the_cpu(void)
{
    const char *dir = t_write_model(&k_model, "m", false);
    result want = both(dir, "cpu", RS_PRECISION_FP32, 1);
    result fp32 = both(dir, "cuda", RS_PRECISION_FP32, 1);
    result cpu = both(dir, "cpu", RS_PRECISION_BF16, 1);
    result bf16 = both(dir, "cuda", RS_PRECISION_BF16, 1);
    result longer = both(dir, "cuda", RS_PRECISION_BF16, 2);
    double rounded[2] = {error(cpu.z, want.z), error(cpu.x, want.x)};
    printf("fp32 %.1e %.1e; bf16 on the CPU %.1e %.1e, on CUDA %.1e %.1e, between them %.1e %.1e\n",
           error(fp32.z, want.z), error(fp32.x, want.x), rounded[0], rounded[1],
           error(bf16.z, want.z), error(bf16.x, want.x), error(bf16.z, cpu.z),
           error(bf16.x, cpu.x));
    T_CHECK(error(fp32.z, want.z) < 1e-5 && error(fp32.x, want.x) < 1e-5);
    T_CHECK(rounded[0] > 1e-4 && rounded[1] > 1e-4); /* or nothing is compared */
    T_CHECK(error(bf16.z, want.z) < 1.5 * rounded[0]);
    T_CHECK(error(bf16.x, want.x) < 1.5 * rounded[1]);
    t_same_bits(longer.z, bf16.z);
    t_same_bits(longer.x, bf16.x);
}

static const rs_test_case k_cases[] = {T_CASE(t_vae_equals_the_cpu)};
RS_TEST_MAIN(k_cases)
