/* 6x16: 12 accumulators, 2 vectors of B, 1 broadcast of the 16 registers. */
#include "kernels/gemm/micro.h"
#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define MICRO               rs_micro_avx2
#define MICRO_NAME          "avx2-6x16"
#define MR                  6
#define NV                  2
#define VL                  8
#define TARGET              RS_TARGET_AVX2
#define VEC                 __m256
#define ZERO                _mm256_setzero_ps()
#define LOAD(p)             _mm256_loadu_ps(p)
#define STORE(p, v)         _mm256_storeu_ps(p, v)
#define LOAD_PART(p, n)     _mm256_maskload_ps(p, first_lanes(n))
#define STORE_PART(p, v, n) _mm256_maskstore_ps(p, first_lanes(n), v)
#define SPREAD(f)           _mm256_set1_ps(f)
#define MULADD(a, b, c)     _mm256_fmadd_ps(a, b, c)
#define TRANSPOSE           transpose8

RS_TARGET_AVX2 static inline __m256i first_lanes(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#define PD(x)       _mm256_castps_pd(x)
#define LOW2(a, b)  _mm256_castpd_ps(_mm256_unpacklo_pd(PD(a), PD(b)))
#define HIGH2(a, b) _mm256_castpd_ps(_mm256_unpackhi_pd(PD(a), PD(b)))

RS_TARGET_AVX2 static inline void transpose8(float *dst, int64_t dst_row, const float *src,
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
        r[i] = LOW2(t[i], t[i + 2]);
        r[i + 1] = HIGH2(t[i], t[i + 2]);
        r[i + 2] = LOW2(t[i + 1], t[i + 3]);
        r[i + 3] = HIGH2(t[i + 1], t[i + 3]);
    }
    RS_UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(dst + i * dst_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(dst + (i + 4) * dst_row, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

#include "kernels/gemm/micro_body.inc"
#endif
