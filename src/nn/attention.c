#include "nn/nn.h"

void rs_qk_fwd(rs_device *d, rs_tensor y, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads)
{
    RS_OP(d, rmsnorm_fwd, .y = y, .x = raw, .weight = weight, .eps = eps);
    if (rope)
        RS_OP(d, rope_fwd, .y = y, .x = y, .table_f = rope->f, .table_h = rope->h,
              .table_w = rope->w, .heads = heads, .first = rope->first);
}

void rs_qk_bwd(rs_device *d, rs_tensor dy, rs_tensor raw, rs_tensor weight, float eps,
               const rs_rope *rope, int64_t heads)
{
    if (rope)
        RS_OP(d, rope_bwd, .y = dy, .x = dy, .table_f = rope->f, .table_h = rope->h,
              .table_w = rope->w, .heads = heads, .first = rope->first);
    RS_OP(d, rmsnorm_bwd, .dx = dy, .dy = dy, .x = raw, .weight = weight, .eps = eps);
}
