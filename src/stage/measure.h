/* Measures of an edited clip, made when it is published. Frames U8 (T,H,W,3), masks U8 (T,H,W).
 *
 * inside and outside are those of the region that was generated (the shaped mask, /source/mask),
 * because a new silhouette may leave the object's own mask. Frame 0 is given by the user, so what
 * compares generated pixels with the truth leaves it out. NAN means not applicable: no truth in the
 * catalog, no CLIP tower in the model, no command, or nothing to measure. */
#ifndef RS_STAGE_MEASURE_H
#define RS_STAGE_MEASURE_H

#include "base/tensor.h"
#include "store/schema_names.h"

/* X(ID, name in archives, unit, decimals shown, which is better: +1 higher or -1 lower, what) */
#define RS_MEASURES(X)                                                                             \
    X(CLIP_SCORE, RS_ATTR_CLIP_SCORE, "", 4, +1,                                                   \
      "mean CLIP cosine similarity of all frames to the edited first frame")                       \
    X(INPUT_SIMILARITY, RS_ATTR_INPUT_SIMILARITY, "", 4, +1,                                       \
      "mean CLIP cosine similarity of all frames to the source frames of the same index")          \
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
/* By its name in archives; NULL: there is none of this name. */
const rs_measure_info *rs_measure_find(const char *name);
/* All NAN. */
rs_measures rs_measures_none(void);

/* ---- formulas; a and b have equal shapes ---- */

typedef enum rs_region {
    RS_REGION_ALL,
    RS_REGION_INSIDE, /* mask 255 */
    RS_REGION_OUTSIDE,
    RS_REGION_COUNT
} rs_region;

/* Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE), MSE over all channels of the region's
 * pixels in all frames. INFINITY for equal pixels, NAN when the region is empty. */
void rs_measure_psnr(double out[RS_REGION_COUNT], rs_tensor a, rs_tensor b, rs_tensor mask);

/* Structural similarity (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004, eq. 13) of luma 0.299 R +
 * 0.587 G + 0.114 B:
 *   (2 ma mb + c1)(2 sab + c2) / ((ma^2 + mb^2 + c1)(sa^2 + sb^2 + c2)), c1 = (0.01 255)^2,
 *   c2 = (0.03 255)^2,
 * with means, variances and covariance under an 11x11 Gaussian of deviation 1.5, frames mirrored at
 * their borders (edge pixels repeated); the mean of that map over the region's pixels in all
 * frames. NAN when the region is empty. */
void rs_measure_ssim(double out[RS_REGION_COUNT], rs_arena *scratch, rs_tensor a, rs_tensor b,
                     rs_tensor mask);

/* Flicker inside the mask: J = mean |Y_{t+1} - 2 Y_t + Y_{t-1}| / deviation of Y, luma Y, over
 * pixels that are inside at t (the deviation over all three of these values). Motion at constant
 * speed over smooth ground and slow changes give little, what changes its direction from frame to
 * frame gives much; brightness and contrast cancel out, so that a recoloured object can be held
 * against its source. 0 for a still clip, NAN for fewer than three frames or an empty mask. The
 * measure "jitter" is J(edited) - J(reference), frame 0 left out. */
double rs_measure_flicker(rs_tensor frames, rs_tensor mask);

/* Trajectory error in pixels: the mean over frames t >= 1 of the distance between the centre of the
 * object in the edited clip and the centre of its mask `object` (T,H,W) in the source. The object
 * of the edited clip is what differs from the source's ground, so its colours do not matter: a
 * pixel weighs 0 to 1 as its mean absolute difference goes from 12 to 36 grey levels. The ground
 * under the mask is taken from the nearest frame that shows it, where the ground stands still
 * between the two (mean difference up to 4 grey levels), else filled in from around the mask.
 * Frames where less than a twentieth of the mask's area differs show no object and are left out;
 * NAN when no frame is left. Several objects in one mask count as one. Bias: a ground with a strong
 * pattern that moves is not known under the mask, what is uncovered there counts as object in part.
 * A clip whose ground is not kept has no object to find: its number says little. */
double rs_measure_motion(rs_arena *scratch, rs_tensor edited, rs_tensor source, rs_tensor object);

#endif
