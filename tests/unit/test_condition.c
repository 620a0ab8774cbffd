// stage/condition: the numbers of loraedit.md 1.6, 2.3 and 10.
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "harness/test.h"
#include "stage/condition.h"

static rs_tensor bytes(int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, RS_DTYPE_U8, ndim, shape);
    t.data = rs_arena_alloc(t_arena(), (size_t)rs_tensor_count(t), 1);
    return t;
}

static void t_pixels_map_both_ways(void)
{
    rs_tensor f = bytes(RS_SHAPE(1, 16, 16, 3)), g = bytes(RS_SHAPE(1, 16, 16, 3));
    rs_tensor v = rs_tensor_new(t_arena(), RS_SHAPE(3, 1, 16, 16));
    for (int i = 0; i < 768; i++)
        ((uint8_t *)f.data)[i] = (uint8_t)i;
    rs_video_from_frames(v, f);
    T_NEAR(rs_f32(v)[0], -1, 0);
    T_NEAR(rs_f32(v)[256], 1.0 / 255 * 2 - 1, 1e-7); /* channel 1 of pixel 0 is value 1 */
    /* painted grey: 128/255*2-1 */
    ((uint8_t *)f.data)[0] = 128;
    rs_video_from_frames(v, f);
    T_NEAR(rs_f32(v)[0], 0.0039216, 1e-6);
    rs_frames_from_video(g, v);
    for (int i = 0; i < 768; i++) /* truncation may lose one level */
        T_CHECK(((uint8_t *)f.data)[i] - ((uint8_t *)g.data)[i] <= 1 &&
                ((uint8_t *)g.data)[i] <= ((uint8_t *)f.data)[i]);
    rs_f32(v)[0] = 1.5f;
    rs_f32(v)[1] = -1.5f;
    rs_f32(v)[2] = 0.999f; /* 254.87 */
    rs_frames_from_video(g, v);
    T_EQ_I(((uint8_t *)g.data)[0], 255);
    T_EQ_I(((uint8_t *)g.data)[3], 0);
    T_EQ_I(((uint8_t *)g.data)[6], 254);
}

static void t_paint_uses_the_exact_region(void)
{
    rs_tensor f = bytes(RS_SHAPE(2, 2, 2, 3)), m = bytes(RS_SHAPE(2, 2, 2)),
              out = bytes(RS_SHAPE(2, 2, 2, 3));
    memset(f.data, 7, 24);
    uint8_t mask[8] = {255, 0, 0, 0, 201, 200, 0, 255};
    memcpy(m.data, mask, 8);
    rs_paint_condition(out, f, m, 128, true);
    const uint8_t *p = out.data;
    T_EQ_I(p[0], 7); /* frame 0 is whole */
    T_EQ_I(p[12], 128);
    T_EQ_I(p[14], 128);
    T_EQ_I(p[15], 7); /* 200 is not above 200 */
    T_EQ_I(p[21], 128);
    rs_paint_condition(out, f, m, 128, false);
    T_EQ_I(p[0], 128);
}

/* M[c][j] = m[0] if j == 0 else m[4*(j-1)+1+c]; a cell is "generate" iff its top-left pixel is
 * inside. */
static void t_mask_channels_pack_time(void)
{
    enum { T = 13, H = 16, W = 24, F = 4, h = 2, w = 3 };
    rs_tensor mask = bytes(RS_SHAPE(T, H, W));
    rs_rng r = rs_rng_stream(1, 1, RS_RNG_TEST, 0);
    for (int64_t i = 0; i < T * H * W; i++)
        ((uint8_t *)mask.data)[i] = rs_rng_bits(&r, (uint64_t)i) & 1 ? 255 : 0;
    for (int keep = 0; keep < 2; keep++) {
        rs_tensor m = rs_tensor_new(t_arena(), RS_SHAPE(4, F, h, w));
        rs_mask_condition(m, mask, 8, keep);
        /* independent construction: repeat frame 0 four times, view as (F,4), swap */
        for (int c = 0; c < 4; c++)
            for (int j = 0; j < F; j++)
                for (int y = 0; y < h; y++)
                    for (int x = 0; x < w; x++) {
                        int k = 4 * j + c, frame = k < 4 ? 0 : k - 3;
                        int edit = ((uint8_t *)mask.data)[(frame * H + 8 * y) * W + 8 * x] == 255;
                        if (keep && frame == 0)
                            edit = 0;
                        T_EQ_I(rs_f32(m)[((c * F + j) * h + y) * w + x], !edit);
                    }
    }
    rs_tensor one = bytes(RS_SHAPE(1, 8, 8));
    ((uint8_t *)one.data)[0] = 255;
    rs_tensor m1 = rs_tensor_new(t_arena(), RS_SHAPE(4, 1, 1, 1));
    rs_mask_condition(m1, one, 8, false);
    for (int c = 0; c < 4; c++)
        T_CHECK(rs_f32(m1)[c] == 0.0f);
}

/* Two latent frames of 2x3 cells; mask pixel (t,y,x) is edit where its number is divisible by 5. */
static rs_tensor fifth_mask(void)
{
    rs_tensor mask = bytes(RS_SHAPE(5, 16, 24));
    for (int i = 0; i < 5 * 16 * 24; i++)
        ((uint8_t *)mask.data)[i] = i % 5 == 0 ? 255 : 0;
    return mask;
}

