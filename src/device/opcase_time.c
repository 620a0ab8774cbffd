/* Timing of op cases: verified first, then measured. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "device/opcase_priv.h"
#include "device/queue.h"

enum { MAX_COPIES = 16, MAX_SAMPLES = 400, MIN_SAMPLES = 5 };
static const double ROTATE_BYTES =
    64e6; /* operands of all copies together: beyond the inner caches */
static const double MIN_SAMPLE = 100e-6; /* shorter calls are repeated inside one sample */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double minimal_bytes(const rs_opinstance *in)
{
    double sum = 0;
    for (int i = 0; i < in->plan->n; i++)
        sum +=
            (double)rs_tensor_bytes(in->buf[i].shape) * (in->plan->t[i].role == RS_INOUT ? 2 : 1);
    return sum;
}

static double run_times(const rs_opspec *spec, rs_device *d, const rs_opoperands *copy, int copies,
                        int64_t calls, int64_t *turn, double *process)
{
    double start = rs_now();
    clock_t used = clock();
    for (int64_t i = 0; i < calls; i++)
        rs_opcase_call(spec, d, copy[(*turn)++ % copies].args);
    rs_device_sync(d);
    *process = (double)(clock() - used) / CLOCKS_PER_SEC / (double)calls;
    return (rs_now() - start) / (double)calls;
}

static void sample(rs_opcase_timing *out, const rs_opspec *spec, rs_device *d,
                   const rs_opoperands *copy, int copies, double seconds)
{
    double t[MAX_SAMPLES];
    int64_t turn = 0;
    double process, once = run_times(spec, d, copy, copies, copies, &turn, &process); /* warm-up */
    int64_t calls = rs_max_i64(1, (int64_t)(MIN_SAMPLE / once));
    double spent = 0;
    int n = 0;
    out->process = process;
    while (n < MAX_SAMPLES && (n < MIN_SAMPLES || spent < seconds)) {
        t[n] = run_times(spec, d, copy, copies, calls, &turn, &process);
        out->process = process < out->process ? process : out->process;
        spent += t[n++] * (double)calls;
    }
    qsort(t, (size_t)n, sizeof t[0], by_value);
    out->reps = n;
    out->median = t[n / 2];
    out->best = t[0];
    out->p10 = t[n / 10];
    out->p90 = t[n * 9 / 10];
}

static double peak_of(const rs_opinstance *in, const rs_peak *peak)
{
    for (int i = 0; i < in->plan->n_features; i++)
        if (strcmp(in->plan->feature[i], "bf16") == 0)
            return peak->gflops_bf16 > 0 ? peak->gflops_bf16 : peak->gflops;
    return peak->gflops;
}

rs_status rs_opcase_time(rs_opcase_timing *out, const rs_opspec *spec, const rs_opcase *c,
                         rs_device *d, const rs_peak *peak, double seconds)
{
    rs_status st = RS_OK;
    rs_opoperands *copy = NULL;
    int copies = 0;
    rs_opinstance in;
    *out = (rs_opcase_timing){0};
    RS_TRY(rs_opcase_verify(spec, c, &d, 1, NULL));
    rs_opinstance_make(&in, spec, c);
    out->bytes = minimal_bytes(&in);
    out->flops = spec->flops ? spec->flops(c) : 0;
    int want = (int)rs_max_i64(1, rs_min_i64(MAX_COPIES, (int64_t)(ROTATE_BYTES / out->bytes)));
    copy = RS_NEW(in.arena, rs_opoperands, want);
    for (; copies < want; copies++)
        RS_TRY_OUT(rs_opoperands_make(&copy[copies], &in, d));
    sample(out, spec, d, copy, copies, seconds > 0 ? seconds : 0.5);
    RS_TRY_OUT(rs_device_check(d));
    out->gflops = out->flops / out->median * 1e-9;
    out->gbs = out->bytes / out->median * 1e-9;
    out->peak = peak_of(&in, peak);
    double compute = out->flops / (out->peak * 1e9), memory = out->bytes / (peak->gbs * 1e9);
    out->floor = compute > memory ? compute : memory;
    out->reached = out->floor / out->median;
out:
    for (int i = 0; i < copies; i++)
        rs_opoperands_free(&copy[i], d);
    rs_opinstance_free(&in);
    return st;
}
