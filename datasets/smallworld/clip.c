/* From a seed to a clip: what is drawn by lot, and where the sprite is in each frame. */
#include "datasets/smallworld/clip.h"

#include <math.h>

#include "base/rng.h"

enum { COLOURS = 12 };

/* Draws of one purpose, one after the other. */
typedef struct lot {
    rs_rng rng;
    uint64_t n;
} lot;

enum { LOT_LOOK = 1, LOT_MOTION, LOT_GROUND, LOT_EDIT };

static lot lot_of(uint64_t seed, uint32_t purpose)
{
    return (lot){.rng = rs_rng_stream(seed, purpose, RS_RNG_TEST, 0)};
}

static double between(lot *l, double lo, double hi)
{
    return lo + (hi - lo) * (double)rs_rng_uniform(&l->rng, l->n++);
}

static int pick(lot *l, int n)
{
    int k = (int)between(l, 0, n);
    return k < n ? k : n - 1;
}

static bool chance(lot *l, double p)
{
    return between(l, 0, 1) < p;
}

/* A colour that is none of the others. */
static int other_colour(lot *l, const int *others, int n)
{
    for (;;) {
        int c = pick(l, COLOURS);
        bool taken = false;
        for (int i = 0; i < n; i++)
            taken = taken || others[i] == c;
        if (!taken)
            return c;
    }
}

static sw_surface draw_surface(lot *l, const int *others, int n)
{
    sw_surface s = {.pattern = (sw_pattern)pick(l, SW_PATTERNS)};
    int taken[8];
    for (int i = 0; i < n; i++)
        taken[i] = others[i];
    s.first = taken[n] = other_colour(l, taken, n);
    s.second = other_colour(l, taken, n + 1);
    s.tint = (sw_rgb){between(l, -14, 14), between(l, -14, 14), between(l, -14, 14)};
    return s;
}

static void draw_look(sw_clip *c)
{
    lot l = lot_of(c->seed, LOT_LOOK);
    int side = c->width < c->height ? (int)c->width : (int)c->height;
    const int ground[] = {c->ground.first, c->ground.second};
    c->radius = side * between(&l, 0.19, 0.25);
    c->look.shape = (sw_shape)pick(&l, SW_SHAPES);
    c->look.size = 1;
    c->look.front = draw_surface(&l, ground, 2);
    const int seen[] = {c->ground.first, c->ground.second, c->look.front.first};
    c->look.back = draw_surface(&l, seen, 3);
}

static void draw_ground(sw_clip *c)
{
    lot l = lot_of(c->seed, LOT_GROUND);
    c->ground = draw_surface(&l, NULL, 0);
    c->ground_cell = between(&l, 26, 38);
    if (chance(&l, 0.4)) {
        double speed = between(&l, 0.7, 1.8) * (chance(&l, 0.5) ? 1 : -1);
        if (chance(&l, 0.6))
            c->pan_x = speed;
        else
            c->pan_y = speed;
    }
}

/* Moves the path so that the sprite stays in the picture; shortens it where it cannot. */
static void place(sw_clip *c, lot *l)
{
    double margin = c->radius * 0.95, lo[2], hi[2], room[2];
    double where[2] = {between(l, 0, 1), between(l, 0, 1)};
    for (int tries = 0; tries < 8; tries++) {
        c->x0 = c->y0 = 0;
        lo[0] = lo[1] = 1e300;
        hi[0] = hi[1] = -1e300;
        for (int64_t t = 0; t < c->frames; t++) {
            sw_pose p = sw_pose_at(c, t);
            lo[0] = fmin(lo[0], p.x);
            hi[0] = fmax(hi[0], p.x);
            lo[1] = fmin(lo[1], p.y);
            hi[1] = fmax(hi[1], p.y);
        }
        room[0] = (double)c->width - 2 * margin - (hi[0] - lo[0]);
        room[1] = (double)c->height - 2 * margin - (hi[1] - lo[1]);
        if (room[0] >= 0 && room[1] >= 0)
            break;
        c->reach *= 0.8;
        c->wobble *= 0.8;
    }
    c->x0 = margin - lo[0] + where[0] * fmax(0, room[0]);
    c->y0 = margin - lo[1] + where[1] * fmax(0, room[1]);
}

