/* How the memory-bound ops are written: one body over a range of rows or elements, compiled three
 * times (x86-64 baseline, AVX2, AVX-512) and chosen at run time by rs_cpu_isa().
 *
 * The range is cut into blocks of fixed size, so bits never depend on the number of threads.
 * The compiler contracts nothing to FMA, element functions ask for it by name (vmath.h: where the
 * instruction set has none, the C library's is as exact, and slow), and sums run in 64 lanes
 * whatever the register width, so bits do not depend on the instruction set either. */
#ifndef RS_KERNELS_VEC_VEC_H
#define RS_KERNELS_VEC_VEC_H

#include "kernels/cpu/cpu_info.h"
#include "kernels/kernel.h"

/* Work on [lo,hi) of whatever is counted; thread as in rs_task_fn. */
typedef void rs_range_fn(const void *args, int64_t lo, int64_t hi, int thread);
/* Call fn over [0,n) in blocks of `block`, in parallel. */
void rs_for_range(rs_kctx *k, int64_t n, int64_t block, rs_range_fn *fn, const void *args);
/* Rows of `cols` floats per block such that a block is about 64 KiB; depends on cols only. */
int64_t rs_row_block(int64_t cols);
/* The same for bodies that fetch a row ahead within their block: up to eight times as many where
 * that leaves 32 blocks. Depends on the shape only. */
int64_t rs_row_block_ahead(int64_t rows, int64_t cols);

#define RS_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__clang__)
#define RS_TARGET_AVX2   __attribute__((target("avx2,fma")))
#define RS_TARGET_AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#elif defined(__x86_64__)
#define RS_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define RS_TARGET_AVX512                                                                           \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")))
#else
#define RS_TARGET_AVX2
#define RS_TARGET_AVX512
#endif
/* Products of bf16 pairs summed in fp32 (rs_cpu_bf16). */
#if defined(__x86_64__) && defined(__clang__)
#define RS_TARGET_AVX512_BF16                                                                      \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma")))
#elif defined(__x86_64__)
#define RS_TARGET_AVX512_BF16                                                                      \
    __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma,"                     \
                          "prefer-vector-width=512")))
#endif

/* RS_IVDEP: the next loop carries no dependence between its iterations (y may be x, but not overlap
 * it otherwise). RS_UNROLL: unroll the next loop of at most 16 iterations completely. */
#if defined(__clang__)
#define RS_IVDEP  _Pragma("clang loop vectorize(assume_safety)")
#define RS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RS_IVDEP  _Pragma("GCC ivdep")
#define RS_UNROLL _Pragma("GCC unroll 16")
#endif

/* From `RS_INLINE void name_body(const void *, int64_t, int64_t, int)` make the three versions and
 * `static rs_range_fn *name(void)`, which picks one. */
#define RS_RANGE_VERSIONS(name)                                                                    \
    static void name##_base(const void *args, int64_t lo, int64_t hi, int thread)                  \
    {                                                                                              \
        name##_body(args, lo, hi, thread);                                                         \
    }                                                                                              \
    RS_TARGET_AVX2 static void name##_avx2(const void *args, int64_t lo, int64_t hi, int thread)   \
    {                                                                                              \
        name##_body(args, lo, hi, thread);                                                         \
    }                                                                                              \
    RS_TARGET_AVX512 static void name##_avx512(const void *args, int64_t lo, int64_t hi,           \
                                               int thread)                                         \
    {                                                                                              \
        name##_body(args, lo, hi, thread);                                                         \
    }                                                                                              \
    static rs_range_fn *name(void)                                                                 \
    {                                                                                              \
        rs_isa isa = rs_cpu_isa();                                                                 \
        return isa == RS_ISA_AVX512 ? name##_avx512                                                \
               : isa == RS_ISA_AVX2 ? name##_avx2                                                  \
                                    : name##_base;                                                 \
    }

#endif
