#include <string.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

static void copy_rows(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_copy_args *a = args;
    size_t bytes = (size_t)rs_tensor_cols(a->x) * sizeof(float);
    for (int64_t r = lo; r < hi; r++)
        memcpy(rs_f32(a->y) + r * a->y.ld, rs_f32(a->x) + r * a->x.ld, bytes);
}

void rs_cpu_copy(rs_kctx *k, const rs_copy_args *a)
{
    rs_for_range(k, rs_tensor_rows(a->x), rs_row_block(rs_tensor_cols(a->x)), copy_rows, a);
}
