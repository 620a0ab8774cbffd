/* Pixels and words of a clip. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "datasets/smallworld/clip.h"

static const struct {
    const char *name;
    sw_rgb rgb;
} k_colours[] = {
    {"red", {206, 44, 44}},     {"orange", {236, 134, 36}}, {"yellow", {238, 214, 62}},
    {"green", {58, 158, 66}},   {"cyan", {72, 196, 206}},   {"blue", {52, 82, 204}},
    {"purple", {128, 58, 168}}, {"pink", {238, 142, 182}},  {"white", {236, 236, 232}},
    {"gray", {136, 138, 142}},  {"black", {34, 34, 38}},    {"brown", {128, 84, 50}},
};

sw_rgb sw_colour(int colour)
{
    return k_colours[colour].rgb;
}

static sw_rgb tinted(int colour, sw_rgb tint)
{
    sw_rgb c = sw_colour(colour);
    return (sw_rgb){c.r + tint.r, c.g + tint.g, c.b + tint.b};
}

static sw_rgb lit(sw_rgb c, double light)
{
    return (sw_rgb){c.r * light, c.g * light, c.b * light};
}

static sw_rgb surface_at(const sw_surface *s, double u, double v, double soft)
{
    return sw_mix(tinted(s->second, s->tint), tinted(s->first, s->tint),
                  sw_share(s->pattern, u, v, soft));
}

/* The ground is one plane that pans; its second colour is a darker shade of the first mixed with
 * the named one, so that sprites stand out. */
static sw_rgb ground_at(const sw_clip *c, double x, double y)
{
    const sw_surface *g = &c->ground;
    sw_rgb first = tinted(g->first, g->tint);
    sw_rgb second = sw_mix(first, tinted(g->second, g->tint), 0.45);
    double share =
        sw_share(g->pattern, x / c->ground_cell, y / c->ground_cell, 8.0 / c->ground_cell);
    double noise = sw_noise((uint32_t)c->seed ^ 0x5bd1e995u, x / 22, y / 22);
    return lit(sw_mix(second, first, share), 0.84 + 0.22 * noise);
}

/* A frame's pose with everything that all pixels share worked out. */
typedef struct stance {
    sw_pose p;
    double c, s; /* cosine and sine of the turn */
    double flip; /* width left by the flip, at least a sliver */
    double r;    /* pixels */
    double wide, high;
    bool back;
} stance;

static stance stance_at(const sw_clip *clip, const sw_look *look, int64_t frame)
{
    stance st = {.p = sw_pose_at(clip, frame)};
    double width = sw_sine(st.p.flip + 0.25);
    st.c = sw_sine(st.p.turn + 0.25);
    st.s = sw_sine(st.p.turn);
    st.back = width < 0;
    st.flip = fmax(fabs(width), 0.08) * (st.back ? -1 : 1);
    st.r = clip->radius * st.p.scale * look->size;
    st.wide = 1 + st.p.squash;
    st.high = 1 / st.wide;
    return st;
}

/* From pixels to the sprite's own axes, in radii. */
static void to_sprite(const stance *st, double x, double y, double *u, double *v)
{
    double dx = (x - st->p.x) / (st->r * st->wide), dy = (y - st->p.y) / (st->r * st->high);
    dx -= st->p.sway * dy * fabs(dy);
    *u = (st->c * dx + st->s * dy) / st->flip;
    *v = -st->s * dx + st->c * dy;
}

/* How much of the pixel the sprite covers: distance to the outline over its slope, two pixels wide
 * (nothing here is sharper than a lens would show it). */
