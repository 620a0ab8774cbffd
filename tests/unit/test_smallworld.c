// datasets: the small world: the same bytes from a seed, masks that are exact, edits that change
// the look and nothing else, captions that say what moves how.
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"
#include "datasets/smallworld/smallworld.h"
#include "harness/test.h"
#include "stage/measure.h"

enum { T = 17, W = 96, H = 96, PIXELS = W * H, SEEDS = 300 };

static sw_clip clip_of(uint64_t seed)
{
    sw_clip c;
    sw_clip_of_seed(&c, seed, T, W, H);
    return c;
}

static uint8_t *draw(const sw_clip *c, const sw_look *look, int64_t frame, uint8_t *mask)
{
    uint8_t *rgb = rs_arena_alloc(t_arena(), PIXELS, 3);
    sw_draw(rgb, mask, c, look, frame);
    return rgb;
}

/* These bytes are what the model was trained on: a change here makes it strange to its own world.
 */
static void a_seed_gives_the_same_bytes_everywhere(void)
{
    rs_hash h;
    char hex[RS_HASH_HEX];
    uint8_t *mask = rs_arena_alloc(t_arena(), PIXELS, 1);
    rs_hash_init(&h);
    for (uint64_t seed = 0; seed < 12; seed++) {
        sw_clip c = clip_of(seed);
        for (int64_t t = 0; t < T; t += 4) {
            rs_hash_update(&h, draw(&c, &c.look, t, mask), PIXELS * 3);
            rs_hash_update(&h, mask, PIXELS);
        }
        rs_hash_string(&h, sw_caption(t_arena(), &c, &c.look));
    }
    rs_hash_final_hex(&h, hex);
    T_EQ_S(hex, "f63dd4ccc22d20911d6c629457702025757a18c036bcc3eead52764a8a5d6385");
}

/* Is all within `d` pixels of pixel i on the sprite? */
static bool deep(const uint8_t *mask, int64_t i, int64_t d)
{
    for (int64_t y = rs_max_i64(0, i / W - d); y <= rs_min_i64(H - 1, i / W + d); y++)
        for (int64_t x = rs_max_i64(0, i % W - d); x <= rs_min_i64(W - 1, i % W + d); x++)
            if (!mask[y * W + x])
                return false;
    return true;
}

static void a_recoloured_clip_differs_on_the_mask_only(void)
{
    uint8_t *mask = rs_arena_alloc(t_arena(), PIXELS, 1),
            *other = rs_arena_alloc(t_arena(), PIXELS, 1);
    for (uint64_t seed = SW_HELD_OUT; seed < SW_HELD_OUT + 20; seed++) {
        sw_clip c = clip_of(seed);
        sw_look look = sw_edited_look(&c, SW_RECOLOUR, 0);
        int64_t inside = 0, changed = 0;
        for (int64_t t = 0; t < T; t += 4) {
            const uint8_t *a = draw(&c, &c.look, t, mask), *b = draw(&c, &look, t, other);
            T_CHECK(memcmp(mask, other, PIXELS) == 0);
            for (int64_t i = 0; i < PIXELS; i++) {
                bool differs = memcmp(a + 3 * i, b + 3 * i, 3) != 0;
                T_CHECKF(!differs || mask[i], "seed %d frame %d pixel %d differs outside the mask",
                         (int)seed, (int)t, (int)i);
                inside += deep(mask, i, 3);
                changed += deep(mask, i, 3) && differs;
            }
        }
        T_CHECKF(inside > 0 && changed > inside / 3, "seed %d: %d of %d sprite pixels changed",
                 (int)seed, (int)changed, (int)inside);
    }
}

static void edits_change_what_they_say(void)
{
    int reshaped = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sw_clip c = clip_of(seed);
        sw_look colour = sw_edited_look(&c, SW_RECOLOUR, 0);
        sw_look texture = sw_edited_look(&c, SW_RETEXTURE, 0);
        sw_look shape = sw_edited_look(&c, SW_RESHAPE, 0);
        const sw_look *looks[] = {&colour, &texture, &shape};
        for (int k = 0; k < 3; k++) {
            T_CHECK(looks[k]->front.first != c.look.front.first);
            T_CHECK(looks[k]->back.first != c.look.back.first);
            T_CHECK(looks[k]->front.first != c.ground.first);
        }
        T_EQ_I(colour.shape, c.look.shape);
        T_EQ_I(colour.front.pattern, c.look.front.pattern);
        T_CHECK(texture.front.pattern != c.look.front.pattern && texture.shape == c.look.shape);
        T_CHECK(shape.shape != c.look.shape && shape.size > 1.1);
        sw_look second = sw_edited_look(&c, SW_RESHAPE, 1);
        reshaped += memcmp(&second, &shape, sizeof shape) != 0;
    }
    T_CHECK(reshaped > SEEDS * 9 / 10);
}

static void the_sprite_stays_in_the_picture(void)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sw_clip c = clip_of(seed);
        for (int64_t t = 0; t < T; t++) {
            sw_pose p = sw_pose_at(&c, t);
            double room = 0.9 * c.radius;
            T_CHECKF(p.x >= room && p.x <= W - room && p.y >= room && p.y <= H - room,
                     "seed %d frame %d: (%g, %g)", (int)seed, (int)t, p.x, p.y);
        }
    }
}

