// Measures of pixels and motion: values computed elsewhere or by hand, what must not matter, what
// must be seen.
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "harness/test.h"
#include "stage/measure.h"

static rs_tensor new_u8(int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, RS_DTYPE_U8, ndim, shape);
    t.data = rs_arena_alloc(t_arena(), (size_t)rs_tensor_count(t), 1);
    return t;
}

/* Bytes trunc(mid + scale * fill), as tests/golden/measures.py makes them. */
static rs_tensor noise(const char *name, double scale, double mid, int ndim, const int64_t *shape)
{
    rs_tensor t = new_u8(ndim, shape);
    int64_t n = rs_tensor_count(t);
    float *v = RS_NEW(t_arena(), float, n);
    rs_fill_rule(v, name, 0, n, scale, mid);
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)t.data)[i] = (uint8_t)v[i];
    return t;
}

/* A box mask, the same in every frame. */
static rs_tensor box(int64_t T, int64_t H, int64_t W, int64_t x0, int64_t y0, int64_t w, int64_t h)
{
    rs_tensor m = new_u8(RS_SHAPE(T, H, W));
    for (int64_t t = 0; t < T; t++)
        for (int64_t y = y0; y < y0 + h; y++)
            memset((uint8_t *)m.data + (t * H + y) * W + x0, 255, (size_t)w);
    return m;
}

/* ---- PSNR, SSIM ---- */

static void t_psnr_by_hand(void)
{
    double v[RS_REGION_COUNT];
    rs_tensor a = new_u8(RS_SHAPE(2, 4, 6, 3)), b = new_u8(RS_SHAPE(2, 4, 6, 3));
    rs_tensor mask = box(2, 4, 6, 1, 1, 2, 2);
    rs_measure_psnr(v, a, b, mask);
    for (int r = 0; r < RS_REGION_COUNT; r++)
        T_CHECK(isinf(v[r]) && v[r] > 0);
    ((uint8_t *)b.data)[(1 * 6 + 1) * 3 + 2] = 10; /* one of the 2*4*3 values inside */
    rs_measure_psnr(v, a, b, mask);
    T_NEAR(v[RS_REGION_INSIDE], 10 * log10(65025.0 * 24 / 100), 1e-12);
    T_NEAR(v[RS_REGION_ALL], 10 * log10(65025.0 * 144 / 100), 1e-12);
    T_CHECK(isinf(v[RS_REGION_OUTSIDE]));
    ((uint8_t *)b.data)[143] = 255; /* the last value of all, outside */
    rs_measure_psnr(v, a, b, mask);
    T_NEAR(v[RS_REGION_OUTSIDE], 10 * log10(120), 1e-12);
    rs_measure_psnr(v, a, b, new_u8(RS_SHAPE(2, 4, 6)));
    T_CHECK(isnan(v[RS_REGION_INSIDE]) && isfinite(v[RS_REGION_OUTSIDE]));
}

/* Against scikit-image: tests/golden/measures.py. Sums of doubles in another order. */
static void t_ssim_and_psnr_of_scikit_image(void)
{
    static const double k_ssim[] = {0.947896877935522, 0.943399448646670, 0.948636248455518};
    static const double k_psnr[] = {23.5107741303876, 23.3739795036028, 23.5336811907127};
    double ssim[RS_REGION_COUNT], psnr[RS_REGION_COUNT];
    rs_tensor a = noise("measure.a", 90, 120, RS_SHAPE(3, 23, 31, 3));
    rs_tensor d = noise("measure.d", 30, 30, RS_SHAPE(3, 23, 31, 3));
    rs_tensor b = new_u8(RS_SHAPE(3, 23, 31, 3)), mask = box(3, 23, 31, 20, 2, 11, 9);
    for (int64_t i = 0; i < rs_tensor_count(a); i++)
        ((uint8_t *)b.data)[i] = (uint8_t)(((uint8_t *)a.data)[i] - 30 + ((uint8_t *)d.data)[i]);
    memset((uint8_t *)mask.data + 23 * 31, 255, 5); /* frame 1 has a few pixels more */
    rs_measure_ssim(ssim, t_arena(), a, b, mask);
    rs_measure_psnr(psnr, a, b, mask);
    for (int r = 0; r < RS_REGION_COUNT; r++) {
        T_NEAR(ssim[r], k_ssim[r], 1e-10);
        T_NEAR(psnr[r], k_psnr[r], 1e-10);
    }
    rs_measure_ssim(ssim, t_arena(), a, a, mask);
    T_NEAR(ssim[RS_REGION_INSIDE], 1, 1e-12);
    rs_measure_ssim(ssim, t_arena(), a, b, new_u8(RS_SHAPE(3, 23, 31)));
    T_CHECK(isnan(ssim[RS_REGION_INSIDE]));
    T_NEAR(ssim[RS_REGION_OUTSIDE], k_ssim[RS_REGION_ALL], 1e-10);
}

