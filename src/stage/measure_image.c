/* Measures of pixels: PSNR, SSIM, flicker. */
#include <math.h>

#include "base/num.h"
#include "stage/measure.h"

static void check_shapes(rs_tensor a, rs_tensor b, rs_tensor mask)
{
    RS_ASSERT(rs_tensor_same_shape(a, b) && a.ndim == 4 && a.shape[3] == 3 &&
              a.dtype == RS_DTYPE_U8 && mask.dtype == RS_DTYPE_U8 &&
              rs_tensor_count(mask) * 3 == rs_tensor_count(a));
}

static rs_region region_of(uint8_t mask)
{
    return mask > 127 ? RS_REGION_INSIDE : RS_REGION_OUTSIDE;
}

void rs_measure_psnr(double out[RS_REGION_COUNT], rs_tensor a, rs_tensor b, rs_tensor mask)
{
    check_shapes(a, b, mask);
    const uint8_t *p = a.data, *q = b.data, *m = mask.data;
    int64_t count[RS_REGION_COUNT] = {0}, sum[RS_REGION_COUNT] = {0};
    for (int64_t i = 0; i < rs_tensor_count(mask); i++) {
        rs_region r = region_of(m[i]);
        count[r] += 3;
        for (int64_t c = 3 * i; c < 3 * i + 3; c++) {
            int64_t d = (int64_t)p[c] - q[c];
            sum[r] += d * d;
        }
    }
    count[RS_REGION_ALL] = count[RS_REGION_INSIDE] + count[RS_REGION_OUTSIDE];
    sum[RS_REGION_ALL] = sum[RS_REGION_INSIDE] + sum[RS_REGION_OUTSIDE];
    for (int r = 0; r < RS_REGION_COUNT; r++)
        out[r] = count[r] == 0 ? NAN
                 : sum[r] == 0 ? INFINITY
                               : 10.0 * log10(65025.0 * (double)count[r] / (double)sum[r]);
}

static double luma(const uint8_t *rgb)
{
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

/* ---- SSIM ---- */

enum { RADIUS = 5, MOMENTS = 5 };

typedef struct ssim {
    int64_t H, W;
    double taps[2 * RADIUS + 1];
    double *planes[MOMENTS]; /* a, b, aa, bb, ab; filtered in place */
    double *row;             /* one line or column with its mirrored ends */
} ssim;

static ssim ssim_init(rs_arena *a, int64_t H, int64_t W)
{
    ssim s = {.H = H, .W = W};
    double sum = 0;
    for (int i = 0; i <= 2 * RADIUS; i++) {
        s.taps[i] = exp(-0.5 * (i - RADIUS) * (i - RADIUS) / (1.5 * 1.5));
        sum += s.taps[i];
    }
    for (int i = 0; i <= 2 * RADIUS; i++)
        s.taps[i] /= sum;
    for (int k = 0; k < MOMENTS; k++)
        s.planes[k] = RS_NEW(a, double, H *W);
    s.row = RS_NEW(a, double, rs_max_i64(H, W) + 2 * RADIUS);
    return s;
}

/* Index of the mirrored line: ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ... for any i. */
static int64_t mirror(int64_t i, int64_t n)
{
    int64_t period = 2 * n, k = ((i % period) + period) % period;
    return k < n ? k : period - 1 - k;
}

/* One line of n values, `step` apart, in place. */
static void filter_line(const ssim *s, double *v, int64_t n, int64_t step)
{
    for (int64_t i = -RADIUS; i < n + RADIUS; i++)
        s->row[i + RADIUS] = v[mirror(i, n) * step];
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k <= 2 * RADIUS; k++)
            sum += s->taps[k] * s->row[i + k];
        v[i * step] = sum;
    }
}

static void fill_moments(const ssim *s, const uint8_t *a, const uint8_t *b)
{
    for (int64_t i = 0; i < s->H * s->W; i++) {
        double x = luma(a + 3 * i), y = luma(b + 3 * i);
        const double v[MOMENTS] = {x, y, x * x, y * y, x * y};
        for (int k = 0; k < MOMENTS; k++)
            s->planes[k][i] = v[k];
    }
    for (int k = 0; k < MOMENTS; k++) {
        for (int64_t y = 0; y < s->H; y++)
            filter_line(s, s->planes[k] + y * s->W, s->W, 1);
        for (int64_t x = 0; x < s->W; x++)
            filter_line(s, s->planes[k] + x, s->H, s->W);
    }
}

static double similarity(const ssim *s, int64_t i)
{
    const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
    double ma = s->planes[0][i], mb = s->planes[1][i];
    double va = s->planes[2][i] - ma * ma, vb = s->planes[3][i] - mb * mb;
    double cov = s->planes[4][i] - ma * mb;
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
}

void rs_measure_ssim(double out[RS_REGION_COUNT], rs_arena *scratch, rs_tensor a, rs_tensor b,
                     rs_tensor mask)
{
    check_shapes(a, b, mask);
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    int64_t T = a.shape[0], n = a.shape[1] * a.shape[2], count[RS_REGION_COUNT] = {0};
    double sum[RS_REGION_COUNT] = {0};
    ssim s = ssim_init(scratch, a.shape[1], a.shape[2]);
    for (int64_t t = 0; t < T; t++) {
        const uint8_t *m = (const uint8_t *)mask.data + t * n;
        fill_moments(&s, (const uint8_t *)a.data + 3 * t * n, (const uint8_t *)b.data + 3 * t * n);
        for (int64_t i = 0; i < n; i++) {
            count[region_of(m[i])]++;
            sum[region_of(m[i])] += similarity(&s, i);
        }
    }
    count[RS_REGION_ALL] = count[RS_REGION_INSIDE] + count[RS_REGION_OUTSIDE];
    sum[RS_REGION_ALL] = sum[RS_REGION_INSIDE] + sum[RS_REGION_OUTSIDE];
    for (int r = 0; r < RS_REGION_COUNT; r++)
        out[r] = count[r] ? sum[r] / (double)count[r] : NAN;
    rs_arena_release(scratch, mark);
}

/* ---- flicker ---- */

double rs_measure_flicker(rs_tensor frames, rs_tensor mask)
{
    check_shapes(frames, frames, mask);
    const uint8_t *p = frames.data, *m = mask.data;
    int64_t T = frames.shape[0], n = frames.shape[1] * frames.shape[2], count = 0;
    double sum = 0, squares = 0, bend = 0;
    for (int64_t i = n; i < (T - 1) * n; i++) {
        if (region_of(m[i]) != RS_REGION_INSIDE)
            continue;
        double y[3] = {luma(p + 3 * (i - n)), luma(p + 3 * i), luma(p + 3 * (i + n))};
        count++;
        bend += fabs(y[2] - 2 * y[1] + y[0]);
        for (int k = 0; k < 3; k++) {
            sum += y[k];
            squares += y[k] * y[k];
        }
    }
    if (count == 0)
        return NAN;
    double mean = sum / (3.0 * (double)count);
    double deviation = sqrt(fmax(squares / (3.0 * (double)count) - mean * mean, 0));
    return bend == 0 || deviation == 0 ? 0 : bend / (double)count / deviation;
}
