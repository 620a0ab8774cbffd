/* What 8-bit weights do to results, on the CUDA backend (EMU_SM=90: only Hopper has such products).
 *
 * e4m3 has four significant bits: steps of 2^-3 from 1 to 2. Rounding is off by 2^-4 of a value at
 * most, and by 2^-3 / sqrt(12) in the root mean square there, which is U = 0.0245 of the values'
 * own where magnitudes are spread evenly over binades (whose mean square is 1.5 / ln 2). A sum of
 * products of random signs is off by as much as one of its terms: U for one operand in 8 bits,
 * sqrt(2) U for both. Errors of products in a row add up like the root of their number. */
#include <math.h>
#include <stdio.h>

#include "base/fp8.h"
#include "model/dit_fixture.h"

static const double U = 0.0245, MOST = 0x1p-4;

static rs_device *open_cuda(bool fp8)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(
        &d, &(rs_device_opts){
                .backend = "cuda", .threads = 1, .precision = RS_PRECISION_BF16, .fp8 = fp8}));
    return d;
}

static double distance(const float *a, const double *b, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(diff / norm);
}

static float *normal(uint32_t what, int64_t n)
{
    rs_rng r = rs_rng_stream(11, what, RS_RNG_TEST, 0);
    float *x = RS_NEW(t_arena(), float, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = rs_f32_from_bf16(rs_bf16_from_f32(rs_rng_normal(&r, (uint64_t)i)));
    return x;
}

static rs_tensor upload(rs_device *d, const void *host, size_t bytes, rs_dtype t, int64_t rows,
                        int64_t cols)
{
    void *memory;
    T_OK(rs_device_alloc(d, &memory, bytes));
    rs_device_put(d, memory, host, bytes);
    return rs_tensor_of(memory, t, RS_SHAPE(rows, cols));
}

static rs_tensor upload_bf16(rs_device *d, const float *x, int64_t rows, int64_t cols)
{
    uint16_t *h = RS_NEW(t_arena(), uint16_t, rows * cols);
    rs_convert_from_f32(h, RS_DTYPE_BF16, x, rows * cols);
    return upload(d, h, (size_t)(rows * cols) * 2, RS_DTYPE_BF16, rows, cols);
}

static rs_tensor upload_fp8(rs_device *d, const float *x, int64_t rows, int64_t cols)
{
    uint8_t *b = rs_arena_alloc(t_arena(), rs_fp8_bytes(rows, cols), 1);
    rs_tensor host = rs_tensor_of(b, RS_DTYPE_U8, RS_SHAPE(rows, cols));
    for (int64_t i = 0; i < rows; i++)
        rs_fp8_scales(host)[i] = rs_fp8_row(b + i * cols, x + i * cols, cols);
    return upload(d, b, rs_fp8_bytes(rows, cols), RS_DTYPE_U8, rows, cols);
}

/* Relative L2 error of x (m,in) w^T, or of dy (m,out) w. */
static double product_error(rs_device *d, bool fp8, bool forward, int64_t m, int64_t out,
                            int64_t in)
{
    int64_t k = forward ? in : out, n = forward ? out : in;
    float *a = normal(1, m * k), *w = normal(2, out * in), *got = RS_NEW(t_arena(), float, m *n);
    double *want = RS_NEW(t_arena(), double, m *n);
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < k; c++)
            for (int64_t j = 0; j < n; j++)
                want[i * n + j] +=
                    (double)a[i * k + c] * (double)w[forward ? j * in + c : c * in + j];
    uint16_t *h = RS_NEW(t_arena(), uint16_t, m * n);
    rs_tensor ta = upload_bf16(d, a, m, k), y = upload_bf16(d, normal(3, m * n), m, n);
    rs_tensor tw = fp8 ? upload_fp8(d, w, out, in) : upload_bf16(d, w, out, in);
    RS_OP(d, gemm, .y = y, .a = ta, .b = tw, .trans_b = forward, .bf16 = true);
    T_OK(rs_device_check(d));
    rs_device_get(d, h, y.data, rs_tensor_bytes(y));
    rs_convert_to_f32(got, h, RS_DTYPE_BF16, m * n);
    void *all[] = {ta.data, tw.data, y.data};
    for (int i = 0; i < 3; i++)
        rs_device_free(d, all[i]);
    return distance(got, want, m * n);
}