/* Frames smaller than the window are mirrored more than once. */
static void t_ssim_of_tiny_frames(void)
{
    double v[RS_REGION_COUNT];
    rs_tensor a = noise("measure.a", 90, 120, RS_SHAPE(1, 2, 3, 3)),
              mask = box(1, 2, 3, 0, 0, 1, 1);
    rs_measure_ssim(v, t_arena(), a, a, mask);
    for (int r = 0; r < RS_REGION_COUNT; r++)
        T_NEAR(v[r], 1, 1e-12);
}

/* ---- flicker ---- */

/* Grey frames whose pixel (t, x) is value(t, x). */
static rs_tensor grey(int64_t T, int64_t W, double (*value)(int64_t t, int64_t x))
{
    rs_tensor f = new_u8(RS_SHAPE(T, 1, W, 3));
    for (int64_t t = 0; t < T; t++)
        for (int64_t x = 0; x < W; x++)
            memset((uint8_t *)f.data + (t * W + x) * 3, (int)value(t, x), 3);
    return f;
}

static double still(int64_t t, int64_t x)
{
    (void)t;
    return 20.0 + 10.0 * (double)x;
}

static double fading(int64_t t, int64_t x)
{
    return 20.0 + 10.0 * (double)x + 6.0 * (double)t;
}

static double flickering(int64_t t, int64_t x)
{
    return 100.0 + (x % 2 ? 40.0 : 20.0) + (t % 2 ? 5.0 : -5.0);
}

static double flickering_dim(int64_t t, int64_t x)
{
    return 30.0 + (flickering(t, x) - 100.0) * 0.8;
}

static void t_flicker(void)
{
    rs_tensor all = box(6, 1, 8, 0, 0, 8, 1);
    T_NEAR(rs_measure_flicker(grey(6, 8, still), all), 0, 0);
    T_NEAR(rs_measure_flicker(grey(6, 8, fading), all), 0, 1e-12);
    /* |second difference| 20 everywhere; values are 130 +- 10 +- 5: deviation sqrt(100 + 25), and
     * the mean of the three values of a pixel is off by 5/3, which over even and odd frames cancels
     */
    T_NEAR(rs_measure_flicker(grey(6, 8, flickering), all), 20 / sqrt(125), 1e-9);
    T_NEAR(rs_measure_flicker(grey(6, 8, flickering_dim), all), 20 / sqrt(125), 1e-9);
    T_CHECK(isnan(rs_measure_flicker(grey(2, 8, still), box(2, 1, 8, 0, 0, 8, 1))));
    T_CHECK(isnan(rs_measure_flicker(grey(6, 8, still), box(6, 1, 8, 0, 0, 0, 0))));
    /* what flickers outside does not count */
    rs_tensor f = grey(6, 8, still);
    for (int64_t t = 0; t < 6; t++)
        ((uint8_t *)f.data)[t * 24] = (uint8_t)(t % 2 ? 200 : 0);
    T_NEAR(rs_measure_flicker(f, box(6, 1, 8, 1, 0, 7, 1)), 0, 0);
    T_CHECK(rs_measure_flicker(f, all) > 0.5);
}

/* ---- motion ---- */

