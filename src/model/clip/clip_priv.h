/* Inside of the CLIP vision tower: configuration and weight slots. */
#ifndef RS_MODEL_CLIP_PRIV_H
#define RS_MODEL_CLIP_PRIV_H

#include "model/layouts.h"
#include "model/sizes.h"

typedef struct rs_clip_config {
    int64_t dim, ffn, heads;
    int64_t layers;     /* of the checkpoint; the last one belongs to the head */
    int64_t projection; /* width of the projection, where there is one */
    int64_t image, patch;
    int64_t tokens; /* patches + 1 */
    float eps;
} rs_clip_config;

enum { RS_CLIP_CLASS, RS_CLIP_PATCH, RS_CLIP_POSITION, RS_CLIP_NORM_W, RS_CLIP_NORM_B };
/* Of a block; every weight is followed by its bias. */
enum {
    RS_CLIP_NORM1 = 0,
    RS_CLIP_Q = 2,
    RS_CLIP_K = 4,
    RS_CLIP_V = 6,
    RS_CLIP_O = 8,
    RS_CLIP_NORM2 = 10,
    RS_CLIP_FC1 = 12,
    RS_CLIP_FC2 = 14
};
/* Of the head, behind the slots of its one block. The original keeps the projection transposed. */
enum { RS_CLIP_POST_NORM = 16, RS_CLIP_PROJECTION = 18, RS_CLIP_PROJECTION_T = 19 };

/* RS_MODEL names file and key. */
rs_status rs_clip_config_read(rs_clip_config *out, const rs_json *config) RS_NODISCARD;

/* Bicubic resize (a = -0.75, no antialias, aligned pixel centres, clamped borders) of one plane. */
void rs_clip_bicubic(float *dst, int64_t dst_h, int64_t dst_w, const float *src, int64_t src_h,
                     int64_t src_w);

#endif
