/* Linears with adapters, several of one input and several samples at a time: what they make does
 * not depend on what is made together, and a GPU (or its emulation; RS_BACKEND) makes what the CPU
 * makes, but for bf16. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "harness/test.h"
#include "nn/nn.h"

enum { M = 70, IN = 96, OUT = 136, R = 6, N = 3, USES = 3, LEVELS = 3 };

/* What three linears over N samples make. */
typedef struct made {
    float *y[USES], *dx, *ga[USES][N], *gb[USES][N];
} made;

typedef struct setup {
    rs_device *d;
    rs_dtype act;
    rs_tensor x, pre, at, dhidden, dx, work;
    rs_tensor y[USES], dy[USES], hidden[USES];
    rs_lora_term term[USES][N];
    rs_lora_terms terms[USES][N];
    rs_linear l[USES];
    rs_segments segments;
} setup;

static rs_tensor on(rs_device *d, const char *name, rs_dtype type, double scale, int64_t rows,
                    int64_t cols)
{
    void *memory;
    float *host = RS_NEW(t_arena(), float, rows *cols);
    char *stored = rs_arena_alloc(t_arena(), (size_t)(rows * cols), 4);
    rs_fill_rule(host, name, 0, rows * cols, scale, 0);
    rs_convert_from_f32(stored, type, host, rows * cols);
    T_OK(rs_device_alloc(d, &memory, (size_t)(rows * cols) * 4));
    rs_device_put(d, memory, stored, (size_t)(rows * cols) * rs_dtype_size(type));
    return rs_tensor_of(memory, type, RS_SHAPE(rows, cols));
}

static float *back(rs_device *d, rs_tensor t)
{
    char *stored = rs_arena_alloc(t_arena(), rs_tensor_bytes(t), 1);
    float *out = RS_NEW(t_arena(), float, rs_tensor_count(t));
    rs_device_get(d, stored, t.data, rs_tensor_bytes(t));
    rs_convert_to_f32(out, stored, t.dtype, rs_tensor_count(t));
    return out;
}

/* Sample 1 has no adapter on linear 0; that of sample 2 on linear 1 is frozen. */
static setup make(rs_device *d, bool bf16)
{
    static const char *const NAMES[] = {"q", "k", "v"};
    setup s = {.d = d, .act = rs_device_activation_dtype(d)};
    s.x = on(d, "x", s.act, 1, N * M, IN);
    s.at = on(d, "at", s.act, 2, N * M, IN);
    s.dx = on(d, "dx", s.act, 1, N * M, IN);
    s.pre = on(d, "pre", s.act, 1, N * M, OUT);
    s.dhidden = on(d, "low", s.act, 1, USES * N * M, R);
    s.work = on(d, "work", RS_DTYPE_F32, 1, LEVELS, R * (IN + OUT));
    s.segments.n = 8;
    for (int i = 0; i <= 8; i++)
        s.segments.at[i] = M * i / 8;
    for (int j = 0; j < USES; j++) {
        const char *n = NAMES[j];
        s.y[j] = on(d, "y", s.act, 1, N * M, OUT);
        s.dy[j] = on(d, rs_arena_printf(t_arena(), "d%s", n), s.act, 1, N * M, OUT);
        s.hidden[j] = on(d, "h", s.act, 1, N * M, R);
        s.l[j].w = on(d, n, bf16 ? RS_DTYPE_BF16 : RS_DTYPE_F32, 0.1, OUT, IN);
        s.l[j].bias = rs_tensor_reshape(on(d, "bias", RS_DTYPE_F32, 1, 1, OUT), RS_SHAPE(OUT));
        s.l[j].lora = s.terms[j];
        s.l[j].n = N;
        for (int k = 0; k < N; k++) {
            const char *name = rs_arena_printf(t_arena(), "%s%d", n, k);
            rs_lora_term *t = &s.term[j][k];
            t->a = on(d, name, RS_DTYPE_F32, 0.2, R, IN);
            t->b = on(d, name, RS_DTYPE_F32, 0.3, OUT, R);
            t->ga = on(d, "g", RS_DTYPE_F32, 1, R, IN);
            t->gb = on(d, "g", RS_DTYPE_F32, 1, OUT, R);
            t->scale = 0.5f + (float)k;
            if (j == 1 && k == 2)
                t->ga = t->gb = (rs_tensor){0};
            s.terms[j][k].n = !(j == 0 && k == 1);
        }
    }
    return s;
}

static void point(setup *s) /* a struct that was copied */
{
    for (int j = 0; j < USES; j++) {
        s->l[j].lora = s->terms[j];
        for (int k = 0; k < N; k++)
            s->terms[j][k].terms = &s->term[j][k];
    }
}

