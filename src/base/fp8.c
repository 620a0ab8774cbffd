#include "base/fp8.h"

#include <math.h>

float rs_f32_from_fp8(uint8_t v)
{
    int e = v >> 3 & 15, m = v & 7;
    float x = e ? ldexpf((float)(8 + m), e - 10) : (float)m * 0x1p-9f;
    if ((v & 0x7f) == 0x7f)
        x = NAN;
    return v & 0x80 ? -x : x;
}

float rs_fp8_row(uint8_t *dst, const float *src, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(src[i]) > most ? fabsf(src[i]) : most;
    float inverse = rs_fp8_inverse(most);
    for (int64_t i = 0; i < n; i++)
        dst[i] = rs_fp8_from_f32(src[i] * inverse);
    return rs_fp8_scale(most);
}
