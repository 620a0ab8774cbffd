/* Resize and crop geometry (LoRA-Edit data preparation, frames and masks alike), and its two
 * samplers. */
#ifndef RS_MEDIA_FIT_H
#define RS_MEDIA_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* Source (src_w, src_h) is resized to (resize_w, resize_h); the window (crop_x, crop_y, crop_w,
 * crop_h) of that lands at (paste_x, paste_y) of the (width, height) target; what the window does
 * not cover is 0. */
typedef struct rs_fit {
    int64_t src_w, src_h;
    int64_t resize_w, resize_h;
    int64_t crop_x, crop_y, crop_w, crop_h;
    int64_t paste_x, paste_y;
    int64_t width, height;
} rs_fit;

/* Geometry rule, with landscape meaning w >= h:
 *   same orientation, w/h > W/H: height H, width trunc(w*(H/h)), columns cropped around the centre;
 *   same orientation otherwise:  width W, height trunc(h*(W/w)), rows cropped around the centre;
 *   different orientation:       s = max(W/w, H/h), both trunc(size*s), centre crop; a side that
 * truncation left short is centred on black. All in double, truncated as the reference does; in the
 * first two cases a side is never below the target. All arguments positive. */
rs_fit rs_fit_plan(int64_t src_w, int64_t src_h, int64_t width, int64_t height);
/* Nothing to do: source and target have one size. */
bool rs_fit_is_identity(const rs_fit *f);

/* dst: (height, width, channels) U8, src: (src_h, src_w, channels) U8, both packed, channels 1..4.
 * Bilinear: half-pixel centres, edge clamp, no antialias filter, 11-bit fixed-point weights: bit
 * for bit what OpenCV's resize(INTER_LINEAR) gives for 8-bit images. `scratch` holds temporaries,
 * released before return. */
void rs_fit_bilinear(uint8_t *dst, rs_arena *scratch, const uint8_t *src, int channels,
                     const rs_fit *f);
/* Nearest: source pixel floor((x + 0.5) * src/resize), so that masks keep the geometry of the
 * frames. */
void rs_fit_nearest(uint8_t *dst, rs_arena *scratch, const uint8_t *src, int channels,
                    const rs_fit *f);

/* Point of the source image -> point of the target (pixel edges, not centres: a box edge maps to an
 * edge). */
void rs_fit_point(double *x, double *y, const rs_fit *f);

#endif
