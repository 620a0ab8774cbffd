#include "kernels/cpu/cpu_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kernels/gemm/block.h"

static rs_isa hardware_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("fma"))
        return RS_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return RS_ISA_AVX2;
#endif
    return RS_ISA_BASELINE;
}

const char *rs_isa_name(rs_isa isa)
{
    static const char *const NAMES[] = {"baseline", "avx2", "avx512"};
    return NAMES[isa];
}

static bool hardware_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return hardware_isa() == RS_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static bool pinned(const char *name)
{
    const char *want = getenv("RS_CPU");
    return want && strcmp(want, name) == 0;
}

rs_isa rs_cpu_isa(void)
{
    rs_isa have = hardware_isa();
    for (rs_isa i = RS_ISA_BASELINE; i < have; i++)
        if (pinned(rs_isa_name(i)))
            return i;
    return have;
}

bool rs_cpu_bf16(void)
{
    return hardware_bf16() && rs_cpu_isa() == RS_ISA_AVX512 && !pinned(rs_isa_name(RS_ISA_AVX512));
}

const char *rs_cpu_pin(int i)
{
    int bf16 = hardware_bf16(), isa = (int)hardware_isa() + bf16 - i;
    RS_ASSERT(i >= 0);
    if (bf16 && i == 0)
        return "avx512bf16";
    return isa >= 0 ? rs_isa_name((rs_isa)isa) : NULL;
}

void rs_cpu_describe(char *out, size_t cap, bool bf16)
{
    rs_isa isa = rs_cpu_isa();
    snprintf(out, cap, "cpu isa=%s gemm=%s attention=%s%s", rs_isa_name(isa),
             rs_gemm_engine_get(bf16)->name(), rs_isa_name(isa), bf16 ? " precision=bf16" : "");
}
