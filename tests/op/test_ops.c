/* ctest: TIMEOUT 600
 *
 * Every op of OPS.def through its case table: coverage, values against the double reference with 1,
 * 2 and 3 threads and with each instruction set that the machine has, gradients against central
 * differences.
 *
 *   op_ops                     everything
 *   op_ops verify gemm [CASE]  one op, one case
 *   op_ops bench gemm [CASE]   verified, then timed (large cases too)
 * RS_CPU=baseline|avx2|avx512|avx512bf16 keeps to one instruction set.
 * RS_BACKEND=cuda takes that backend instead; on the emulated runtime (tests/emu) the three devices
 * run threads and blocks in different orders, and must give the same bits. RS_OPS_MOST=N: one
 * device, and only cases of at most N elements or 64 N operations (for sanitizers). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/opcase.h"
#include "harness/test.h"
#include "kernels/cpu/cpu_info.h"

enum { DEVICES = 3 };

typedef struct counts {
    int run;
    int failed;
} counts;

static void report(counts *n, const rs_opspec *spec, const rs_opcase *c, const char *mode,
                   rs_status st)
{
    n->run++;
    if (st == RS_OK)
        return;
    n->failed++;
    printf("    %s\n    rerun: op_ops %s %s %s\n", rs_error_message(), mode, spec->op, c->name);
}

static bool chosen(const char *want, const char *name)
{
    return !want || strcmp(want, name) == 0;
}

/* 0: no limit. */
static double most(void)
{
    const char *s = getenv("RS_OPS_MOST");
    return s ? atof(s) : 0;
}

static bool too_large(const rs_opspec *spec, const rs_opcase *c)
{
    if (most() <= 0)
        return false;
    rs_opplan *p = rs_alloc(1, sizeof *p);
    spec->make(p, c);
    double n = spec->flops ? spec->flops(c) / 64 : 0, elements = 0;
    for (int i = 0; i < p->n; i++)
        elements += (double)rs_tensor_count(*(const rs_tensor *)(p->args + p->t[i].offset));
    rs_dealloc(p);
    return (n > elements ? n : elements) > most();
}

/* The case and, on devices that take BF16 activations, its variants with those. */
static int verify_stored(const rs_opspec *spec, const rs_opcase *c, rs_device **d, counts *n,
                         double *worst)
{
    int cases = 0, devices = most() > 0 ? 1 : DEVICES;
    bool cpu = strcmp(rs_device_backend(d[0]), "cpu") == 0;
    for (int s = RS_STORE_FP32; s < (cpu ? RS_STORE_FP32 + 1 : RS_STORES); s++) {
        double w = 0;
        rs_opcase stored;
        if (!rs_opcase_stored(&stored, spec, c, (rs_opstore)s))
            continue;
        report(n, spec, c, "verify", rs_opcase_verify(spec, &stored, d, devices, &w));
        *worst = w > *worst ? w : *worst;
        cases++;
    }
    return cases;
}

static void verify_op(const rs_opspec *spec, const char *only, rs_device **d, counts *n)
{
    double worst = 0;
    int cases = 0, grads = 0;
    for (int i = 0; i < spec->n; i++) {
        const rs_opcase *c = &spec->cases[i];
        if (!chosen(only, c->name) || (!only && (c->large || too_large(spec, c))))
            continue;
        cases += verify_stored(spec, c, d, n, &worst);
        if (rs_opcase_has_grad(spec, c) && most() <= 0) {
            report(n, spec, c, "verify", rs_opcase_grad(spec, c, d[1]));
            grads++;
        }
    }
    if (cases == 0) {
        printf("    %s: no case was run\n", spec->op);
        n->failed++;
    }
    printf("%-14s %3d cases, %2d gradient checks, largest error %.2f of its limit\n", spec->op,
           cases, grads, worst);
}

