// media: masks from folders, videos, images and boxes; box and grid shapes.
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"
#include "media/encode.h"
#include "media/image.h"
#include "media/mask.h"

static uint8_t *blank(int64_t bytes)
{
    return rs_arena_alloc(t_arena(), (size_t)bytes, 1);
}

static void fill(uint8_t *m, int64_t width, int64_t x, int64_t y, int64_t w, int64_t h)
{
    for (int64_t v = y; v < y + h; v++)
        memset(m + v * width + x, 255, (size_t)w);
}

/* The mask is exactly the union of these boxes. */
static void check_boxes(const uint8_t *m, int64_t width, int64_t height, const int64_t (*b)[4],
                        int n)
{
    uint8_t *want = blank(width * height);
    for (int i = 0; i < n; i++)
        fill(want, width, b[i][0], b[i][1], b[i][2], b[i][3]);
    for (int64_t i = 0; i < width * height; i++)
        T_CHECKF(m[i] == want[i], "pixel (%lld,%lld) is %d", (long long)(i % width),
                 (long long)(i / width), m[i]);
}

static void check_grown(int64_t x, int64_t y, int64_t w, int64_t h, const int64_t want[4])
{
    rs_mask_opts o = RS_MASK_OPTS_DEFAULT;
    uint8_t *m = blank(832 * 480);
    fill(m, 832, x, y, w, h);
    rs_mask_shape_frame(m, t_arena(), 480, 832, &o);
    check_boxes(m, 832, 480, (const int64_t(*)[4])want, 1);
}

static void t_boxes_grow_as_the_reference(void)
{
    check_grown(100, 50, 200, 100, (int64_t[]){90, 45, 220, 110});
    check_grown(101, 51, 19, 29, (int64_t[]){101, 50, 20, 31}); /* ew 1, eh 2 */
    /* cut at the left and top: the size stays, so the box shifts */
    check_grown(3, 2, 200, 100, (int64_t[]){0, 0, 220, 110});
    /* cut at the right and bottom */
    check_grown(640, 390, 190, 90, (int64_t[]){631, 386, 201, 94});
    check_grown(0, 0, 832, 480, (int64_t[]){0, 0, 832, 480});
}

static void t_small_boxes_are_dropped_by_box_area(void)
{
    rs_mask_opts o = RS_MASK_OPTS_DEFAULT;
    uint8_t *m = blank(100 * 60);
    fill(m, 100, 5, 5, 7, 7);   /* 49: dropped */
    fill(m, 100, 30, 5, 10, 5); /* 50: kept */
    for (int i = 0; i < 9; i++) /* a diagonal line: 9 pixels, box 81: kept as one component */
        m[(30 + i) * 100 + 60 + i] = 255;
    rs_mask_shape_frame(m, t_arena(), 60, 100, &o);
    check_boxes(m, 100, 60, (const int64_t[][4]){{30, 5, 11, 5}, {60, 30, 9, 9}}, 2);
}

static void t_components_are_8_connected(void)
{
    rs_mask_opts o = {.shape = RS_MASK_BOX, .min_area = 1};
    uint8_t *m = blank(12 * 8);
    m[1 * 12 + 1] = m[2 * 12 + 2] = m[1 * 12 + 3] = 255; /* down and up by corners: one */
    m[1 * 12 + 5] = m[1 * 12 + 7] = 255;                 /* a gap: two */
    m[5 * 12 + 3] = m[6 * 12 + 2] = m[7 * 12 + 3] = 255; /* left and back */
    rs_mask_shape_frame(m, t_arena(), 8, 12, &o);
    check_boxes(m, 12, 8,
                (const int64_t[][4]){{1, 1, 3, 2}, {5, 1, 1, 1}, {7, 1, 1, 1}, {2, 5, 2, 3}}, 4);
}

