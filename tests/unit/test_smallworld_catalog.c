// datasets: catalogs of the small world hold what they promise: held-out clips, exact edits, every
// second clip with a back; and the flat files for training.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "config/catalog.h"
#include "datasets/smallworld/smallworld.h"
#include "harness/test.h"
#include "media/image.h"
#include "media/mask.h"

enum { COUNT = 6, T = 17, W = 96, H = 96, PIXELS = W * H };

static const char *temp(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

static void world(const char *command, const char *name, const char *options)
{
    char *output;
    int rc = t_shell(&output, T_BIN "/reshoot-world %s %s %s", command, temp(name), options);
    T_CHECKF(rc == 0, "reshoot-world %s: %d: %s", command, rc, output);
}

static rs_catalog *load_catalog(const char *path)
{
    rs_catalog *c;
    rs_problems *problems = rs_problems_create();
    T_OK(rs_catalog_load(&c, temp(path), NULL));
    rs_catalog_check_files(problems, c);
    T_OK(rs_problems_status(problems));
    rs_problems_destroy(&problems);
    return c;
}

/* The seeds that catalog.yaml notes behind the ids. */
static void read_seeds(uint64_t seeds[COUNT], const char *path)
{
    char *text;
    size_t bytes;
    T_OK(rs_read_file(&text, &bytes, t_arena(), temp(path)));
    for (int k = 0; k < COUNT; k++) {
        const char *at = strstr(text, rs_arena_printf(t_arena(), "- id: clip-%02d # seed ", k));
        unsigned long long seed;
        T_CHECKF(at && sscanf(strchr(at, '#'), "# seed %llu", &seed) == 1, "clip %d: no seed", k);
        seeds[k] = seed;
    }
}

static rs_tensor film(const char *path)
{
    rs_clip clip;
    T_OK(rs_clip_load(&clip, t_arena(), path, &(rs_clip_opts){0}));
    T_CHECK(clip.rgb.shape[0] == T && clip.rgb.shape[1] == H && clip.rgb.shape[2] == W);
    return clip.rgb;
}

static bool same_frame(rs_tensor clip, int64_t t, const uint8_t *rgb)
{
    return memcmp((uint8_t *)clip.data + t * PIXELS * 3, rgb, PIXELS * 3) == 0;
}

static bool is_frame(const char *png, rs_tensor clip, int64_t t)
{
    rs_tensor picture;
    T_OK(rs_image_load(&picture, t_arena(), png));
    return rs_tensor_count(picture) == PIXELS * 3 && same_frame(clip, t, picture.data);
}

static void t_a_catalog_is_the_same_each_time(void)
{
    char *output;
    uint64_t seeds[COUNT], others[COUNT];
    world("smallworld", "a", "--count 6");
    world("smallworld", "b", "--count 6");
    T_EQ_I(t_shell(&output, "diff -r %s %s", temp("a"), temp("b")), 0);
    world("smallworld", "five", "--count 6 --seed 5");
    read_seeds(seeds, "a/catalog.yaml");
    read_seeds(others, "five/catalog.yaml");
    for (int k = 0; k < COUNT; k++) {
        T_CHECK(seeds[k] >= (k ? seeds[k - 1] + 1 : SW_HELD_OUT));
        T_CHECK(others[k] >= (k ? others[k - 1] + 1 : 5) && others[k] < SW_HELD_OUT);
        const char *frames = rs_arena_printf(t_arena(), "clip-%02d/frames", k);
        rs_tensor a = film(temp(rs_arena_printf(t_arena(), "a/%s", frames)));
        rs_tensor b = film(temp(rs_arena_printf(t_arena(), "five/%s", frames)));
        T_CHECK(memcmp(a.data, b.data, rs_tensor_bytes(a)) != 0);
    }
}

static void check_references(const sw_clip *c, const rs_catalog_edit *e, rs_tensor truth)
{
    int64_t backs = 0;
    T_CHECK(is_frame(e->first_frame.path, truth, 0));
    T_EQ_I(e->n_references, 3);
    for (int64_t r = 0; r < 3; r++) {
        int64_t t = e->references[r].frame;
        T_CHECKF(t > 0 && t < T && is_frame(e->references[r].image.path, truth, t),
                 "%s: reference %d is not frame %d", e->id, (int)r, (int)t);
        for (int64_t q = 0; q < r; q++)
            T_CHECK(e->references[q].frame != t);
        backs += sw_pose_at(c, t).flip > 0.25;
    }
    T_EQ_I(backs, sw_back_share(c) > 0 ? 3 : 0);
}

/* What was drawn is what the seed says, and differs from the truth as the edit says. */
static void check_pixels(const sw_clip *c, sw_change change, rs_tensor source, rs_tensor mask,
                         rs_tensor truth)
{
    uint8_t *rgb = rs_arena_alloc(t_arena(), PIXELS, 3),
            *own = rs_arena_alloc(t_arena(), PIXELS, 1);
    sw_look look = sw_edited_look(c, change, 0);
    int64_t inside = 0, grown = 0;
    for (int64_t t = 0; t < T; t++) {
        const uint8_t *m = (uint8_t *)mask.data + t * PIXELS;
        sw_draw(rgb, own, c, &c->look, t);
        T_CHECK(same_frame(source, t, rgb));
        for (int64_t i = 0; i < PIXELS; i++)
            T_CHECK((m[i] != 0) == (own[i] != 0));
        sw_draw(rgb, own, c, &look, t);
        T_CHECK(same_frame(truth, t, rgb));
        for (int64_t i = 0; i < PIXELS; i++) {
            bool differs = memcmp((uint8_t *)source.data + (t * PIXELS + i) * 3, rgb + i * 3, 3);
            T_CHECKF(!differs || m[i] || (change == SW_RESHAPE && own[i]),
                     "seed %d frame %d: pixel %d differs outside", (int)c->seed, (int)t, (int)i);
            inside += differs && m[i];
            grown += differs && !m[i];
        }
    }
    T_CHECK(inside > T * 100 && (grown > 0) == (change == SW_RESHAPE));
}

static void t_edits_are_exact(void)
{
    static const char *const names[] = {"recolour", "retexture", "reshape"};
    uint64_t seeds[COUNT];
    world("smallworld", "a", "--count 6");
    read_seeds(seeds, "a/catalog.yaml");
    rs_catalog *catalog = load_catalog("a/catalog.yaml");
    T_EQ_I(catalog->n_videos, COUNT);
    for (int k = 0; k < COUNT; k++) {
        const rs_catalog_video *v = &catalog->videos[k];
        sw_clip c;
        rs_clip source;
        rs_tensor mask;
        rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
        sw_clip_of_seed(&c, seeds[k], T, W, H);
        T_EQ_S(v->prompt, sw_caption(t_arena(), &c, &c.look));
        T_CHECK(k % 2 ? sw_back_share(&c) == 0
                      : sw_back_share(&c) >= 0.25 && sw_back_share(&c) <= 0.75);
        T_EQ_I(v->n_edits, 1);
        T_EQ_S(v->edits[0].id, names[k / 2]);
        T_CHECK(v->edits[0].truth.path);
        T_OK(rs_clip_load(&source, t_arena(), v->source.path, &(rs_clip_opts){0}));
        T_OK(rs_mask_load(&mask, t_arena(), v->mask.path, &source, &exact));
        rs_tensor truth = film(v->edits[0].truth.path);
        check_references(&c, &v->edits[0], truth);
        check_pixels(&c, (sw_change)(k / 2), film(v->source.path), mask, truth);
    }
    rs_catalog_destroy(&catalog);
}

static const uint8_t *read_bytes(const char *path, size_t want)
{
    char *data;
    size_t bytes;
    T_OK(rs_read_file(&data, &bytes, t_arena(), temp(path)));
    T_CHECKF(bytes == want, "%s: %zu bytes instead of %zu", path, bytes, want);
    return (const uint8_t *)data;
}

static void check_flat_files(const char *folder, uint64_t seed, int64_t w, int64_t h, int64_t n)
{
    size_t pixels = (size_t)(w * h), frames = (size_t)(2 * n);
    world("clips", folder,
          rs_arena_printf(t_arena(),
                          "--count 2 --seed %d --frames %d --width %d "
                          "--height %d",
                          (int)seed, (int)n, (int)w, (int)h));
    const uint8_t *rgb =
        read_bytes(rs_arena_printf(t_arena(), "%s/clips.u8", folder), frames * pixels * 3);
    const uint8_t *mask =
        read_bytes(rs_arena_printf(t_arena(), "%s/masks.u8", folder), frames * pixels);
    uint8_t *x = rs_arena_alloc(t_arena(), pixels, 3), *m = rs_arena_alloc(t_arena(), pixels, 1);
    const char *captions = "";
    for (size_t i = 0; i < frames; i++) {
        sw_clip c;
        sw_clip_of_seed(&c, seed + i / (size_t)n, n, w, h);
        sw_draw(x, m, &c, &c.look, (int64_t)i % n);
        T_CHECK(memcmp(x, rgb + i * pixels * 3, pixels * 3) == 0);
        T_CHECK(memcmp(m, mask + i * pixels, pixels) == 0);
        if (i % (size_t)n == 0)
            captions =
                rs_arena_printf(t_arena(), "%s%s\n", captions, sw_caption(t_arena(), &c, &c.look));
    }
    const uint8_t *text =
        read_bytes(rs_arena_printf(t_arena(), "%s/captions.txt", folder), strlen(captions));
    T_CHECK(memcmp(text, captions, strlen(captions)) == 0);
}

static void t_clips_are_flat_files(void)
{
    char *output;
    check_flat_files("odd", 3, 40, 32, 5);
    /* what is given without options is what the model was trained on */
    world("clips", "plain", "--count 2");
    check_flat_files("same", 0, W, H, T);
    T_EQ_I(t_shell(&output, "diff -r %s %s", temp("plain"), temp("same")), 0);
}

static const rs_test_case cases[] = {
    T_CASE(t_a_catalog_is_the_same_each_time),
    T_CASE(t_edits_are_exact),
    T_CASE(t_clips_are_flat_files),
};
RS_TEST_MAIN(cases)
