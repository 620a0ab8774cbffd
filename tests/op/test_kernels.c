/* ctest: TIMEOUT 600
 * Properties of the element-wise ops and of conv3d that a case table cannot say: the same bits from
 * every instruction set, chunks equal to the whole, transposes, index sizes, host helpers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "device/device.h"
#include "device/opcase.h"
#include "harness/test.h"
#include "kernels/vec/stream.h"

static const char *const ISA[] = {"baseline", "avx2", "avx512"};
enum { ISAS = 3 };

static rs_device *open_device(int threads)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = threads}));
    return d;
}

/* Host memory: the CPU device's memory is the same. */
static rs_tensor random_tensor(const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(t_arena(), ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 2, 0);
    return t;
}

static rs_tensor empty_like(rs_tensor t)
{
    return rs_tensor_new(t_arena(), t.ndim, t.shape);
}

static void check_bits(rs_tensor a, rs_tensor b, const char *what)
{
    for (int64_t i = 0; i < rs_tensor_count(a); i++)
        T_CHECKF(memcmp(rs_f32(a) + i, rs_f32(b) + i, sizeof(float)) == 0,
                 "%s: element %lld: %.9g and %.9g", what, (long long)i, (double)rs_f32(a)[i],
                 (double)rs_f32(b)[i]);
}

/* Every small case holds with narrower instructions too. */
static void t_cases_for_every_isa(void)
{
    for (int i = 0; i < ISAS; i++) {
        setenv("RS_CPU", ISA[i], 1);
        rs_device *d = open_device(2);
        for (int s = 0; s < rs_opspec_count(); s++) {
            const rs_opspec *spec = rs_opspec_at(s);
            for (int c = 0; c < spec->n; c++)
                if (!spec->cases[c].large)
                    T_OK(rs_opcase_verify(spec, &spec->cases[c], &d, 1, NULL));
        }
        rs_device_destroy(&d);
    }
    unsetenv("RS_CPU");
}

enum { OUTPUTS = 12 };

/* All ops that promise it, results into out[]. */
static int elementwise(rs_device *d, rs_tensor out[OUTPUTS])
{
    int n = 0;
    rs_tensor x = random_tensor("x", RS_SHAPE(37, 211)), g = random_tensor("g", RS_SHAPE(37, 211));
    rs_tensor w = random_tensor("w", RS_SHAPE(211)), y;
#define INTO (y = out[n++] = empty_like(x))
    RS_OP(d, layernorm_fwd, .y = INTO, .x = x, .scale = w, .shift = w, .eps = 1e-6f);
    RS_OP(d, layernorm_bwd, .dx = INTO, .dy = g, .x = x, .weight = w, .eps = 1e-6f);
    RS_OP(d, rmsnorm_fwd, .y = INTO, .x = x, .weight = w, .floor = 1e-12f, .act = RS_ACT_SILU);
    RS_OP(d, rmsnorm_bwd, .dx = INTO, .dy = g, .x = x, .weight = w, .eps = 1e-6f);
    RS_OP(d, act_fwd, .y = INTO, .x = x, .act = RS_ACT_GELU_TANH);
    RS_OP(d, act_fwd, .y = INTO, .x = x, .act = RS_ACT_GELU_ERF);
    RS_OP(d, act_bwd, .dx = INTO, .dy = g, .x = x, .act = RS_ACT_GELU_TANH);
    RS_OP(d, glu_fwd, .y = INTO, .a = x, .b = g, .act = RS_ACT_SILU);
    RS_OP(d, mse, .loss = (out[n++] = rs_tensor_new(t_arena(), RS_SHAPE(1))), .grad = INTO, .p = x,
          .t = g);
#undef INTO
    rs_tensor p = random_tensor("p", RS_SHAPE(5003)), m = random_tensor("m", RS_SHAPE(5003));
    rs_tensor v = rs_tensor_new(t_arena(), RS_SHAPE(5003));
    RS_OP(d, adamw, .p = p, .m = m, .v = v, .g = random_tensor("dp", RS_SHAPE(5003)), .lr = 0.01f,
          .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .grad_scale = 1, .step = 3);
    out[n++] = p;
    T_EQ_I(y.ndim, 2);
    return n;
}

