#include "kernels/opcase.h"

void rs_ref_lincomb(const rs_lincomb_args *a)
{
    for (int64_t i = 0; i < rs_tensor_count(a->y); i++) {
        double s = 0;
        for (int j = 0; j < a->n; j++)
            s += (double)a->coef[j] * rs_f64(a->x[j])[i];
        rs_f64(a->y)[i] = s;
    }
}
