/* The names of simd_avx512.h in 128-bit vectors of the compiler: any machine. */
#ifndef RS_KERNELS_CPU_SIMD_BASE_H
#define RS_KERNELS_CPU_SIMD_BASE_H

#include <string.h>

#include "kernels/vec/vec.h"

typedef float rs_vec __attribute__((vector_size(16)));
typedef float rs_vec_mem __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t rs_ivec __attribute__((vector_size(16)));
typedef uint32_t rs_uvec __attribute__((vector_size(16)));

#define V_LANES 4
#define V_TARGET
#define V_ZERO                ((rs_vec){0, 0, 0, 0})
#define V_LOAD(p)             ((rs_vec) * (const rs_vec_mem *)(p))
#define V_STORE(p, v)         (*(rs_vec_mem *)(p) = (v))
#define V_LOAD_PART(p, n)     rs_v_load_part4(p, n)
#define V_STORE_PART(p, v, n) rs_v_store_part4(p, v, n)
#define V_FIRST(v, n, other)  rs_v_select4((rs_ivec){0, 1, 2, 3} < (int)(n), v, other)
#define V_SPREAD(f)           rs_v_spread4(f)
#define V_MULADD(a, b, c)     ((a) * (b) + (c))
#define V_MAX(a, b)           rs_v_select4((a) > (b), a, b)
#define V_SUM(v)              (((v)[0] + (v)[2]) + ((v)[1] + (v)[3]))
#define V_MAX_OF(v)           rs_v_max4(v)
#define V_TRANSPOSE           rs_v_transpose4

RS_INLINE rs_vec rs_v_spread4(float f)
{
    return (rs_vec){f, f, f, f};
}

RS_INLINE rs_vec rs_v_select4(rs_ivec mask, rs_vec yes, rs_vec no)
{
    return (rs_vec)((mask & (rs_ivec)yes) | (~mask & (rs_ivec)no));
}

RS_INLINE float rs_v_max4(rs_vec v)
{
    float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
}

RS_INLINE rs_vec rs_v_load_part4(const float *p, int64_t n)
{
    rs_vec v = V_ZERO;
    if (n == V_LANES)
        return V_LOAD(p);
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

RS_INLINE void rs_v_store_part4(float *p, rs_vec v, int64_t n)
{
    if (n == V_LANES)
        V_STORE(p, v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}

RS_INLINE void rs_v_transpose4(float *dst, int64_t dst_row, const float *src, int64_t src_row)
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            dst[j * dst_row + i] = src[i * src_row + j];
}

#endif
