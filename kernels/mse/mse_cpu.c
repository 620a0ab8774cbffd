/* Double sums over at most 256 segments; the cut depends on the length only. */
#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 16384, SEGMENTS = 256 };

typedef struct sum_job {
    const float *p;
    const float *t; /* subtracted; NULL for a plain sum of squares */
    float *grad;    /* receives scale*(p - t), or NULL */
    float scale;
    int64_t n;
    int64_t segment;
    double part[SEGMENTS];
} sum_job;

typedef double vd __attribute__((vector_size(32)));
typedef float vf __attribute__((vector_size(16)));
typedef float vf_mem __attribute__((vector_size(16), aligned(4), may_alias));
enum { LANES = 4, GROUP = 16 };

RS_INLINE double squares(const float *p, const float *t, float *grad, float scale, int64_t n)
{
    vd s[LANES] = {{0}};
    int64_t i = 0;
    for (; n - i >= GROUP; i += GROUP) {
        RS_UNROLL
        for (int j = 0; j < LANES; j++) {
            vf d = *(const vf_mem *)(p + i + j * LANES);
            if (t)
                d -= *(const vf_mem *)(t + i + j * LANES);
            vd w = __builtin_convertvector(d, vd);
            s[j] += w * w;
            if (grad)
                *(vf_mem *)(grad + i + j * LANES) = d * scale;
        }
    }
    vd v = (s[0] + s[2]) + (s[1] + s[3]);
    double sum = (v[0] + v[2]) + (v[1] + v[3]);
    for (; i < n; i++) {
        float d = t ? p[i] - t[i] : p[i];
        sum += (double)d * (double)d;
        if (grad)
            grad[i] = d * scale;
    }
    return sum;
}

/* lo, hi count segments. */
RS_INLINE void segment_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    (void)hi;
    sum_job *j = (sum_job *)args;
    int64_t at = lo * j->segment, n = rs_min_i64(j->segment, j->n - at);
    const float *t = j->t ? j->t + at : NULL;
    float *grad = j->grad ? j->grad + at : NULL;
    j->part[lo] = squares(j->p + at, t, grad, j->scale, n);
}
RS_RANGE_VERSIONS(segment)

static double run(rs_kctx *k, sum_job *j)
{
    j->segment = rs_max_i64(BLOCK, rs_ceil_div(rs_ceil_div(j->n, SEGMENTS), BLOCK) * BLOCK);
    int64_t segments = rs_ceil_div(j->n, j->segment);
    rs_for_range(k, segments, 1, segment(), j);
    double s = 0;
    for (int64_t i = 0; i < segments; i++)
        s += j->part[i];
    return s;
}

void rs_cpu_mse(rs_kctx *k, const rs_mse_args *a)
{
    sum_job j = {.p = rs_f32(a->p), .t = rs_f32(a->t), .n = rs_tensor_count(a->p)};
    j.grad = rs_has(a->grad) ? rs_f32(a->grad) : NULL;
    j.scale = (float)(2.0 / (double)j.n);
    rs_f32(a->loss)[0] = (float)(run(k, &j) / (double)j.n);
}

void rs_cpu_sumsq(rs_kctx *k, const rs_sumsq_args *a)
{
    sum_job j = {.p = rs_f32(a->x), .n = rs_tensor_count(a->x)};
    float *out = rs_f32(a->out);
    out[0] = (float)((a->accumulate ? (double)out[0] : 0.0) + run(k, &j));
}
