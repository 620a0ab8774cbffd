#include "datasets/scene.h"

#include <math.h>

#include "base/num.h"

enum { SAMPLES = 4 }; /* per pixel and axis */

typedef struct pose {
    double x, y; /* centre */
    double c, s; /* cosine and sine of the turn */
} pose;

static uint32_t hash(uint32_t seed, int64_t x, int64_t y)
{
    uint32_t v = seed ^ (uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u;
    v = (v ^ v >> 15) * 0x2C1B3C6Du;
    v = (v ^ v >> 12) * 0x297A2D39u;
    return v ^ v >> 15;
}

/* Smooth noise in [0, 1): hashed lattice values, bilinear with smooth weights. */
static double noise(uint32_t seed, double x, double y)
{
    double fx = floor(x), fy = floor(y), u = x - fx, v = y - fy;
    int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    double k = 1.0 / 4294967296.0;
    double a = hash(seed, ix, iy) * k, b = hash(seed, ix + 1, iy) * k;
    double c = hash(seed, ix, iy + 1) * k, d = hash(seed, ix + 1, iy + 1) * k;
    return (a + (b - a) * u) * (1 - v) + (c + (d - c) * u) * v;
}

/* Rotation by `frame` times the angle whose half has tangent t: exact without sine and cosine. */
static void turned(double *c, double *s, double t, int64_t frame)
{
    double c1 = (1 - t * t) / (1 + t * t), s1 = 2 * t / (1 + t * t);
    *c = 1;
    *s = 0;
    for (int64_t i = 0; i < frame; i++) {
        double n = *c * c1 - *s * s1;
        *s = *s * c1 + *c * s1;
        *c = n;
    }
}

static pose pose_at(const scene *sc, int64_t frame)
{
    pose p = {.x = sc->path[0][1], .y = sc->path[0][2]};
    turned(&p.c, &p.s, sc->turn, frame);
    double f = (double)frame;
    for (int64_t i = 0; i < sc->n_path; i++) {
        const double *k = sc->path[i], *next = sc->path[rs_min_i64(i + 1, sc->n_path - 1)];
        if (f < k[0])
            break;
        double t = f < next[0] ? (f - k[0]) / (next[0] - k[0]) : 0;
        p.x = k[1] + t * (next[1] - k[1]);
        p.y = k[2] + t * (next[2] - k[2]);
    }
    return p;
}

/* Which of two colours at (u, v), cells of one unit. */
static bool in_pattern(scene_pattern p, double u, double v)
{
    double fu = u - floor(u), fv = v - floor(v);
    switch (p) {
    case SCENE_STRIPES:
        return fu < 0.5;
    case SCENE_DOTS:
        return (fu - 0.5) * (fu - 0.5) + (fv - 0.5) * (fv - 0.5) < 0.09;
    case SCENE_CHECKS:
        break;
    }
    return (fu < 0.5) != (fv < 0.5);
}

static void add(double sum[3], scene_rgb c, double gain)
{
    sum[0] += c.r * gain;
    sum[1] += c.g * gain;
    sum[2] += c.b * gain;
}

static bool on_sprite(const scene *sc, double u, double v)
{
    double r = sc->radius;
    return sc->shape == SCENE_DISC ? u * u + v * v < r * r : fabs(u) < r && fabs(v) < r;
}

/* Sprite colour at (u, v) from its centre, in its own turned axes: pattern, dark rim, light from
 * the upper left. */
static void add_sprite(double sum[3], const scene *sc, const scene_look *look, double u, double v,
                       double light)
{
    double r = sc->radius, d2 = (u * u + v * v) / (r * r);
    double edge = sc->shape == SCENE_DISC ? d2 : fmax(fabs(u), fabs(v)) / r;
    if (edge > (sc->shape == SCENE_DISC ? 0.80 : 0.88)) {
        add(sum, (scene_rgb){36, 32, 44}, 1);
        return;
    }
    bool first = in_pattern(look->pattern, u / (r * 0.62) + 0.25, v / (r * 0.62) + 0.25);
    add(sum, first ? look->first : look->second, light);
}

static void add_ground(double sum[3], const scene *sc, double x, double y)
{
    double cell = (double)sc->height / 4;
    bool first = in_pattern(sc->ground, x / cell, y / cell);
    double coarse = noise(sc->seed, x / 9, y / 9), fine = noise(sc->seed ^ 77u, x / 2.5, y / 2.5);
    add(sum, first ? sc->ground_first : sc->ground_second, 0.72 + 0.30 * coarse + 0.16 * fine);
}

static uint8_t to_byte(double v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)floor(v + 0.5);
}

void scene_draw(uint8_t *rgb, uint8_t *mask, const scene *sc, const scene_look *look, int64_t frame)
{
    pose p = pose_at(sc, frame);
    double step = 1.0 / SAMPLES;
    for (int64_t i = 0; i < sc->width * sc->height; i++) {
        double sum[3] = {0, 0, 0};
        int inside = 0;
        for (int k = 0; k < SAMPLES * SAMPLES; k++) {
            double x = (double)(i % sc->width) + (k % SAMPLES + 0.5) * step;
            double y = (double)(i / sc->width) + (double)(k / SAMPLES) * step + 0.5 * step;
            double dx = x - p.x, dy = y - p.y;
            double u = p.c * dx + p.s * dy, v = -p.s * dx + p.c * dy;
            if (on_sprite(sc, u, v)) {
                add_sprite(sum, sc, look, u, v, 1.0 - 0.22 * (dx + dy) / sc->radius);
                inside++;
            } else {
                add_ground(sum, sc, x + sc->pan * (double)frame, y);
            }
        }
        for (int c = 0; c < 3 && rgb; c++)
            rgb[i * 3 + c] = to_byte(sum[c] / (SAMPLES * SAMPLES));
        if (mask)
            mask[i] = inside * 2 >= SAMPLES * SAMPLES ? 255 : 0;
    }
}

void scene_box(int64_t box[4], const scene *sc, int64_t frame)
{
    pose p = pose_at(sc, frame);
    double reach = sc->radius * (sc->shape == SCENE_DISC ? 1 : fabs(p.c) + fabs(p.s)) + 1;
    box[0] = rs_max_i64(0, (int64_t)floor(p.x - reach));
    box[1] = rs_max_i64(0, (int64_t)floor(p.y - reach));
    box[2] = rs_min_i64(sc->width, (int64_t)ceil(p.x + reach)) - box[0];
    box[3] = rs_min_i64(sc->height, (int64_t)ceil(p.y + reach)) - box[1];
}
