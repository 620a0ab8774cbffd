// media: what reshoot-world makes: same bytes each time, catalogs that load, edits that fit their
// clips.
#include <string.h>

#include "base/fsio.h"
#include "base/hash.h"
#include "config/catalog.h"
#include "harness/test.h"
#include "media/image.h"
#include "media/mask.h"

#define WORLD T_BIN "/reshoot-world "

static const char *temp(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

static void world(const char *arguments)
{
    char *output;
    int rc = t_shell(&output, WORLD "%s", arguments);
    T_CHECKF(rc == 0, "reshoot-world %s: %d: %s", arguments, rc, output);
}

static rs_tensor image(const char *path)
{
    rs_tensor t;
    T_OK(rs_image_load(&t, t_arena(), path));
    return t;
}

/* Pixels of a and b that differ outside / inside the mask. */
static void compare(int64_t differ[2], rs_tensor a, rs_tensor b, rs_tensor mask)
{
    T_EQ_I(rs_tensor_count(a), rs_tensor_count(b));
    differ[0] = differ[1] = 0;
    for (int64_t i = 0; i < rs_tensor_count(mask); i++)
        if (memcmp((uint8_t *)a.data + i * 3, (uint8_t *)b.data + i * 3, 3) != 0)
            differ[((uint8_t *)mask.data)[i] != 0]++;
}

static void check_catalog(const char *path, int64_t videos, int64_t edits)
{
    rs_catalog *c;
    T_OK(rs_catalog_load(&c, path, NULL));
    T_EQ_I(c->n_videos, videos);
    int64_t n = 0;
    for (int64_t i = 0; i < videos; i++) {
        const rs_catalog_video *v = &c->videos[i];
        n += v->n_edits;
        T_CHECKF(rs_path_exists(v->source.path), "%s", v->source.path);
        T_CHECK(v->n_boxes || rs_path_exists(v->mask.path));
        for (int64_t e = 0; e < v->n_edits; e++) {
            T_CHECK(rs_path_exists(v->edits[e].first_frame.path));
            for (int64_t r = 0; r < v->edits[e].n_references; r++)
                T_CHECK(rs_path_exists(v->edits[e].references[r].image.path));
        }
    }
    T_EQ_I(n, edits);
    rs_catalog_destroy(&c);
}

static void t_formats_are_the_same_each_time(void)
{
    world(rs_arena_printf(t_arena(), "formats %s", temp("a")));
    world(rs_arena_printf(t_arena(), "formats %s", temp("b")));
    char *output;
    T_EQ_I(t_shell(&output, "diff -r %s %s", temp("a"), temp("b")), 0);
    check_catalog(temp("a/catalog.yaml"), 2, 3);
    /* pixels, not files: the same on every machine, whatever its zlib */
    char hex[RS_HASH_HEX];
    rs_hash h;
    rs_hash_init(&h);
    rs_clip c;
    rs_clip_opts o = {0};
    T_OK(rs_clip_load(&c, t_arena(), temp("a/block"), &o));
    rs_hash_update(&h, c.rgb.data, rs_tensor_bytes(c.rgb));
    rs_tensor gold = image(temp("a/edits/ball-gold-8.png"));
    rs_hash_update(&h, gold.data, rs_tensor_bytes(gold));
    rs_hash_final_hex(&h, hex);
    T_EQ_S(hex, "a435b6356dd2e5ed21ddfd07ad8c29baa4fae32766a1caa2350d861bce9de36b");
}

static void t_formats_edits_keep_the_geometry(void)
{
    world(rs_arena_printf(t_arena(), "formats %s", temp("a")));
    rs_clip block, ball;
    rs_clip_opts o = {0};
    rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
    T_OK(rs_clip_load(&block, t_arena(), temp("a/block"), &o));
    T_OK(rs_clip_load(&ball, t_arena(), temp("a/ball.mp4"), &o));
    T_EQ_I(block.rgb.shape[0], 13);
    T_EQ_I(ball.rgb.shape[0], 13);
    T_EQ_I(ball.fps.num, 8);
    rs_catalog *c;
    T_OK(rs_catalog_load(&c, temp("a/catalog.yaml"), NULL));
    T_EQ_I(c->videos[1].n_boxes, 3);
    rs_box_key keys[3];
    for (int i = 0; i < 3; i++) {
        const rs_catalog_box *b = &c->videos[1].boxes[i];
        keys[i] = (rs_box_key){b->frame, (double)b->x, (double)b->y, (double)b->w, (double)b->h};
    }
    rs_tensor mask;
    int64_t differ[2];
    T_OK(rs_mask_from_boxes(&mask, t_arena(), "boxes", keys, 3, &block, &exact));
    compare(differ, rs_tensor_slice(block.rgb, 0, 1), image(temp("a/edits/block-chequered.png")),
            rs_tensor_slice(mask, 0, 1));
    T_EQ_I(differ[0], 0); /* nothing outside the box */
    T_CHECK(differ[1] > 150);
    /* two edits of one frame differ only on the ball */
    T_OK(rs_mask_load(&mask, t_arena(), temp("a/ball-masks"), &ball, &exact));
    compare(differ, image(temp("a/edits/ball-gold.png")), image(temp("a/edits/ball-green.png")),
            rs_tensor_slice(mask, 0, 1));
    T_CHECK(differ[1] > 300 && differ[0] < 40); /* the rim's half-covered pixels lie outside */
    rs_catalog_destroy(&c);
}

static void t_recolour_stays_inside_the_mask(void)
{
    world(rs_arena_printf(t_arena(), "formats %s", temp("a")));
    world(rs_arena_printf(t_arena(), "recolour --source %s --mask %s --frame 4 --hue 120 --out %s",
                          temp("a/ball.mp4"), temp("a/ball-masks"), temp("g.png")));
    rs_clip ball;
    rs_clip_opts o = {0};
    rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
    rs_tensor mask, green = image(temp("g.png"));
    T_OK(rs_clip_load(&ball, t_arena(), temp("a/ball.mp4"), &o));
    T_OK(rs_mask_load(&mask, t_arena(), temp("a/ball-masks"), &ball, &exact));
    int64_t differ[2], greens = 0;
    compare(differ, rs_tensor_slice(ball.rgb, 4, 5), green, rs_tensor_slice(mask, 4, 5));
    T_EQ_I(differ[0], 0);
    T_CHECK(differ[1] > 300);
    for (int64_t i = 0; i < 96 * 64; i++) {
        const uint8_t *p = (uint8_t *)green.data + i * 3;
        greens += p[1] > p[0] + 60 && p[1] > p[2] + 60;
    }
    T_CHECK(greens > 200);
}

static void t_bad_commands_say_so(void)
{
    static const char *const rows[][2] = {
        {"", "no command"},
        {"paint x", "paint: unknown command"},
        {"formats", "formats: unknown command, or not its arguments"},
        {"recolour --source a --mask b", "recolour wants"},
        {"recolour --hue red", "--hue red: a number"},
        {"car-shadow /nowhere /tmp/x --frames 0", "--frames 0: a whole number"},
        {"pedestrians a b --colour 3", "unknown option"},
    };
    char *output;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        T_EQ_I(t_shell(&output, WORLD "%s", rows[i][0]), 2);
        T_CHECKF(strstr(output, rows[i][1]), "%s: %s", rows[i][0], output);
    }
    T_EQ_I(t_shell(&output, WORLD "car-shadow /nowhere %s", temp("x")), 3);
    T_CHECK(strstr(output, "/nowhere"));
    T_EQ_I(t_shell(&output, WORLD "--help"), 0);
    T_CHECK(strstr(output, "usage: reshoot-world"));
}

