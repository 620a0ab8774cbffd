#include "kernels/opcase.h"

void rs_ref_embed(const rs_embed_args *a)
{
    int64_t c = rs_tensor_cols(a->table);
    const int32_t *ids = a->ids.data;
    for (int64_t i = 0; i < rs_tensor_count(a->ids); i++)
        for (int64_t j = 0; j < c; j++)
            rs_f64(a->y)[i * c + j] = rs_f64(a->table)[ids[i] * c + j];
}
