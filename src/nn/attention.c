#include "nn/nn.h"

void rs_qk_fwd(rs_device *d, rs_tensor y, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads)
{
    rs_rmsnorm_fwd_args a = {.y = y, .x = raw, .weight = weight, .eps = eps};
    if (rope) {
        a.table_f = rope->f;
        a.table_h = rope->h;
        a.table_w = rope->w;
        a.heads = heads;
        a.first = rope->first;
    }
    rs_op_rmsnorm_fwd(d, &a);
}

void rs_qk_bwd(rs_device *d, rs_tensor dy, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads)
{
    rs_rmsnorm_bwd_args a = {.dx = dy, .dy = dy, .x = raw, .weight = weight, .eps = eps};
    if (rope) {
        a.table_f = rope->f;
        a.table_h = rope->h;
        a.table_w = rope->w;
        a.heads = heads;
        a.first = rope->first;
    }
    rs_op_rmsnorm_bwd(d, &a);
}
