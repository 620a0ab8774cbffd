#include "kernels/gemm/micro.h"

#include "base/num.h"
#include "kernels/cpu/cpu_info.h"

const rs_micro *rs_micro_get(void)
{
#if defined(__x86_64__)
    switch (rs_cpu_isa()) {
    case RS_ISA_AVX512:
        return &rs_micro_avx512;
    case RS_ISA_AVX2:
        return &rs_micro_avx2;
    case RS_ISA_BASELINE:
        break;
    }
#endif
    return &rs_micro_base;
}

int64_t rs_micro_panels(const rs_micro *u, int64_t n, int64_t k)
{
    return rs_ceil_div(n, u->nr) * u->nr * k;
}

/* A panel of B stays in the inner cache while all rows of A pass by. */
void rs_micro_block(const rs_micro *u, int64_t m, int64_t n, int64_t k, const float *a,
                    int64_t a_row, int64_t a_k, const float *panels, int64_t panel, float *c,
                    int64_t ldc, bool accumulate)
{
    for (int64_t j = 0; j < n; j += u->nr, panels += panel) {
        int64_t nb = rs_min_i64(u->nr, n - j);
        for (int64_t i = 0; i < m; i += u->mr)
            u->tile(k, a + i * a_row, a_row, a_k, panels, c + i * ldc + j, ldc,
                    rs_min_i64(u->mr, m - i), nb, accumulate);
    }
}
