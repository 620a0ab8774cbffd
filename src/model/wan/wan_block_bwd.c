/* Backward of one block: gradients of its LoRA factors and of its input. The base is frozen, so
 * gates, scales and norms are constants, and keys and values of the context need no gradient unless
 * an adapter sits on them. `t` and `f` are the scratch buffers of wan_state. */
#include "model/wan/wan_state.h"

static bool trained(const wan_block *b, wan_target target)
{
    const rs_lora_terms *l = &b->loras[target];
    for (int i = 0; i < l->n; i++)
        if (rs_has(l->terms[i].ga))
            return true;
    return false;
}

static bool any_trained(const wan_block *b, const wan_target *targets, int n)
{
    for (int i = 0; i < n; i++)
        if (trained(b, targets[i]))
            return true;
    return false;
}

static void linear_bwd(const wan_block *b, int slot, wan_target target, rs_tensor dx,
                       bool accumulate, rs_tensor dy, rs_tensor x)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    rs_linear_bwd(b->d, &l, dx, accumulate, dy, x, b->a.hidden[target], b->s->dhidden);
}

static void norm_affine(const wan_block *b, rs_tensor y, rs_tensor x)
{
    RS_OP(b->d, layernorm_fwd, .y = y, .x = x, .weight = b->w[WAN_B_NORM],
          .bias = b->w[WAN_B_NORM + 1], .eps = b->s->cfg.eps);
}

static void norm_modulated(const wan_block *b, rs_tensor y, rs_tensor x, int shift)
{
    RS_OP(b->d, layernorm_fwd, .y = y, .x = x, .scale = rs_wan_mod(b, shift + 1),
          .shift = rs_wan_mod(b, shift), .eps = b->s->cfg.eps);
}

static void feed_forward_bwd(const wan_block *b, rs_tensor dx, bool need_dx)
{
    wan_state *s = b->s;
    rs_tensor none = {0};
    RS_OP(b->d, gate_mul, .y = s->t[0], .x = dx, .gate = rs_wan_mod(b, 5));
    if (trained(b, WAN_T_FFN2)) {
        rs_linear down = rs_wan_linear(b, WAN_B_FFN2, WAN_T_FFN2);
        RS_OP(b->d, act_fwd, .y = s->f[0], .x = b->a.up, .act = RS_ACT_GELU_TANH);
        rs_linear_hidden(b->d, &down, s->f[0], b->a.hidden[WAN_T_FFN2]);
    }
    linear_bwd(b, WAN_B_FFN2, WAN_T_FFN2, s->f[1], false, s->t[0], s->f[0]);
    RS_OP(b->d, act_bwd, .dx = s->f[1], .dy = s->f[1], .x = b->a.up, .act = RS_ACT_GELU_TANH);
    if (trained(b, WAN_T_FFN1))
        norm_modulated(b, s->t[1], b->a.x2, 3);
    linear_bwd(b, WAN_B_FFN1, WAN_T_FFN1, need_dx ? s->t[0] : none, false, s->f[1], s->t[1]);
    if (need_dx)
        RS_OP(b->d, layernorm_bwd, .dx = dx, .dy = s->t[0], .x = b->a.x2, .scale = rs_wan_mod(b, 4),
              .eps = s->cfg.eps, .accumulate = true);
}

/* Factors of the adapters on one part of the context, from dk and dv of its distinct rows. */
static void context_part_bwd(const wan_block *b, int slot_k, wan_target target_k, int slot_norm,
                             int slot_v, wan_target target_v, rs_tensor dk, rs_tensor dv,
                             rs_tensor raw, rs_tensor rows)
{
    const wan_context *c = &b->s->ctx;
    rs_tensor none = {0};
    rs_linear lk = rs_wan_linear(b, slot_k, target_k), lv = rs_wan_linear(b, slot_v, target_v);
    rs_qk_bwd(b->d, dk, raw, b->w[slot_norm], b->s->cfg.eps, NULL, 0);
    rs_linear_bwd(b->d, &lk, none, false, dk, rows, c->hidden[target_k], c->dhidden);
    rs_linear_bwd(b->d, &lv, none, false, dv, rows, c->hidden[target_v], c->dhidden);
}

/* dq (t[2]) = gradient through the attention to the text. */
static void text_bwd(const wan_block *b, rs_tensor dq, rs_tensor q, rs_tensor d_o)
{
    wan_state *s = b->s;
    const wan_cond *c = b->cond;
    wan_kv t = rs_wan_text_kv(b);
    bool adapted = any_trained(b, (wan_target[]){WAN_T_K2, WAN_T_V2}, 2);
    rs_tensor dk = {0}, dv = {0};
    if (adapted) {
        dk = rs_tensor_rows_view(s->ctx.dk, 0, c->U);
        dv = rs_tensor_rows_view(s->ctx.dv, 0, c->U);
    }
    RS_OP(b->d, attention_bwd, .dq = dq, .dk = dk, .dv = dv, .d_o = d_o, .o = b->a.ot,
          .lse = b->a.lset, .q = q, .k = t.k, .v = t.v, .last_key_count = c->last_count,
          .heads = s->cfg.heads, .scale = s->scale);
    if (adapted)
        context_part_bwd(b, WAN_B_K2, WAN_T_K2, WAN_B_NORM_K2, WAN_B_V2, WAN_T_V2, dk, dv, t.raw,
                         c->text);
}

