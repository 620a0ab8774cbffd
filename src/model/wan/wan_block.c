/* Forward of one block (wan21.md 1.3). M0..M5 are the rows of the modulation. */
#include "model/wan/wan_state.h"

rs_linear rs_wan_linear(const wan_block *b, int slot, wan_target target)
{
    return (rs_linear){.w = b->w[slot], .bias = b->w[slot + 1], .lora = b->loras[target]};
}

rs_tensor rs_wan_mod(const wan_block *b, int row)
{
    return rs_tensor_reshape(rs_tensor_rows_view(b->s->mod, row, row + 1), RS_SHAPE(b->s->cfg.dim));
}

void rs_wan_modulate(const wan_block *b)
{
    int64_t D = b->s->cfg.dim;
    RS_OP(b->d, gate_add, .y = b->s->mod, .x = rs_tensor_reshape(b->w[WAN_B_TABLE], RS_SHAPE(6, D)),
          .o = rs_tensor_reshape(b->s->e0, RS_SHAPE(6, D)));
}

static void project(const wan_block *b, int slot, wan_target target, rs_tensor y, rs_tensor x)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    rs_linear_fwd(b->d, &l, y, x, b->a.hidden[target], RS_ACT_NONE, (rs_tensor){0});
}

/* x1 = x + M2 * O(attention(rope(norm(Q a)), rope(norm(K a)), V a)), a = norm(x)(1 + M1) + M0.
 * Unless `attend` the attention's output is there already. */
static void self_attention(const wan_block *b, rs_tensor x1, rs_tensor x, bool attend)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    int64_t N = s->cfg.heads;
    float eps = s->cfg.eps;
    RS_OP(b->d, layernorm_fwd, .y = s->t[0], .x = x, .scale = rs_wan_mod(b, 1),
          .shift = rs_wan_mod(b, 0), .eps = eps);
    project(b, WAN_B_Q1, WAN_T_Q1, a->q1, s->t[0]);
    project(b, WAN_B_K1, WAN_T_K1, a->k1, s->t[0]);
    project(b, WAN_B_V1, WAN_T_V1, a->v1, s->t[0]);
    if (attend) {
        rs_qk_fwd(b->d, s->t[1], a->q1, b->w[WAN_B_NORM_Q1], eps, &s->rope, N);
        rs_qk_fwd(b->d, s->t[2], a->k1, b->w[WAN_B_NORM_K1], eps, &s->rope, N);
        rs_wan_attend(b);
    }
    project(b, WAN_B_O1, WAN_T_O1, s->t[0], a->o1);
    RS_OP(b->d, gate_add, .y = x1, .x = x, .o = s->t[0], .gate = rs_wan_mod(b, 2));
}

/* K and V of one part of the context: raw before the norm, k after it. */
static void context_part(const wan_block *b, rs_tensor rows, int slot_k, wan_target target_k,
                         int slot_norm, int slot_v, wan_target target_v, rs_tensor raw, rs_tensor k,
                         rs_tensor v)
{
    const wan_context *x = &b->s->ctx;
    rs_linear lk = rs_wan_linear(b, slot_k, target_k), lv = rs_wan_linear(b, slot_v, target_v);
    rs_linear_fwd(b->d, &lk, raw, rows, x->hidden[target_k], RS_ACT_NONE, (rs_tensor){0});
    rs_qk_fwd(b->d, k, raw, b->w[slot_norm], b->s->cfg.eps, NULL, 0);
    rs_linear_fwd(b->d, &lv, v, rows, x->hidden[target_v], RS_ACT_NONE, (rs_tensor){0});
}

void rs_wan_context(const wan_block *b, int i)
{
    const wan_cond *c = b->cond;
    if (b->s->ctx_block == i)
        return;
    wan_kv t = rs_wan_text_kv(b), m = rs_wan_image_kv(b);
    context_part(b, c->text, WAN_B_K2, WAN_T_K2, WAN_B_NORM_K2, WAN_B_V2, WAN_T_V2, t.raw, t.k,
                 t.v);
    if (c->I > 0)
        context_part(b, c->image, WAN_B_KI, WAN_T_KI, WAN_B_NORM_KI, WAN_B_VI, WAN_T_VI, m.raw, m.k,
                     m.v);
    b->s->ctx_block = i;
}

