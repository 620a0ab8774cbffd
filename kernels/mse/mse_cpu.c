#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

/* At most SEGMENTS partial sums of whole blocks; the cut depends on the length only. */
enum { BLOCK = 16384, SEGMENTS = 256 };

typedef struct sum_job {
    const void *args;
    int64_t n;
    int64_t segment;
    double part[SEGMENTS];
} sum_job;

static int64_t segment_of(int64_t n)
{
    return rs_max_i64(BLOCK, rs_ceil_div(rs_ceil_div(n, SEGMENTS), BLOCK) * BLOCK);
}

static double total(const sum_job *j)
{
    double s = 0;
    for (int64_t i = 0; i < rs_ceil_div(j->n, j->segment); i++)
        s += j->part[i];
    return s;
}

static void mse_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    sum_job *j = arg;
    const rs_mse_args *a = j->args;
    const float *p = rs_f32(a->p), *t = rs_f32(a->t);
    float *g = rs_has(a->grad) ? rs_f32(a->grad) : NULL;
    int64_t lo = task * j->segment, hi = rs_min_i64(lo + j->segment, j->n);
    float scale = (float)(2.0 / (double)j->n);
    double s = 0;
    for (int64_t i = lo; i < hi; i++) {
        float d = p[i] - t[i];
        s += (double)d * (double)d;
        if (g)
            g[i] = scale * d;
    }
    j->part[task] = s;
}

static void sumsq_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    sum_job *j = arg;
    const rs_sumsq_args *a = j->args;
    const float *x = rs_f32(a->x);
    int64_t lo = task * j->segment, hi = rs_min_i64(lo + j->segment, j->n);
    double s = 0;
    for (int64_t i = lo; i < hi; i++)
        s += (double)x[i] * (double)x[i];
    j->part[task] = s;
}

void rs_cpu_mse(rs_kctx *k, const rs_mse_args *a)
{
    sum_job j = {.args = a, .n = rs_tensor_count(a->p)};
    j.segment = segment_of(j.n);
    rs_parallel(k, rs_ceil_div(j.n, j.segment), mse_task, &j);
    rs_f32(a->loss)[0] = (float)(total(&j) / (double)j.n);
}

void rs_cpu_sumsq(rs_kctx *k, const rs_sumsq_args *a)
{
    sum_job j = {.args = a, .n = rs_tensor_count(a->x)};
    j.segment = segment_of(j.n);
    rs_parallel(k, rs_ceil_div(j.n, j.segment), sumsq_task, &j);
    float *out = rs_f32(a->out);
    out[0] = (float)((a->accumulate ? (double)out[0] : 0.0) + total(&j));
}
