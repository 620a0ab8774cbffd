/* 4x8: 8 accumulators, 2 vectors of B and a broadcast in 16 registers. */
#include "kernels/cpu/simd_base.h"
#include "base/dtype.h"
#include "kernels/gemm/micro.h"

#define MICRO      rs_micro_base
#define MICRO_NAME "base-4x8"
#define MR         4
#define NV         2
#include "kernels/gemm/micro_body.inc"
