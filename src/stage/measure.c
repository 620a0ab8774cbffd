#include "stage/measure.h"

#include <math.h>

double rs_psnr_region(rs_tensor a, rs_tensor b, rs_tensor mask, bool inside)
{
    RS_ASSERT(rs_tensor_same_shape(a, b) && rs_tensor_count(mask) * 3 == rs_tensor_count(a));
    const uint8_t *p = a.data, *q = b.data, *m = mask.data;
    int64_t count = 0, sum = 0;
    for (int64_t i = 0; i < rs_tensor_count(mask); i++) {
        if ((m[i] > 127) != inside)
            continue;
        count += 3;
        for (int64_t c = 3 * i; c < 3 * i + 3; c++) {
            int64_t d = (int64_t)p[c] - q[c];
            sum += d * d;
        }
    }
    if (count == 0)
        return NAN;
    return sum == 0 ? INFINITY : 10.0 * log10(65025.0 * (double)count / (double)sum);
}
