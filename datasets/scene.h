/* Textured sprites over a textured ground. Everything is computed from integers and the four exact
 * operations of double, so that pictures are the same bytes on every machine. */
#ifndef RS_DATASETS_SCENE_H
#define RS_DATASETS_SCENE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum scene_shape { SCENE_DISC, SCENE_SQUARE } scene_shape;
typedef enum scene_pattern { SCENE_STRIPES, SCENE_DOTS, SCENE_CHECKS } scene_pattern;

typedef struct scene_rgb {
    uint8_t r, g, b;
} scene_rgb;

/* How the sprite looks; an edit changes this and nothing else. */
typedef struct scene_look {
    scene_pattern pattern;
    scene_rgb first, second;
} scene_look;

typedef struct scene {
    int64_t width, height;
    uint32_t seed; /* of the ground */
    scene_pattern ground;
    scene_rgb ground_first, ground_second;
    double pan; /* pixels the ground moves left each frame */
    scene_shape shape;
    double radius;           /* pixels; half the side of a square */
    double turn;             /* tangent of half the angle turned each frame */
    const double (*path)[3]; /* frame, x, y of the centre: linear in between, held outside */
    int64_t n_path;
} scene;

/* rgb: (height, width, 3); mask: (height, width), 255 on the sprite; either may be NULL. */
void scene_draw(uint8_t *rgb, uint8_t *mask, const scene *s, const scene_look *look, int64_t frame);
/* Bounding box of the sprite: x, y, w, h in whole pixels, a pixel of room around. */
void scene_box(int64_t box[4], const scene *s, int64_t frame);

#endif