static void captions_name_the_motion(void)
{
    int seen[SW_PATHS] = {0}, flips = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sw_clip c = clip_of(seed);
        const char *text = sw_caption(t_arena(), &c, &c.look);
        sw_pose a = sw_pose_at(&c, 0), b = sw_pose_at(&c, T - 1);
        double dx = b.x - a.x, dy = b.y - a.y;
        T_EQ_I(strstr(text, "moves right") != NULL, c.path == SW_RIGHT);
        T_EQ_I(strstr(text, "flips") != NULL, sw_back_share(&c) > 0);
        T_EQ_I(strstr(text, "grows") != NULL, b.scale > 1.2);
        T_EQ_I(strstr(text, "slides left") != NULL, c.pan_x < 0);
        if (c.path == SW_RIGHT || c.path == SW_LEFT)
            T_CHECK((c.path == SW_RIGHT ? dx : -dx) > 15 && fabs(dy) < 15);
        if (c.path == SW_DOWN || c.path == SW_UP)
            T_CHECK((c.path == SW_DOWN ? dy : -dy) > 15 && fabs(dx) < 15);
        seen[c.path]++;
        flips += c.flips;
    }
    for (int k = 0; k < SW_PATHS; k++)
        T_CHECKF(seen[k] > SEEDS / SW_PATHS / 2, "path %d only %d times", k, seen[k]);
    T_CHECK(flips > SEEDS / 8 && flips < SEEDS / 2);
}

/* The back shows after the half turn and has nothing of the front. */
static void a_flip_shows_the_back(void)
{
    uint8_t *mask = rs_arena_alloc(t_arena(), PIXELS, 1);
    for (uint64_t seed = 0, found = 0; found < 10; seed++) {
        sw_clip c = clip_of(seed);
        if (sw_back_share(&c) < 0.3)
            continue;
        found++;
        T_CHECK(sw_pose_at(&c, 0).flip == 0 && sw_pose_at(&c, T - 1).flip > 0.25);
        sw_look other = c.look;
        other.back = sw_edited_look(&c, SW_RECOLOUR, 0).back;
        T_CHECK(memcmp(draw(&c, &c.look, 0, NULL), draw(&c, &other, 0, NULL), PIXELS * 3) == 0);
        const uint8_t *a = draw(&c, &c.look, T - 1, mask), *b = draw(&c, &other, T - 1, NULL);
        T_CHECK(memcmp(a, b, PIXELS * 3) != 0);
    }
}

static void outlines_are_linear_along_rays(void)
{
    for (int s = 0; s < SW_SHAPES; s++)
        for (int k = 0; k < 64; k++) {
            double u = sw_sine(k / 64.0 + 0.25), v = sw_sine(k / 64.0);
            double n = sw_outline((sw_shape)s, u, v);
            T_CHECK(n > 0.5 && n < 3);
            T_NEAR(sw_outline((sw_shape)s, 3 * u, 3 * v), 3 * n, 1e-12);
        }
}

static void the_sine_is_a_sine(void)
{
    for (int k = -400; k <= 400; k++)
        T_NEAR(sw_sine(k / 97.0), sin(2 * acos(-1) * k / 97.0), 1e-9);
}

/* The measure of motion finds every exact edit where the source's sprite is, within a pixel,
 * however it turns, flips and grows, over grounds that stand or slide. */
static void exact_edits_have_no_motion_error(void)
{
    const int64_t shape[] = {T, H, W, 3};
    rs_arena *a = t_arena();
    for (int k = 0; k < 12; k++) {
        sw_clip c = clip_of((uint64_t)(SW_HELD_OUT + k));
        sw_look look = sw_edited_look(&c, (sw_change)(k % SW_CHANGES), 0);
        rs_tensor source = rs_tensor_of(rs_arena_alloc(a, T * PIXELS, 3), RS_DTYPE_U8, 4, shape);
        rs_tensor edited = rs_tensor_of(rs_arena_alloc(a, T * PIXELS, 3), RS_DTYPE_U8, 4, shape);
        rs_tensor mask = rs_tensor_of(rs_arena_alloc(a, T, PIXELS), RS_DTYPE_U8, 3, shape);
        for (int64_t t = 0; t < T; t++) {
            uint8_t *m = (uint8_t *)mask.data + t * PIXELS;
            sw_draw((uint8_t *)source.data + t * PIXELS * 3, m, &c, &c.look, t);
            sw_draw((uint8_t *)edited.data + t * PIXELS * 3, NULL, &c, &look, t);
        }
        T_NEAR(rs_measure_motion(a, edited, source, mask), 0, 1.0);
    }
}

static const rs_test_case cases[] = {
    T_CASE(a_seed_gives_the_same_bytes_everywhere),
    T_CASE(a_recoloured_clip_differs_on_the_mask_only),
    T_CASE(edits_change_what_they_say),
    T_CASE(the_sprite_stays_in_the_picture),
    T_CASE(captions_name_the_motion),
    T_CASE(a_flip_shows_the_back),
    T_CASE(outlines_are_linear_along_rays),
    T_CASE(the_sine_is_a_sine),
    T_CASE(exact_edits_have_no_motion_error),
};
RS_TEST_MAIN(cases)