static void t_same_bits_for_every_isa(void)
{
    rs_tensor want[OUTPUTS], got[OUTPUTS];
    rs_device *d = open_device(1);
    for (int i = 0; i < ISAS; i++) {
        setenv("RS_CPU", ISA[i], 1);
        int n = elementwise(d, i ? got : want);
        for (int j = 0; i && j < n; j++)
            check_bits(want[j], got[j], ISA[i]);
    }
    unsetenv("RS_CPU");
    rs_device_destroy(&d);
}

/* Norms whose results go past the caches (kernels/vec/stream.h), and the same by halves, which do
 * not. Rows that end within a piece and within a vector, too, whose starts are not aligned. */
typedef struct far_norms {
    rs_tensor x, g, w, tf, th, tw;
    int64_t heads; /* 0: no rotation */
} far_norms;

enum { FAR_ROWS = 1450, FAR_NORMS = 6 };

static void norms(rs_device *d, const far_norms *f, rs_tensor out[FAR_NORMS], int64_t lo,
                  int64_t hi)
{
    rs_tensor x = rs_tensor_slice(f->x, lo, hi), g = rs_tensor_slice(f->g, lo, hi), y[FAR_NORMS];
    for (int i = 0; i < FAR_NORMS; i++)
        y[i] = rs_tensor_slice(out[i], lo, hi);
    RS_OP(d, layernorm_fwd, .y = y[0], .x = x, .weight = f->w, .bias = f->w, .eps = 1e-6f);
    RS_OP(d, layernorm_fwd, .y = y[1], .x = x, .scale = f->w, .shift = f->w, .o = g, .gate = f->w,
          .sum = y[2], .eps = 1e-6f);
    RS_OP(d, rmsnorm_fwd, .y = y[3], .x = x, .weight = f->w, .floor = 1e-12f, .act = RS_ACT_SILU);
    if (f->heads == 0) {
        RS_OP(d, rmsnorm_fwd, .y = y[4], .x = x, .weight = f->w, .eps = 1e-6f);
        RS_OP(d, rmsnorm_bwd, .dx = y[5], .dy = g, .x = x, .weight = f->w, .eps = 1e-6f);
        return;
    }
    RS_OP(d, rmsnorm_fwd, .y = y[4], .x = x, .weight = f->w, .eps = 1e-6f, .table_f = f->tf,
          .table_h = f->th, .table_w = f->tw, .heads = f->heads, .first = lo);
    RS_OP(d, rmsnorm_bwd, .dx = y[5], .dy = g, .x = x, .weight = f->w, .eps = 1e-6f,
          .table_f = f->tf, .table_h = f->th, .table_w = f->tw, .heads = f->heads, .first = lo);
}

static void check_norms(int64_t cols, int64_t heads)
{
    const far_norms f = {.x = random_tensor("x", RS_SHAPE(FAR_ROWS, cols)),
                         .g = random_tensor("g", RS_SHAPE(FAR_ROWS, cols)),
                         .w = random_tensor("w", RS_SHAPE(cols)),
                         .tf = rs_tensor_new(t_arena(), RS_SHAPE(2, 22, 2)),
                         .th = rs_tensor_new(t_arena(), RS_SHAPE(25, 21, 2)),
                         .tw = rs_tensor_new(t_arena(), RS_SHAPE(29, 21, 2)),
                         .heads = heads};
    rs_tensor whole[FAR_NORMS], parts[FAR_NORMS];
    rs_device *d = open_device(2);
    rs_rope_table(f.tf);
    rs_rope_table(f.th);
    rs_rope_table(f.tw);
    T_CHECK(rs_streams(f.x) && !rs_streams(rs_tensor_slice(f.x, FAR_ROWS / 2, FAR_ROWS)));
    for (int i = 0; i < FAR_NORMS; i++) {
        whole[i] = empty_like(f.x);
        parts[i] = empty_like(f.x);
    }
    norms(d, &f, whole, 0, FAR_ROWS);
    norms(d, &f, parts, 0, FAR_ROWS / 2);
    norms(d, &f, parts, FAR_ROWS / 2, FAR_ROWS);
    for (int i = 0; i < FAR_NORMS; i++)
        if (memcmp(whole[i].data, parts[i].data, rs_tensor_bytes(whole[i])) != 0)
            check_bits(whole[i], parts[i], "large");
    rs_device_destroy(&d);
}

