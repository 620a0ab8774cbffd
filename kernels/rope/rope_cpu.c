/* Per token the three axis rows are expanded once into factor rows over a whole head, and used by
 * every head. */
#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/rope/rope_cpu.h"

void rs_rope_table(rs_tensor table)
{
    RS_ASSERT(table.ndim == 3 && table.shape[2] == 2);
    int64_t n = table.shape[0], pairs = table.shape[1];
    float *out = rs_f32(table);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < pairs; j++) {
            double angle = (double)i * pow(10000.0, -(double)j / (double)pairs);
            out[(i * pairs + j) * 2] = (float)cos(angle);
            out[(i * pairs + j) * 2 + 1] = (float)sin(angle);
        }
}

typedef struct rope_job {
    const rs_rope_fwd_args *a;
    rs_kctx *k;
    float sign;
} rope_job;

RS_INLINE void tokens_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const rope_job *j = args;
    const rs_rope_fwd_args *a = j->a;
    int64_t d = rs_v_rope_head(a);
    float *cc = rs_scratch(j->k, thread, (size_t)d * 2 * sizeof(float)), *ss = cc + d;
    for (int64_t r = lo; r < hi; r++) {
        rs_v_rope_factors(cc, ss, a, r, j->sign);
        const float *x = rs_f32(a->x) + r * a->x.ld;
        float *y = rs_f32(a->y) + r * a->y.ld;
        for (int64_t n = 0; n < a->heads; n++)
            rs_v_rotate(y + n * d, x + n * d, cc, ss, d);
    }
}
RS_RANGE_VERSIONS(tokens)

static void run(rs_kctx *k, const rs_rope_fwd_args *a, float sign)
{
    rope_job j = {a, k, sign};
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), tokens(), &j);
}

void rs_cpu_rope_fwd(rs_kctx *k, const rs_rope_fwd_args *a)
{
    run(k, a, 1.0f);
}

void rs_cpu_rope_bwd(rs_kctx *k, const rs_rope_bwd_args *a)
{
    run(k, a, -1.0f);
}
