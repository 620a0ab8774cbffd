#include <math.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

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
    float sign;
} rope_job;

/* Rotate `pairs` pairs of one head by one axis row. */
static void rotate(float *y, const float *x, const float *table, int64_t pairs, float sign)
{
    for (int64_t j = 0; j < pairs; j++) {
        float re = x[2 * j], im = x[2 * j + 1];
        float c = table[2 * j], s = sign * table[2 * j + 1];
        y[2 * j] = re * c - im * s;
        y[2 * j + 1] = re * s + im * c;
    }
}

static void rows(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rope_job *j = args;
    const rs_rope_fwd_args *a = j->a;
    const rs_tensor tab[3] = {a->table_f, a->table_h, a->table_w};
    int64_t hp = tab[1].shape[0], wp = tab[2].shape[0];
    int64_t d = rs_tensor_cols(a->x) / a->heads;
    for (int64_t s = lo; s < hi; s++) {
        int64_t index[3] = {s / (hp * wp), s / wp % hp, s % wp};
        for (int64_t n = 0; n < a->heads; n++) {
            const float *x = rs_f32(a->x) + s * a->x.ld + n * d;
            float *y = rs_f32(a->y) + s * a->y.ld + n * d;
            for (int axis = 0; axis < 3; axis++) {
                int64_t p = tab[axis].shape[1];
                rotate(y, x, rs_f32(tab[axis]) + index[axis] * p * 2, p, j->sign);
                x += 2 * p;
                y += 2 * p;
            }
        }
    }
}

static void run(rs_kctx *k, const rs_rope_fwd_args *a, float sign)
{
    int64_t pairs = a->table_f.shape[1] + a->table_h.shape[1] + a->table_w.shape[1];
    RS_ASSERT(2 * pairs * a->heads == rs_tensor_cols(a->x));
    RS_ASSERT(a->table_f.shape[0] * a->table_h.shape[0] * a->table_w.shape[0] >=
              rs_tensor_rows(a->x));
    rope_job j = {a, sign};
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), rows, &j);
}

void rs_cpu_rope_fwd(rs_kctx *k, const rs_rope_fwd_args *a)
{
    run(k, a, 1.0f);
}

void rs_cpu_rope_bwd(rs_kctx *k, const rs_rope_bwd_args *a)
{
    run(k, a, -1.0f);
}