static void t_grid_keeps_every_edit_pixel(void)
{
    rs_mask_opts o = {.shape = RS_MASK_GRID, .cells = 7};
    uint8_t *m = blank(100 * 60);
    m[0] = 255;
    m[59 * 100 + 99] = 255;
    m[20 * 100 + 50] = 255;
    rs_mask_shape_frame(m, t_arena(), 60, 100, &o);
    /* cell edges: x 0 14 28 42 57 71 85 100, y 0 8 17 25 34 42 51 60 */
    check_boxes(m, 100, 60, (const int64_t[][4]){{0, 0, 14, 8}, {85, 51, 15, 9}, {42, 17, 15, 8}},
                3);
}

static void t_exact_changes_nothing(void)
{
    rs_mask_opts o = {.shape = RS_MASK_EXACT, .min_area = 50};
    uint8_t *m = blank(64);
    m[9] = 255;
    rs_mask_shape_frame(m, t_arena(), 8, 8, &o);
    check_boxes(m, 8, 8, (const int64_t[][4]){{1, 1, 1, 1}}, 1);
}

/* A clip of `frames` frames sampled from `source` ones, w x h without resize. */
static rs_clip clip_of(int64_t frames, int64_t source, int64_t w, int64_t h)
{
    rs_clip c = {.source_frames = source, .fit = rs_fit_plan(w, h, w, h)};
    c.rgb = rs_tensor_of(blank(frames * w * h * 3), RS_DTYPE_U8, RS_SHAPE(frames, h, w, 3));
    c.index = RS_NEW(t_arena(), int64_t, frames);
    rs_frame_indices(c.index, source, frames);
    return c;
}

/* n masks; mask i has one edit pixel at column i. */
static rs_tensor ticks(int64_t n, int64_t w, int64_t h)
{
    rs_tensor m = rs_tensor_of(blank(n * w * h), RS_DTYPE_U8, RS_SHAPE(n, h, w));
    for (int64_t i = 0; i < n; i++)
        ((uint8_t *)m.data)[i * w * h + i] = 255;
    return m;
}

static const rs_mask_opts k_exact = {.shape = RS_MASK_EXACT, .threshold = 127};

static void t_folder_masks_follow_the_clip(void)
{
    rs_clip c = clip_of(5, 13, 32, 16);
    const char *folder = rs_path_join(t_arena(), t_tmpdir(), "m");
    T_OK(rs_frames_write_png(folder, ticks(13, 32, 16)));
    rs_tensor m;
    T_OK(rs_mask_load(&m, t_arena(), folder, &c, &k_exact));
    T_EQ_I(m.shape[0], 5);
    for (int64_t t = 0; t < 5; t++) /* 13/5 = 2.6: source frames 0 2 5 7 10 */
        T_EQ_I(((uint8_t *)m.data)[t * 512 + c.index[t]], 255);
    T_EQ_I(rs_mask_count(m), 5);
}

static void t_one_image_stands_for_all(void)
{
    rs_clip c = clip_of(5, 13, 32, 16);
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "one.png");
    T_OK(rs_image_write_png(path, rs_tensor_reshape(ticks(1, 32, 16), RS_SHAPE(16, 32))));
    rs_tensor m;
    T_OK(rs_mask_load(&m, t_arena(), path, &c, &k_exact));
    for (int64_t t = 0; t < 5; t++)
        T_EQ_I(((uint8_t *)m.data)[t * 512], 255);
}

static void t_video_masks_survive_the_codec(void)
{
    rs_clip c = clip_of(9, 9, 32, 32);
    rs_tensor v = rs_tensor_of(blank(9 * 32 * 32 * 3), RS_DTYPE_U8, RS_SHAPE(9, 32, 32, 3));
    for (int64_t t = 0; t < 9; t++)
        for (int64_t y = 8; y < 24; y++)
            memset((uint8_t *)v.data + ((t * 32 + y) * 32 + 8) * 3, 255, 16 * 3);
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "m.mp4");
    rs_encode_opts e = RS_ENCODE_OPTS_DEFAULT;
    T_OK(rs_video_write(path, v, (rs_ratio){25, 1}, &e));
    rs_tensor m;
    T_OK(rs_mask_load(&m, t_arena(), path, &c, &k_exact));
    for (int64_t t = 0; t < 9; t++)
        check_boxes((uint8_t *)m.data + t * 1024, 32, 32, (const int64_t[][4]){{8, 8, 16, 16}}, 1);
}

