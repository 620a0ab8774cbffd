/* Training with precision bf16 on the CUDA backend (emulated, or a GPU) against the CPU's.
 *
 * How far both may be apart follows from the format. bf16 has 8 significant bits: rounding to
 * nearest adds an error that is uniform in +-2^-8 of the leading bit, and leading bits fill
 * [1, 2) logarithmically, so a rounding's relative error is r = 2^-8 sqrt(E[1/m^2] / 3) with
 * E[1/m^2] = 3 / (8 ln 2) in the root mean square, and 0 on average. Errors of roundings add up
 * like the root of their number. The CUDA backend rounds what it stores; on the way through a
 * block that is at most
 *   self attention   norm, projection, norm with rotation, probabilities, result, projection   6
 *   cross attention  the same                                                                  6
 *   feed-forward     norm, pre-activation, activation, result                                  4
 *   between blocks   the residual stream                                                       1
 * and 4 around them. The backward goes that way again, back. The CPU, which stores fp32 and rounds
 * operands of products, rounds less. What rounds by chance keeps lengths: the part of the
 * error along the result itself is a mean over all its numbers, so small; rounding towards zero
 * shrinks every result instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/catalog.h"
#include "model/dit_fixture.h"
#include "store/safetensors.h"

enum { IN_BLOCK = 17, AROUND = 4, ENCODERS = 40, SIGMAS = 4 };
enum { TOKENS = T_F * (T_H / 2) * (T_W / 2), DIM = 32 };   /* of the fixture */
enum { RUN_TOKENS = 3 * 4, RUN_DIM = 48, RUN_BLOCKS = 2 }; /* one latent frame of 64 x 48 */

static double roundings(double n)
{
    return 0x1p-8 * sqrt(3 / (8 * log(2)) / 3) * sqrt(n);
}

typedef struct result {
    rs_tensor v, grads;
    int64_t blocks;
} result;

