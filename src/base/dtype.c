#include "base/dtype.h"

#include "base/status.h"

static const struct {
    const char *name;
    size_t size;
} k_dtype[RS_DTYPE_COUNT] = {
#define RS_DTYPE_ROW(id, bytes, st) [RS_DTYPE_##id] = {st, bytes},
    RS_DTYPE_LIST(RS_DTYPE_ROW)
#undef RS_DTYPE_ROW
};

size_t rs_dtype_size(rs_dtype t)
{
    RS_ASSERT(t < RS_DTYPE_COUNT);
    return k_dtype[t].size;
}

const char *rs_dtype_name(rs_dtype t)
{
    RS_ASSERT(t < RS_DTYPE_COUNT);
    return k_dtype[t].name;
}

bool rs_dtype_parse(rs_dtype *out, const char *name, size_t len)
{
    for (int i = 0; i < RS_DTYPE_COUNT; i++) {
        if (strlen(k_dtype[i].name) == len && memcmp(k_dtype[i].name, name, len) == 0) {
            *out = (rs_dtype)i;
            return true;
        }
    }
    return false;
}

float rs_f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exp = (h >> 10) & 31u;
    uint32_t man = h & 1023u;
    uint32_t u;
    if (exp == 31) {
        u = sign | 0x7f800000u | (man << 13);
    } else if (exp) {
        u = sign | ((exp + 112) << 23) | (man << 13);
    } else {
        float f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

uint16_t rs_f16_from_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
    uint32_t a = u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) { /* subnormal: multiples of 2^-24, rounded to even by the FPU */
        float mag;
        memcpy(&mag, &a, sizeof mag);
        float r = mag + 0.5f; /* ulp of [0.5,1) is 2^-24 */
        uint32_t ru;
        memcpy(&ru, &r, sizeof ru);
        return (uint16_t)(sign | (ru - 0x3f000000u));
    }
    uint32_t r = a - 0x38000000u;
    r += 0xfffu + ((r >> 13) & 1u);
    return (uint16_t)(sign | (r >> 13));
}

void rs_convert_to_f32(float *dst, const void *src, rs_dtype src_type, int64_t n)
{
    switch (src_type) {
    case RS_DTYPE_F32:
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    case RS_DTYPE_BF16:
        for (int64_t i = 0; i < n; i++)
            dst[i] = rs_f32_from_bf16(((const uint16_t *)src)[i]);
        return;
    case RS_DTYPE_F16:
        for (int64_t i = 0; i < n; i++)
            dst[i] = rs_f32_from_f16(((const uint16_t *)src)[i]);
        return;
    case RS_DTYPE_F64:
        for (int64_t i = 0; i < n; i++)
            dst[i] = (float)((const double *)src)[i];
        return;
    case RS_DTYPE_I64:
        for (int64_t i = 0; i < n; i++)
            dst[i] = (float)((const int64_t *)src)[i];
        return;
    case RS_DTYPE_I32:
        for (int64_t i = 0; i < n; i++)
            dst[i] = (float)((const int32_t *)src)[i];
        return;
    case RS_DTYPE_U8:
    case RS_DTYPE_BOOL:
        for (int64_t i = 0; i < n; i++)
            dst[i] = (float)((const uint8_t *)src)[i];
        return;
    case RS_DTYPE_COUNT:
        break;
    }
    RS_ASSERTF(false, "no conversion from dtype %d", (int)src_type);
}

void rs_convert_from_f32(void *dst, rs_dtype dst_type, const float *src, int64_t n)
{
    switch (dst_type) {
    case RS_DTYPE_F32:
        memcpy(dst, src, (size_t)n * sizeof *src);
        return;
    case RS_DTYPE_BF16:
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = rs_bf16_from_f32(src[i]);
        return;
    case RS_DTYPE_F16:
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = rs_f16_from_f32(src[i]);
        return;
    case RS_DTYPE_F64:
        for (int64_t i = 0; i < n; i++)
            ((double *)dst)[i] = (double)src[i];
        return;
    default:
        RS_ASSERTF(false, "no conversion to dtype %d", (int)dst_type);
    }
}
