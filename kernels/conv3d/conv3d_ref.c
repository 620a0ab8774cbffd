#include "kernels/opcase.h"

/* The causal, padded, perhaps doubled input at one pixel: ci channels, or NULL for zeros. */
static const double *pixel(const rs_conv3d_args *a, int64_t t, int64_t i, int64_t j)
{
    int64_t up = a->upsample ? 2 : 1, h = a->x.shape[1], w = a->x.shape[2], c = a->x.shape[3];
    if (i < 0 || i >= h * up || j < 0 || j >= w * up)
        return NULL;
    int64_t at = (i / up * w + j / up) * c;
    if (t >= 0)
        return rs_f64(a->x) + t * h * w * c + at;
    int64_t before = a->weight.shape[0] - 1;
    return rs_has(a->prev) ? rs_f64(a->prev) + (before + t) * h * w * c + at : NULL;
}

/* As an operand of a product. */
static double operand(double x, bool bf16)
{
    return bf16 ? (double)rs_f32_from_bf16(rs_bf16_from_f32((float)x)) : x;
}

/* Sum over all taps into y[co]. */
static void taps(const rs_conv3d_args *a, double *y, const int64_t at[3])
{
    const int64_t *k = a->weight.shape;
    const double *w = rs_f64(a->weight);
    for (int64_t dt = 0; dt < k[0]; dt++)
        for (int64_t dy = 0; dy < k[1]; dy++)
            for (int64_t dx = 0; dx < k[2]; dx++, w += k[3] * k[4]) {
                const double *x = pixel(a, at[0] * a->stride[0] + dt - (k[0] - 1),
                                        at[1] * a->stride[1] + dy - a->pad[0],
                                        at[2] * a->stride[2] + dx - a->pad[2]);
                for (int64_t ci = 0; x && ci < k[3]; ci++)
                    for (int64_t co = 0; co < k[4]; co++)
                        y[co] += operand(x[ci], a->bf16) * operand(w[ci * k[4] + co], a->bf16);
            }
}

void rs_ref_conv3d(const rs_conv3d_args *a)
{
    const int64_t *s = a->y.shape, co = s[3];
    int64_t at[3];
    double *y = rs_f64(a->y);
    const double *r = rs_has(a->residual) ? rs_f64(a->residual) : NULL;
    for (at[0] = 0; at[0] < s[0]; at[0]++)
        for (at[1] = 0; at[1] < s[1]; at[1]++)
            for (at[2] = 0; at[2] < s[2]; at[2]++, y += co) {
                for (int64_t c = 0; c < co; c++)
                    y[c] = (r ? *r++ : 0) + (rs_has(a->bias) ? rs_f64(a->bias)[c] : 0);
                taps(a, y, at);
            }
}
