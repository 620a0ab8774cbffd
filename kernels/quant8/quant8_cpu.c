/* Not in any path of the CPU backend, whose products take no 8-bit operands: what the CUDA op is
 * held against, and what it costs to look at the error of 8 bits anywhere. */
#include "base/fp8.h"
#include "kernels/cpu/cpu_ops.h"

static void row_task(void *arg, int64_t i, int thread)
{
    (void)thread;
    const rs_quant8_args *a = arg;
    int64_t k = rs_tensor_cols(a->x);
    rs_f32(a->scale)[i] = rs_fp8_row((uint8_t *)a->y.data + i * k, rs_f32(a->x) + i * a->x.ld, k);
}

void rs_cpu_quant8(rs_kctx *k, const rs_quant8_args *a)
{
    rs_parallel(k, rs_tensor_rows(a->x), row_task, (void *)(uintptr_t)a);
}
