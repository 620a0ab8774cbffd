/* Outlines and surface patterns of the small world. Everything is computed with the four exact
 * operations and square roots of double (no libm), so that pictures are the same bytes on every
 * machine. */
#ifndef RS_SMALLWORLD_SHAPE_H
#define RS_SMALLWORLD_SHAPE_H

#include <stdint.h>

typedef enum sw_shape { SW_DISC, SW_SQUARE, SW_DIAMOND, SW_PLUS, SW_STAR, SW_SHAPES } sw_shape;
typedef enum sw_pattern { SW_PLAIN, SW_STRIPES, SW_DOTS, SW_CHECKS, SW_PATTERNS } sw_pattern;

typedef struct sw_rgb {
    double r, g, b; /* 0..255 */
} sw_rgb;

/* Size of (u, v) in the shape's own measure: 1 on the outline, less inside, linear along every ray
 * from the centre. */
double sw_outline(sw_shape s, double u, double v);

/* Share of the first of two colours at (u, v), 0..1; cells are one unit wide and their borders
 * `soft` units. */
double sw_share(sw_pattern p, double u, double v, double soft);

/* Smooth noise in 0..1: hashed lattice values one unit apart, smooth in between. */
double sw_noise(uint32_t seed, double x, double y);

/* Sine of 2 pi `turns`, to 1e-9; cosine is sw_sine(turns + 0.25). */
double sw_sine(double turns);

/* a + t (b - a), t clamped to 0..1. */
sw_rgb sw_mix(sw_rgb a, sw_rgb b, double t);

#endif
