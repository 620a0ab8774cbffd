#include "kernels/opcase.h"

void rs_ref_copy(const rs_copy_args *a)
{
    for (int64_t i = 0; i < rs_tensor_rows(a->x); i++)
        for (int64_t j = 0; j < rs_tensor_cols(a->x); j++)
            rs_f64(a->y)[i * a->y.ld + j] = rs_f64(a->x)[i * a->x.ld + j];
}
