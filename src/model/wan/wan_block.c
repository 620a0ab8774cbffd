/* Forward of one block (wan21.md 1.3). M0..M5 are the rows of the modulation. */
#include "model/wan/wan_state.h"

rs_linear rs_wan_linear(const wan_block *b, int slot, wan_target target)
{
    return (rs_linear){
        .w = b->w[slot], .bias = b->w[slot + 1], .lora = rs_wan_terms(b, target, 0), .n = b->s->n};
}

rs_linear rs_wan_linear_of(const wan_block *b, int slot, wan_target target, int k)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    l.lora += k;
    l.n = 1;
    return l;
}

static void project(const wan_block *b, int slot, wan_target target, rs_tensor y, rs_tensor x)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    rs_linear_fwd(b->d, &l, y, x, b->a.hidden[target], RS_ACT_NONE, (rs_tensor){0});
}

/* y = x0 + gate * linear(x); t[0] is free. */
static void project_onto(const wan_block *b, int slot, wan_target target, rs_tensor y, rs_tensor x,
                         rs_tensor x0, rs_tensor gate)
{
    rs_linear l = rs_wan_linear(b, slot, target);
    rs_linear_residual(b->d, &l, y, x, b->a.hidden[target],
                       &(rs_residual){.x = x0, .gate = gate, .branch = b->s->t[0]});
}

/* The attentions leave what they add to the residual stream, before its gate, in t[0]; the norm in
 * front of the next part adds it, in the same pass over memory. The feed-forward, with no norm
 * behind it, ends with its residual.
 *
 * O(attention(rope(norm(Q a)), rope(norm(K a)), V a)), a = norm(x)(1 + M1) + M0. Unless `attend`
 * the attention's output is there already. */
static void self_attention(const wan_block *b, rs_tensor x, bool attend)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    const rs_linear_use qkv[] = {
        {rs_wan_linear(b, WAN_B_Q1, WAN_T_Q1), a->q1, a->hidden[WAN_T_Q1]},
        {rs_wan_linear(b, WAN_B_K1, WAN_T_K1), a->k1, a->hidden[WAN_T_K1]},
        {rs_wan_linear(b, WAN_B_V1, WAN_T_V1), a->v1, a->hidden[WAN_T_V1]}};
    rs_wan_norm(b, s->t[0], x, 0);
    rs_linears_fwd(b->d, qkv, 3, s->t[0], RS_ACT_NONE, (rs_tensor){0});
    if (attend) {
        rs_wan_rotate(b, s->t[1], a->q1, WAN_B_NORM_Q1);
        rs_wan_rotate(b, s->t[2], a->k1, WAN_B_NORM_K1);
        rs_wan_attend(b);
    }
    project(b, WAN_B_O1, WAN_T_O1, s->t[0], a->o1);
}

/* One linear of the context of sample k. */
static void project_context(const wan_block *b, int slot, wan_target target, int k, rs_tensor y,
                            rs_tensor rows)
{
    rs_linear l = rs_wan_linear_of(b, slot, target, k);
    rs_linear_fwd(b->d, &l, y, rows, rs_wan_part(b, b->s->ctx.hidden[target], k), RS_ACT_NONE,
                  (rs_tensor){0});
}

/* Keys of one part of the context are `raw` before their norm, `k` after it. */
static void context_of(const wan_block *b, int k)
{
    const wan_cond *c = rs_wan_cond(b, k);
    float eps = b->s->cfg.eps;
    wan_kv t = rs_wan_text_kv(b, k), m = rs_wan_image_kv(b, k);
    project_context(b, WAN_B_K2, WAN_T_K2, k, t.raw, c->text);
    rs_qk_fwd(b->d, t.k, t.raw, b->w[WAN_B_NORM_K2], eps, NULL, 0);
    project_context(b, WAN_B_V2, WAN_T_V2, k, t.v, c->text);
    if (c->I == 0)
        return;
    project_context(b, WAN_B_KI, WAN_T_KI, k, m.raw, c->image);
    rs_qk_fwd(b->d, m.k, m.raw, b->w[WAN_B_NORM_KI], eps, NULL, 0);
    project_context(b, WAN_B_VI, WAN_T_VI, k, m.v, c->image);
}

void rs_wan_context(const wan_block *b, int i)
{
    if (b->s->ctx_block == i)
        return;
    for (int k = 0; k < b->s->n; k++)
        context_of(b, k);
    b->s->ctx_block = i;
}

/* The first rows of sample k's part. */
static rs_tensor context_rows(const wan_block *b, rs_tensor t, int k, int64_t rows)
{
    return rs_tensor_rows_view(rs_wan_part(b, t, k), 0, rows);
}

wan_kv rs_wan_text_kv(const wan_block *b, int k)
{
    const wan_context *x = &b->s->ctx;
    int64_t U = rs_wan_cond(b, k)->U;
    return (wan_kv){
        .raw = context_rows(b, x->kt_raw, k, U),
        .k = context_rows(b, x->kt, k, U),
        .v = context_rows(b, x->vt, k, U),
    };
}

