/* Per token the three axis rows are expanded once into factor rows over a whole head, (c,c) and
 * (-s,s) per pair, and used by every head: y = x*(c,c) + swap(x)*(-s,s). */
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

RS_INLINE void expand(float *cc, float *ss, const float *axis, int64_t pairs, float sign)
{
    for (int64_t j = 0; j < pairs; j++) {
        cc[2 * j] = cc[2 * j + 1] = axis[2 * j];
        ss[2 * j] = -sign * axis[2 * j + 1];
        ss[2 * j + 1] = sign * axis[2 * j + 1];
    }
}

RS_INLINE void rotate_head(float *y, const float *x, const float *cc, const float *ss, int64_t d)
{
    RS_IVDEP
    for (int64_t i = 0; i < d; i += 2) {
        float re = x[i] * cc[i] + x[i + 1] * ss[i];
        float im = x[i + 1] * cc[i + 1] + x[i] * ss[i + 1];
        y[i] = re;
        y[i + 1] = im;
    }
}

RS_INLINE void tokens_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    const rs_rope_job *j = args;
    const rs_rope_fwd_args *a = j->a;
    const float *tf = rs_f32(a->table_f), *th = rs_f32(a->table_h), *tw = rs_f32(a->table_w);
    int64_t pf = a->table_f.shape[1], ph = a->table_h.shape[1], pw = a->table_w.shape[1];
    int64_t hp = a->table_h.shape[0], wp = a->table_w.shape[0];
    int64_t d = 2 * (pf + ph + pw);
    float *cc = rs_scratch(j->k, thread, (size_t)d * 2 * sizeof(float)), *ss = cc + d;
    for (int64_t r = lo; r < hi; r++) {
        int64_t s = a->first + r;
        expand(cc, ss, tf + s / (hp * wp) * pf * 2, pf, j->sign);
        expand(cc + 2 * pf, ss + 2 * pf, th + s / wp % hp * ph * 2, ph, j->sign);
        expand(cc + 2 * (pf + ph), ss + 2 * (pf + ph), tw + s % wp * pw * 2, pw, j->sign);
        const float *x = rs_f32(a->x) + r * a->x.ld;
        float *y = rs_f32(a->y) + r * a->y.ld;
        for (int64_t n = 0; n < a->heads; n++)
            rotate_head(y + n * d, x + n * d, cc, ss, d);
    }
}
RS_RANGE_VERSIONS(tokens)

rs_range_fn *rs_rope_rows(void)
{
    return tokens();
}

static void run(rs_kctx *k, const rs_rope_fwd_args *a, float sign)
{
    rs_rope_job j = {a, k, sign};
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
