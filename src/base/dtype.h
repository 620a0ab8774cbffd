/* Element types and conversions. Storage types on disk and on devices; CPU compute is fp32. */
#ifndef RS_BASE_DTYPE_H
#define RS_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*   name, bytes, safetensors name */
#define RS_DTYPE_LIST(X)                                                                           \
    X(F32, 4, "F32")                                                                               \
    X(BF16, 2, "BF16")                                                                             \
    X(F16, 2, "F16")                                                                               \
    X(F64, 8, "F64")                                                                               \
    X(I64, 8, "I64")                                                                               \
    X(I32, 4, "I32")                                                                               \
    X(U8, 1, "U8")                                                                                 \
    X(BOOL, 1, "BOOL")

typedef enum rs_dtype {
#define RS_DTYPE_ENUM(name, size, st) RS_DTYPE_##name,
    RS_DTYPE_LIST(RS_DTYPE_ENUM)
#undef RS_DTYPE_ENUM
        RS_DTYPE_COUNT
} rs_dtype;

size_t rs_dtype_size(rs_dtype t);
const char *rs_dtype_name(rs_dtype t);                            /* safetensors spelling, "BF16" */
bool rs_dtype_parse(rs_dtype *out, const char *name, size_t len); /* false if unknown */

static inline float rs_f32_from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Round to nearest even; NaN stays NaN. */
static inline uint16_t rs_bf16_from_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

float rs_f32_from_f16(uint16_t h);
uint16_t rs_f16_from_f32(float f);

/* Convert n elements of any floating or integer type to fp32, or fp32 to F32/BF16/F16/F64.
 * src and dst must not overlap. */
void rs_convert_to_f32(float *dst, const void *src, rs_dtype src_type, int64_t n);
void rs_convert_from_f32(void *dst, rs_dtype dst_type, const float *src, int64_t n);

#endif