static result pass(const char *dir, const char *backend, rs_precision p)
{
    result r;
    const rs_denoiser_opts opts = {0};
    t_dit_backend = backend;
    t_dit t = t_open_dit_in(dir, 1, &opts, p);
    t_dit_adapter(&t, 3, 4.0f);
    t_dit_frozen(&t, 0.7f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    t_dit_loss(&t);
    r = (result){t.v, t_dit_grads(&t), rs_denoiser_get_info(t.m)->blocks};
    t_close_dit(&t);
    return r;
}

/* |a - b| / |b|; *along: the part of a - b along b, likewise. */
static double distance(rs_tensor a, rs_tensor b, double *along)
{
    double diff = 0, norm = 0, inner = 0;
    for (int64_t i = 0; i < rs_tensor_count(a); i++) {
        double y = (double)rs_f32(b)[i], d = (double)rs_f32(a)[i] - y;
        diff += d * d;
        norm += y * y;
        inner += d * y;
    }
    *along = inner / norm;
    return sqrt(diff / norm);
}

/* Within the limit; along itself only by chance, with so many independent numbers (0: unknown). */
static void hold(const char *what, rs_tensor a, rs_tensor b, double limit, double independent)
{
    double along, d = distance(a, b, &along);
    printf("    %-26s %.2e of %.2e\n", what, d, limit);
    T_CHECKF(d > 0x1p-12 && d < limit, "%s: %.3e", what, d); /* fp32 would be about 2^-20 */
    if (independent == 0)
        return;
    double most = SIGMAS * d / sqrt(independent);
    printf("    %-26s %+.2e of %.2e\n", "  along itself", along, most);
    T_CHECKF(fabs(along) < most, "%s is longer or shorter by %.2e", what, along);
}

static void t_a_pass_is_as_exact_as_the_format(void)
{
    static const char *const k_configs[] = {t_i2v, t_t2v};
    for (int k = 0; k < 2; k++) {
        const char *dir = t_make_dit(k ? "t2v" : "i2v", k_configs[k], RS_DTYPE_BF16);
        result exact = pass(dir, "cpu", RS_PRECISION_FP32);
        result cpu = pass(dir, "cpu", RS_PRECISION_BF16);
        result cuda = pass(dir, "cuda", RS_PRECISION_BF16);
        double n = (double)(IN_BLOCK * exact.blocks + AROUND), numbers = TOKENS * DIM;
        hold("velocity, cuda from fp32", cuda.v, exact.v, roundings(n), numbers);
        hold("velocity, cuda from cpu", cuda.v, cpu.v, roundings(2 * n), numbers);
        hold("gradients, cuda from fp32", cuda.grads, exact.grads, roundings(2 * n), 0);
        hold("gradients, cuda from cpu", cuda.grads, cpu.grads, roundings(4 * n), 0);
    }
}

/* The losses in the log of a run, in its order: of first and last steps at least. */
static int losses(double *out, int most, const char *dir, const char *run, const char *stage)
{
    char *text, *end;
    int n = 0;
    int rc =
        t_shell(&text,
                "sed -n 's:.*| %s step \\([0-9]*\\)/\\([0-9]*\\)  loss \\([0-9.]*\\).*:\\1 \\2 "
                "\\3:p' %s/%s/reshoot.log | awk '$1 == 1 || $1 == $2 { print $3 }'",
                stage, dir, run);
    T_CHECKF(rc == 0, "%s", text);
    for (; n < most; n++, text = end) {
        out[n] = strtod(text, &end);
        if (end == text)
            break;
    }
    return n;
}

/* |a - b| / |b| over the factors B, which begin at zero: all that training made. */
static double factors(const char *a, const char *b)
{
    rs_safetensors *x, *y;
    double diff = 0, norm = 0;
    T_OK(rs_safetensors_open(&x, a));
    T_OK(rs_safetensors_open(&y, b));
    for (int64_t i = 0; i < rs_safetensors_count(x); i++) {
        const char *name = rs_safetensors_name(x, i);
        const rs_tensor *p = rs_safetensors_at(x, i), *q = rs_safetensors_find(y, name);
        T_CHECKF(q && rs_tensor_same_shape(*p, *q), "%s", name);
        if (p->dtype != RS_DTYPE_F32 || !strstr(name, "lora_B"))
            continue;
        for (int64_t k = 0; k < rs_tensor_count(*p); k++) {
            double u = (double)rs_f32(*p)[k], v = (double)rs_f32(*q)[k];
            diff += (u - v) * (u - v);
            norm += v * v;
        }
    }
    T_CHECKF(norm > 0, "%s: no factors", a);
    rs_safetensors_close(&x);
    rs_safetensors_close(&y);
    return sqrt(diff / norm);
}

static void run(const char *dir, const char *backend)
{
    char *out;
    int rc = t_catalog_run(
        &out, 0, dir, backend,
        rs_arena_printf(t_arena(),
                        "--set model.precision=bf16 --set log.level=detail --set motion.steps=3 "
                        "--set appearance.steps=2 --set edit.steps=1 "
                        "--set cluster.backend=%s",
                        backend));
    T_CHECKF(rc == 0, "%s: %d: %s", backend, rc, out);
}

/* A loss is the mean of squares of what was given less what should be: errors that are independent
 * of it change it by 2 e / sqrt(numbers). AdamW moves a number by about the learning rate whatever
 * the gradient's size, so what counts is signs: with a relative error e a part atan(e) / pi of them
 * turns, and B is off by 2 sqrt(e / pi). e is of both devices, and of the encoders' products. */
static void t_losses_and_adapters(void)
{
    static const char *const STAGES[] = {"motion", "appearance"};
    static const char *const STATES[] = {"motion.safetensors", "appearance@recolour.safetensors"};
    const double n = IN_BLOCK * RUN_BLOCKS + AROUND + ENCODERS, e = roundings(4 * n);
    const double off = 2 * sqrt(e / acos(-1.0));
    const double change = SIGMAS * 2 * roundings(2 * n) / sqrt((double)RUN_TOKENS * RUN_DIM);
    const char *dir = t_catalog_world(1);
    run(dir, "cpu");
    run(dir, "cuda");
    for (int s = 0; s < 2; s++) {
        double a[2] = {0}, b[2] = {0};
        const char *format = "%s/%s/state/clip-00/%s";
        double d = factors(rs_arena_printf(t_arena(), format, dir, "cuda", STATES[s]),
                           rs_arena_printf(t_arena(), format, dir, "cpu", STATES[s]));
        printf("    %-10s B %.2e of %.2e\n", STAGES[s], d, off);
        T_CHECKF(d > 0 && d < off, "%s: the factors B differ by %.3e", STAGES[s], d);
        T_EQ_I(losses(a, 2, dir, "cpu", STAGES[s]), 2);
        T_EQ_I(losses(b, 2, dir, "cuda", STAGES[s]), 2);
        for (int i = 0; i < 2; i++) {
            double c = fabs(b[i] - a[i]) / a[i];
            printf("    %-10s loss %s cpu %.4f cuda %.4f: %.1e of %.1e\n", STAGES[s],
                   i ? "last " : "first", a[i], b[i], c, change);
            T_CHECKF(a[i] > 0 && c < change, "%s: losses %g and %g", STAGES[s], a[i], b[i]);
        }
    }
}

static const rs_test_case CASES[] = {
    T_CASE(t_a_pass_is_as_exact_as_the_format),
    T_CASE(t_losses_and_adapters),
};
RS_TEST_MAIN(CASES)
