/* The op-case runner must notice mistakes: each case hands it a wrong description of a right op and
 * expects the complaint that a wrong op would get. */
#include <string.h>

#include "base/rng.h"
#include "device/opcase.h"
#include "harness/test.h"

static const rs_opcase *case_of(const rs_opspec *spec, const char *name)
{
    for (int i = 0; i < spec->n; i++)
        if (strcmp(spec->cases[i].name, name) == 0)
            return &spec->cases[i];
    rs_test_fail(__FILE__, __LINE__, "no case %s", name);
}

static rs_device *device(void)
{
    rs_device *d = NULL;
    T_OK(rs_device_open(&d, &(rs_device_opts){.threads = 2}));
    return d;
}

static void ref_gemm_off(const void *args)
{
    const rs_gemm_args *g = args;
    rs_ref_gemm(g);
    rs_f64(g->y)[40] += 1e-3;
}

static void t_wrong_value_is_found(void)
{
    rs_device *d = device();
    rs_opspec spec = rs_opspec_gemm;
    const rs_opcase *c = case_of(&spec, "nn_odd");
    double worst = 0;
    T_OK(rs_opcase_verify(&spec, c, &d, 1, &worst));
    T_CHECK(worst > 0 && worst < 1);
    spec.ref = ref_gemm_off;
    T_FAILS(rs_opcase_verify(&spec, c, &d, 1, &worst), NUMERIC, "output y: relative L2 error");
    T_CHECK(strstr(rs_error_message(), "op gemm, case nn_odd (37x53x29)") != NULL);
    T_CHECK(strstr(rs_error_message(), "farthest at [0,40]") != NULL);
    rs_device_destroy(&d);
}

static void ref_transpose_off(const void *args)
{
    const rs_transpose_args *a = args;
    rs_ref_transpose(a);
    rs_f64(a->y)[0] *= 1 + 1e-6; /* far below the limit of a rounded op */
}

static void t_exact_op_must_be_exact(void)
{
    rs_device *d = device();
    rs_opspec spec = rs_opspec_transpose;
    T_OK(rs_opcase_verify(&spec, &spec.cases[0], &d, 1, NULL));
    spec.ref = ref_transpose_off;
    T_FAILS(rs_opcase_verify(&spec, &spec.cases[0], &d, 1, NULL), NUMERIC, "output y");
    rs_device_destroy(&d);
}

/* An output that the op never writes keeps its poison. */
static void make_ghost(rs_opplan *p, const rs_opcase *c)
{
    rs_opspec_gate_mul.make(p, c);
    rs_tensor *unused = (rs_tensor *)(void *)(p->args + RS_OPPLAN_ARGS - sizeof(rs_tensor));
    rs_op_out(p, "ghost", unused, 0, RS_SHAPE(3));
}

static void t_unwritten_output_is_found(void)
{
    rs_device *d = device();
    rs_opspec spec = rs_opspec_gate_mul;
    spec.make = make_ghost;
    T_FAILS(rs_opcase_verify(&spec, &spec.cases[0], &d, 1, NULL), NUMERIC, "output ghost");
    rs_device_destroy(&d);
}

static void make_all_inputs(rs_opplan *p, const rs_opcase *c)
{
    rs_opspec_gate_mul.make(p, c);
    for (int i = 0; i < p->n; i++)
        p->t[i].role = RS_IN;
}

static void t_overwritten_input_is_found(void)
{
    rs_device *d = device();
    rs_opspec spec = rs_opspec_gate_mul;
    spec.make = make_all_inputs;
    T_FAILS(rs_opcase_verify(&spec, &spec.cases[0], &d, 1, NULL), NUMERIC,
            "input y was overwritten");
    rs_device_destroy(&d);
}

static double loss_off(const void *args)
{
    return rs_opspec_attention_bwd.loss(args) * 1.0001;
}

static void t_wrong_gradient_is_found(void)
{
    rs_device *d = device();
    rs_opspec spec = rs_opspec_attention_bwd;
    const rs_opcase *c = case_of(&spec, "tiny");
    T_OK(rs_opcase_grad(&spec, c, d));
    spec.loss = loss_off;
    T_FAILS(rs_opcase_grad(&spec, c, d), NUMERIC, "reference dq");
    rs_device_destroy(&d);
}