static void bench_op(const rs_opspec *spec, const char *only, rs_device *d, const rs_peak *peak,
                     counts *n)
{
    for (int i = 0; i < spec->n; i++) {
        const rs_opcase *c = &spec->cases[i];
        rs_opcase_timing t;
        char dims[RS_OPCASE_DIMS];
        if (only ? strcmp(only, c->name) != 0 : !c->large)
            continue;
        rs_status st = rs_opcase_time(&t, spec, c, d, peak, 0);
        report(n, spec, c, "bench", st);
        if (st == RS_OK)
            printf("%-14s %-18s %-20s %10.3f ms [%.3f %.3f %.3f] %8.1f GF/s %6.1f GB/s %3.0f %% of "
                   "floor; "
                   "process %.3f ms, per core %.1f GF/s %.1f GB/s\n",
                   spec->op, c->name, rs_opcase_dims(dims, c), t.median * 1e3, t.best * 1e3,
                   t.p10 * 1e3, t.p90 * 1e3, t.gflops, t.gbs, t.reached * 100, t.process * 1e3,
                   t.flops / t.process * 1e-9, t.bytes / t.process * 1e-9);
    }
}

static void all_ops(const char *op, const char *only, rs_device **d, counts *n)
{
    for (int i = 0; i < rs_opspec_count(); i++) {
        const rs_opspec *spec = rs_opspec_at(i);
        if (!chosen(op, spec->op))
            continue;
        if (!only)
            report(n, spec, &(rs_opcase){.name = ""}, "verify", rs_opcase_coverage(spec));
        verify_op(spec, only, d, n);
    }
}

static int bench_main(const char *op, const char *only)
{
    counts n = {0};
    for (int threads = 1; threads <= 2; threads++) {
        rs_device *d = NULL;
        rs_peak peak;
        if (rs_device_open(&d, &(rs_device_opts){.backend = t_backend(), .threads = threads}) !=
                RS_OK ||
            rs_peak_measure(&peak, d) != RS_OK) {
            printf("%s\n", rs_error_message());
            return 1;
        }
        printf("%d thread(s): peak %.1f GF/s, %.1f GB/s; %s\n", threads, peak.gflops, peak.gbs,
               rs_device_fingerprint(d));
        for (int i = 0; i < rs_opspec_count(); i++)
            if (chosen(op, rs_opspec_at(i)->op))
                bench_op(rs_opspec_at(i), only, d, &peak, &n);
        rs_device_destroy(&d);
    }
    return n.failed ? 1 : 0;
}

/* Everything with one instruction set, or the other backend. */
static bool verify_all(const char *op, const char *only, counts *n)
{
    static const char *const order[DEVICES] = {"rr", "rev", "rand"};
    rs_device *d[DEVICES] = {NULL};
    bool set = t_backend() && !getenv("EMU_ORDER");
    for (int i = 0; i < DEVICES; i++) {
        if (set)
            setenv("EMU_ORDER", order[i], 1);
        if (rs_device_open(&d[i], &(rs_device_opts){.backend = t_backend(),
                                                    .threads = i + 1,
                                                    .precision = RS_PRECISION_BF16}) != RS_OK) {
            printf("%s\n", rs_error_message());
            return false;
        }
    }
    if (set)
        unsetenv("EMU_ORDER");
    printf("%s\n", rs_device_fingerprint(d[0]));
    all_ops(op, only, d, n);
    for (int i = 0; i < DEVICES; i++)
        rs_device_destroy(&d[i]);
    return true;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "verify", *op = argc > 2 ? argv[2] : NULL;
    const char *only = argc > 3 ? argv[3] : NULL;
    counts n = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(mode, "bench") == 0)
        return bench_main(op, only);
    bool all = !getenv("RS_CPU") && !t_backend(), ok = true;
    for (int i = 0; ok && (all ? rs_cpu_pin(i) != NULL : i == 0); i++) {
        if (all)
            setenv("RS_CPU", rs_cpu_pin(i), 1);
        ok = verify_all(op, only, &n);
    }
    printf("%d checks passed, %d failed\n", n.run - n.failed, n.failed);
    return n.failed || n.run == 0 || !ok ? 1 : 0;
}
