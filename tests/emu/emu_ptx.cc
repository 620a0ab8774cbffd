/* Tensor core fragments and shared memory matrices, laid out as the PTX ISA says (sections
 * "Matrix Fragments for mma.m16n8k16" and "ldmatrix"). */
#include "tests/emu/emu_ptx.hh"

#include <cstring>

#include "tests/emu/emu_sched.hh"

namespace emu
{
namespace
{
float low_half(uint32_t w)
{
    w <<= 16;
    float f;
    memcpy(&f, &w, sizeof f);
    return f;
}

float high_half(uint32_t w)
{
    w &= 0xffff0000u;
    float f;
    memcpy(&f, &w, sizeof f);
    return f;
}

bool whole_warp(const char *what, unsigned mask, place p)
{
    if (mask != 0xffffffffu)
        kernel_error(p, "%s by a part of a warp (%08x)", what, mask);
    return true;
}
} // namespace

void combine_mma_16816(void *operand[WARP], unsigned mask, place p)
{
    float a[16][16], b[16][8]; /* rows of A; rows of B */
    whole_warp("mma", mask, p);
    for (int l = 0; l < WARP; l++) {
        const mma *m = (const mma *)operand[l];
        int g = l / 4, t = l % 4;
        for (int i = 0; i < 4; i++) {
            int row = g + i % 2 * 8, col = 2 * t + i / 2 * 8;
            a[row][col] = low_half(m->a[i]);
            a[row][col + 1] = high_half(m->a[i]);
        }
        for (int i = 0; i < 2; i++) {
            b[2 * t + i * 8][g] = low_half(m->b[i]);
            b[2 * t + i * 8 + 1][g] = high_half(m->b[i]);
        }
    }
    for (int row = 0; row < 16; row++) {
        float d[8] = {0};
        for (int k = 0; k < 16; k++)
            for (int col = 0; col < 8; col++)
                d[col] += a[row][k] * b[k][col];
        for (int col = 0; col < 8; col++)
            ((const mma *)operand[row % 8 * 4 + col / 2])->d[row / 8 * 2 + col % 2] += d[col];
    }
}

void combine_ldmatrix(void *operand[WARP], unsigned mask, place p)
{
    uint16_t e[4][8][8];
    whole_warp("ldmatrix", mask, p);
    int n = ((const ldmatrix *)operand[0])->n;
    for (int l = 0; l < 8 * n; l++) {
        const void *row = ((const ldmatrix *)operand[l])->row;
        if ((uintptr_t)row % 16 != 0)
            kernel_error(p, "ldmatrix: the row of lane %d is not 16-byte aligned (%p)", l, row);
        if (!is_shared(row, 16))
            kernel_error(p, "ldmatrix: the row of lane %d is not in shared memory (%p)", l, row);
        memcpy(e[l / 8][l % 8], row, 16);
    }
    for (int l = 0; l < WARP; l++) {
        const ldmatrix *m = (const ldmatrix *)operand[l];
        int g = l / 4, t = l % 4;
        for (int i = 0; i < n; i++) {
            uint32_t lo = m->trans ? e[i][2 * t][g] : e[i][g][2 * t];
            uint32_t hi = m->trans ? e[i][2 * t + 1][g] : e[i][g][2 * t + 1];
            m->r[i] = hi << 16 | lo;
        }
    }
}

void async_check(void *dst, const void *src, int bytes, int from_src, place p)
{
    if (((uintptr_t)dst | (uintptr_t)src) % (uintptr_t)bytes != 0)
        kernel_error(p, "cp.async of %d bytes is not aligned: from %p to %p", bytes, src, dst);
    if (!is_shared(dst, (size_t)bytes))
        kernel_error(p, "cp.async to %p, which is not shared memory of this block", dst);
    if (from_src > 0 && where_is(src) != OF_DEVICE)
        kernel_error(p, "cp.async from %p, which is not device memory", src);
}
} // namespace emu
