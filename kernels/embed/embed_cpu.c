#include <string.h>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

static void lookup(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_embed_args *a = args;
    int64_t c = rs_tensor_cols(a->table), v = rs_tensor_rows(a->table);
    const int32_t *ids = a->ids.data;
    for (int64_t i = lo; i < hi; i++) {
        RS_ASSERTF(ids[i] >= 0 && ids[i] < v, "embed: id %d outside [0,%lld)", (int)ids[i],
                   (long long)v);
        memcpy(rs_f32(a->y) + i * c, rs_f32(a->table) + ids[i] * c, (size_t)c * sizeof(float));
    }
}

void rs_cpu_embed(rs_kctx *k, const rs_embed_args *a)
{
    RS_ASSERT(a->ids.dtype == RS_DTYPE_I32);
    rs_for_range(k, rs_tensor_count(a->ids), rs_row_block(rs_tensor_cols(a->table)), lookup, a);
}
