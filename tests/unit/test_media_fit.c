// media: frame choice, resize/crop geometry, bilinear and nearest sampling.
#include <string.h>

#include "harness/test.h"
#include "media/clip.h"
#include "media/fit.h"

static void check_indices(int64_t n, int64_t frames, const int64_t *head, int64_t heads,
                          const int64_t *tail, int64_t tails)
{
    int64_t index[128];
    int64_t count = rs_frame_indices(index, n, frames);
    T_EQ_I(count, frames < n ? frames : n);
    for (int64_t i = 0; i < heads; i++)
        T_EQ_I(index[i], head[i]);
    for (int64_t i = 0; i < tails; i++)
        T_EQ_I(index[count - tails + i], tail[i]);
    for (int64_t i = 1; i < count; i++)
        T_CHECK(index[i] > index[i - 1]);
}

static void t_frame_choice_gives_the_reference_numbers(void)
{
    check_indices(100, 49, (int64_t[]){0, 2, 4}, 3, (int64_t[]){93, 95, 97}, 3);
    check_indices(120, 49, (int64_t[]){0, 2, 4, 7, 9, 12, 14, 17}, 8, (int64_t[]){112, 115, 117},
                  3);
    check_indices(60, 49, (int64_t[]){0, 1, 2, 3, 4, 6, 7, 8, 9, 11}, 10, (int64_t[]){56, 57, 58},
                  3);
    check_indices(49, 49, (int64_t[]){0, 1, 2}, 3, (int64_t[]){46, 47, 48}, 3);
    check_indices(40, 49, (int64_t[]){0, 1, 2}, 3, (int64_t[]){37, 38, 39}, 3);
    check_indices(40, 13, (int64_t[]){0, 3, 6, 9, 12, 15, 18}, 7, (int64_t[]){36}, 1);
    check_indices(1, 5, (int64_t[]){0}, 1, NULL, 0);
}

static void t_largest_4n1(void)
{
    const int64_t want[] = {0, 1, 1, 1, 1, 5, 5, 5, 5, 9};
    for (int64_t n = 0; n < 10; n++)
        T_EQ_I(rs_frames_4n1(n), want[n]);
    T_EQ_I(rs_frames_4n1(40), 37);
    T_EQ_I(rs_frames_4n1(81), 81);
}

