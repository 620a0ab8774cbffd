#include <math.h>

#include "datasets/world.h"
#include "media/image.h"

static double smooth(double from, double to, double v)
{
    double t = (v - from) / (to - from);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

/* Channel 0..2 of the pure colour of a hue. */
static double pure(double hue, int channel)
{
    double h = fmod(fmod(hue, 360) + 360, 360) / 60;
    double d = fabs(fmod(h + 6 - 2 * channel, 6));
    d = d > 3 ? 6 - d : d;
    return d <= 1 ? 1 : d >= 2 ? 0 : 2 - d;
}

static void recolour_pixel(uint8_t *p, const world_recolour *r)
{
    double hi = fmax(fmax(p[0], p[1]), p[2]) / 255, lo = fmin(fmin(p[0], p[1]), p[2]) / 255;
    double weight =
        r->dark_below > 0 ? smooth(r->dark_below / 255, r->dark_below / 255 * 0.6, hi) : 1;
    double v = r->lift + (1 - r->lift) * hi, own = hi > 0 ? (hi - lo) / hi : 0;
    double keep_white = 1 - smooth(0.85, 1.0, hi) * (1 - own), keep_black = smooth(0.1, 0.4, v);
    double s = fmax(own, r->saturation * keep_black) * keep_white;
    for (int c = 0; c < 3; c++) {
        double want = 255 * v * (1 - s * (1 - pure(r->hue, c)));
        p[c] = (uint8_t)floor(p[c] + weight * (want - p[c]) + 0.5);
    }
}

void world_recolour_pixels(uint8_t *rgb, const uint8_t *mask, int64_t n, const world_recolour *r)
{
    for (int64_t i = 0; i < n; i++)
        if (mask[i])
            recolour_pixel(rgb + i * 3, r);
}

rs_status world_write_recoloured(const char *path, rs_arena *a, const rs_clip *clip, rs_tensor mask,
                                 int64_t frame, const world_recolour *r)
{
    int64_t n = clip->rgb.shape[0], h = clip->rgb.shape[1], w = clip->rgb.shape[2];
    if (frame < 0 || frame >= n)
        return RS_FAIL(USAGE, "frame %lld: the clip has frames 0 to %lld", (long long)frame,
                       (long long)n - 1);
    rs_tensor one = rs_tensor_slice(clip->rgb, frame, frame + 1);
    uint8_t *rgb = rs_arena_memdup(a, one.data, rs_tensor_bytes(one));
    world_recolour_pixels(rgb, rs_tensor_slice(mask, frame, frame + 1).data, h * w, r);
    return rs_image_write_png(path, rs_tensor_of(rgb, RS_DTYPE_U8, RS_SHAPE(h, w, 3)));
}