static void t_masks_that_do_not_fit_are_refused(void)
{
    const char *folder = rs_path_join(t_arena(), t_tmpdir(), "m");
    T_OK(rs_frames_write_png(folder, ticks(12, 32, 16)));
    rs_tensor m;
    rs_clip c = clip_of(5, 13, 32, 16);
    T_FAILS(rs_mask_load(&m, t_arena(), folder, &c, &k_exact), INPUT,
            "/m: 12 masks but the video has 13 frames");
    c = clip_of(5, 12, 32, 18);
    T_FAILS(rs_mask_load(&m, t_arena(), folder, &c, &k_exact), INPUT,
            "00000.png: mask is 32x16 but the video is 32x18");
    c = clip_of(5, 12, 36, 16);
    T_FAILS(rs_mask_load(&m, t_arena(), folder, &c, &k_exact), INPUT,
            "00000.png: mask is 32x16 but the video is 36x16");
    c = clip_of(13, 13, 32, 16); /* a source whose end was not reached */
    c.source_frames = -1;
    T_FAILS(rs_mask_load(&m, t_arena(), folder, &c, &k_exact), INPUT,
            "/m: 12 masks but 13 frames of the video are used");
    rs_tensor v = rs_tensor_of(blank(7 * 16 * 32 * 3), RS_DTYPE_U8, RS_SHAPE(7, 16, 32, 3));
    const char *path = rs_path_join(t_arena(), t_tmpdir(), "m.mp4");
    rs_encode_opts e = RS_ENCODE_OPTS_DEFAULT;
    T_OK(rs_video_write(path, v, (rs_ratio){25, 1}, &e));
    c = clip_of(5, 13, 32, 16);
    T_FAILS(rs_mask_load(&m, t_arena(), path, &c, &k_exact), INPUT,
            "m.mp4: 7 masks but the video has 13 frames");
    c = clip_of(5, 5, 32, 16);
    T_FAILS(rs_mask_load(&m, t_arena(), path, &c, &k_exact), INPUT,
            "m.mp4: 7 masks but the video has 5 frames");
    c = clip_of(5, 7, 32, 16);
    T_FAILS(rs_mask_load(&m, t_arena(), path, &c, &k_exact), INPUT,
            "m.mp4: the mask is empty: no edit pixel in any of the 5 frames");
    c = clip_of(5, 12, 32, 16);
    rs_mask_opts box = RS_MASK_OPTS_DEFAULT;
    T_FAILS(rs_mask_load(&m, t_arena(), folder, &c, &box), INPUT,
            "the mask is empty: every box is below min_area 50");
    T_FAILS(rs_mask_load(&m, t_arena(), "/nowhere/m", &c, &box), INPUT, "/nowhere/m: no such file");
}

static void t_boxes_interpolate_and_hold(void)
{
    const rs_box_key k[] = {{4, 10, 20, 8, 6}, {8, 18, 20, 16, 2}, {10, 0, 0, 4, 4}};
    rs_box_key b = rs_box_at(k, 3, 6);
    T_NEAR(b.x, 14, 0);
    T_NEAR(b.w, 12, 0);
    T_NEAR(b.h, 4, 0);
    T_NEAR(rs_box_at(k, 3, 0).x, 10, 0);
    T_NEAR(rs_box_at(k, 3, 8).x, 18, 0);
    T_NEAR(rs_box_at(k, 3, 9).y, 10, 0);
    T_NEAR(rs_box_at(k, 3, 99).w, 4, 0);
}