static void t_large_norms_have_the_bits_of_small_ones(void)
{
    check_norms(5120, 40);
    check_norms(5123, 0);
}

/* Four frames at once equal one frame and then three with the last two as prev, bit for bit. */
static void t_conv3d_chunks_equal_whole(void)
{
    enum { T = 4, H = 5, W = 11, CI = 20, CO = 52 };
    rs_device *d = open_device(2);
    rs_tensor x = random_tensor("x", RS_SHAPE(T, H, W, CI));
    rs_tensor w = random_tensor("w", RS_SHAPE(3, 3, 3, CI, CO));
    rs_tensor whole = rs_tensor_new(t_arena(), RS_SHAPE(T, H, W, CO)), parts = empty_like(whole);
    rs_tensor before = rs_tensor_new(t_arena(), RS_SHAPE(2, H, W, CI));
    RS_OP(d, conv3d, .y = whole, .x = x, .weight = w, .stride = {1, 1, 1}, .pad = {1, 1, 1, 1});
    RS_OP(d, conv3d, .y = rs_tensor_slice(parts, 0, 1), .x = rs_tensor_slice(x, 0, 1), .weight = w,
          .stride = {1, 1, 1}, .pad = {1, 1, 1, 1});
    rs_device_copy(d, rs_tensor_slice(before, 1, 2).data, x.data, H * W * CI * sizeof(float));
    RS_OP(d, conv3d, .y = rs_tensor_slice(parts, 1, T), .x = rs_tensor_slice(x, 1, T),
          .prev = before, .weight = w, .stride = {1, 1, 1}, .pad = {1, 1, 1, 1});
    check_bits(whole, parts, "chunked");
    rs_device_destroy(&d);
}

/* The fused upsampling equals the convolution of the doubled image. */
static void t_conv3d_upsample_equals_doubled(void)
{
    enum { H = 6, W = 9, CI = 12, CO = 7 };
    rs_device *d = open_device(1);
    rs_tensor x = random_tensor("x", RS_SHAPE(1, H, W, CI));
    rs_tensor big = rs_tensor_new(t_arena(), RS_SHAPE(1, 2 * H, 2 * W, CI));
    for (int64_t i = 0; i < 2 * H; i++)
        for (int64_t j = 0; j < 2 * W; j++)
            memcpy(rs_f32(big) + (i * 2 * W + j) * CI, rs_f32(x) + (i / 2 * W + j / 2) * CI,
                   CI * sizeof(float));
    rs_tensor w = random_tensor("w", RS_SHAPE(1, 3, 3, CI, CO));
    rs_tensor want = rs_tensor_new(t_arena(), RS_SHAPE(1, 2 * H, 2 * W, CO)),
              got = empty_like(want);
    RS_OP(d, conv3d, .y = want, .x = big, .weight = w, .stride = {1, 1, 1}, .pad = {1, 1, 1, 1});
    RS_OP(d, conv3d, .y = got, .x = x, .weight = w, .stride = {1, 1, 1}, .pad = {1, 1, 1, 1},
          .upsample = true);
    T_REL_L2(rs_f32(got), rs_f32(want), rs_tensor_count(want), 5e-7);
    rs_device_destroy(&d);
}

