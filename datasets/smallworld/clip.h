/* One clip of the small world: a textured sprite that moves over a textured ground. All of it
 * follows from a seed; the edited clip has the same motion and ground and another look. */
#ifndef RS_SMALLWORLD_CLIP_H
#define RS_SMALLWORLD_CLIP_H

#include <stdbool.h>

#include "base/arena.h"
#include "datasets/smallworld/shape.h"

/* Seeds from here on are held out: nothing is ever trained on them. */
enum { SW_HELD_OUT = 1000000 };

typedef enum sw_path {
    SW_STAYS,
    SW_LEFT,
    SW_RIGHT,
    SW_UP,
    SW_DOWN,
    SW_BOUNCES,
    SW_CIRCLES,
    SW_PATHS
} sw_path;
typedef enum sw_action {
    SW_NO_ACTION,
    SW_SPINS,
    SW_GROWS,
    SW_SHRINKS,
    SW_SQUASHES,
    SW_SWAYS,
    SW_FLIPS, /* half a turn about its upright axis: from then on its back shows */
    SW_ACTIONS
} sw_action;
typedef enum sw_change { SW_RECOLOUR, SW_RETEXTURE, SW_RESHAPE, SW_CHANGES } sw_change;

typedef struct sw_surface {
    sw_pattern pattern;
    int first, second; /* named colours */
    sw_rgb tint;       /* added to both */
} sw_surface;

/* What an edit changes. */
typedef struct sw_look {
    sw_shape shape;
    double size; /* times the radius */
    sw_surface front, back;
} sw_look;

typedef struct sw_pose {
    double x, y;   /* centre, pixels */
    double turn;   /* turns clockwise */
    double scale;  /* times the radius */
    double squash; /* width times 1 + squash, height divided by it */
    double sway;   /* the upper and lower ends lean by this part of the radius */
    double flip;   /* turns about the upright axis: beyond 0.25 the back shows */
} sw_pose;

typedef struct sw_clip {
    uint64_t seed;
    int64_t frames, width, height;
    sw_look look;
    double radius;
    sw_surface ground;
    double ground_cell;
    double pan_x, pan_y; /* pixels that the ground moves each frame */
    sw_path path;
    sw_action action;
    bool flips; /* besides the action */
    double reach, ease, wobble, wobble_turns, wobble_phase, amount, begin, end, spin;
    double x0, y0; /* of the path's own origin */
} sw_clip;

/* The clip of a seed; look, motion and ground are independent draws. */
void sw_clip_of_seed(sw_clip *c, uint64_t seed, int64_t frames, int64_t width, int64_t height);
/* Another look of the clip: other colours; other patterns too; another, larger outline too. `nth`
 * numbers the edits of one clip. The back always changes. */
sw_look sw_edited_look(const sw_clip *c, sw_change change, int64_t nth);
/* Where and how the sprite stands in a frame. */
sw_pose sw_pose_at(const sw_clip *c, int64_t frame);
/* Share of the frames (0..1) in which the back shows. */
double sw_back_share(const sw_clip *c);

/* One sentence: look of the front, motion, ground. The back is never named, nor how far, fast or
 * unsteadily the sprite moves. */
char *sw_caption(rs_arena *a, const sw_clip *c, const sw_look *look);

/* rgb: (height, width, 3); mask: (height, width), 255 on every pixel that the sprite touches, so
 * that nothing of it is outside. Either may be NULL. */
void sw_draw(uint8_t *rgb, uint8_t *mask, const sw_clip *c, const sw_look *look, int64_t frame);

/* RGB of a named colour, 0..255. */
sw_rgb sw_colour(int colour);

#endif
