/* Device-only functions that are arithmetic or one memory access. The approximate ones are the
 * exact ones here: what their approximation does must be looked at on a GPU. */
#ifndef RS_TESTS_EMU_EMU_MATH_HH
#define RS_TESTS_EMU_EMU_MATH_HH

#include <algorithm>

using std::max;
using std::min;

static inline float rsqrtf(float x)
{
    return (float)(1.0 / sqrt((double)x));
}
static inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
/* glibc declares (and does not have) functions of these names. */
#define __expf(x)          expf(x)
#define __logf(x)          logf(x)
#define __log2f(x)         log2f(x)
#define __log10f(x)        log10f(x)
#define __exp10f(x)        exp10f(x)
#define __sinf(x)          sinf(x)
#define __cosf(x)          cosf(x)
#define __tanf(x)          tanf(x)
#define __powf(x, y)       powf(x, y)
#define __sincosf(x, s, c) sincosf(x, s, c)
static inline void sincospif(float x, float *s, float *c)
{
    *s = (float)sin(3.14159265358979323846 * (double)x);
    *c = (float)cos(3.14159265358979323846 * (double)x);
}
static inline float __fdividef(float a, float b)
{
    return a / b;
}
static inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
static inline float __frsqrt_rn(float x)
{
    return rsqrtf(x);
}
static inline float __fmul_rn(float a, float b)
{
    return a * b;
}
static inline float __fadd_rn(float a, float b)
{
    return a + b;
}
static inline float __fsub_rn(float a, float b)
{
    return a - b;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline float __saturatef(float x)
{
    return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; /* NaN gives 0, as on the device */
}

template <typename To, typename From> static inline To emu_bits(From x)
{
    static_assert(sizeof(To) == sizeof(From), "bits of equal size");
    To y;
    __builtin_memcpy(&y, &x, sizeof y);
    return y;
}
static inline int __float_as_int(float x)
{
    return emu_bits<int>(x);
}
static inline unsigned __float_as_uint(float x)
{
    return emu_bits<unsigned>(x);
}
static inline float __int_as_float(int x)
{
    return emu_bits<float>(x);
}
static inline float __uint_as_float(unsigned x)
{
    return emu_bits<float>(x);
}
static inline long long __double_as_longlong(double x)
{
    return emu_bits<long long>(x);
}
static inline int __float2int_rn(float x)
{
    return (int)nearbyintf(x);
}
static inline int __float2int_rd(float x)
{
    return (int)floorf(x);
}
static inline int __float2int_rz(float x)
{
    return (int)x;
}
static inline float __int2float_rn(int x)
{
    return (float)x;
}
static inline float __uint2float_rn(unsigned x)
{
    return (float)x;
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((unsigned long long)a * b >> 32);
}
static inline int __mulhi(int a, int b)
{
    return (int)((long long)a * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline unsigned __brev(unsigned x)
{
    unsigned y = 0;
    for (int i = 0; i < 32; i++)
        y |= (x >> i & 1) << (31 - i);
    return y;
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s)
{
    unsigned long long all = (unsigned long long)b << 32 | a;
    unsigned y = 0;
    for (int i = 0; i < 4; i++)
        y |= (unsigned)(all >> ((s >> 4 * i & 7) * 8) & 0xff) << 8 * i;
    return y;
}
static inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned n)
{
    return (unsigned)(((unsigned long long)hi << 32 | lo) << (n & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned n)
{
    return (unsigned)(((unsigned long long)hi << 32 | lo) >> (n & 31));
}

/* Cache hints change nothing here. */
#define EMU_LOAD(name)                                                                             \
    template <typename T> static inline T name(const T *p)                                         \
    {                                                                                              \
        return *p;                                                                                 \
    }
EMU_LOAD(__ldg)
EMU_LOAD(__ldcg)
EMU_LOAD(__ldca)
EMU_LOAD(__ldcs)
EMU_LOAD(__ldlu)
EMU_LOAD(__ldcv)
#undef EMU_LOAD
#define EMU_STORE(name)                                                                            \
    template <typename T> static inline void name(T *p, T value)                                   \
    {                                                                                              \
        *p = value;                                                                                \
    }
EMU_STORE(__stwb)
EMU_STORE(__stcg)
EMU_STORE(__stcs)
EMU_STORE(__stwt)
#undef EMU_STORE

/* Real atomics, so that the thread sanitizer knows them. */
template <typename T> static inline T emu_rmw(T *p, T value, T (*f)(T, T))
{
    T old, next;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do
        next = f(old, value);
    while (!__atomic_compare_exchange(p, &old, &next, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return old;
}
#define EMU_ATOMIC(name, expr)                                                                     \
    template <typename T>                                                                          \
    static inline std::enable_if_t<std::is_arithmetic_v<T>, T> name(T *p,                          \
                                                                    std::common_type_t<T> value)   \
    {                                                                                              \
        return emu_rmw<T>(p, value, [](T a, T b) -> T { return (T)(expr); });                      \
    }
EMU_ATOMIC(atomicAdd, a + b)
EMU_ATOMIC(atomicSub, a - b)
EMU_ATOMIC(atomicMin, b < a ? b : a)
EMU_ATOMIC(atomicMax, b > a ? b : a)
EMU_ATOMIC(atomicExch, (void(a), b))
EMU_ATOMIC(atomicAnd, a &b)
EMU_ATOMIC(atomicOr, a | b)
EMU_ATOMIC(atomicXor, a ^ b)
EMU_ATOMIC(atomicInc, a >= b ? 0 : a + 1)
#undef EMU_ATOMIC
template <typename T> static inline T atomicCAS(T *p, T compare, T value)
{
    __atomic_compare_exchange(p, &compare, &value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return compare;
}

#endif
