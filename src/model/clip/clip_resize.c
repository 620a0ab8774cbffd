/* Bicubic resize as torch.nn.functional.interpolate does without antialias (Keys 1981, a = -0.75).
 */
#include <math.h>

#include "base/num.h"
#include "model/clip/clip_priv.h"

enum { TAPS = 4 };

/* The four source indices and weights of output i. */
static void taps(int64_t index[TAPS], double weight[TAPS], int64_t i, int64_t out, int64_t in)
{
    const double a = -0.75;
    double x = ((double)i + 0.5) * (double)in / (double)out - 0.5;
    double base = floor(x), t = x - base;
    for (int k = 0; k < TAPS; k++) {
        double d = fabs(t - (double)(k - 1));
        weight[k] = d <= 1.0 ? ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
                             : ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
        index[k] = rs_min_i64(rs_max_i64((int64_t)base + k - 1, 0), in - 1);
    }
}

void rs_clip_bicubic(float *dst, int64_t dst_h, int64_t dst_w, const float *src, int64_t src_h,
                     int64_t src_w)
{
    int64_t xi[TAPS], yi[TAPS];
    double xw[TAPS], yw[TAPS];
    for (int64_t j = 0; j < dst_w; j++) {
        taps(xi, xw, j, dst_w, src_w);
        for (int64_t i = 0; i < dst_h; i++) {
            taps(yi, yw, i, dst_h, src_h);
            double sum = 0.0;
            for (int y = 0; y < TAPS; y++)
                for (int x = 0; x < TAPS; x++)
                    sum += yw[y] * xw[x] * (double)src[yi[y] * src_w + xi[x]];
            dst[i * dst_w + j] = (float)sum;
        }
    }
}
