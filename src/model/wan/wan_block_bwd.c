/* Backward of one block: gradients of its LoRA factors and of its input. The base is frozen, so
 * gates, scales and norms are constants, and keys and values of the context need no gradient unless
 * an adapter sits on them. `t` and `f` are the scratch buffers of wan_state: in f is GELU's output,
 * and then its gradient.
 *
 * The gradient of the residual stream is wanted by the next part as an activation, times its gate:
 * the backward of the norm in front leaves it so, in the pass in which it adds its own gradient. */
#include "model/wan/wan_state.h"

static bool trained(const wan_block *b, wan_target target)
{
    const rs_linear l = {.lora = rs_wan_terms(b, target, 0), .n = b->s->n};
    return rs_linear_trained(&l);
}

/* The terms of sample k end with one that has gradients. */
static bool trained_of(const wan_block *b, wan_target target, int k)
{
    const rs_linear l = {.lora = rs_wan_terms(b, target, k), .n = 1};
    return rs_linear_trained(&l);
}

static bool any_trained(const wan_block *b, const wan_target *targets, int n)
{
    for (int i = 0; i < n; i++)
        if (trained(b, targets[i]))
            return true;
    return false;
}

static void linear_bwd_through(const wan_block *b, int slot, wan_target target, rs_tensor dx,
                               bool accumulate, rs_tensor dy, rs_tensor x, const rs_slope *slope)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    rs_row_sum sum = {&b->s->segments, b->s->sums};
    rs_linear_bwd(b->d, &l, dx, accumulate, dy, x, b->a.hidden[target], b->s->dhidden, &sum, slope);
}

static void linear_bwd(const wan_block *b, int slot, wan_target target, rs_tensor dx,
                       bool accumulate, rs_tensor dy, rs_tensor x)
{
    linear_bwd_through(b, slot, target, dx, accumulate, dy, x, NULL);
}

/* dx as an activation, for the part without a gate: itself where activations are fp32, else what
 * the norm's backward leaves in t[2]. */
static rs_tensor narrowed(const wan_state *s, rs_tensor dx)
{
    return s->dims.activation == dx.dtype ? dx : s->t[2];
}

static void norm_affine(const wan_block *b, rs_tensor y, rs_tensor x)
{
    RS_OP(b->d, layernorm_fwd, .y = y, .x = x, .weight = b->w[WAN_B_NORM],
          .bias = b->w[WAN_B_NORM + 1], .eps = b->s->cfg.eps);
}

static void feed_forward_bwd(const wan_block *b, rs_tensor dx, bool need_dx)
{
    wan_state *s = b->s;
    rs_tensor none = {0};
    rs_wan_gate_mul(b, s->t[0], dx, 5);
    if (trained(b, WAN_T_FFN2)) {
        rs_linear down = rs_wan_linear(b, WAN_B_FFN2, WAN_T_FFN2);
        RS_OP(b->d, act_fwd, .y = s->f, .x = b->a.up, .act = RS_ACT_GELU_TANH);
        rs_linear_hidden(b->d, &down, s->f, b->a.hidden[WAN_T_FFN2]);
    }
    linear_bwd_through(b, WAN_B_FFN2, WAN_T_FFN2, s->f, false, s->t[0], s->f,
                       &(rs_slope){RS_ACT_GELU_TANH, b->a.up});
    if (trained(b, WAN_T_FFN1))
        rs_wan_norm(b, s->t[1], b->a.x2, 3);
    linear_bwd(b, WAN_B_FFN1, WAN_T_FFN1, need_dx ? s->t[0] : none, false, s->f, s->t[1]);
    rs_tensor next = narrowed(s, dx);
    if (need_dx)
        rs_wan_norm_bwd(b, dx, s->t[0], b->a.x2, 3, next.data == dx.data ? none : next);
}

/* Attention of sample `of` to one part of its context, and the adapters on its keys and values. */
typedef struct context_part {
    const wan_block *b;
    int of;
    wan_target k, v;
    int slot_k, slot_v, slot_norm;
    wan_kv kv;
    rs_tensor rows; /* of the context, distinct ones */
    rs_tensor o, lse;
    int64_t last_count;
    bool accumulate; /* to dq */
    rs_tensor dq, q, d_o;
} context_part;