static double cover(const stance *st, sw_shape shape, double x, double y, double *n)
{
    double u, v;
    to_sprite(st, x, y, &u, &v);
    *n = sw_outline(shape, u, v);
    if (*n > 3)
        return 0;
    double e = 0.25, nx, ny;
    to_sprite(st, x + e, y, &u, &v);
    nx = (sw_outline(shape, u, v) - *n) / e;
    to_sprite(st, x, y + e, &u, &v);
    ny = (sw_outline(shape, u, v) - *n) / e;
    double slope = sqrt(nx * nx + ny * ny) + 1e-9, d = 0.5 + 0.5 * (1 - *n) / slope;
    return d < 0 ? 0 : d > 1 ? 1 : d;
}

static sw_rgb sprite_at(const stance *st, const sw_look *look, double x, double y, double n)
{
    const sw_rgb rim = {44, 42, 50};
    double u, v;
    to_sprite(st, x, y, &u, &v);
    const sw_surface *s = st->back ? &look->back : &look->front;
    double cell = 0.95, light = 1 - 0.16 * ((x - st->p.x) + (y - st->p.y)) / st->r;
    sw_rgb c = lit(surface_at(s, u / cell + 0.25, v / cell + 0.25, 0.34 / cell), light);
    return sw_mix(c, rim, fmin(0.75, 0.4 + (n - 0.90) * st->r / 4.0));
}

static uint8_t to_byte(double v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)floor(v + 0.5);
}

void sw_draw(uint8_t *rgb, uint8_t *mask, const sw_clip *c, const sw_look *look, int64_t frame)
{
    stance st = stance_at(c, look, frame);
    for (int64_t i = 0; i < c->width * c->height; i++) {
        double x = (double)(i % c->width) + 0.5, y = (double)(i / c->width) + 0.5, n;
        double share = cover(&st, look->shape, x, y, &n);
        if (mask)
            mask[i] = share > 0 ? 255 : 0;
        if (!rgb)
            continue;
        double pan = (double)frame;
        sw_rgb p = share < 1 ? ground_at(c, x - c->pan_x * pan, y - c->pan_y * pan) : (sw_rgb){0};
        if (share > 0)
            p = sw_mix(p, sprite_at(&st, look, x, y, n), share);
        rgb[3 * i] = to_byte(p.r);
        rgb[3 * i + 1] = to_byte(p.g);
        rgb[3 * i + 2] = to_byte(p.b);
    }
}

static const char *direction(const sw_clip *c)
{
    if (c->pan_x != 0)
        return c->pan_x < 0 ? "left" : "right";
    return c->pan_y < 0 ? "up" : "down";
}

char *sw_caption(rs_arena *a, const sw_clip *c, const sw_look *look)
{
    static const char *const shapes[] = {"disc", "square", "diamond", "plus", "star"};
    static const char *const with[] = {NULL, "stripes", "dots", "checks"};
    static const char *const ground[] = {"plain", "striped", "dotted", "checked"};
    static const char *const paths[] = {"stays",      "moves left", "moves right", "moves up",
                                        "moves down", "bounces",    "circles"};
    static const char *const actions[] = {NULL,       "spins", "grows", "shrinks",
                                          "squashes", "sways", "flips"};
    const sw_surface *s = &look->front;
    rs_strbuf b = rs_strbuf_on(a);
    bool plain = s->pattern == SW_PLAIN;
    rs_strbuf_printf(&b, "a %s %s", k_colours[s->first].name, shapes[look->shape]);
    if (!plain)
        rs_strbuf_printf(&b, " with %s %s", k_colours[s->second].name, with[s->pattern]);
    rs_strbuf_printf(&b, " %s", paths[c->path]);
    if (actions[c->action])
        rs_strbuf_printf(&b, " and %s", actions[c->action]);
    if (c->flips && c->action != SW_FLIPS)
        rs_strbuf_printf(&b, " and flips");
    rs_strbuf_printf(&b, " over a %s %s ground", ground[c->ground.pattern],
                     k_colours[c->ground.first].name);
    if (c->pan_x != 0 || c->pan_y != 0)
        rs_strbuf_printf(&b, " that slides %s", direction(c));
    return rs_arena_strdup(a, b.data);
}
