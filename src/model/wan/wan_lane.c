/* Self attention of one block over a lane of ranks. With one rank q, k, v and the output are where
 * they are; else they go to the ranks of their heads and come back, by way of scratch buffers that
 * are free at that time. */
#include "model/wan/wan_state.h"

/* The memory of an (S,D) scratch buffer as all tokens of own heads. */
static rs_tensor heads_in(const wan_state *s, rs_tensor t)
{
    return rs_tensor_of(t.data, RS_DTYPE_F32, RS_SHAPE(s->all, s->cfg.dim / s->dims.lane->width));
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
    RS_OP(b->d, attention_fwd, .o = o, .lse = a->lse1, .q = q, .k = k, .v = v,
          .heads = s->cfg.heads / width, .scale = s->scale);
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
    RS_OP(b->d, attention_bwd, .dq = dq, .dk = dk, .dv = dv, .d_o = d_o, .o = o, .lse = a->lse1,
          .q = q, .k = k, .v = v, .heads = s->cfg.heads / width, .scale = s->scale);
    if (width > 1) {
        to_rows(b, s->t[0], dq);
        to_rows(b, s->t[4], dk);
        to_rows(b, s->t[5], dv);
    }
}
