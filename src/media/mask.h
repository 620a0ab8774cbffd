/* Edit masks of a clip: U8 (T, height, width), 255 = edit (to be generated), 0 = keep. */
#ifndef RS_MEDIA_MASK_H
#define RS_MEDIA_MASK_H

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"
#include "media/clip.h"

typedef enum rs_mask_shape {
    RS_MASK_EXACT, /* as given */
    RS_MASK_BOX,   /* grown bounding boxes of the components (LoRA-Edit) */
    RS_MASK_GRID   /* coarse cells that hold any edit pixel (the paper's noisy mask) */
} rs_mask_shape;

typedef struct rs_mask_opts {
    rs_mask_shape shape;
    int threshold;             /* a pixel is edit where its brightest channel is above this */
    double grow;               /* box: part of a side added to it */
    int64_t min_area;          /* box: smaller boxes (w*h) are dropped */
    int64_t cells;             /* grid: cells along each side */
    const rs_media_stop *stop; /* NULL: never */
} rs_mask_opts;
#define RS_MASK_OPTS_DEFAULT                                                                       \
    {                                                                                              \
        .shape = RS_MASK_BOX, .threshold = 127, .grow = 0.1, .min_area = 50, .cells = 7            \
    }

/* A box at one frame, in pixels and frame numbers of the source. */
typedef struct rs_box_key {
    int64_t frame;
    double x, y, w, h;
} rs_box_key;

/* Masks of `clip` from a video, a folder of images or a single image (used for every frame): the
 * frames that the clip took, through the clip's own resize and crop (nearest), thresholded, then
 * shaped. Transparent pixels are keep. Errors (RS_INPUT): size or frame count other than the
 * source's (both are named), no edit pixel in any frame before or after shaping. */
rs_status rs_mask_load(rs_tensor *out, rs_arena *a, const char *path, const rs_clip *clip,
                       const rs_mask_opts *o) RS_NODISCARD;

/* Masks from boxes: position and size linear in the frame number between keys, constant before the
 * first and after the last; mapped to the clip's geometry, edges rounded, cut at the border; then
 * shaped. Keys need rising frame numbers and positive sizes. `name` is what messages call the
 * boxes. Errors as above. */
rs_status rs_mask_from_boxes(rs_tensor *out, rs_arena *a, const char *name, const rs_box_key *keys,
                             int64_t n, const rs_clip *clip, const rs_mask_opts *o) RS_NODISCARD;
/* The box at a (fractional) source frame. */
rs_box_key rs_box_at(const rs_box_key *keys, int64_t n, double frame);

/* Shape one frame in place. mask: (height, width) U8, 0/255.
 * box: for each 8-connected component its bounding box (x,y,w,h); dropped if w*h < min_area; ew =
 * trunc(grow*w), eh = trunc(grow*h); x' = max(0, x - ew/2), y' = max(0, y - eh/2), w' = min(W - x',
 * w + ew), h' = min(H - y', h + eh), halves rounded down: a box cut at the left or top keeps its
 * grown size. grid: cell (i,j) covers pixels [i*H/cells, (i+1)*H/cells) x [j*W/cells, ...) in
 * integers. */
void rs_mask_shape_frame(uint8_t *mask, rs_arena *scratch, int64_t height, int64_t width,
                         const rs_mask_opts *o);

/* Edit pixels of frames [0, T). */
int64_t rs_mask_count(rs_tensor mask);

#endif
