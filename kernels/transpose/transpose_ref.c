#include "kernels/opcase.h"

void rs_ref_transpose(const rs_transpose_args *a)
{
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->cols; j++)
            rs_f64(a->y)[j * a->rows + i] = rs_f64(a->x)[i * a->cols + j];
}
