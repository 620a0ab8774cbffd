#include "stage/condition.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

enum { EDIT_ABOVE = 200 };

static uint8_t *u8(rs_tensor t)
{
    RS_ASSERT(t.dtype == RS_DTYPE_U8);
    return t.data;
}

void rs_video_from_frames(rs_tensor video, rs_tensor frames)
{
    int64_t pixels = frames.shape[0] * frames.shape[1] * frames.shape[2];
    RS_ASSERT(rs_tensor_count(video) == 3 * pixels && frames.shape[3] == 3);
    const uint8_t *src = u8(frames);
    float *dst = rs_f32(video);
    for (int64_t c = 0; c < 3; c++)
        for (int64_t i = 0; i < pixels; i++)
            dst[c * pixels + i] = (float)src[3 * i + c] / 255.0f * 2.0f - 1.0f;
}

void rs_frames_from_video(rs_tensor frames, rs_tensor video)
{
    int64_t pixels = frames.shape[0] * frames.shape[1] * frames.shape[2];
    RS_ASSERT(rs_tensor_count(video) == 3 * pixels && frames.shape[3] == 3);
    const float *src = rs_f32(video);
    uint8_t *dst = u8(frames);
    for (int64_t c = 0; c < 3; c++) {
        for (int64_t i = 0; i < pixels; i++) {
            float v = (src[c * pixels + i] + 1.0f) * 127.5f;
            dst[3 * i + c] = (uint8_t)(v < 0 ? 0 : v > 255.0f ? 255.0f : v);
        }
    }
}

void rs_paint_condition(rs_tensor out, rs_tensor frames, rs_tensor mask, int fill, bool keep_first)
{
    RS_ASSERT(rs_tensor_same_shape(out, frames) &&
              rs_tensor_count(mask) * 3 == rs_tensor_count(frames));
    if (out.data != frames.data)
        memcpy(out.data, frames.data, rs_tensor_bytes(frames));
    int64_t pixels = rs_tensor_count(mask), per_frame = mask.shape[1] * mask.shape[2];
    const uint8_t *m = u8(mask);
    uint8_t *p = u8(out);
    for (int64_t i = keep_first ? per_frame : 0; i < pixels; i++)
        if (m[i] > EDIT_ABOVE)
            memset(p + 3 * i, fill, 3);
}

void rs_mask_condition(rs_tensor m, rs_tensor mask, int64_t scale_s, bool keep_first)
{
    int64_t F = m.shape[1], h = m.shape[2], w = m.shape[3], W = mask.shape[2];
    RS_ASSERT(m.shape[0] == 4 && mask.shape[0] == 4 * (F - 1) + 1 && mask.shape[1] == h * scale_s &&
              W == w * scale_s);
    const uint8_t *src = u8(mask);
    float *dst = rs_f32(m);
    for (int64_t c = 0; c < 4; c++) {
        for (int64_t j = 0; j < F; j++) {
            int64_t frame = j == 0 ? 0 : 4 * (j - 1) + 1 + c;
            for (int64_t y = 0; y < h; y++) {
                for (int64_t x = 0; x < w; x++) {
                    uint8_t v = src[(frame * h * scale_s + y * scale_s) * W + x * scale_s];
                    bool keep = v <= EDIT_ABOVE || (keep_first && frame == 0);
                    dst[((c * F + j) * h + y) * w + x] = keep ? 1.0f : 0.0f;
                }
            }
        }
    }
}

void rs_given_mask(rs_tensor out, rs_tensor mask, rs_cfg_given given)
{
    RS_ASSERT(rs_tensor_same_shape(out, mask));
    if (given != RS_CFG_GIVEN_MASKED)
        memset(u8(out), given == RS_CFG_GIVEN_KEEP_ALL ? 0 : 255, rs_tensor_bytes(out));
    else if (out.data != mask.data)
        memcpy(u8(out), u8(mask), rs_tensor_bytes(out));
}

bool rs_given_first(rs_cfg_given given)
{
    return given != RS_CFG_GIVEN_KEEP_NONE;
}