wan_kv rs_wan_image_kv(const wan_block *b, int k)
{
    const wan_context *x = &b->s->ctx;
    int64_t I = rs_wan_cond(b, k)->I;
    if (I == 0)
        return (wan_kv){0};
    return (wan_kv){
        .raw = context_rows(b, x->ki_raw, k, I),
        .k = context_rows(b, x->ki, k, I),
        .v = context_rows(b, x->vi, k, I),
    };
}

/* ot and oi of sample k, of queries in t[1]. */
static void attend_context(const wan_block *b, int k)
{
    const wan_state *s = b->s;
    const wan_acts *a = &b->a;
    rs_tensor q = rs_wan_part(b, s->t[1], k);
    wan_kv t = rs_wan_text_kv(b, k), m = rs_wan_image_kv(b, k);
    RS_OP(b->d, attention_fwd, .o = rs_wan_part(b, a->ot, k), .lse = rs_wan_part(b, a->lset, k),
          .q = q, .k = t.k, .v = t.v, .last_key_count = rs_wan_cond(b, k)->last_count,
          .heads = s->cfg.heads, .scale = s->scale, .bf16 = rs_device_rounds(b->d));
    if (rs_has(m.k))
        RS_OP(b->d, attention_fwd, .o = rs_wan_part(b, a->oi, k), .lse = rs_wan_part(b, a->lsei, k),
              .q = q, .k = m.k, .v = m.v, .heads = s->cfg.heads, .scale = s->scale,
              .bf16 = rs_device_rounds(b->d));
}

/* x1 = x + M2 * t[0]; O(attention(q, text) + attention(q, image)), q = norm(Q norm(x1)) */
static void cross_attention(const wan_block *b, int i, rs_tensor x1, rs_tensor x)
{
    wan_state *s = b->s;
    const wan_acts *a = &b->a;
    rs_wan_add_affine(b, s->t[0], x1, x, s->t[0], 2);
    project(b, WAN_B_Q2, WAN_T_Q2, a->q2, s->t[0]);
    rs_qk_fwd(b->d, s->t[1], a->q2, b->w[WAN_B_NORM_Q2], s->cfg.eps, NULL, 0);
    rs_wan_context(b, i);
    for (int k = 0; k < s->n; k++)
        attend_context(b, k);
    rs_tensor sum = a->ot;
    if (rs_wan_cond(b, 0)->I > 0) { /* then all have image rows: the model wants them */
        sum = s->t[1];
        RS_OP(b->d, gate_add, .y = sum, .x = a->ot, .o = a->oi);
    }
    project(b, WAN_B_O2, WAN_T_O2, s->t[0], sum);
}

/* x2 = x1 + t[0]; y = x2 + M5 * W2 gelu(W1 c), c = norm(x2)(1 + M4) + M3 */
static void feed_forward(const wan_block *b, rs_tensor y, rs_tensor x2, rs_tensor x1, rs_pass pass)
{
    wan_state *s = b->s;
    rs_linear up = rs_wan_linear(b, WAN_B_FFN1, WAN_T_FFN1);
    rs_wan_add_norm(b, s->t[0], x2, x1, s->t[0], 3);
    if (pass == RS_PASS_RECOMPUTE) {
        rs_linear_fwd(b->d, &up, b->a.up, s->t[0], b->a.hidden[WAN_T_FFN1], RS_ACT_NONE,
                      (rs_tensor){0});
        return;
    }
    bool separate = b->a.up.data != s->f.data;
    rs_tensor wide = s->f;
    if (!rs_linear_stacks(&up) && rs_device_gemm_terms(b->d)) /* else it is added to, in fp32 */
        wide.dtype = rs_device_operand_dtype(b->d);
    rs_linear_fwd(b->d, &up, wide, s->t[0], b->a.hidden[WAN_T_FFN1], RS_ACT_GELU_TANH,
                  separate ? b->a.up : (rs_tensor){0});
    project_onto(b, WAN_B_FFN2, WAN_T_FFN2, y, wide, x2, rs_wan_mod_all(b, 5));
}

void rs_wan_block_fwd(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor y, rs_tensor x,
                      const void *const *conds, rs_pass pass)
{
    wan_state *s = state;
    wan_block b = {s, d, weights, loras, conds, rs_wan_acts_of(s, pass == RS_PASS_PLAIN ? -1 : i)};
    rs_tensor x1 = rs_has(b.a.x1) ? b.a.x1 : y, x2 = rs_has(b.a.x2) ? b.a.x2 : y;
    rs_wan_modulate(&b);
    bool kept = pass == RS_PASS_RECOMPUTE &&
                rs_kept_policy(&s->dims.kept, s->cfg.blocks, i) == RS_BLOCK_ATTENTION;
    self_attention(&b, x, !kept);
    cross_attention(&b, i, x1, x);
    feed_forward(&b, y, x2, x1, pass);
}