/* Adds the gradient through the attention to the image to dq. */
static void image_bwd(const wan_block *b, rs_tensor dq, rs_tensor q, rs_tensor d_o)
{
    wan_state *s = b->s;
    const wan_cond *c = b->cond;
    wan_kv m = rs_wan_image_kv(b);
    bool adapted = any_trained(b, (wan_target[]){WAN_T_KI, WAN_T_VI}, 2);
    rs_tensor dk = {0}, dv = {0};
    if (adapted) {
        dk = rs_tensor_rows_view(s->ctx.dk, 0, c->I);
        dv = rs_tensor_rows_view(s->ctx.dv, 0, c->I);
    }
    RS_OP(b->d, attention_bwd, .dq = dq, .dk = dk, .dv = dv, .d_o = d_o, .o = b->a.oi,
          .lse = b->a.lsei, .q = q, .k = m.k, .v = m.v, .heads = s->cfg.heads, .scale = s->scale,
          .dq_accumulate = true);
    if (adapted)
        context_part_bwd(b, WAN_B_KI, WAN_T_KI, WAN_B_NORM_KI, WAN_B_VI, WAN_T_VI, dk, dv, m.raw,
                         c->image);
}

static void cross_attention_bwd(const wan_block *b, int i, rs_tensor dx, bool need_dx)
{
    wan_state *s = b->s;
    rs_tensor none = {0}, sum = b->a.ot;
    if (b->cond->I > 0 && trained(b, WAN_T_O2)) {
        sum = s->t[1];
        RS_OP(b->d, gate_add, .y = sum, .x = b->a.ot, .o = b->a.oi);
    }
    linear_bwd(b, WAN_B_O2, WAN_T_O2, s->t[0], false, dx, sum);
    rs_qk_fwd(b->d, s->t[1], b->a.q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    rs_wan_context(b, i);
    text_bwd(b, s->t[2], s->t[1], s->t[0]);
    if (b->cond->I > 0)
        image_bwd(b, s->t[2], s->t[1], s->t[0]);
    rs_qk_bwd(b->d, s->t[2], b->a.q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    if (trained(b, WAN_T_Q2))
        norm_affine(b, s->t[1], b->a.x1);
    linear_bwd(b, WAN_B_Q2, WAN_T_Q2, need_dx ? s->t[0] : none, false, s->t[2], s->t[1]);
    if (need_dx)
        RS_OP(b->d, layernorm_bwd, .dx = dx, .dy = s->t[0], .x = b->a.x1,
              .weight = b->w[WAN_B_NORM], .eps = s->cfg.eps, .accumulate = true);
}

static void self_attention_bwd(const wan_block *b, rs_tensor dx, rs_tensor x, bool need_dx)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    int64_t N = s->cfg.heads;
    float eps = s->cfg.eps;
    rs_tensor dq = s->t[0], d_o = s->t[1], q = s->t[2], k = s->t[3], dk = s->t[4], dv = s->t[5];
    RS_OP(b->d, gate_mul, .y = s->t[0], .x = dx, .gate = rs_wan_mod(b, 2));
    linear_bwd(b, WAN_B_O1, WAN_T_O1, d_o, false, s->t[0], a->o1);
    rs_qk_fwd(b->d, q, a->q1, b->w[WAN_B_NORM_Q1], eps, &s->rope, N);
    rs_qk_fwd(b->d, k, a->k1, b->w[WAN_B_NORM_K1], eps, &s->rope, N);
    RS_OP(b->d, attention_bwd, .dq = dq, .dk = dk, .dv = dv, .d_o = d_o, .o = a->o1, .lse = a->lse1,
          .q = q, .k = k, .v = a->v1, .heads = N, .scale = s->scale);
    rs_qk_bwd(b->d, dq, a->q1, b->w[WAN_B_NORM_Q1], eps, &s->rope, N);
    rs_qk_bwd(b->d, dk, a->k1, b->w[WAN_B_NORM_K1], eps, &s->rope, N);
    norm_modulated(b, s->t[1], x, 0);
    rs_tensor da = need_dx ? s->t[2] : (rs_tensor){0};
    linear_bwd(b, WAN_B_Q1, WAN_T_Q1, da, false, dq, s->t[1]);
    linear_bwd(b, WAN_B_K1, WAN_T_K1, da, true, dk, s->t[1]);
    linear_bwd(b, WAN_B_V1, WAN_T_V1, da, true, dv, s->t[1]);
    if (need_dx)
        RS_OP(b->d, layernorm_bwd, .dx = dx, .dy = da, .x = x, .scale = rs_wan_mod(b, 1),
              .eps = eps, .accumulate = true);
}

void rs_wan_block_bwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor dx, rs_tensor x, const void *cond,
                      bool need_dx)
{
    static const wan_target k_self[] = {WAN_T_Q1, WAN_T_K1, WAN_T_V1, WAN_T_O1};
    static const wan_target k_cross[] = {WAN_T_Q2, WAN_T_K2, WAN_T_V2,
                                         WAN_T_O2, WAN_T_KI, WAN_T_VI};
    wan_state *s = state;
    wan_block b = {s, d, weights, loras, cond, rs_wan_acts_of(s, i)};
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