void rs_keep_cells(rs_tensor keep, rs_tensor mask, int64_t scale_s)
{
    int64_t n = rs_tensor_count(keep);
    float *dst = rs_f32(keep), *channels = rs_alloc((size_t)n * 4, sizeof *channels);
    rs_tensor m = rs_tensor_of(channels, RS_DTYPE_F32,
                               RS_SHAPE(4, keep.shape[0], keep.shape[1], keep.shape[2]));
    rs_mask_condition(m, mask, scale_s, false);
    for (int64_t i = 0; i < n; i++)
        dst[i] = channels[i] * channels[n + i] * channels[2 * n + i] * channels[3 * n + i];
    rs_dealloc(channels);
}

void rs_blend_source(rs_tensor x, rs_tensor keep, rs_tensor x0, rs_tensor noise, float sigma)
{
    int64_t n = rs_tensor_count(keep), all = rs_tensor_count(x);
    RS_ASSERT(rs_tensor_same_shape(x, x0) && rs_tensor_same_shape(x, noise) &&
              all == x.shape[0] * n);
    const float *m = rs_f32(keep), *clean = rs_f32(x0), *z = rs_f32(noise);
    float *dst = rs_f32(x);
    for (int64_t i = 0; i < all; i++)
        if (m[i % n] == 1.0f)
            dst[i] = (1.0f - sigma) * clean[i] + sigma * z[i];
}

void rs_condition_concat(rs_tensor y, rs_tensor m, rs_tensor latent)
{
    int64_t n = rs_tensor_count(m);
    RS_ASSERT(rs_tensor_count(y) == n + rs_tensor_count(latent));
    memcpy(y.data, m.data, rs_tensor_bytes(m));
    memcpy(rs_f32(y) + n, latent.data, rs_tensor_bytes(latent));
}

/* Chessboard distance to the nearest edit pixel, capped at `cap`: two passes (Rosenfeld & Pfaltz
 * 1966). */
static void distance_to_edit(int32_t *d, const uint8_t *mask, int64_t H, int64_t W, int32_t cap)
{
    for (int64_t i = 0; i < H * W; i++)
        d[i] = mask[i] > EDIT_ABOVE ? 0 : cap;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t k = 0; k < H * W; k++) {
            int64_t i = pass ? H * W - 1 - k : k;
            int64_t y = i / W, x = i % W, back = pass ? 1 : -1;
            int32_t best = d[i];
            for (int64_t dx = -1; dx <= 1; dx++) {
                int64_t yy = y + back, xx = x + dx;
                if (yy >= 0 && yy < H && xx >= 0 && xx < W && d[yy * W + xx] + 1 < best)
                    best = d[yy * W + xx] + 1;
            }
            if (x + back >= 0 && x + back < W && d[i + back] + 1 < best)
                best = d[i + back] + 1;
            d[i] = best;
        }
    }
}

void rs_paste_back(rs_tensor frames, rs_tensor source, rs_tensor mask, int64_t feather)
{
    int64_t T = mask.shape[0], H = mask.shape[1], W = mask.shape[2];
    RS_ASSERT(rs_tensor_same_shape(frames, source) && rs_tensor_count(frames) == 3 * T * H * W);
    int32_t cap = rs_i32(feather) + 1;
    int32_t *d = rs_alloc((size_t)(H * W), sizeof *d);
    for (int64_t t = 0; t < T; t++) {
        distance_to_edit(d, u8(mask) + t * H * W, H, W, cap);
        uint8_t *dst = u8(frames) + t * H * W * 3;
        const uint8_t *src = u8(source) + t * H * W * 3;
        for (int64_t i = 0; i < H * W; i++) {
            float w = 1.0f - (float)d[i] / (float)cap;
            for (int64_t c = 3 * i; c < 3 * i + 3; c++)
                dst[c] = (uint8_t)lrintf(w * (float)dst[c] + (1.0f - w) * (float)src[c]);
        }
    }
    rs_dealloc(d);
}
