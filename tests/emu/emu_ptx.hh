/* The functions of kernels/cuda/ptx.cuh for the emulated build. */
#ifndef RS_TESTS_EMU_EMU_PTX_HH
#define RS_TESTS_EMU_EMU_PTX_HH

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "tests/emu/emu_async.hh"
#include "tests/emu/emu_warp.hh"

namespace emu
{
struct mma {
    float *d;
    const uint32_t *a, *b;
};
combine_fn combine_mma_16816;
struct ldmatrix {
    uint32_t *r;
    const void *row;
    int n; /* matrices */
    bool trans;
};
combine_fn combine_ldmatrix;

static inline void load_matrices(uint32_t *r, const void *row, int n, bool trans, place p)
{
    ldmatrix m = {r, row, n, trans};
    for (int i = 0; i < n; i++)
        r[i] = 0xffffffffu;
    warp_meet(0xffffffffu, trans ? "ldmatrix.trans" : "ldmatrix", combine_ldmatrix, &m, false, p);
}

/* The rows that a ldmatrix reads belong to other lanes' pointers: tell the sanitizers that this
 * lane reads its own row. */
static inline void touch_row(const void *row)
{
    for (int i = 0; i < 4; i++)
        (void)((const volatile uint32_t *)row)[i];
}
} // namespace emu

static inline void rs_mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2], EMU_HERE)
{
    emu::mma m = {d, a, b};
    emu::warp_meet(0xffffffffu, "mma", emu::combine_mma_16816, &m, false, p);
}

static inline void rs_ldmatrix_x4(uint32_t r[4], const void *row, EMU_HERE)
{
    emu::touch_row(row);
    emu::load_matrices(r, row, 4, false, p);
}

static inline void rs_ldmatrix_x4_trans(uint32_t r[4], const void *row, EMU_HERE)
{
    emu::touch_row(row);
    emu::load_matrices(r, row, 4, true, p);
}

static inline void rs_cp_async_16(void *shared, const void *global, bool valid, EMU_HERE)
{
    emu::cp_async(shared, global, 16, valid ? 16 : 0, p);
}

static inline void rs_cp_async_commit(void)
{
    emu::cp_async_commit();
}

static inline float rs_exp2(float x)
{
    float y = exp2f(x);
    return y < FLT_MIN ? 0 : y;
}

template <int N> static inline void rs_cp_async_wait(void)
{
    emu::cp_async_wait(N, false);
}

#endif
