/* The names of simd_avx512.h for AVX2 and FMA. */
#ifndef RS_KERNELS_CPU_SIMD_AVX2_H
#define RS_KERNELS_CPU_SIMD_AVX2_H

#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef __m256 rs_vec;
typedef int32_t rs_ivec __attribute__((vector_size(32)));
typedef uint32_t rs_uvec __attribute__((vector_size(32)));

#define V_LANES               8
#define V_TARGET              RS_TARGET_AVX2
#define V_ZERO                _mm256_setzero_ps()
#define V_LOAD(p)             _mm256_loadu_ps(p)
#define V_STORE(p, v)         _mm256_storeu_ps(p, v)
#define V_LOAD_PART(p, n)     _mm256_maskload_ps(p, rs_v_lanes8(n))
#define V_STORE_PART(p, v, n) _mm256_maskstore_ps(p, rs_v_lanes8(n), v)
#define V_FIRST(v, n, other)  _mm256_blendv_ps(other, v, _mm256_castsi256_ps(rs_v_lanes8(n)))
#define V_SPREAD(f)           _mm256_set1_ps(f)
#define V_MULADD(a, b, c)     _mm256_fmadd_ps(a, b, c)
#define V_MAX(a, b)           _mm256_max_ps(a, b)
#define V_SUM(v)              rs_v_sum8(v)
#define V_MAX_OF(v)           rs_v_max8(v)
#define V_TRANSPOSE           rs_v_transpose8

#define V_PD(x)       _mm256_castps_pd(x)
#define V_LOW2(a, b)  _mm256_castpd_ps(_mm256_unpacklo_pd(V_PD(a), V_PD(b)))
#define V_HIGH2(a, b) _mm256_castpd_ps(_mm256_unpackhi_pd(V_PD(a), V_PD(b)))

V_TARGET static inline __m256i rs_v_lanes8(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

V_TARGET static inline float rs_v_sum8(__m256 v)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}

V_TARGET static inline float rs_v_max8(__m256 v)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}

V_TARGET static inline void rs_v_transpose8(float *dst, int64_t dst_row, const float *src,
                                            int64_t src_row)
{
    __m256 r[8], t[8];
    RS_UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(src + i * src_row);
    RS_UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    RS_UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = V_LOW2(t[i], t[i + 2]);
        r[i + 1] = V_HIGH2(t[i], t[i + 2]);
        r[i + 2] = V_LOW2(t[i + 1], t[i + 3]);
        r[i + 3] = V_HIGH2(t[i + 1], t[i + 3]);
    }
    RS_UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * dst_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * dst_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
#endif

#endif
