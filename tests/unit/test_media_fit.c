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

static const rs_test_case k_cases[] = {
    T_CASE(t_frame_choice_gives_the_reference_numbers), T_CASE(t_largest_4n1),
    T_CASE(t_geometry_gives_the_reference_numbers),     T_CASE(t_geometry_always_covers_or_centres),
    T_CASE(t_short_side_is_centred_on_black),           T_CASE(t_points_follow_the_pixels),
    T_CASE(t_nearest_takes_the_pixel_under_the_centre),
};

RS_TEST_MAIN(k_cases)
