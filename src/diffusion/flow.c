#include "diffusion/flow.h"

void rs_flow_pair(float *x_t, float *target, const float *x0, const float *noise, float sigma,
                  int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        x_t[i] = (1.0f - sigma) * x0[i] + sigma * noise[i];
        target[i] = noise[i] - x0[i];
    }
}

void rs_guide(float *v, const float *cond, const float *uncond, float guidance, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = uncond[i] + guidance * (cond[i] - uncond[i]);
}
