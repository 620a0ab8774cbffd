#include "kernels/opcase.h"

void rs_ref_noise(const rs_noise_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->y); i++)
        rs_f64(a->y)[i] = (double)rs_rng_normal(&a->stream, a->first + (uint64_t)i);
}
