#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 16384 };

typedef struct adamw_job {
    float *p, *m, *v;
    const float *g;
    float decay, scale, b1, b2, one_b1, one_b2, rate, inv_sqrt_c2, eps;
} adamw_job;

RS_INLINE void update_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const adamw_job j = *(const adamw_job *)args;
    RS_IVDEP
    for (int64_t i = lo; i < hi; i++) {
        float g = j.g[i] * j.scale;
        float m = j.b1 * j.m[i] + j.one_b1 * g;
        float v = j.b2 * j.v[i] + j.one_b2 * g * g;
        j.m[i] = m;
        j.v[i] = v;
        j.p[i] = j.p[i] * j.decay - j.rate * (m / (sqrtf(v) * j.inv_sqrt_c2 + j.eps));
    }
}
RS_RANGE_VERSIONS(update)

void rs_cpu_adamw(rs_kctx *k, const rs_adamw_args *a)
{
    RS_ASSERT(a->step >= 1);
    double c1 = 1.0 - pow((double)a->beta1, (double)a->step);
    double c2 = 1.0 - pow((double)a->beta2, (double)a->step);
    adamw_job j = {
        .p = rs_f32(a->p),
        .m = rs_f32(a->m),
        .v = rs_f32(a->v),
        .g = rs_f32(a->g),
        .decay = (float)(1.0 - (double)a->lr * (double)a->weight_decay),
        .scale = a->grad_scale,
        .b1 = a->beta1,
        .b2 = a->beta2,
        .one_b1 = (float)(1.0 - (double)a->beta1),
        .one_b2 = (float)(1.0 - (double)a->beta2),
        .rate = (float)((double)a->lr / c1),
        .inv_sqrt_c2 = (float)(1.0 / sqrt(c2)),
        .eps = a->eps,
    };
    rs_for_range(k, rs_tensor_count(a->p), BLOCK, update(), &j);
}
