/* One vector vocabulary, three instruction sets: simd_avx512.h, simd_avx2.h, simd_base.h define the
 * same names; a file includes one of them and then a body (*.inc) written in these names.
 * Arithmetic on rs_vec is the compiler's own (+ - * < on vectors).
 *
 *   V_LANES, V_TARGET (function attribute), rs_vec, rs_ivec and rs_uvec (32-bit lanes)
 *   V_LOAD V_STORE          any alignment
 *   V_LOAD_PART V_STORE_PART first n lanes, 1..V_LANES; other lanes zero / untouched
 *   V_FIRST(v, n, other)    lanes [0,n) of v, the rest of other
 *   V_SPREAD V_MULADD V_MAX a*b+c, fused where the instruction set can; max(a,b) is b if one is NaN
 *   V_SUM V_MAX_OF          over the lanes, in pairs
 *   V_TRANSPOSE(dst, dst_row, src, src_row)  V_LANES x V_LANES floats */
#ifndef RS_KERNELS_CPU_SIMD_AVX512_H
#define RS_KERNELS_CPU_SIMD_AVX512_H

#include "kernels/vec/vec.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef __m512 rs_vec;
typedef int32_t rs_ivec __attribute__((vector_size(64)));
typedef uint32_t rs_uvec __attribute__((vector_size(64)));

#define V_LANES               16
#define V_TARGET              RS_TARGET_AVX512
#define V_MASK(n)             ((__mmask16)((1u << (n)) - 1))
#define V_ZERO                _mm512_setzero_ps()
#define V_LOAD(p)             _mm512_loadu_ps(p)
#define V_STORE(p, v)         _mm512_storeu_ps(p, v)
#define V_LOAD_PART(p, n)     _mm512_maskz_loadu_ps(V_MASK(n), p)
#define V_STORE_PART(p, v, n) _mm512_mask_storeu_ps(p, V_MASK(n), v)
#define V_FIRST(v, n, other)  _mm512_mask_mov_ps(other, V_MASK(n), v)
#define V_SPREAD(f)           _mm512_set1_ps(f)
#define V_MULADD(a, b, c)     _mm512_fmadd_ps(a, b, c)
#define V_MAX(a, b)           _mm512_max_ps(a, b)
#define V_SUM(v)              _mm512_reduce_add_ps(v)
#define V_MAX_OF(v)           _mm512_reduce_max_ps(v)
#define V_TRANSPOSE           rs_v_transpose16

#define V_PD(x)       _mm512_castps_pd(x)
#define V_LOW2(a, b)  _mm512_castpd_ps(_mm512_unpacklo_pd(V_PD(a), V_PD(b)))
#define V_HIGH2(a, b) _mm512_castpd_ps(_mm512_unpackhi_pd(V_PD(a), V_PD(b)))
/* 128-bit lanes 0,2 of a and b, and lanes 1,3. */
#define V_EVEN(a, b) _mm512_shuffle_f32x4(a, b, 0x88)
#define V_ODD(a, b)  _mm512_shuffle_f32x4(a, b, 0xdd)

/* Rows in r, which is overwritten. 4x4 blocks inside the 128-bit lanes first, then the lanes. */
V_TARGET static inline void rs_v_transpose16_of(float *dst, int64_t dst_row, __m512 r[16])
{
    __m512 t[16];
    RS_UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    RS_UNROLL
    for (int i = 0; i < 16; i += 4) {
        r[i] = V_LOW2(t[i], t[i + 2]);
        r[i + 1] = V_HIGH2(t[i], t[i + 2]);
        r[i + 2] = V_LOW2(t[i + 1], t[i + 3]);
        r[i + 3] = V_HIGH2(t[i + 1], t[i + 3]);
    }
    RS_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512 e0 = V_EVEN(r[i], r[i + 4]), o0 = V_ODD(r[i], r[i + 4]);
        __m512 e1 = V_EVEN(r[i + 8], r[i + 12]), o1 = V_ODD(r[i + 8], r[i + 12]);
        _mm512_storeu_ps(dst + i * dst_row, V_EVEN(e0, e1));
        _mm512_storeu_ps(dst + (i + 4) * dst_row, V_EVEN(o0, o1));
        _mm512_storeu_ps(dst + (i + 8) * dst_row, V_ODD(e0, e1));
        _mm512_storeu_ps(dst + (i + 12) * dst_row, V_ODD(o0, o1));
    }
}

V_TARGET static inline void rs_v_transpose16(float *dst, int64_t dst_row, const float *src,
                                             int64_t src_row)
{
    __m512 r[16];
    RS_UNROLL
    for (int i = 0; i < 16; i++)
        r[i] = _mm512_loadu_ps(src + i * src_row);
    rs_v_transpose16_of(dst, dst_row, r);
}
#endif

#endif