/* Gradients of the queries [lo,hi), and their share of those of keys and values. */
static void attend_part_bwd(const context_part *p, int64_t lo, int64_t hi, rs_tensor dk,
                            rs_tensor dv)
{
    const wan_block *b = p->b;
    RS_OP(b->d, attention_bwd, .dq = rs_tensor_rows_view(p->dq, lo, hi), .dk = dk, .dv = dv,
          .d_o = rs_tensor_rows_view(p->d_o, lo, hi), .o = rs_tensor_rows_view(p->o, lo, hi),
          .lse = rs_tensor_cols_view(p->lse, lo, hi), .q = rs_tensor_rows_view(p->q, lo, hi),
          .k = p->kv.k, .v = p->kv.v, .last_key_count = p->last_count, .heads = b->s->cfg.heads,
          .scale = b->s->scale, .dq_accumulate = p->accumulate, .bf16 = rs_device_rounds(b->d));
}

/* Gradients of the factors on one of the two linears, into out[0] and out[1]. */
static void context_factors(const context_part *p, int slot, wan_target target, rs_tensor dy,
                            const rs_tensor *out)
{
    const wan_block *b = p->b;
    const wan_context *c = &b->s->ctx;
    const rs_segments all = {.n = 1, .at = {0, rs_tensor_rows(dy)}};
    rs_linear l = rs_wan_linear_of(b, slot, target, p->of);
    rs_lora_term trained_term = l.lora->terms[l.lora->n - 1];
    trained_term.ga = out[0];
    trained_term.gb = out[1];
    l.lora = &(rs_lora_terms){&trained_term, 1};
    rs_linear_bwd(b->d, &l, (rs_tensor){0}, false, dy, p->rows,
                  rs_wan_part(b, c->hidden[target], p->of), c->dhidden, &(rs_row_sum){&all, {0}},
                  NULL);
}

/* Leaf of a sum over the tokens: all of it is linear in dk and dv. */
static void context_leaf(void *ctx, int64_t lo, int64_t hi, const rs_tensor *out)
{
    const context_part *p = ctx;
    const wan_block *b = p->b;
    rs_tensor dk = rs_tensor_rows_view(b->s->ctx.dk, 0, rs_tensor_rows(p->rows));
    rs_tensor dv = rs_tensor_rows_view(b->s->ctx.dv, 0, rs_tensor_rows(p->rows));
    attend_part_bwd(p, lo, hi, dk, dv);
    if (trained_of(b, p->k, p->of)) {
        rs_qk_bwd(b->d, dk, p->kv.raw, b->w[p->slot_norm], b->s->cfg.eps, NULL, 0);
        context_factors(p, p->slot_k, p->k, dk, out);
        out += 2;
    }
    if (trained_of(b, p->v, p->of))
        context_factors(p, p->slot_v, p->v, dv, out);
}

static void context_part_bwd(context_part *p)
{
    const wan_block *b = p->b;
    const wan_target targets[2] = {p->k, p->v};
    rs_tensor out[4];
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (!trained_of(b, targets[i], p->of))
            continue;
        const rs_lora_terms *l = rs_wan_terms(b, targets[i], p->of);
        out[n++] = l->terms[l->n - 1].ga;
        out[n++] = l->terms[l->n - 1].gb;
    }
    if (n > 0)
        rs_segment_sum(b->d, out, n, &b->s->segments, b->s->sums, context_leaf, p);
    else
        attend_part_bwd(p, 0, b->s->S, (rs_tensor){0}, (rs_tensor){0});
}

/* dq (t[2]) = gradient through the attention to the text and, if there is one, to the image, from
 * q (t[1]) and d_o (t[0]); of sample k. */
static void context_bwd(const wan_block *b, int k)
{
    const wan_state *s = b->s;
    const wan_cond *c = rs_wan_cond(b, k);
    context_part text = {.b = b,
                         .of = k,
                         .k = WAN_T_K2,
                         .v = WAN_T_V2,
                         .slot_k = WAN_B_K2,
                         .slot_v = WAN_B_V2,
                         .slot_norm = WAN_B_NORM_K2,
                         .kv = rs_wan_text_kv(b, k),
                         .rows = c->text,
                         .o = rs_wan_part(b, b->a.ot, k),
                         .lse = rs_wan_part(b, b->a.lset, k),
                         .last_count = c->last_count,
                         .dq = rs_wan_part(b, s->t[2], k),
                         .q = rs_wan_part(b, s->t[1], k),
                         .d_o = rs_wan_part(b, s->t[0], k)};
    context_part_bwd(&text);
    if (c->I == 0)
        return;
    context_part image = text;
    image.k = WAN_T_KI;
    image.v = WAN_T_VI;
    image.slot_k = WAN_B_KI;
    image.slot_v = WAN_B_VI;
    image.slot_norm = WAN_B_NORM_KI;
    image.kv = rs_wan_image_kv(b, k);
    image.rows = c->image;
    image.o = rs_wan_part(b, b->a.oi, k);
    image.lse = rs_wan_part(b, b->a.lsei, k);
    image.last_count = 0;
    image.accumulate = true;
    context_part_bwd(&image);
}

