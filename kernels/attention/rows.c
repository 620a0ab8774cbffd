#include "kernels/attention/rows.h"

#include "kernels/cpu/cpu_info.h"

const rs_attn_rows *rs_attn_rows_get(void)
{
#if defined(__x86_64__)
    switch (rs_cpu_isa()) {
    case RS_ISA_AVX512:
        return &rs_attn_rows_avx512;
    case RS_ISA_AVX2:
        return &rs_attn_rows_avx2;
    case RS_ISA_BASELINE:
        break;
    }
#endif
    return &rs_attn_rows_base;
}
