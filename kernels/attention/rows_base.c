#include <math.h>

#include "base/dtype.h"
#include "kernels/attention/rows.h"
#include "kernels/cpu/simd_base.h"

#define ROWS rs_attn_rows_base
#include "kernels/attention/rows_body.inc"