/* For what follows, t[0] = M2 * dx. */
static void cross_attention_bwd(const wan_block *b, int i, rs_tensor dx, bool need_dx)
{
    wan_state *s = b->s;
    rs_tensor none = {0}, sum = b->a.ot;
    if (rs_wan_cond(b, 0)->I > 0 && trained(b, WAN_T_O2)) {
        sum = s->t[1];
        RS_OP(b->d, gate_add, .y = sum, .x = b->a.ot, .o = b->a.oi);
    }
    linear_bwd(b, WAN_B_O2, WAN_T_O2, s->t[0], false, narrowed(s, dx), sum);
    rs_qk_fwd(b->d, s->t[1], b->a.q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    rs_wan_context(b, i);
    for (int k = 0; k < s->n; k++)
        context_bwd(b, k);
    rs_qk_bwd(b->d, s->t[2], b->a.q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    if (trained(b, WAN_T_Q2))
        norm_affine(b, s->t[1], b->a.x1);
    linear_bwd(b, WAN_B_Q2, WAN_T_Q2, need_dx ? s->t[0] : none, false, s->t[2], s->t[1]);
    if (need_dx)
        rs_wan_affine_bwd(b, dx, s->t[0], b->a.x1, s->t[0], 2);
}

static void self_attention_bwd(const wan_block *b, rs_tensor dx, rs_tensor x, bool need_dx)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    rs_tensor dq = s->t[0], dk = s->t[4], dv = s->t[5], none = {0};
    linear_bwd(b, WAN_B_O1, WAN_T_O1, s->t[1], false, s->t[0], a->o1);
    rs_wan_rotate(b, s->t[2], a->q1, WAN_B_NORM_Q1);
    rs_wan_rotate(b, s->t[3], a->k1, WAN_B_NORM_K1);
    rs_wan_attend_bwd(b);
    rs_wan_rotate_bwd(b, dq, a->q1, WAN_B_NORM_Q1);
    rs_wan_rotate_bwd(b, dk, a->k1, WAN_B_NORM_K1);
    rs_wan_norm(b, s->t[1], x, 0);
    rs_tensor da = need_dx ? s->t[2] : (rs_tensor){0};
    const rs_linear_use qkv[] = {{rs_wan_linear(b, WAN_B_Q1, WAN_T_Q1), dq, a->hidden[WAN_T_Q1]},
                                 {rs_wan_linear(b, WAN_B_K1, WAN_T_K1), dk, a->hidden[WAN_T_K1]},
                                 {rs_wan_linear(b, WAN_B_V1, WAN_T_V1), dv, a->hidden[WAN_T_V1]}};
    rs_linears_bwd(b->d, qkv, 3, da, false, s->t[1], s->dhidden,
                   &(rs_row_sum){&s->segments, s->sums}, NULL);
    if (need_dx)
        rs_wan_norm_bwd(b, dx, da, x, 0, none);
}

void rs_wan_block_bwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor dx, rs_tensor x,
                      const void *const *conds, bool need_dx)
{
    static const wan_target k_self[] = {WAN_T_Q1, WAN_T_K1, WAN_T_V1, WAN_T_O1};
    static const wan_target k_cross[] = {WAN_T_Q2, WAN_T_K2, WAN_T_V2,
                                         WAN_T_O2, WAN_T_KI, WAN_T_VI};
    wan_state *s = state;
    wan_block b = {s, d, weights, loras, conds, rs_wan_acts_of(s, i)};
    /* The first trained block stops where nothing trained lies further down. */
    bool to_self = need_dx || any_trained(&b, k_self, 4);
    bool to_cross = to_self || any_trained(&b, k_cross, 6);
    rs_wan_modulate(&b);
    feed_forward_bwd(&b, dx, to_cross);
    if (to_cross)
        cross_attention_bwd(&b, i, dx, to_self);
    if (to_self)
        self_attention_bwd(&b, dx, x, need_dx);
}