static void t_error_of_a_product(void)
{
    static const int64_t k_widths[][2] = {{96, 5120}, {96, 13824}, {5120, 96}, {13824, 96}};
    rs_device *d = open_cuda(true);
    for (int i = 0; i < 4; i++) {
        bool forward = i < 2;
        int64_t out = k_widths[i][0], in = k_widths[i][1];
        double bf16 = product_error(d, false, forward, 16, out, in);
        double fp8 = product_error(d, true, forward, 16, out, in);
        double operands = forward ? 2 : 1;
        printf("    %s, %lld terms: bf16 %.2e, fp8 %.2e (expected %.2e)\n",
               forward ? "forward" : "backward", (long long)(forward ? in : out), bf16, fp8,
               U * sqrt(operands));
        T_CHECKF(bf16 < 0x1p-8, "bf16 is off by %.3e", bf16);
        T_CHECKF(fp8 < MOST * sqrt(operands), "fp8 is off by %.3e", fp8);
        T_CHECKF(fp8 > 0.5 * U * sqrt(operands), "not in 8 bits: %.3e", fp8);
    }
    rs_device_destroy(&d);
}

typedef struct result {
    rs_tensor v, grads;
    double loss;
    size_t weights;
} result;

/* One training pass of the trained model of the small world, with an adapter on all linears. */
static result run(const char *backend, rs_precision p, bool fp8)
{
    enum { TEXT = 128, IMAGE = 128 };
    t_dit t = {0};
    const rs_denoiser_opts opts = {.home = RS_HOME_RESIDENT};
    rs_device_opts o = {.backend = backend, .threads = 1, .precision = p, .fp8 = fp8};
    T_OK(rs_device_open(&t.d, &o));
    T_OK(rs_denoiser_open(&t.m, t.d, RS_SOURCE_DIR "/datasets/smallworld/model", &opts));
    int64_t channels = rs_denoiser_get_info(t.m)->cond_channels;
    T_OK(rs_denoiser_cond_create(&t.cond, t.m, t_values("y", RS_SHAPE(channels, T_F, T_H, T_W)),
                                 t_values("text", RS_SHAPE(T_ROWS, TEXT)),
                                 t_values("image", RS_SHAPE(T_IMAGE_ROWS, IMAGE))));
    t.x = t_values("x", RS_SHAPE(16, T_F, T_H, T_W));
    t.target = t_values("target", RS_SHAPE(16, T_F, T_H, T_W));
    t.v = rs_tensor_new(t_arena(), RS_SHAPE(16, T_F, T_H, T_W));
    t_dit_adapter(&t, 8, 0.8f);
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    result r = {.weights = rs_denoiser_weight_bytes(t.m)};
    r.loss = t_dit_loss(&t);
    r.v = t.v;
    r.grads = t_dit_grads(&t);
    rs_adapter_destroy(&t.a);
    rs_denoiser_cond_destroy(&t.cond);
    rs_denoiser_close(&t.m);
    rs_device_destroy(&t.d);
    return r;
}

static double apart(rs_tensor a, rs_tensor b)
{
    int64_t n = rs_tensor_count(a);
    double *x = RS_NEW(t_arena(), double, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)rs_f32(b)[i];
    return distance(rs_f32(a), x, n);
}

static void t_error_of_a_model(void)
{
    result fp32 = run("cpu", RS_PRECISION_FP32, false);
    result bf16 = run("cuda", RS_PRECISION_BF16, false);
    result fp8 = run("cuda", RS_PRECISION_BF16, true);
    double products = 6 * 8, limit = U * sqrt(2 * products);
    printf("    against fp32: velocity %.2e in bf16, %.2e in fp8; gradients %.2e, %.2e; loss %.2e, "
           "%.2e; weights %zu and %zu KiB\n",
           apart(bf16.v, fp32.v), apart(fp8.v, fp32.v), apart(bf16.grads, fp32.grads),
           apart(fp8.grads, fp32.grads), fabs(bf16.loss - fp32.loss) / fp32.loss,
           fabs(fp8.loss - fp32.loss) / fp32.loss, bf16.weights >> 10, fp8.weights >> 10);
    T_CHECK(apart(bf16.v, fp32.v) < 0x1p-8 * sqrt(products));
    T_CHECK(apart(fp8.v, fp32.v) < limit && apart(fp8.v, bf16.v) > 0x1p-8);
    T_CHECK(apart(fp8.grads, fp32.grads) < sqrt(2) * limit);
    T_CHECK(fp8.weights < bf16.weights * 6 / 10);
}

/* Where it is not, it is said. */
static void t_refused_elsewhere(void)
{
    rs_device *d = NULL;
    rs_device_opts o = {.backend = "cpu", .precision = RS_PRECISION_BF16, .fp8 = true};
    T_EQ_I(rs_device_open(&d, &o), RS_CONFIG);
    T_CHECK(strstr(rs_error_message(), "needs a GPU"));
    o = (rs_device_opts){.backend = "cuda", .fp8 = true};
    T_EQ_I(rs_device_open(&d, &o), RS_CONFIG);
    T_CHECK(strstr(rs_error_message(), "model.precision"));
}

static const rs_test_case k_cases[] = {T_CASE(t_error_of_a_product), T_CASE(t_error_of_a_model),
                                       T_CASE(t_refused_elsewhere)};
RS_TEST_MAIN(k_cases)
