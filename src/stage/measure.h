/* Measures of an edited clip. Frames U8 (T,H,W,3), mask U8 (T,H,W). */
#ifndef RS_STAGE_MEASURE_H
#define RS_STAGE_MEASURE_H

#include "base/tensor.h"

/* Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE), over the pixels where the mask is keep
 * (inside false) or edit (inside true). INFINITY for equal frames, NAN when no pixel counts. */
double rs_psnr_region(rs_tensor a, rs_tensor b, rs_tensor mask, bool inside);

#endif
