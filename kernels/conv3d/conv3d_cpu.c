#include <string.h>

#include "base/num.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

void rs_conv3d_pack(rs_tensor packed, const float *weight)
{
    RS_ASSERT(packed.ndim == 5);
    int64_t taps = packed.shape[0] * packed.shape[1] * packed.shape[2];
    int64_t ci = packed.shape[3], co = packed.shape[4];
    float *out = rs_f32(packed);
    for (int64_t o = 0; o < co; o++)
        for (int64_t i = 0; i < ci; i++)
            for (int64_t t = 0; t < taps; t++)
                out[(t * ci + i) * co + o] = weight[(o * ci + i) * taps + t];
}

/* Input row (frame, line) of the causal, padded, perhaps doubled input; NULL where it is all zero.
 */
static const float *input_row(const rs_conv3d_args *a, int64_t frame, int64_t line)
{
    int64_t u = a->upsample ? 2 : 1, h = a->x.shape[1], row = a->x.shape[2] * a->x.shape[3];
    if (line < 0 || line >= h * u)
        return NULL;
    if (frame >= 0)
        return rs_f32(a->x) + (frame * h + line / u) * row;
    if (!rs_has(a->prev))
        return NULL;
    return rs_f32(a->prev) + ((frame + a->weight.shape[0] - 1) * h + line / u) * row;
}

/* y[co] += sum_ci x[ci] w[ci][co] */
static void accumulate(float *y, const float *x, const float *w, int64_t ci, int64_t co)
{
    for (int64_t i = 0; i < ci; i++)
        for (int64_t o = 0; o < co; o++)
            y[o] += x[i] * w[i * co + o];
}

static void row_tap(const rs_conv3d_args *a, float *y, const float *x, const float *w, int64_t dx)
{
    int64_t u = a->upsample ? 2 : 1, ci = a->x.shape[3], co = a->y.shape[3];
    int64_t width = a->x.shape[2] * u;
    for (int64_t j = 0; j < a->y.shape[2]; j++) {
        int64_t p = j * a->stride[2] + dx - a->pad[2];
        if (p >= 0 && p < width)
            accumulate(y + j * co, x + p / u * ci, w, ci, co);
    }
}

static void start_row(const rs_conv3d_args *a, float *y, int64_t row)
{
    int64_t wo = a->y.shape[2], co = a->y.shape[3];
    const float *res = rs_has(a->residual) ? rs_f32(a->residual) + row * wo * co : NULL;
    for (int64_t j = 0; j < wo; j++)
        for (int64_t o = 0; o < co; o++)
            y[j * co + o] =
                (rs_has(a->bias) ? rs_f32(a->bias)[o] : 0.0f) + (res ? res[j * co + o] : 0.0f);
}

static void rows(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_conv3d_args *a = args;
    const int64_t *k = a->weight.shape;
    int64_t ho = a->y.shape[1], line = a->y.shape[2] * a->y.shape[3];
    for (int64_t r = lo; r < hi; r++) {
        float *y = rs_f32(a->y) + r * line;
        start_row(a, y, r);
        for (int64_t dt = 0; dt < k[0]; dt++)
            for (int64_t dy = 0; dy < k[1]; dy++) {
                const float *x = input_row(a, r / ho * a->stride[0] + dt - (k[0] - 1),
                                           r % ho * a->stride[1] + dy - a->pad[0]);
                for (int64_t dx = 0; x && dx < k[2]; dx++)
                    row_tap(a, y, x,
                            rs_f32(a->weight) + ((dt * k[1] + dy) * k[2] + dx) * k[3] * k[4], dx);
            }
    }
}

static void check_shapes(const rs_conv3d_args *a)
{
    const int64_t *x = a->x.shape, *y = a->y.shape, *k = a->weight.shape;
    int64_t u = a->upsample ? 2 : 1;
    RS_ASSERT(a->x.ndim == 4 && a->y.ndim == 4 && a->weight.ndim == 5);
    RS_ASSERT(k[3] == x[3] && k[4] == y[3]);
    RS_ASSERT(y[0] == (x[0] - 1) / a->stride[0] + 1);
    RS_ASSERT(y[1] == (x[1] * u + a->pad[0] + a->pad[1] - k[1]) / a->stride[1] + 1);
    RS_ASSERT(y[2] == (x[2] * u + a->pad[2] + a->pad[3] - k[2]) / a->stride[2] + 1);
    RS_ASSERT(!rs_has(a->prev) || a->prev.shape[0] == k[0] - 1);
}

void rs_cpu_conv3d(rs_kctx *k, const rs_conv3d_args *a)
{
    check_shapes(a);
    rs_for_range(k, a->y.shape[0] * a->y.shape[1], 1, rows, a);
}
