#include "kernels/cpu/cpu_peak.h"

#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/log.h"
#include "base/num.h"
#include "kernels/cpu/cpu_info.h"
#include "kernels/vec/vec.h"

/* Independent chains: FMA latency is 4 cycles at two per cycle, so 8 would do; 12 leave slack and
 * fit the 16 registers of AVX2. */
enum { CHAINS = 12, ROUNDS = 400000 };

#define FMA_LOOP(type, set1, fma, first)                                                           \
    type x[CHAINS];                                                                                \
    const type m = set1(0.999f), b = set1((float)task + 1);                                        \
    for (int i = 0; i < CHAINS; i++)                                                               \
        x[i] = set1((float)i);                                                                     \
    for (int64_t r = 0; r < ROUNDS; r++) {                                                         \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) x[i] = fma(x[i], m, b);          \
    }                                                                                              \
    float sum = 0;                                                                                 \
    for (int i = 0; i < CHAINS; i++)                                                               \
        sum += first(x[i]);                                                                        \
    ((float *)out)[task] = sum;                                                                    \
    (void)thread

typedef float v4 __attribute__((vector_size(16)));
RS_INLINE v4 v4_set1(float f)
{
    return (v4){f, f, f, f};
}
RS_INLINE v4 v4_fma(v4 a, v4 b, v4 c)
{
    return a * b + c;
}
RS_INLINE float v4_first(v4 a)
{
    return a[0];
}
static void fma_base(void *out, int64_t task, int thread)
{
    FMA_LOOP(v4, v4_set1, v4_fma, v4_first);
}

#if defined(__x86_64__)
RS_TARGET_AVX512 static void fma_avx512(void *out, int64_t task, int thread)
{
    FMA_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32);
}
RS_TARGET_AVX2 static void fma_avx2(void *out, int64_t task, int thread)
{
    FMA_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32);
}
RS_INLINE RS_TARGET_AVX512_BF16 __m512 dot_pairs(__m512 sum, __m512 a, __m512 b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#define dot_into(x, m, b) dot_pairs(x, m, b)
RS_TARGET_AVX512_BF16 static void dot_avx512(void *out, int64_t task, int thread)
{
    FMA_LOOP(__m512, _mm512_set1_ps, dot_into, _mm512_cvtss_f32);
}
#else
#define dot_avx512 fma_base
#define fma_avx512 fma_base
#define fma_avx2   fma_base
#endif

/* By process time, in which other load on the cores does not count. GFLOP/s of a loop of `lanes`
 * multiply-adds an instruction. */
static double peak_of(rs_kctx *k, rs_task_fn *loop, int lanes)
{
    enum { PER_THREAD = 8 };
    int64_t tasks = (int64_t)rs_kctx_threads(k) * PER_THREAD;
    float *out = rs_alloc((size_t)tasks, sizeof *out);
    clock_t start = clock();
    rs_parallel(k, tasks, loop, out);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC / rs_kctx_threads(k);
    rs_dealloc(out);
    return 2.0 * CHAINS * lanes * (double)ROUNDS * (double)tasks / seconds * 1e-9;
}

double rs_cpu_peak_fma(rs_kctx *k)
{
    rs_isa isa = rs_cpu_isa();
    if (isa == RS_ISA_AVX512)
        return peak_of(k, fma_avx512, 16);
    return isa == RS_ISA_AVX2 ? peak_of(k, fma_avx2, 8) : peak_of(k, fma_base, 4);
}

double rs_cpu_peak_bf16(rs_kctx *k)
{
    return rs_cpu_bf16() ? peak_of(k, dot_avx512, 32) : 0;
}

typedef struct arrays {
    float *a;
    const float *b;
    const float *c;
} arrays;

RS_INLINE void triad_body(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const arrays *t = args;
    float *restrict a = t->a;
    for (int64_t i = lo; i < hi; i++)
        a[i] = t->b[i] + 3.0f * t->c[i];
}
RS_RANGE_VERSIONS(triad)

double rs_cpu_peak_triad(rs_kctx *k, float *a, const float *b, const float *c, int64_t n)
{
    arrays t = {a, b, c};
    double start = rs_now();
    rs_for_range(k, n, 65536, triad(), &t);
    return 3.0 * 4.0 * (double)n / (rs_now() - start) * 1e-9;
}
