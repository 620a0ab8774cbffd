/* 4x8 with 128-bit vectors of the compiler: any machine. */
#include <string.h>

#include "kernels/gemm/micro.h"
#include "kernels/vec/vec.h"

typedef float v4 __attribute__((vector_size(16)));
typedef float v4_mem __attribute__((vector_size(16), aligned(4), may_alias));

#define MICRO      rs_micro_base
#define MICRO_NAME "base-4x8"
#define MR         4
#define NV         2
#define VL         4
#define TARGET
#define VEC                 v4
#define ZERO                ((v4){0, 0, 0, 0})
#define LOAD(p)             ((v4) * (const v4_mem *)(p))
#define STORE(p, v)         (*(v4_mem *)(p) = (v))
#define LOAD_PART(p, n)     load_part(p, n)
#define STORE_PART(p, v, n) store_part(p, v, n)
#define SPREAD(f)           ((v4){(f), (f), (f), (f)})
#define MULADD(a, b, c)     ((a) * (b) + (c))
#define TRANSPOSE           transpose4

static inline v4 load_part(const float *p, int64_t n)
{
    v4 v = ZERO;
    if (n == VL)
        return LOAD(p);
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

static inline void store_part(float *p, v4 v, int64_t n)
{
    if (n == VL)
        STORE(p, v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}

static inline void transpose4(float *dst, int64_t dst_row, const float *src, int64_t src_row)
{
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            dst[j * dst_row + i] = src[i * src_row + j];
}

#include "kernels/gemm/micro_body.inc"
