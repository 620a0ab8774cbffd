/* What a block does row by row with something of the sample's own: modulation (M0..M5) from its
 * time, positions counted from its first token. */
#include "model/wan/wan_state.h"

static rs_tensor rows_of(rs_tensor t, int64_t rows, int k)
{
    return rs_tensor_rows_view(t, rows * k, rows * (k + 1));
}

void rs_wan_modulate(const wan_block *b)
{
    const wan_state *s = b->s;
    rs_tensor table = rs_tensor_reshape(b->w[WAN_B_TABLE], RS_SHAPE(6, s->cfg.dim));
    for (int k = 0; k < s->n; k++)
        RS_OP(b->d, gate_add, .y = rows_of(s->mod, 6, k), .x = table,
              .o = rs_tensor_reshape(rows_of(s->e0, 1, k), RS_SHAPE(6, s->cfg.dim)));
}

rs_tensor rs_wan_mod(const wan_block *b, int k, int row)
{
    return rs_tensor_reshape(rows_of(b->s->mod, 1, 6 * k + row), RS_SHAPE(b->s->cfg.dim));
}

rs_tensor rs_wan_mod_all(const wan_block *b, int row)
{
    int64_t D = b->s->cfg.dim;
    return rs_tensor_cols_view(rs_tensor_reshape(b->s->mod, RS_SHAPE(b->s->n, 6 * D)), row * D,
                               (row + 1) * D);
}

void rs_wan_norm(const wan_block *b, rs_tensor y, rs_tensor x, int shift)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, layernorm_fwd, .y = rs_wan_part(b, y, k), .x = rs_wan_part(b, x, k),
              .scale = rs_wan_mod(b, k, shift + 1), .shift = rs_wan_mod(b, k, shift),
              .eps = b->s->cfg.eps);
}

void rs_wan_add_norm(const wan_block *b, rs_tensor y, rs_tensor sum, rs_tensor x, rs_tensor o,
                     int shift)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, layernorm_fwd, .y = rs_wan_part(b, y, k), .sum = rs_wan_part(b, sum, k),
              .x = rs_wan_part(b, x, k), .o = rs_wan_part(b, o, k),
              .scale = rs_wan_mod(b, k, shift + 1), .shift = rs_wan_mod(b, k, shift),
              .eps = b->s->cfg.eps);
}

void rs_wan_add_affine(const wan_block *b, rs_tensor y, rs_tensor sum, rs_tensor x, rs_tensor o,
                       int row)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, layernorm_fwd, .y = rs_wan_part(b, y, k), .sum = rs_wan_part(b, sum, k),
              .x = rs_wan_part(b, x, k), .o = rs_wan_part(b, o, k), .gate = rs_wan_mod(b, k, row),
              .weight = b->w[WAN_B_NORM], .bias = b->w[WAN_B_NORM + 1], .eps = b->s->cfg.eps);
}

void rs_wan_norm_bwd(const wan_block *b, rs_tensor dx, rs_tensor dy, rs_tensor x, int shift,
                     rs_tensor next)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, layernorm_bwd, .dx = rs_wan_part(b, dx, k), .dy = rs_wan_part(b, dy, k),
              .x = rs_wan_part(b, x, k), .scale = rs_wan_mod(b, k, shift + 1),
              .next = rs_wan_part(b, next, k), .eps = b->s->cfg.eps, .accumulate = true);
}

void rs_wan_affine_bwd(const wan_block *b, rs_tensor dx, rs_tensor dy, rs_tensor x, rs_tensor next,
                       int row)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, layernorm_bwd, .dx = rs_wan_part(b, dx, k), .dy = rs_wan_part(b, dy, k),
              .x = rs_wan_part(b, x, k), .weight = b->w[WAN_B_NORM],
              .next = rs_wan_part(b, next, k), .gate = rs_wan_mod(b, k, row), .eps = b->s->cfg.eps,
              .accumulate = true);
}

void rs_wan_gate_mul(const wan_block *b, rs_tensor y, rs_tensor x, int row)
{
    for (int k = 0; k < b->s->n; k++)
        RS_OP(b->d, gate_mul, .y = rs_wan_part(b, y, k), .x = rs_wan_part(b, x, k),
              .gate = rs_wan_mod(b, k, row));
}

void rs_wan_rotate(const wan_block *b, rs_tensor y, rs_tensor raw, int slot)
{
    for (int k = 0; k < b->s->n; k++)
        rs_qk_fwd(b->d, rs_wan_part(b, y, k), rs_wan_part(b, raw, k), b->w[slot], b->s->cfg.eps,
                  &b->s->rope, b->s->cfg.heads);
}

void rs_wan_rotate_bwd(const wan_block *b, rs_tensor dy, rs_tensor raw, int slot)
{
    for (int k = 0; k < b->s->n; k++)
        rs_qk_bwd(b->d, rs_wan_part(b, dy, k), rs_wan_part(b, raw, k), b->w[slot], b->s->cfg.eps,
                  &b->s->rope, b->s->cfg.heads);
}