/* More than 2^31 elements: only the corners of x are looked at, the rest is never touched. */
static void t_conv3d_has_64_bit_indices(void)
{
    enum { SIDE = 46500 };
    rs_device *d = open_device(1);
    void *memory = NULL;
    size_t bytes = (size_t)SIDE * SIDE * sizeof(float);
    if (rs_device_alloc(d, &memory, bytes) != RS_OK) {
        rs_device_destroy(&d);
        rs_test_skip("%.1f GiB of address space refused", (double)bytes / 0x1p30);
    }
    rs_tensor x = rs_tensor_of(memory, RS_DTYPE_F32, RS_SHAPE(1, SIDE, SIDE, 1));
    rs_tensor y = rs_tensor_new(t_arena(), RS_SHAPE(1, 2, 2, 1));
    rs_tensor w = rs_tensor_new(t_arena(), RS_SHAPE(1, 1, 1, 1, 1));
    rs_f32(w)[0] = 3;
    for (int i = 0; i < 4; i++)
        rs_f32(x)[(int64_t)(i / 2) * (SIDE - 1) * SIDE + i % 2 * (SIDE - 1)] = (float)(i + 1);
    RS_OP(d, conv3d, .y = y, .x = x, .weight = w, .stride = {1, SIDE - 1, SIDE - 1});
    for (int i = 0; i < 4; i++)
        T_NEAR(rs_f32(y)[i], 3 * (i + 1), 0);
    rs_device_free(d, memory);
    rs_device_destroy(&d);
}

/* <R x, y> = <x, R^T y> */
static void t_rope_bwd_is_transpose(void)
{
    enum { F = 3, HP = 4, WP = 5, HEADS = 2, D = 16, S = F * HP * WP };
    rs_device *d = open_device(1);
    rs_tensor f = rs_tensor_new(t_arena(), RS_SHAPE(F, 4, 2));
    rs_tensor h = rs_tensor_new(t_arena(), RS_SHAPE(HP, 2, 2));
    rs_tensor w = rs_tensor_new(t_arena(), RS_SHAPE(WP, 2, 2));
    rs_rope_table(f);
    rs_rope_table(h);
    rs_rope_table(w);
    rs_tensor x = random_tensor("x", RS_SHAPE(S, HEADS * D)), rx = empty_like(x);
    rs_tensor y = random_tensor("y", RS_SHAPE(S, HEADS * D)), ry = empty_like(x);
    RS_OP(d, rope_fwd, .y = rx, .x = x, .table_f = f, .table_h = h, .table_w = w, .heads = HEADS);
    RS_OP(d, rope_bwd, .y = ry, .x = y, .table_f = f, .table_h = h, .table_w = w, .heads = HEADS);
    double left = 0, right = 0, back = 0;
    for (int64_t i = 0; i < rs_tensor_count(x); i++) {
        left += (double)rs_f32(rx)[i] * (double)rs_f32(y)[i];
        right += (double)rs_f32(x)[i] * (double)rs_f32(ry)[i];
    }
    T_NEAR(left, right, 1e-4);
    RS_OP(d, rope_bwd, .y = rx, .x = rx, .table_f = f, .table_h = h, .table_w = w, .heads = HEADS);
    for (int64_t i = 0; i < rs_tensor_count(x); i++)
        back = fmax(back, fabs((double)(rs_f32(rx)[i] - rs_f32(x)[i])));
    T_CHECKF(back < 1e-6, "rotated back: off by %g", back);
    rs_device_destroy(&d);
}

/* Frequencies of Wan's axes: 44 reals for frames, 42 for height and width. */
static void t_rope_table_values(void)
{
    rs_tensor f = rs_tensor_new(t_arena(), RS_SHAPE(13, 22, 2));
    rs_tensor h = rs_tensor_new(t_arena(), RS_SHAPE(30, 21, 2));
    rs_rope_table(f);
    rs_rope_table(h);
    const float *one = rs_f32(f) + 22 * 2;
    T_NEAR(rs_f32(f)[0], 1, 0);
    T_NEAR(rs_f32(f)[1], 0, 0);
    T_NEAR(one[0], cos(1), 1e-7);
    T_NEAR(one[1 * 2 + 1], sin(0.657933224658), 1e-7);
    T_NEAR(one[2 * 2], cos(0.432876128108), 1e-7);
    T_NEAR(one[21 * 2 + 1], sin(0.000151991108), 1e-11);
    T_NEAR(rs_f32(h)[(29 * 21 + 1) * 2], cos(29 * 0.644946677104), 1e-7);
    T_NEAR(rs_f32(h)[(29 * 21 + 20) * 2 + 1], sin(29 * 0.000155051578), 1e-9);
}

