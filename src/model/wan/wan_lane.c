/* Self attention of one block over a lane of ranks. With one rank q, k, v and the output are where
 * they are, and each sample attends to itself; else there is one sample, and they go to the ranks
 * of their heads and come back, by way of scratch buffers that are free at that time. */
#include "model/wan/wan_state.h"

/* The memory of an (S,D) scratch buffer as all tokens of own heads. */
static rs_tensor heads_in(const wan_state *s, rs_tensor t)
{
    return rs_tensor_of(t.data, t.dtype, RS_SHAPE(s->all, s->cfg.dim / s->dims.lane->width));
}

static rs_tensor to_heads(const wan_block *b, rs_tensor into, rs_tensor rows)
{
    rs_tensor heads = heads_in(b->s, into);
    rs_lane_to_heads(b->s->dims.lane, b->d, heads, rows, b->s->exchange);
    return heads;
}

static void to_rows(const wan_block *b, rs_tensor into, rs_tensor heads)
{
    rs_lane_to_rows(b->s->dims.lane, b->d, into, heads, b->s->exchange);
}

void rs_wan_attend(const wan_block *b)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    int width = s->dims.lane->width;
    rs_tensor q = s->t[1], k = s->t[2], v = a->v1, o = a->o1;
    if (width > 1) {
        q = to_heads(b, s->spare[0], q);
        k = to_heads(b, s->t[1], k);
        v = to_heads(b, s->t[2], v);
        o = heads_in(s, s->t[0]);
    }
    for (int i = 0; i < s->n; i++)
        RS_OP(b->d, attention_fwd, .o = rs_wan_part(b, o, i), .lse = rs_wan_part(b, a->lse1, i),
              .q = rs_wan_part(b, q, i), .k = rs_wan_part(b, k, i), .v = rs_wan_part(b, v, i),
              .heads = s->cfg.heads / width, .scale = s->scale, .bf16 = rs_device_rounds(b->d));
    if (width > 1)
        to_rows(b, a->o1, o);
}

void rs_wan_attend_bwd(const wan_block *b)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    int width = s->dims.lane->width;
    rs_tensor d_o = s->t[1], q = s->t[2], k = s->t[3], v = a->v1, o = a->o1;
    rs_tensor dq = s->t[0], dk = s->t[4], dv = s->t[5];
    if (width > 1) {
        d_o = to_heads(b, s->spare[0], d_o);
        q = to_heads(b, s->t[1], q);
        k = to_heads(b, s->t[2], k);
        v = to_heads(b, s->t[3], v);
        o = to_heads(b, s->t[0], o);
        dq = heads_in(s, s->t[4]);
        dk = heads_in(s, s->t[5]);
        dv = heads_in(s, s->spare[1]);
    }
    for (int i = 0; i < s->n; i++)
        RS_OP(b->d, attention_bwd, .dq = rs_wan_part(b, dq, i), .dk = rs_wan_part(b, dk, i),
              .dv = rs_wan_part(b, dv, i), .d_o = rs_wan_part(b, d_o, i), .o = rs_wan_part(b, o, i),
              .lse = rs_wan_part(b, a->lse1, i), .q = rs_wan_part(b, q, i),
              .k = rs_wan_part(b, k, i), .v = rs_wan_part(b, v, i), .heads = s->cfg.heads / width,
              .scale = s->scale, .bf16 = rs_device_rounds(b->d));
    if (width > 1) {
        to_rows(b, s->t[0], dq);
        to_rows(b, s->t[4], dk);
        to_rows(b, s->t[5], dv);
    }
}