static void t_box_masks_follow_the_geometry(void)
{
    rs_clip c = clip_of(5, 13, 32, 16);  /* source frames 0 2 5 7 10 */
    c.fit = rs_fit_plan(72, 32, 32, 16); /* halved to 36x16, 2 columns cut each side */
    const rs_box_key k[] = {{0, 8, 4, 8, 8}, {10, 48, 4, 8, 8}};
    rs_tensor m;
    T_OK(rs_mask_from_boxes(&m, t_arena(), "cat.yaml:7:5", k, 2, &c, &k_exact));
    const int64_t x[5] = {2, 6, 12, 16, 22};
    for (int t = 0; t < 5; t++)
        check_boxes((uint8_t *)m.data + t * 512, 32, 16, (const int64_t[][4]){{x[t], 2, 4, 4}}, 1);
}

static void t_bad_boxes_are_refused(void)
{
    rs_clip c = clip_of(5, 5, 32, 16);
    rs_tensor m;
    const rs_box_key flat[] = {{0, 1, 1, 0, 4}}, back[] = {{3, 1, 1, 4, 4}, {3, 2, 2, 4, 4}};
    const rs_box_key out[] = {{0, 100, 100, 9, 9}};
    T_FAILS(rs_mask_from_boxes(&m, t_arena(), "c:1:2", flat, 1, &c, &k_exact), INPUT,
            "c:1:2: box 0: width and height must be above 0");
    T_FAILS(rs_mask_from_boxes(&m, t_arena(), "c:1:2", back, 2, &c, &k_exact), INPUT,
            "c:1:2: box 1: frame 3; frames must be rising");
    T_FAILS(rs_mask_from_boxes(&m, t_arena(), "c:1:2", out, 1, &c, &k_exact), INPUT,
            "c:1:2: the mask is empty");
    T_FAILS(rs_mask_from_boxes(&m, t_arena(), "c:1:2", out, 0, &c, &k_exact), INPUT, "no boxes");
}

static void t_real_masks_of_car_shadow(void)
{
    if (!t_shared_data())
        rs_test_skip("needs ../shared/data/car-shadow");
    rs_clip c;
    rs_clip_opts o = {.frames = 13, .width = 208, .height = 112};
    T_OK(rs_clip_load(&c, t_arena(), rs_path_join(t_arena(), t_shared_data(), "car-shadow/frames"),
                      &o));
    T_EQ_I(c.source_frames, 40);
    rs_tensor exact, box;
    rs_mask_opts grown = RS_MASK_OPTS_DEFAULT;
    grown.min_area = 1; /* specks too */
    const char *path = rs_path_join(t_arena(), t_shared_data(), "car-shadow/masks");
    T_OK(rs_mask_load(&exact, t_arena(), path, &c, &k_exact));
    T_OK(rs_mask_load(&box, t_arena(), path, &c, &grown));
    int64_t inside = 0;
    for (int64_t i = 0; i < rs_tensor_count(box); i++)
        inside += ((uint8_t *)exact.data)[i] && ((uint8_t *)box.data)[i];
    T_EQ_I(inside, rs_mask_count(exact)); /* the grown boxes cover the car */
    T_CHECK(rs_mask_count(box) > rs_mask_count(exact) && inside > 13 * 100);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_boxes_grow_as_the_reference),
    T_CASE(t_small_boxes_are_dropped_by_box_area),
    T_CASE(t_components_are_8_connected),
    T_CASE(t_grid_keeps_every_edit_pixel),
    T_CASE(t_exact_changes_nothing),
    T_CASE(t_folder_masks_follow_the_clip),
    T_CASE(t_one_image_stands_for_all),
    T_CASE(t_video_masks_survive_the_codec),
    T_CASE(t_masks_that_do_not_fit_are_refused),
    T_CASE(t_boxes_interpolate_and_hold),
    T_CASE(t_box_masks_follow_the_geometry),
    T_CASE(t_bad_boxes_are_refused),
    T_CASE(t_real_masks_of_car_shadow),
};

RS_TEST_MAIN(k_cases)