static void t_conv3d_pack_order(void)
{
    enum { CO = 3, CI = 2, KT = 2, KH = 3, KW = 4, TAPS = KT * KH * KW };
    float w[CO * CI * TAPS];
    for (int i = 0; i < CO * CI * TAPS; i++)
        w[i] = (float)i;
    rs_tensor p = rs_tensor_new(t_arena(), RS_SHAPE(KT, KH, KW, CI, CO));
    rs_conv3d_pack(p, w);
    for (int co = 0; co < CO; co++)
        for (int ci = 0; ci < CI; ci++)
            for (int t = 0; t < TAPS; t++)
                T_NEAR(rs_f32(p)[(t * CI + ci) * CO + co], w[(co * CI + ci) * TAPS + t], 0);
}

/* One key with q.k = x: the log-sum-exp less x is the relative error of the exponential. With bf16
 * that is 1.6e-4 at most and none on average where no maximum is subtracted, as up to |q||k| = 41,
 * and that of fp32 beyond (kernels/attention/exp_bf16.h). */
static void t_attention_exponentials(void)
{
    enum { WHOLE = 56, PARTS = 64, N = WHOLE * PARTS, FAR = 60 };
    rs_tensor q = rs_tensor_new(t_arena(), RS_SHAPE(2 * N, 2)), o = empty_like(q);
    rs_tensor k = rs_tensor_new(t_arena(), RS_SHAPE(1, 2));
    rs_tensor lse = rs_tensor_new(t_arena(), RS_SHAPE(1, 2 * N));
    rs_device *d = open_device(1);
    double sum = 0;
    rs_f32(k)[0] = rs_f32(k)[1] = 1;
    for (int i = 0; i < 2 * N; i++) { /* x in two parts that bf16 holds exactly */
        rs_f32(q)[2 * i] = (float)(i % WHOLE - WHOLE / 2 + (i < N ? 0 : FAR));
        rs_f32(q)[2 * i + 1] = (float)(i % N / WHOLE) / PARTS;
    }
    RS_OP(d, attention_fwd, .o = o, .lse = lse, .q = q, .k = k, .v = k, .heads = 1, .scale = 1,
          .bf16 = true);
    for (int i = 0; i < 2 * N; i++) {
        double x = (double)rs_f32(q)[2 * i] + (double)rs_f32(q)[2 * i + 1];
        double error = (double)rs_f32(lse)[i] - x, fp32 = 0x1p-22 + 0x1p-23 * fabs(x);
        bool far = i >= N && rs_f32(q)[2 * i] > 42;
        T_CHECKF(fabs(error) <= (far ? 0 : 1.6e-4) + fp32, "x %.9g: error %.3g", x, error);
        sum += i < N ? error : 0;
    }
    T_NEAR(sum / N, 0, 4e-6);
    rs_device_destroy(&d);
}

static const rs_test_case CASES[] = {
    T_CASE(t_cases_for_every_isa),       T_CASE(t_same_bits_for_every_isa),
    T_CASE(t_conv3d_chunks_equal_whole), T_CASE(t_conv3d_upsample_equals_doubled),
    T_CASE(t_conv3d_has_64_bit_indices), T_CASE(t_rope_bwd_is_transpose),
    T_CASE(t_rope_table_values),         T_CASE(t_conv3d_pack_order),
    T_CASE(t_attention_exponentials),    T_CASE(t_large_norms_have_the_bits_of_small_ones),
};
RS_TEST_MAIN(CASES)
