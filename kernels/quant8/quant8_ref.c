#include <math.h>

#include "base/fp8.h"
#include "kernels/opcase.h"

void rs_ref_quant8(const rs_quant8_args *a)
{
    int64_t m = rs_tensor_rows(a->x), k = rs_tensor_cols(a->x);
    for (int64_t i = 0; i < m; i++) {
        double most = 0;
        for (int64_t c = 0; c < k; c++)
            most = fmax(most, fabs(rs_f64(a->x)[i * a->x.ld + c]));
        rs_f64(a->scale)[i] = most > 0 ? most / 448 : 1;
        for (int64_t c = 0; c < k; c++) {
            double v = rs_f64(a->x)[i * a->x.ld + c] * (most > 0 ? 448 / most : 1);
            rs_f64(a->y)[i * k + c] = (double)rs_f32_from_fp8(rs_fp8_from_f32((float)v));
        }
    }
}
