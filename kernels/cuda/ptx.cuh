/* Every instruction that CUDA C++ has no name for, one function each; sm_80 and later. The emulated
 * build has the same functions from tests/emu/emu_ptx.hh, which its compiler is told to include.
 * PTX ISA 7.0, sections "mma", "ldmatrix", "cp.async" and "ex2".
 *
 * Fragments of the 16x8x16 product (lane l, g = l / 4, t = l % 4):
 *   a[0] (row g,   cols 2t, 2t+1)   a[1] (row g+8, same)   a[2] (row g, cols 2t+8, +9)   a[3] (g+8)
 *   b[0] (rows 2t, 2t+1, col g)     b[1] (rows 2t+8, 2t+9, col g)
 *   d[0] (row g, col 2t)  d[1] (row g, col 2t+1)  d[2], d[3] (row g+8)
 * Two bf16 share a word, the lower index in the lower half. */
#ifndef RS_KERNELS_CUDA_PTX_CUH
#define RS_KERNELS_CUDA_PTX_CUH

#include <cuda_bf16.h>
#include <stdint.h>

#ifndef CUDA_EMU

/* d(16,8) += a(16,16) b(16,8), bf16 with fp32 sums. By all 32 lanes. */
static __device__ inline void rs_mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8x8 matrices of 16-bit elements from shared memory: lane l gives the address of row l % 8 of
 * matrix l / 8 (16 bytes, aligned); r[i] gets row g, columns 2t and 2t+1 of matrix i. */
static __device__ inline void rs_ldmatrix_x4(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* The same, each matrix transposed: r[i] gets rows 2t and 2t+1 of column g. */
static __device__ inline void rs_ldmatrix_x4_trans(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* 16 bytes from global to shared memory, later; zeros, and no read, when !valid. */
static __device__ inline void rs_cp_async_16(void *shared, const void *global, bool valid)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n"
                 :
                 : "r"(at), "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}

/* The copies since the last commit become a group. */
static __device__ inline void rs_cp_async_commit(void)
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* All but the last N groups of this thread have arrived (others need a barrier to see them). */
template <int N> static __device__ inline void rs_cp_async_wait(void)
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

/* 2^x to 2 units in the last place, denormals are 0; -inf gives 0. exp2f has three more
 * instructions for denormals. */
static __device__ inline float rs_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

#endif

/* Two floats to a word of bf16, `lo` in the lower half. */
static __device__ inline uint32_t rs_pack_bf16(float lo, float hi)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(lo, hi);
    return *reinterpret_cast<uint32_t *>(&v);
}

#endif