static void t_car_shadow_catalog(void)
{
    if (!t_shared_data())
        rs_test_skip("needs ../shared/data/car-shadow");
    world(rs_arena_printf(t_arena(), "car-shadow %s/car-shadow %s", t_shared_data(), temp("c")));
    check_catalog(temp("c/catalog.yaml"), 1, 1);
    rs_tensor red = image(temp("c/edits/red.png"));
    T_EQ_I(red.shape[0], 112);
    T_EQ_I(red.shape[1], 208);
}

static void t_pedestrians_catalog(void)
{
    const char *video = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";
    if (!rs_path_exists(video))
        rs_test_skip("needs vtest.avi of Debian's opencv-doc");
    world(rs_arena_printf(t_arena(), "pedestrians %s %s", video, temp("p")));
    check_catalog(temp("p/catalog.yaml"), 1, 1);
    T_EQ_I(image(temp("p/edits/orange.png")).shape[1], 208);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_formats_are_the_same_each_time),
    T_CASE(t_formats_edits_keep_the_geometry),
    T_CASE(t_recolour_stays_inside_the_mask),
    T_CASE(t_bad_commands_say_so),
    T_CASE(t_car_shadow_catalog),
    T_CASE(t_pedestrians_catalog),
};

RS_TEST_MAIN(k_cases)