static void draw_motion(sw_clip *c)
{
    lot l = lot_of(c->seed, LOT_MOTION);
    double side = (double)(c->width < c->height ? c->width : c->height);
    c->path = (sw_path)pick(&l, SW_PATHS);
    c->action = (sw_action)pick(&l, SW_ACTIONS);
    c->flips = c->action == SW_FLIPS || chance(&l, 0.12);
    c->ease = between(&l, -0.7, 0.7);
    c->reach = side * between(&l, 0.26, 0.52);
    c->wobble = chance(&l, 0.6) ? side * between(&l, 0.01, 0.07) : 0;
    c->wobble_turns = between(&l, 0.5, 2.0);
    c->wobble_phase = between(&l, 0, 1);
    c->amount = between(&l, 0, 1);
    c->begin = between(&l, 0.1, 0.4);
    c->end = c->begin + between(&l, 0.25, 0.5);
    c->spin = chance(&l, 0.5) ? 1 : -1;
    if (c->path == SW_STAYS)
        c->wobble *= 0.5;
    place(c, &l);
}

void sw_clip_of_seed(sw_clip *c, uint64_t seed, int64_t frames, int64_t width, int64_t height)
{
    *c = (sw_clip){.seed = seed, .frames = frames, .width = width, .height = height};
    draw_ground(c);
    draw_look(c);
    draw_motion(c);
}

sw_look sw_edited_look(const sw_clip *c, sw_change change, int64_t nth)
{
    lot l = lot_of(c->seed, LOT_EDIT);
    l.n = (uint64_t)nth * 64;
    sw_look look = c->look;
    const int ground[] = {c->ground.first, c->ground.second, c->look.front.first};
    sw_pattern front = look.front.pattern;
    look.front = draw_surface(&l, ground, 3);
    const int seen[] = {c->ground.first, c->ground.second, look.front.first, c->look.back.first};
    look.back = draw_surface(&l, seen, 4);
    if (change == SW_RECOLOUR) {
        look.front.pattern = front;
        look.back.pattern = c->look.back.pattern;
    } else if (look.front.pattern == front) {
        look.front.pattern = (sw_pattern)((front + 1) % SW_PATTERNS);
    }
    if (change == SW_RESHAPE) {
        look.shape = (sw_shape)(((int)c->look.shape + 1 + pick(&l, SW_SHAPES - 1)) % SW_SHAPES);
        look.size = between(&l, 1.12, 1.28);
    }
    return look;
}

static void path_at(const sw_clip *c, double s, double *x, double *y)
{
    double e = s + c->ease * (s * s - s),
           across = c->wobble *
                    (sw_sine(c->wobble_turns * s + c->wobble_phase) - sw_sine(c->wobble_phase));
    double sign = c->path == SW_LEFT || c->path == SW_UP ? -1 : 1;
    switch (c->path) {
    case SW_LEFT:
    case SW_RIGHT:
        *x = sign * c->reach * e;
        *y = across;
        return;
    case SW_UP:
    case SW_DOWN:
        *x = across;
        *y = sign * c->reach * e;
        return;
    case SW_BOUNCES:
        *x = c->spin * 0.5 * c->reach * e;
        *y = -0.75 * c->reach * fabs(sw_sine((1 + c->amount) * 0.75 * e + 0.25 * c->begin));
        return;
    case SW_CIRCLES: {
        double turns = c->spin * (0.6 + 0.5 * c->amount) * e + c->wobble_phase;
        *x = 0.5 * c->reach * sw_sine(turns + 0.25);
        *y = 0.5 * c->reach * sw_sine(turns);
        return;
    }
    default:
        *x = across;
        *y = 0;
    }
}

static double ramp(double s, double begin, double end)
{
    double t = s <= begin ? 0 : s >= end ? 1 : (s - begin) / (end - begin);
    return t * t * (3 - 2 * t);
}

sw_pose sw_pose_at(const sw_clip *c, int64_t frame)
{
    sw_pose p = {.scale = 1};
    double s = c->frames > 1 ? (double)frame / (double)(c->frames - 1) : 0;
    double cycles = (1.2 + c->amount) * s, strength = 0.6 + 0.4 * c->amount;
    path_at(c, s, &p.x, &p.y);
    p.x += c->x0;
    p.y += c->y0;
    switch (c->action) {
    case SW_SPINS:
        p.turn = c->spin * (0.3 + 0.5 * c->amount) * s;
        break;
    case SW_GROWS:
        p.scale = 1 + 0.45 * strength * s;
        break;
    case SW_SHRINKS:
        p.scale = 1 - 0.45 * strength * s;
        break;
    case SW_SQUASHES:
        p.squash = 0.38 * strength * sw_sine(cycles);
        break;
    case SW_SWAYS:
        p.sway = 0.75 * strength * sw_sine(cycles);
        break;
    default:
        break;
    }
    if (c->flips)
        p.flip = 0.5 * ramp(s, c->begin, c->end);
    return p;
}

double sw_back_share(const sw_clip *c)
{
    int64_t n = 0;
    for (int64_t t = 0; t < c->frames; t++)
        n += sw_pose_at(c, t).flip > 0.25;
    return (double)n / (double)c->frames;
}