enum { T = 13, H = 72, W = 96, SIDE = 22 };

typedef struct look {
    uint8_t colour[3];
    int texture; /* of the object: contrast of a pattern that moves with it */
} look;

/* A textured, still ground with a square that is at (x[t], y[t]); bilinear at parts of a pixel. */
static double coverage(double at, double from)
{
    return fmax(0, fmin(at + 1, from + SIDE) - fmax(at, from));
}

static rs_tensor clip(const look *l, const double *x, const double *y)
{
    rs_tensor f = new_u8(RS_SHAPE(T, H, W, 3));
    rs_tensor ground = noise("measure.ground", 12, 120, RS_SHAPE(H, W, 3));
    uint8_t *p = f.data;
    for (int64_t t = 0; t < T; t++)
        for (int64_t i = 0; i < H * W; i++) {
            double u = (double)(i % W), v = (double)(i / W);
            double w = coverage(u, x[t]) * coverage(v, y[t]);
            double wave = l->texture * sin(0.9 * (u - x[t])) * cos(0.7 * (v - y[t]));
            for (int c = 0; c < 3; c++, p++) {
                double g = ((uint8_t *)ground.data)[i * 3 + c];
                *p = (uint8_t)(w * (l->colour[c] + wave) + (1 - w) * g + 0.5);
            }
        }
    return f;
}

static rs_tensor object_mask(const double *x, const double *y)
{
    rs_tensor m = new_u8(RS_SHAPE(T, H, W));
    for (int64_t i = 0; i < T * H * W; i++) {
        int64_t t = i / (H * W), k = i % (H * W);
        double w = coverage((double)(k % W), x[t]) * coverage((double)(k / W), y[t]);
        ((uint8_t *)m.data)[i] = w > 0.5 ? 255 : 0;
    }
    return m;
}

static void path(double *x, double *y, double vx, double vy)
{
    for (int t = 0; t < T; t++) {
        x[t] = 36 + vx * t;
        y[t] = 22 + vy * t;
    }
}

static const look k_blue = {{40, 60, 200}, 0}, k_looks[] = {{{40, 60, 200}, 0},
                                                            {{220, 30, 30}, 0},
                                                            {{200, 190, 60}, 25},
                                                            {{120, 200, 118}, 0},
                                                            {{30, 30, 30}, 20}};
/* In the ground's own colour: nothing to see. */
static const look k_ground = {{120, 120, 120}, 0};
enum { LOOKS = sizeof k_looks / sizeof k_looks[0] };

/* Equal motion is 0 whatever the colours; an object that stays, or goes the other way, is as far
 * off as its path says. Tolerance: the mask is rounded to pixels, half of one in the centre. */
static void t_motion_whatever_the_colours(void)
{
    double x[T], y[T], x2[T], y2[T];
    const double speeds[][2] = {{2, 1}, {-1.5, 0.75}, {3.25, -1}, {0, 0}};
    for (int k = 0; k < 4; k++) {
        path(x, y, speeds[k][0], speeds[k][1]);
        rs_tensor source = clip(&k_blue, x, y), object = object_mask(x, y);
        double mean = hypot(speeds[k][0], speeds[k][1]) * T / 2; /* of |v| t over t = 1 .. T-1 */
        T_NEAR(rs_measure_motion(t_arena(), source, source, object), 0, 0.5);
        for (int i = 0; i < LOOKS; i++) {
            const look *l = &k_looks[i];
            T_NEAR(rs_measure_motion(t_arena(), clip(l, x, y), source, object), 0, 0.5);
            path(x2, y2, 0, 0);
            T_NEAR(rs_measure_motion(t_arena(), clip(l, x2, y2), source, object), mean, 0.5);
            path(x2, y2, -speeds[k][0], -speeds[k][1]);
            T_NEAR(rs_measure_motion(t_arena(), clip(l, x2, y2), source, object), 2 * mean, 0.5);
        }
    }
}