static void t_geometry_gives_the_reference_numbers(void)
{
    static const struct {
        int64_t w, h, W, H, rw, rh, cx, cy, px, py;
    } rows[] = {
        {1920, 1080, 832, 480, 853, 480, 10, 0, 0, 0},
        {1280, 720, 832, 480, 853, 480, 10, 0, 0, 0},
        {3840, 2160, 832, 480, 853, 480, 10, 0, 0, 0},
        {640, 480, 832, 480, 832, 624, 0, 72, 0, 0},
        {1080, 1920, 832, 480, 832, 1479, 0, 499, 0, 0},
        {720, 1280, 832, 480, 831, 1479, 0, 499, 0, 0},
        {854, 480, 208, 112, 208, 116, 0, 2, 0, 0},
        {832, 480, 832, 480, 832, 480, 0, 0, 0, 0},
        {480, 832, 480, 832, 480, 832, 0, 0, 0, 0},
        {768, 576, 208, 112, 208, 156, 0, 22, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rs_fit f = rs_fit_plan(rows[i].w, rows[i].h, rows[i].W, rows[i].H);
        T_EQ_I(f.resize_w, rows[i].rw);
        T_EQ_I(f.resize_h, rows[i].rh);
        T_EQ_I(f.crop_x, rows[i].cx);
        T_EQ_I(f.crop_y, rows[i].cy);
        T_EQ_I(f.paste_x, rows[i].px);
        T_EQ_I(f.paste_y, rows[i].py);
    }
}

static void t_geometry_always_covers_or_centres(void)
{
    for (int64_t w = 1; w < 400; w += 7) {
        for (int64_t h = 1; h < 400; h += 5) {
            rs_fit f = rs_fit_plan(w, h, 96, 64);
            T_CHECK(f.crop_x >= 0 && f.crop_x + f.crop_w <= f.resize_w);
            T_CHECK(f.crop_y >= 0 && f.crop_y + f.crop_h <= f.resize_h);
            T_CHECK(f.paste_x >= 0 && f.paste_x + f.crop_w <= 96);
            T_CHECK(f.paste_y >= 0 && f.paste_y + f.crop_h <= 64);
            if (w >= h) /* the same orientation never leaves a black edge */
                T_CHECKF(f.crop_w == 96 && f.crop_h == 64, "%lldx%lld", (long long)w, (long long)h);
            else
                T_CHECK(f.crop_w >= 95 && f.crop_h >= 63);
        }
    }
}

/* The truncated column of 720x1280 -> 832x480 is black and on the right. */
static void t_short_side_is_centred_on_black(void)
{
    rs_fit f = rs_fit_plan(720, 1280, 832, 480);
    uint8_t *src = rs_arena_alloc(t_arena(), 720 * 1280, 1), *dst;
    memset(src, 200, 720 * 1280);
    dst = rs_arena_alloc(t_arena(), 832 * 480, 1);
    rs_fit_bilinear(dst, t_arena(), src, 1, &f);
    for (int y = 0; y < 480; y += 479) {
        T_EQ_I(dst[y * 832], 200);
        T_EQ_I(dst[y * 832 + 830], 200);
        T_EQ_I(dst[y * 832 + 831], 0);
    }
}

static void t_points_follow_the_pixels(void)
{
    rs_fit f = rs_fit_plan(1280, 720, 832, 480);
    double x = 640, y = 360;
    rs_fit_point(&x, &y, &f);
    T_NEAR(x, 640.0 * 853 / 1280 - 10, 1e-9);
    T_NEAR(y, 240, 1e-9);
}

static void t_nearest_takes_the_pixel_under_the_centre(void)
{
    uint8_t src[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, dst[12];
    rs_fit f = rs_fit_plan(4, 3, 2, 1); /* 4x3 -> width 2, height 1 (trunc 1.5) */
    T_EQ_I(f.resize_h, 1);
    rs_fit_nearest(dst, t_arena(), src, 1, &f);
    T_EQ_I(dst[0], 5); /* column (0.5*2), row (0.5*3) */
    T_EQ_I(dst[1], 7);
    rs_fit g = rs_fit_plan(2, 1, 4, 2);
    rs_fit_nearest(dst, t_arena(), src, 1, &g);
    const uint8_t want[8] = {0, 0, 1, 1, 0, 0, 1, 1};
    T_CHECK(memcmp(dst, want, 8) == 0);
}

/* OpenCV 5.0.0, cv2.resize of the 13x9 picture below to 7x5, and rows 0, 5 and 10 of it at 19x11.
 */
static const uint8_t k_opencv_down[5 * 7 * 3] = {
    115, 108, 155, 142, 133, 42,  112, 212, 64,  109, 117, 46,  84,  170, 167, 177, 65,  127,
    163, 179, 153, 190, 155, 112, 119, 128, 169, 193, 200, 102, 173, 179, 131, 30,  124, 157,
    69,  162, 89,  120, 115, 219, 121, 124, 109, 96,  140, 76,  207, 168, 142, 174, 89,  98,
    238, 202, 96,  68,  20,  82,  204, 94,  194, 168, 122, 98,  93,  83,  142, 161, 152, 183,
    234, 95,  137, 109, 128, 140, 144, 95,  138, 103, 114, 188, 139, 112, 149, 139, 189, 87,
    187, 211, 169, 59,  118, 211, 185, 128, 105, 109, 174, 75,  190, 73,  152};
static const uint8_t k_opencv_up[3 * 19 * 3] = {
    60,  94,  129, 123, 51,  111, 184, 39,  75,  196, 128, 13,  178, 97,  64,  160, 103, 95,  152,
    206, 62,  214, 218, 74,  227, 193, 74,  174, 136, 55,  73,  55,  73,  28,  78,  106, 36,  175,
    151, 80,  97,  181, 156, 57,  147, 239, 51,  91,  248, 87,  128, 188, 172, 180, 119, 254, 224,
    192, 84,  61,  105, 133, 119, 49,  166, 156, 122, 130, 106, 58,  156, 53,  60,  176, 57,  210,
    167, 149, 159, 175, 96,  139, 151, 73,  174, 89,  98,  162, 160, 171, 192, 197, 158, 250, 195,
    83,  225, 72,  143, 129, 22,  116, 28,  24,  61,  152, 65,  144, 202, 91,  190, 215, 106, 212,
    197, 231, 93,  120, 127, 114, 79,  65,  126, 168, 169, 103, 142, 169, 51,  140, 174, 68,  208,
    214, 206, 135, 228, 117, 84,  181, 107, 70,  67,  214, 23,  64,  218, 77,  114, 197, 204, 200,
    155, 155, 196, 136, 107, 178, 111, 81,  145, 99,  171, 67,  185, 176, 42,  156, 150, 40,  96};

static rs_fit plain_resize(int64_t src_w, int64_t src_h, int64_t w, int64_t h)
{
    return (rs_fit){src_w, src_h, w, h, 0, 0, w, h, 0, 0, w, h};
}

static void t_bilinear_is_opencvs_bit_for_bit(void)
{
    uint8_t src[9 * 13 * 3], dst[11 * 19 * 3];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof src; i++) {
        x = x * 1664525u + 1013904223u;
        src[i] = (uint8_t)(x >> 24);
    }
    rs_fit down = plain_resize(13, 9, 7, 5), up = plain_resize(13, 9, 19, 11);
    rs_fit_bilinear(dst, t_arena(), src, 3, &down);
    for (size_t i = 0; i < sizeof k_opencv_down; i++)
        T_EQ_I(dst[i], k_opencv_down[i]);
    rs_fit_bilinear(dst, t_arena(), src, 3, &up);
    for (size_t row = 0; row < 3; row++)
        for (size_t i = 0; i < 57; i++)
            T_EQ_I(dst[row * 5 * 57 + i], k_opencv_up[row * 57 + i]);
}

/* The crop is a window of the whole resize. */
static void t_crop_is_a_window_of_the_resize(void)
{
    uint8_t *src = rs_arena_alloc(t_arena(), 50 * 20, 1);
    for (int i = 0; i < 50 * 20; i++)
        src[i] = (uint8_t)(i * 7);
    rs_fit f = rs_fit_plan(50, 20, 24, 16), whole = plain_resize(50, 20, f.resize_w, 16);
    T_EQ_I(f.resize_w, 40);
    T_EQ_I(f.crop_x, 8);
    uint8_t *crop = rs_arena_alloc(t_arena(), 24 * 16, 1);
    uint8_t *full = rs_arena_alloc(t_arena(), 40 * 16, 1);
    for (int nearest = 0; nearest < 2; nearest++) {
        (nearest ? rs_fit_nearest : rs_fit_bilinear)(crop, t_arena(), src, 1, &f);
        (nearest ? rs_fit_nearest : rs_fit_bilinear)(full, t_arena(), src, 1, &whole);
        for (int y = 0; y < 16; y++)
            T_CHECK(memcmp(crop + y * 24, full + y * 40 + 8, 24) == 0);
    }
}

static const rs_test_case k_cases[] = {
    T_CASE(t_bilinear_is_opencvs_bit_for_bit),          T_CASE(t_crop_is_a_window_of_the_resize),
    T_CASE(t_frame_choice_gives_the_reference_numbers), T_CASE(t_largest_4n1),
    T_CASE(t_geometry_gives_the_reference_numbers),     T_CASE(t_geometry_always_covers_or_centres),
    T_CASE(t_short_side_is_centred_on_black),           T_CASE(t_points_follow_the_pixels),
    T_CASE(t_nearest_takes_the_pixel_under_the_centre),
};

RS_TEST_MAIN(k_cases)
