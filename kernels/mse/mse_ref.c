#include "kernels/opcase.h"

void rs_ref_mse(const rs_mse_args *a)
{
    int64_t n = rs_tensor_count(a->p);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = rs_f64(a->p)[i] - rs_f64(a->t)[i];
        sum += d * d;
        if (rs_has(a->grad))
            rs_f64(a->grad)[i] = 2 * d / (double)n;
    }
    rs_f64(a->loss)[0] = sum / (double)n;
}

void rs_ref_sumsq(const rs_sumsq_args *a)
{
    double sum = a->accumulate ? rs_f64(a->out)[0] : 0;
    for (int64_t i = 0; i < rs_tensor_count(a->x); i++)
        sum += rs_f64(a->x)[i] * rs_f64(a->x)[i];
    rs_f64(a->out)[0] = sum;
}