/* A jump in the middle by half of the object's size. */
static void t_motion_sees_jumps(void)
{
    double x[T], y[T], x2[T], y2[T];
    path(x, y, 1, 1);
    memcpy(x2, x, sizeof x);
    memcpy(y2, y, sizeof y);
    for (int t = 7; t < T; t++)
        x2[t] += 11;
    rs_tensor source = clip(&k_blue, x, y), jumps = clip(&k_looks[1], x2, y2);
    T_NEAR(rs_measure_motion(t_arena(), jumps, source, object_mask(x, y)), 11.0 * 6 / 12, 0.5);
    T_NEAR(rs_measure_motion(t_arena(), source, jumps, object_mask(x2, y2)), 11.0 * 6 / 12, 0.5);
}

/* Frames without the object do not count; one frame, or no object at all, gives no number. */
static void t_motion_without_an_object(void)
{
    double x[T], y[T], x2[T], y2[T];
    path(x, y, 2, 0);
    path(x2, y2, 0, 0);
    for (int t = 3; t < T; t++)
        x[t] = -100; /* out of the picture */
    rs_tensor source = clip(&k_blue, x, y), object = object_mask(x, y),
              stays = clip(&k_blue, x2, y2);
    T_NEAR(rs_measure_motion(t_arena(), stays, source, object), 2 * 1.5, 0.5);
    memset(object.data, 0, T * H * W);
    T_CHECK(isnan(rs_measure_motion(t_arena(), stays, source, object)));
    object = object_mask(x, y);
    T_CHECK(isnan(rs_measure_motion(t_arena(), clip(&k_ground, x, y), source, object)));
    rs_tensor one = rs_tensor_slice(source, 0, 1);
    T_CHECK(isnan(rs_measure_motion(t_arena(), one, one, box(1, H, W, 0, 0, 9, 9))));
}

/* The object is taken out of the edited clip: what is left is the ground, and nothing is found. A
 * still ground with a strong pattern must come from the frames that show it, a sliding one must
 * not. */
static void t_motion_knows_the_ground(void)
{
    double x[T], y[T];
    path(x, y, 3, 1);
    for (int slides = 0; slides < 2; slides++) {
        rs_tensor source = clip(&k_blue, x, y), object = object_mask(x, y);
        rs_tensor ground = clip(&k_blue, x, y);
        uint8_t *g = ground.data, *f = source.data;
        for (int64_t i = 0; i < T * H * W; i++) {
            int64_t t = i / (H * W), u = i % W, v = i / W % H;
            int value = slides ? (int)(60 + u / 2 + 5 * t) : (u / 6 + v / 6) % 2 ? 80 : 160;
            memset(g + 3 * i, value, 3);
            if (((uint8_t *)object.data)[i] == 0)
                memset(f + 3 * i, value, 3);
        }
        double error = rs_measure_motion(t_arena(), ground, source, object);
        T_CHECKF(isnan(error), "%s ground: an object %g px off", slides ? "sliding" : "still",
                 error);
    }
}

static void t_list(void)
{
    rs_measures none = rs_measures_none();
    for (int i = 0; i < RS_MEASURE_COUNT; i++) {
        const rs_measure_info *m = rs_measure_get_info((rs_measure_id)i);
        T_CHECK(*m->name && *m->doc && (m->better == 1 || m->better == -1) && isnan(none.v[i]));
    }
    T_EQ_S(rs_measure_get_info(RS_MEASURE_MOTION_ERROR)->name, "motion_error");
    T_EQ_S(rs_measure_get_info(RS_MEASURE_MOTION_ERROR)->unit, "px");
    T_EQ_I(rs_measure_get_info(RS_MEASURE_MOTION_ERROR)->better, -1);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_list),
    T_CASE(t_psnr_by_hand),
    T_CASE(t_ssim_and_psnr_of_scikit_image),
    T_CASE(t_ssim_of_tiny_frames),
    T_CASE(t_flicker),
    T_CASE(t_motion_whatever_the_colours),
    T_CASE(t_motion_sees_jumps),
    T_CASE(t_motion_without_an_object),
    T_CASE(t_motion_knows_the_ground),
};
RS_TEST_MAIN(k_cases)
