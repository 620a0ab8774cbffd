#include "media/fit.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

enum { BITS = 11, ONE = 1 << BITS };

static int64_t scaled(int64_t size, double scale)
{
    return (int64_t)((double)size * scale);
}

rs_fit rs_fit_plan(int64_t src_w, int64_t src_h, int64_t width, int64_t height)
{
    RS_ASSERT(src_w > 0 && src_h > 0 && width > 0 && height > 0);
    rs_fit f = {.src_w = src_w, .src_h = src_h, .width = width, .height = height};
    double w = (double)src_w, h = (double)src_h, W = (double)width, H = (double)height;
    if (src_w == width && src_h == height) {
        f.resize_w = width;
        f.resize_h = height;
    } else if ((src_w >= src_h) != (width >= height)) {
        double s = fmax(W / w, H / h);
        f.resize_w = rs_max_i64(1, scaled(src_w, s));
        f.resize_h = rs_max_i64(1, scaled(src_h, s));
    } else if (w / h > W / H) {
        f.resize_h = height;
        f.resize_w = rs_max_i64(width, scaled(src_w, H / h));
    } else {
        f.resize_w = width;
        f.resize_h = rs_max_i64(height, scaled(src_h, W / w));
    }
    f.crop_w = rs_min_i64(width, f.resize_w);
    f.crop_h = rs_min_i64(height, f.resize_h);
    f.crop_x = (f.resize_w - f.crop_w) / 2;
    f.crop_y = (f.resize_h - f.crop_h) / 2;
    f.paste_x = (width - f.crop_w) / 2;
    f.paste_y = (height - f.crop_h) / 2;
    return f;
}

bool rs_fit_is_identity(const rs_fit *f)
{
    return f->src_w == f->width && f->src_h == f->height;
}

/* One output coordinate: the two source positions and the 11-bit weights of each. */
typedef struct tap {
    int32_t lo, hi;
    int32_t w_lo, w_hi;
} tap;

/* OpenCV's table: position and fraction in float, weights rounded to even. Columns are clamped with
 * weight one on the border; rows keep their fraction and clamp the index (the same value, rounded
 * differently). */
static tap *bilinear_taps(rs_arena *a, int64_t src, int64_t resized, int64_t first, int64_t count,
                          bool rows)
{
    tap *t = RS_NEW(a, tap, count);
    double scale = 1.0 / ((double)resized / (double)src);
    int32_t last = rs_i32(src - 1);
    for (int64_t i = 0; i < count; i++) {
        float f = (float)(((double)(first + i) + 0.5) * scale - 0.5);
        int32_t s = (int32_t)floorf(f);
        f -= (float)s;
        if (!rows && (s < 0 || s >= last)) {
            f = 0.0f;
            s = s < 0 ? 0 : last;
        }
        t[i].w_lo = (int32_t)lrintf((1.0f - f) * (float)ONE);
        t[i].w_hi = (int32_t)lrintf(f * (float)ONE);
        t[i].lo = s < 0 ? 0 : s > last ? last : s;
        t[i].hi = s + 1 < 0 ? 0 : s + 1 > last ? last : s + 1;
    }
    return t;
}

static void blend_columns(int32_t *out, const uint8_t *row, const tap *x, int64_t n, int channels)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *lo = row + (int64_t)x[i].lo * channels;
        const uint8_t *hi = row + (int64_t)x[i].hi * channels;
        for (int c = 0; c < channels; c++)
            *out++ = lo[c] * x[i].w_lo + hi[c] * x[i].w_hi;
    }
}

void rs_fit_bilinear(uint8_t *dst, rs_arena *scratch, const uint8_t *src, int channels,
                     const rs_fit *f)
{
    size_t row = (size_t)(f->width * channels);
    if (rs_fit_is_identity(f)) {
        memcpy(dst, src, row * (size_t)f->height);
        return;
    }
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    tap *x = bilinear_taps(scratch, f->src_w, f->resize_w, f->crop_x, f->crop_w, false);
    tap *y = bilinear_taps(scratch, f->src_h, f->resize_h, f->crop_y, f->crop_h, true);
    int64_t n = f->crop_w * channels;
    int32_t *line[2] = {RS_NEW(scratch, int32_t, n), RS_NEW(scratch, int32_t, n)};
    int32_t held[2] = {-1, -1}; /* source row that each line holds */
    memset(dst, 0, row * (size_t)f->height);
    for (int64_t i = 0; i < f->crop_h; i++) {
        if (held[1] == y[i].lo) { /* moving down: the lower row becomes the upper one */
            int32_t *swap = line[0];
            line[0] = line[1];
            line[1] = swap;
            held[0] = held[1];
            held[1] = -1;
        }
        int32_t want[2] = {y[i].lo, y[i].hi};
        for (int k = 0; k < 2; k++) {
            if (held[k] != want[k])
                blend_columns(line[k], src + (int64_t)want[k] * f->src_w * channels, x, f->crop_w,
                              channels);
            held[k] = want[k];
        }
        uint8_t *out = dst + (size_t)(f->paste_y + i) * row + f->paste_x * channels;
        for (int64_t j = 0; j < n; j++) {
            int32_t hi = (y[i].w_lo * (line[0][j] >> 4)) >> 16;
            int32_t lo = (y[i].w_hi * (line[1][j] >> 4)) >> 16;
            out[j] = (uint8_t)((hi + lo + 2) >> 2);
        }
    }
    rs_arena_release(scratch, mark);
}

static int32_t *nearest_table(rs_arena *a, int64_t src, int64_t resized, int64_t first,
                              int64_t count)
{
    int32_t *t = RS_NEW(a, int32_t, count);
    for (int64_t i = 0; i < count; i++) /* floor((i + 0.5) * src / resized) in integers */
        t[i] = rs_i32(rs_min_i64(src - 1, (2 * (first + i) + 1) * src / (2 * resized)));
    return t;
}

void rs_fit_nearest(uint8_t *dst, rs_arena *scratch, const uint8_t *src, int channels,
                    const rs_fit *f)
{
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    int32_t *x = nearest_table(scratch, f->src_w, f->resize_w, f->crop_x, f->crop_w);
    int32_t *y = nearest_table(scratch, f->src_h, f->resize_h, f->crop_y, f->crop_h);
    size_t row = (size_t)(f->width * channels);
    memset(dst, 0, row * (size_t)f->height);
    for (int64_t i = 0; i < f->crop_h; i++) {
        uint8_t *out = dst + (size_t)(f->paste_y + i) * row + f->paste_x * channels;
        const uint8_t *in = src + (int64_t)y[i] * f->src_w * channels;
        for (int64_t j = 0; j < f->crop_w; j++)
            memcpy(out + j * channels, in + (int64_t)x[j] * channels, (size_t)channels);
    }
    rs_arena_release(scratch, mark);
}

void rs_fit_point(double *x, double *y, const rs_fit *f)
{
    *x = *x * (double)f->resize_w / (double)f->src_w - (double)f->crop_x + (double)f->paste_x;
    *y = *y * (double)f->resize_h / (double)f->src_h - (double)f->crop_y + (double)f->paste_y;
}