static void t_missing_coverage_is_found(void)
{
    rs_opspec spec = rs_opspec_gemm;
    T_OK(rs_opcase_coverage(&spec));
    spec.option[0] = "no_such_option";
    T_FAILS(rs_opcase_coverage(&spec), NUMERIC, "op gemm: no case with 'no_such_option'");
    spec.option[0] = "a";
    T_FAILS(rs_opcase_coverage(&spec), NUMERIC, "op gemm: no case without 'a'");
    spec.n = 0;
    T_FAILS(rs_opcase_coverage(&spec), NUMERIC, "op gemm has no case");
}

static void t_timing_is_verified_and_consistent(void)
{
    rs_device *d = device();
    rs_peak peak = {.gflops = 100, .gbs = 10};
    rs_opspec spec = rs_opspec_gemm;
    const rs_opcase *c = case_of(&spec, "lora_down");
    rs_opcase_timing t;
    T_OK(rs_opcase_time(&t, &spec, c, d, &peak, 0.02));
    T_NEAR(t.flops, 2.0 * 260 * 16 * 384, 0);
    T_NEAR(t.bytes, 4.0 * (260 * 384 + 16 * 384 + 260 * 16), 0);
    T_CHECK(t.reps >= 5 && t.best <= t.p10 && t.p10 <= t.median && t.median <= t.p90);
    T_NEAR(t.gflops * 1e9 * t.median, t.flops, t.flops * 1e-9);
    T_NEAR(t.floor, t.bytes / 10e9, 1e-12); /* 41 us of memory, 32 us of arithmetic */
    T_NEAR(t.reached, t.floor / t.median, 1e-12);
    spec.ref = ref_gemm_off;
    T_FAILS(rs_opcase_time(&t, &spec, c, d, &peak, 0.02), NUMERIC, "output y");
    rs_device_destroy(&d);
}

static void t_peak_is_plausible(void)
{
    rs_device *d = device();
    rs_peak p;
    T_OK(rs_peak_measure(&p, d));
    T_CHECKF(p.gflops > 0.5 && p.gflops < 1e5, "%g GFLOP/s", p.gflops);
    T_CHECKF(p.gbs > 0.1 && p.gbs < 1e4, "%g GB/s", p.gbs);
    T_EQ_I(rs_device_bytes(d), 0);
    rs_device_destroy(&d);
}

/* A row of a product has the same bits alone, among others, and in every split of the columns. */
static void t_gemm_row_is_independent(void)
{
    enum { M = 70, N = 200, K = 900 };
    rs_device *d = device();
    rs_tensor a = rs_tensor_new(t_arena(), RS_SHAPE(M, K)),
              b = rs_tensor_new(t_arena(), RS_SHAPE(N, K));
    rs_tensor all = rs_tensor_new(t_arena(), RS_SHAPE(M, N));
    rs_fill_rule(rs_f32(a), "a", 0, M * K, 1, 0);
    rs_fill_rule(rs_f32(b), "b", 0, N * K, 1, 0);
    RS_OP(d, gemm, .y = all, .a = a, .b = b, .trans_b = true);
    for (int64_t i = 0; i < M; i += 13)
        for (int64_t j = 0; j + 31 < N; j += 57) {
            rs_tensor one = rs_tensor_new(t_arena(), RS_SHAPE(1, 31));
            RS_OP(d, gemm, .y = one, .a = rs_tensor_rows_view(a, i, i + 1),
                  .b = rs_tensor_rows_view(b, j, j + 31), .trans_b = true);
            T_CHECKF(memcmp(one.data, rs_f32(all) + i * N + j, 31 * sizeof(float)) == 0,
                     "row %d, columns %d..", (int)i, (int)j);
        }
    rs_device_destroy(&d);
}

static const rs_test_case CASES[] = {
    T_CASE(t_wrong_value_is_found),
    T_CASE(t_exact_op_must_be_exact),
    T_CASE(t_unwritten_output_is_found),
    T_CASE(t_overwritten_input_is_found),
    T_CASE(t_wrong_gradient_is_found),
    T_CASE(t_missing_coverage_is_found),
    T_CASE(t_timing_is_verified_and_consistent),
    T_CASE(t_peak_is_plausible),
    T_CASE(t_gemm_row_is_independent),
};
RS_TEST_MAIN(CASES)
