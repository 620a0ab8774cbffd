#include "kernels/opcase.h"

void rs_ref_affine(const rs_affine_args *a)
{
    int64_t n = rs_tensor_count(a->x), c = rs_tensor_cols(a->x), inner = n / a->x.shape[0];
    for (int64_t i = 0; i < n; i++) {
        int64_t channel = a->channel_first ? i / inner : i % c;
        rs_f64(a->y)[i] = rs_f64(a->x)[i] * rs_f64(a->mul)[channel] +
                          (rs_has(a->add) ? rs_f64(a->add)[channel] : 0);
    }
}
