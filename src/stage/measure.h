/* Measures of an edited clip, made when it is published. Frames U8 (T,H,W,3), masks U8 (T,H,W).
 *
 * inside and outside are those of the region that was generated (the shaped mask, /source/mask),
 * because a new silhouette may leave the object's own mask. Frame 0 is given by the user, so what
 * compares generated content leaves it out. NAN means not applicable: no truth in the catalog, no
 * CLIP tower in the model, no command, or nothing to measure. */
#ifndef RS_STAGE_MEASURE_H
#define RS_STAGE_MEASURE_H

#include "base/tensor.h"
#include "store/schema_names.h"

/* X(ID, name in archives, unit, decimals shown, which is better: +1 higher or -1 lower, what) */
#define RS_MEASURES(X)                                                                             \
    X(CLIP_SCORE, RS_ATTR_CLIP_SCORE, "", 4, +1,                                                   \
      "mean CLIP cosine similarity of generated frames to the edited first frame")                 \
    X(INPUT_SIMILARITY, RS_ATTR_INPUT_SIMILARITY, "", 4, +1,                                       \
      "mean CLIP cosine similarity of generated frames to the source frames of the same index")    \
    X(PSNR, RS_ATTR_PSNR, "dB", 2, +1, "generated frames against the truth")                       \
    X(PSNR_INSIDE, RS_ATTR_PSNR_INSIDE, "dB", 2, +1,                                               \
      "generated frames against the truth, inside the edited region")                              \
    X(PSNR_OUTSIDE, RS_ATTR_PSNR_OUTSIDE, "dB", 2, +1,                                             \
      "all frames against the source, outside the edited region")                                  \
    X(SSIM, RS_ATTR_SSIM, "", 4, +1, "generated frames against the truth")                         \
    X(SSIM_INSIDE, RS_ATTR_SSIM_INSIDE, "", 4, +1,                                                 \
      "generated frames against the truth, inside the edited region")                              \
    X(SSIM_OUTSIDE, RS_ATTR_SSIM_OUTSIDE, "", 4, +1,                                               \
      "all frames against the source, outside the edited region")                                  \
    X(JITTER, RS_ATTR_JITTER, "", 4, -1,                                                           \
      "flicker inside the edited region beyond that of the truth, else of the source")             \
    X(MOTION_ERROR, RS_ATTR_MOTION_ERROR, "px", 2, -1,                                             \
      "mean distance of the object's trajectory from the source's")                                \
    X(DEQA, RS_ATTR_DEQA, "", 3, +1, "score given by measure.deqa_command")

typedef enum rs_measure_id {
#define RS_MEASURE_ENUM(id, name, unit, decimals, better, doc) RS_MEASURE_##id,
    RS_MEASURES(RS_MEASURE_ENUM)
#undef RS_MEASURE_ENUM
        RS_MEASURE_COUNT
} rs_measure_id;

typedef struct rs_measures {
    double v[RS_MEASURE_COUNT];
} rs_measures;

typedef struct rs_measure_info {
    const char *name, *unit, *doc;
    int decimals; /* worth showing */
    int better;   /* +1: higher, -1: lower */
} rs_measure_info;

const rs_measure_info *rs_measure_get_info(rs_measure_id id);
/* All NAN. */
rs_measures rs_measures_none(void);

/* Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE), over the pixels where the mask is keep
 * (inside false) or edit (inside true). INFINITY for equal frames, NAN when no pixel counts. */
double rs_psnr_region(rs_tensor a, rs_tensor b, rs_tensor mask, bool inside);

#endif