wan_kv rs_wan_text_kv(const wan_block *b)
{
    const wan_context *x = &b->s->ctx;
    const wan_cond *c = b->cond;
    return (wan_kv){
        .raw = rs_tensor_rows_view(x->kt_raw, 0, c->U),
        .k = rs_tensor_rows_view(x->kt, 0, c->U),
        .v = rs_tensor_rows_view(x->vt, 0, c->U),
    };
}

wan_kv rs_wan_image_kv(const wan_block *b)
{
    const wan_context *x = &b->s->ctx;
    wan_kv kv = {0};
    if (b->cond->I > 0) {
        kv.raw = rs_tensor_rows_view(x->ki_raw, 0, b->cond->I);
        kv.k = rs_tensor_rows_view(x->ki, 0, b->cond->I);
        kv.v = rs_tensor_rows_view(x->vi, 0, b->cond->I);
    }
    return kv;
}

/* x2 = x1 + O(attention(q, text) + attention(q, image)), q = norm(Q norm(x1)) */
static void cross_attention(const wan_block *b, int i, rs_tensor x2, rs_tensor x1)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    RS_OP(b->d, layernorm_fwd, .y = s->t[0], .x = x1, .weight = b->w[WAN_B_NORM],
          .bias = b->w[WAN_B_NORM + 1], .eps = s->cfg.eps);
    project(b, WAN_B_Q2, WAN_T_Q2, a->q2, s->t[0]);
    rs_qk_fwd(b->d, s->t[1], a->q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    rs_wan_context(b, i);
    wan_kv t = rs_wan_text_kv(b), m = rs_wan_image_kv(b);
    RS_OP(b->d, attention_fwd, .o = a->ot, .lse = a->lset, .q = s->t[1], .k = t.k, .v = t.v,
          .last_key_count = b->cond->last_count, .heads = s->cfg.heads, .scale = s->scale);
    rs_tensor sum = a->ot;
    if (rs_has(m.k)) {
        RS_OP(b->d, attention_fwd, .o = a->oi, .lse = a->lsei, .q = s->t[1], .k = m.k, .v = m.v,
              .heads = s->cfg.heads, .scale = s->scale);
        sum = s->t[1];
        RS_OP(b->d, gate_add, .y = sum, .x = a->ot, .o = a->oi);
    }
    project(b, WAN_B_O2, WAN_T_O2, s->t[0], sum);
    RS_OP(b->d, gate_add, .y = x2, .x = x1, .o = s->t[0]);
}

/* y = x2 + M5 * W2 gelu(W1 c), c = norm(x2)(1 + M4) + M3 */
static void feed_forward(const wan_block *b, rs_tensor y, rs_tensor x2, rs_pass pass)
{
    wan_state *s = b->s;
    rs_linear up = rs_wan_linear(b, WAN_B_FFN1, WAN_T_FFN1);
    RS_OP(b->d, layernorm_fwd, .y = s->t[0], .x = x2, .scale = rs_wan_mod(b, 4),
          .shift = rs_wan_mod(b, 3), .eps = s->cfg.eps);
    if (pass == RS_PASS_RECOMPUTE) {
        rs_linear_fwd(b->d, &up, b->a.up, s->t[0], b->a.hidden[WAN_T_FFN1], RS_ACT_NONE,
                      (rs_tensor){0});
        return;
    }
    bool separate = b->a.up.data != s->f[0].data;
    rs_linear_fwd(b->d, &up, s->f[0], s->t[0], b->a.hidden[WAN_T_FFN1], RS_ACT_GELU_TANH,
                  separate ? b->a.up : (rs_tensor){0});
    project(b, WAN_B_FFN2, WAN_T_FFN2, s->t[0], s->f[0]);
    RS_OP(b->d, gate_add, .y = y, .x = x2, .o = s->t[0], .gate = rs_wan_mod(b, 5));
}

void rs_wan_block_fwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor y, rs_tensor x, const void *cond,
                      rs_pass pass)
{
    wan_state *s = state;
    wan_block b = {s, d, weights, loras, cond, rs_wan_acts_of(s, pass == RS_PASS_PLAIN ? -1 : i)};
    rs_tensor x1 = rs_has(b.a.x1) ? b.a.x1 : y, x2 = rs_has(b.a.x2) ? b.a.x2 : y;
    rs_wan_modulate(&b);
    bool kept = pass == RS_PASS_RECOMPUTE &&
                rs_kept_policy(&s->dims.kept, s->cfg.blocks, i) == RS_BLOCK_ATTENTION;
    self_attention(&b, x1, x, !kept);
    cross_attention(&b, i, x2, x1);
    feed_forward(&b, y, x2, pass);
}
