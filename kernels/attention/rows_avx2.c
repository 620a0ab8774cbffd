#include <math.h>

#include "base/dtype.h"
#include "kernels/attention/rows.h"
#include "kernels/cpu/simd_avx2.h"

#if defined(__x86_64__)
#define ROWS rs_attn_rows_avx2
#include "kernels/attention/rows_body.inc"
#endif