static void t_what_is_given(void)
{
    static const struct {
        rs_cfg_given given;
        bool first, others; /* whole and marked as kept */
    } k_given[] = {{RS_CFG_GIVEN_FIRST_FRAME, true, false},
                   {RS_CFG_GIVEN_KEEP_ALL, true, true},
                   {RS_CFG_GIVEN_KEEP_NONE, false, false}};
    rs_tensor mask = fifth_mask(), given = bytes(RS_SHAPE(5, 16, 24));
    rs_tensor frames = bytes(RS_SHAPE(5, 16, 24, 3)), out = bytes(RS_SHAPE(5, 16, 24, 3));
    rs_tensor m = rs_tensor_new(t_arena(), RS_SHAPE(4, 2, 2, 3));
    memset(frames.data, 7, rs_tensor_bytes(frames));
    rs_given_mask(given, mask, RS_CFG_GIVEN_MASKED);
    T_CHECK(memcmp(given.data, mask.data, rs_tensor_bytes(mask)) == 0);
    T_CHECK(rs_given_first(RS_CFG_GIVEN_MASKED));
    for (int k = 0; k < 3; k++) {
        bool first = rs_given_first(k_given[k].given);
        T_EQ_I(first, k_given[k].first);
        rs_given_mask(given, mask, k_given[k].given);
        rs_paint_condition(out, frames, given, 128, first);
        rs_mask_condition(m, given, 8, first);
        for (int i = 0; i < 5 * 16 * 24 * 3; i++) {
            bool whole = i < 16 * 24 * 3 ? k_given[k].first : k_given[k].others;
            T_EQ_I(((uint8_t *)out.data)[i], whole ? 7 : 128);
        }
        for (int i = 0; i < 4 * 2 * 6; i++)
            T_EQ_I(rs_f32(m)[i], i / 6 % 2 == 0 ? k_given[k].first : k_given[k].others);
    }
}

/* A cell is the source's where all frames of its latent frame keep it; frame 0 has its own mask. */
static void t_cells_are_kept_by_all_their_frames(void)
{
    rs_tensor mask = bytes(RS_SHAPE(9, 16, 24)), keep = rs_tensor_new(t_arena(), RS_SHAPE(3, 2, 3));
    static const struct {
        int t, y, x, cell;
    } k_edit[] = {{0, 0, 8, 1}, {1, 8, 16, 6 + 5}, {4, 0, 0, 6}, {8, 8, 0, 12 + 3}};
    uint8_t *p = mask.data;
    for (int i = 0; i < 4; i++)
        p[(k_edit[i].t * 16 + k_edit[i].y) * 24 + k_edit[i].x] = 255;
    p[(5 * 16 + 9) * 24 + 9] = 255; /* not the pixel that decides */
    rs_keep_cells(keep, mask, 8);
    for (int i = 0; i < 18; i++) {
        bool edited = false;
        for (int k = 0; k < 4; k++)
            edited = edited || k_edit[k].cell == i;
        T_CHECKF(rs_f32(keep)[i] == (edited ? 0.0f : 1.0f), "cell %d", i);
    }
}

static void t_blend_follows_the_noise_level(void)
{
    enum { Z = 3, N = 4 };
    rs_tensor x = rs_tensor_new(t_arena(), RS_SHAPE(Z, 1, 2, 2)),
              x0 = rs_tensor_new(t_arena(), RS_SHAPE(Z, 1, 2, 2)),
              noise = rs_tensor_new(t_arena(), RS_SHAPE(Z, 1, 2, 2)),
              keep = rs_tensor_new(t_arena(), RS_SHAPE(1, 2, 2));
    static const float sigmas[] = {0.25f, 0.0f};
    rs_f32(keep)[1] = rs_f32(keep)[2] = 1;
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < Z * N; i++) {
            rs_f32(x)[i] = 0.3f + (float)i;
            rs_f32(x0)[i] = 8.0f * (float)i + 0.1f;
            rs_f32(noise)[i] = -4.0f * (float)i - 0.7f;
        }
        rs_blend_source(x, keep, x0, noise, sigmas[s]);
        for (int i = 0; i < Z * N; i++) {
            double clean = (double)rs_f32(x0)[i], z = (double)rs_f32(noise)[i], sigma = sigmas[s];
            bool source = i % N == 1 || i % N == 2;
            /* two products and a sum in fp32 of values below 92 */
            T_NEAR(rs_f32(x)[i],
                   source ? (1 - sigma) * clean + sigma * z : (double)(0.3f + (float)i),
                   source && s == 0 ? 3 * 92 * 0x1p-24 : 0);
        }
    }
}

static void t_paste_back_keeps_far_pixels_exactly(void)
{
    enum { H = 20, W = 30 };
    rs_tensor a = bytes(RS_SHAPE(1, H, W, 3)), s = bytes(RS_SHAPE(1, H, W, 3)),
              m = bytes(RS_SHAPE(1, H, W));
    memset(a.data, 200, H * W * 3);
    memset(s.data, 100, H * W * 3);
    for (int y = 5; y < 10; y++)
        memset((uint8_t *)m.data + y * W + 10, 255, 6);
    rs_paste_back(a, s, m, 3);
    const uint8_t *p = a.data;
    T_EQ_I(p[(7 * W + 12) * 3], 200);
    T_EQ_I(p[(7 * W + 16) * 3], 175);  /* one pixel outside: weight 3/4 */
    T_EQ_I(p[(12 * W + 12) * 3], 125); /* three below */
    T_EQ_I(p[(13 * W + 12) * 3], 100);
    T_EQ_I(p[(7 * W + 25) * 3], 100);
}

static const rs_test_case cases[] = {
    T_CASE(t_pixels_map_both_ways),
    T_CASE(t_paint_uses_the_exact_region),
    T_CASE(t_mask_channels_pack_time),
    T_CASE(t_what_is_given),
    T_CASE(t_cells_are_kept_by_all_their_frames),
    T_CASE(t_blend_follows_the_noise_level),
    T_CASE(t_paste_back_keeps_far_pixels_exactly),
};
RS_TEST_MAIN(cases)
