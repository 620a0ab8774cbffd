/* 8-bit floats e4m3 (OCP FP8: 1-4-3 bits, largest 448, no infinity) and matrices of them: values
 * in bytes, row by row, then at the next multiple of 64 bytes one fp32 scale per row. A tensor of
 * such a matrix is U8. */
#ifndef RS_BASE_FP8_H
#define RS_BASE_FP8_H

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "base/tensor.h"

static const float RS_FP8_MOST = 448.0f;

/* Nearest even; beyond the largest value, and infinity: the largest; NaN stays NaN. */
static inline uint8_t rs_fp8_from_f32(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint8_t sign = (uint8_t)(u >> 24 & 0x80u);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint8_t)(sign | 0x7fu);
    if (u < 0x3c800000u) { /* below 2^-6: multiples of 2^-9, rounded by the FPU */
        float mag;
        memcpy(&mag, &u, sizeof mag);
        mag += 0x1p14f; /* where neighbours are 2^-9 apart */
        memcpy(&u, &mag, sizeof u);
        return (uint8_t)(sign | (u - 0x46800000u));
    }
    u -= 0x3c000000u; /* bias 127 to 7 */
    u = (u + 0x7ffffu + (u >> 20 & 1u)) >> 20;
    return (uint8_t)(sign | (u > 0x7eu ? 0x7eu : u));
}

float rs_f32_from_fp8(uint8_t v);

/* What a row is multiplied with before it is rounded, and the scale that undoes it: its largest
 * magnitude becomes 448. A row of zeros has scale 1. */
static inline float rs_fp8_scale(float largest)
{
    return largest > 0 ? largest / RS_FP8_MOST : 1.0f;
}
static inline float rs_fp8_inverse(float largest)
{
    return largest > 0 ? RS_FP8_MOST / largest : 1.0f;
}
/* n values to n bytes; returns the scale. */
float rs_fp8_row(uint8_t *dst, const float *src, int64_t n);

/* Bytes of a matrix, where its scales begin, and their address. */
static inline size_t rs_fp8_scales_at(int64_t rows, int64_t cols)
{
    return ((size_t)rows * (size_t)cols + 63) / 64 * 64;
}
static inline size_t rs_fp8_bytes(int64_t rows, int64_t cols)
{
    return rs_fp8_scales_at(rows, cols) + (size_t)rows * sizeof(float);
}
static inline float *rs_fp8_scales(rs_tensor matrix)
{
    return (float *)(void *)((char *)matrix.data +
                             rs_fp8_scales_at(rs_tensor_rows(matrix), rs_tensor_cols(matrix)));
}
/* Whether a matrix may be kept so: what 8-bit products want of both its dimensions. */
static inline bool rs_fp8_fits(rs_tensor matrix)
{
    return matrix.ndim == 2 && matrix.shape[0] % 16 == 0 && matrix.shape[1] % 16 == 0;
}

#ifdef __cplusplus
}
#endif
#endif