static made results(const setup *s)
{
    made m = {.dx = back(s->d, s->dx)};
    T_OK(rs_device_check(s->d));
    for (int j = 0; j < USES; j++) {
        m.y[j] = back(s->d, s->y[j]);
        for (int k = 0; k < N; k++) {
            const rs_lora_term *t = &s->term[j][k];
            bool none = s->terms[j][k].n == 0 || !rs_has(t->ga);
            m.ga[j][k] = none ? NULL : back(s->d, t->ga);
            m.gb[j][k] = none ? NULL : back(s->d, t->gb);
        }
    }
    return m;
}

static made together(rs_device *d, bool bf16)
{
    setup s = make(d, bf16);
    point(&s);
    rs_linear_use u[USES];
    const rs_row_sum sum = {&s.segments, s.work};
    for (int j = 0; j < USES; j++)
        u[j] = (rs_linear_use){s.l[j], s.y[j], s.hidden[j]};
    rs_linears_fwd(d, u, USES, s.x, RS_ACT_GELU_TANH, (rs_tensor){0});
    for (int j = 0; j < USES; j++)
        u[j].y = s.dy[j];
    rs_linears_bwd(d, u, USES, s.dx, true, s.x, s.dhidden, &sum,
                   &(rs_slope){RS_ACT_GELU_TANH, s.at});
    return results(&s);
}

static rs_tensor rows(rs_tensor t, int k)
{
    return rs_tensor_rows_view(t, M * k, M * k + M);
}

/* The same, linear by linear and sample by sample. */
static made alone(rs_device *d, bool bf16)
{
    setup s = make(d, bf16);
    point(&s);
    const rs_row_sum sum = {&s.segments, s.work};
    for (int k = 0; k < N; k++)
        for (int j = 0; j < USES; j++) {
            rs_linear l = s.l[j];
            l.lora += k;
            l.n = 1;
            rs_linear_fwd(d, &l, rows(s.y[j], k), rows(s.x, k), rows(s.hidden[j], k),
                          RS_ACT_GELU_TANH, (rs_tensor){0});
            rs_linear_bwd(d, &l, rows(s.dx, k), true, rows(s.dy[j], k), rows(s.x, k),
                          rows(s.hidden[j], k), s.dhidden, &sum,
                          j + 1 < USES ? NULL : &(rs_slope){RS_ACT_GELU_TANH, rows(s.at, k)});
        }
    return results(&s);
}

/* Relative L2 distance at most `limit`; 0: equal bits. */
static void near(const char *what, const float *a, const float *b, int64_t n, double limit)
{
    double diff = 0, norm = 0;
    T_CHECKF(!a == !b, "%s: one of two", what);
    for (int64_t i = 0; a && i < n; i++) {
        diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    T_CHECKF(!a || (norm > 0 && sqrt(diff / norm) <= limit), "%s: %.3e, limit %.1e", what,
             sqrt(diff / norm), limit);
}

/* y and dx are rounded to bf16 a few times, gradients of factors are fp32 sums. */
static void compare(const made *a, const made *b, double limit, double factors)
{
    near("dx", a->dx, b->dx, N * M * IN, limit);
    for (int j = 0; j < USES; j++) {
        near("y", a->y[j], b->y[j], N * M * OUT, limit);
        for (int k = 0; k < N; k++) {
            near("gA", a->ga[j][k], b->ga[j][k], R * IN, factors);
            near("gB", a->gb[j][k], b->gb[j][k], OUT * R, factors);
        }
    }
}

static rs_device *open_device(const char *backend, rs_precision p)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, &(rs_device_opts){.backend = backend, .threads = 1, .precision = p}));
    return d;
}

static const char *backend(void)
{
    const char *b = getenv("RS_BACKEND");
    return b ? b : "cpu";
}

static void t_together_is_alone(void)
{
    for (int p = 0; p < 2; p++) {
        rs_device *d = open_device(backend(), p ? RS_PRECISION_BF16 : RS_PRECISION_FP32);
        made a = together(d, p), b = alone(d, p);
        bool bits = rs_device_gemm_terms(d);
        /* dx: where terms come first, those of three linears come before the first product */
        compare(&a, &b, bits ? 0 : p ? 0x1p-7 : 1e-6, 0);
        rs_device_destroy(&d);
    }
}

static void t_backends_agree(void)
{
    for (int p = 0; p < 2; p++) {
        rs_device *d = open_device(backend(), p ? RS_PRECISION_BF16 : RS_PRECISION_FP32);
        rs_device *cpu = open_device("cpu", p ? RS_PRECISION_BF16 : RS_PRECISION_FP32);
        made a = together(d, p), b = together(cpu, p);
        compare(&a, &b, p ? 0x1p-7 : 1e-6, p ? 0x1p-7 : 1e-6);
        rs_device_destroy(&d);
        rs_device_destroy(&cpu);
    }
}

static const rs_test_case k_cases[] = {T_CASE(t_together_is_alone), T_CASE(t_backends_agree)};
RS_TEST_MAIN(k_cases)
