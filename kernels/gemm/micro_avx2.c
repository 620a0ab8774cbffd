/* 6x16: 12 accumulators, 2 vectors of B and a broadcast in 16 registers. */
#include "kernels/cpu/simd_avx2.h"
#include "base/dtype.h"
#include "kernels/gemm/micro.h"

#if defined(__x86_64__)
#define MICRO      rs_micro_avx2
#define MICRO_NAME "avx2-6x16"
#define MR         6
#define NV         2
#include "kernels/gemm/micro_body.inc"
#endif
