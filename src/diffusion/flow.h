/* Flow matching (Lipman et al., ICLR 2023; Wan2.1, wan21.md 6.3 and 6.6).
 *   x_sigma = (1 - sigma) x0 + sigma * noise,  velocity v = noise - x0,  model time t = 1000 *
 * sigma All arrays are host fp32. */
#ifndef RS_DIFFUSION_FLOW_H
#define RS_DIFFUSION_FLOW_H

#include <stdint.h>

/* x_t and the regression target for one training pair. */
void rs_flow_pair(float *x_t, float *target, const float *x0, const float *noise, float sigma,
                  int64_t n);
/* v = uncond + guidance * (cond - uncond), classifier-free guidance (Ho & Salimans 2022); v may be
 * either. */
void rs_guide(float *v, const float *cond, const float *uncond, float guidance, int64_t n);

#endif
