#include "datasets/smallworld/shape.h"

#include <math.h>

static double clamp01(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* A five-pointed star whose notches lie at half its radius: in the sector of a tip its edge is the
 * line from (1, 0) to 0.5 (cos 36, sin 36), along + across * 2.026 = 1. */
static double star(double u, double v)
{
    static const double tip[5][2] = {{0, -1}, /* cosine and sine of steps of 72 degrees */
                                     {0.951056516295153572, -0.309016994374947424},
                                     {0.587785252292473129, 0.809016994374947424},
                                     {-0.587785252292473129, 0.809016994374947424},
                                     {-0.951056516295153572, -0.309016994374947424}};
    double along = -1e300, across = 0;
    for (int k = 0; k < 5; k++) {
        double a = u * tip[k][0] + v * tip[k][1];
        if (a > along) {
            along = a;
            across = fabs(u * tip[k][1] - v * tip[k][0]);
        }
    }
    return along + 2.02604 * across;
}

double sw_outline(sw_shape s, double u, double v)
{
    double a = fabs(u), b = fabs(v);
    switch (s) {
    case SW_SQUARE:
        return fmax(a, b) / 0.86;
    case SW_DIAMOND:
        return (a + b) / 1.15;
    case SW_PLUS:
        return fmin(fmax(a, b / 0.42), fmax(b, a / 0.42));
    case SW_STAR:
        return star(u, v) / 1.15;
    default:
        return sqrt(u * u + v * v);
    }
}

/* Distance from x to the nearest whole number, 0..0.5. */
static double to_whole(double x)
{
    double f = x - floor(x);
    return f < 0.5 ? f : 1 - f;
}

/* 1 on the first half of every unit, 0 on the second, with soft borders. */
static double half_unit(double x, double soft)
{
    return clamp01(0.5 + (0.25 - to_whole(x)) / soft);
}

double sw_share(sw_pattern p, double u, double v, double soft)
{
    double a, b;
    switch (p) {
    case SW_STRIPES:
        return half_unit(u, soft);
    case SW_DOTS:
        a = to_whole(u);
        b = to_whole(v);
        return clamp01(0.5 + (0.30 - sqrt(a * a + b * b)) / soft);
    case SW_CHECKS:
        a = half_unit(u, soft);
        b = half_unit(v, soft);
        return a * b + (1 - a) * (1 - b);
    default:
        return 1;
    }
}

static double lattice(uint32_t seed, int64_t x, int64_t y)
{
    uint32_t v = seed ^ (uint32_t)x * 0x9E3779B1u ^ (uint32_t)y * 0x85EBCA77u;
    v = (v ^ v >> 15) * 0x2C1B3C6Du;
    v = (v ^ v >> 12) * 0x297A2D39u;
    return (v ^ v >> 15) * (1.0 / 4294967296.0);
}

double sw_noise(uint32_t seed, double x, double y)
{
    double fx = floor(x), fy = floor(y), u = x - fx, v = y - fy;
    int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    double a = lattice(seed, ix, iy), b = lattice(seed, ix + 1, iy);
    double c = lattice(seed, ix, iy + 1), d = lattice(seed, ix + 1, iy + 1);
    return (a + (b - a) * u) * (1 - v) + (c + (d - c) * u) * v;
}

double sw_sine(double turns)
{
    double x = turns - floor(turns + 0.5); /* -0.5..0.5 */
    if (x > 0.25)
        x = 0.5 - x;
    else if (x < -0.25)
        x = -0.5 - x;
    double t = x * 6.283185307179586477, t2 = t * t, term = t, sum = t;
    for (int k = 1; k <= 7; k++) {
        term = -term * t2 / (double)(2 * k * (2 * k + 1));
        sum += term;
    }
    return sum;
}

sw_rgb sw_mix(sw_rgb a, sw_rgb b, double t)
{
    t = clamp01(t);
    return (sw_rgb){a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}
