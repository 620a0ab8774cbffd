/* Contracts of the ops (kernels/<op>/<op>.h), checked in front of every call. A broken one is our
 * bug: assert with the op's name, the rule and the shapes. */
#include <stdio.h>

#include "base/fp8.h"
#include "device/device_priv.h"

_Noreturn static void broken(const char *op, const char *rule, const rs_tensor *t, size_t n)
{
    char shapes[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof shapes; i++) {
        char text[RS_TENSOR_TEXT];
        int len = snprintf(shapes + used, sizeof shapes - used, " %s/ld %lld%s",
                           rs_has(t[i]) ? rs_tensor_text(text, t[i]) : "(none)", (long long)t[i].ld,
                           t[i].ndim && !t[i].data ? " unbound" : "");
        used += len > 0 ? (size_t)len : 0;
    }
    rs_assert_fail(__FILE__, __LINE__, "op %s: broken contract: %s; tensors:%s", op, rule, shapes);
}

/* The rule, then the tensors to show when it does not hold. */
#define NEED(op, rule, ...)                                                                        \
    do {                                                                                           \
        if (!(rule))                                                                               \
            broken(op, #rule, (const rs_tensor[]){__VA_ARGS__},                                    \
                   sizeof((const rs_tensor[]){__VA_ARGS__}) / sizeof(rs_tensor));                  \
    } while (0)

static bool bound(rs_tensor t)
{
    return rs_has(t) && (t.data || rs_tensor_count(t) == 0) && t.ld >= rs_tensor_cols(t);
}

/* fp32 with rows `ld` apart. */
static bool rows_f32(rs_tensor t)
{
    return bound(t) && t.dtype == RS_DTYPE_F32;
}

/* An activation: fp32, or bf16 on devices that store them so (the others assert in the op). */
static bool rows_act(rs_tensor t)
{
    return bound(t) && (t.dtype == RS_DTYPE_F32 || t.dtype == RS_DTYPE_BF16);
}

static bool flat_act(rs_tensor t)
{
    return rows_act(t) && rs_tensor_contiguous(t);
}

static bool same_type(rs_tensor a, rs_tensor b)
{
    return !rs_has(a) || !rs_has(b) || a.dtype == b.dtype;
}

/* What branches off the residual stream may be narrower than the stream, not wider. */
static bool branches(rs_tensor stream, rs_tensor branch)
{
    return stream.dtype == RS_DTYPE_F32 || branch.dtype == RS_DTYPE_BF16;
}

static bool is_act_mat(rs_tensor t, int64_t rows, int64_t cols)
{
    return rows_act(t) && rs_tensor_rows(t) == rows && rs_tensor_cols(t) == cols;
}

static bool like_act(rs_tensor t, rs_tensor x)
{
    return flat_act(t) && rs_tensor_count(t) == rs_tensor_count(x);
}

static bool flat_f32(rs_tensor t)
{
    return rows_f32(t) && rs_tensor_contiguous(t);
}

static bool is_mat(rs_tensor t, int64_t rows, int64_t cols)
{
    return rows_f32(t) && rs_tensor_rows(t) == rows && rs_tensor_cols(t) == cols;
}

static bool is_vec(rs_tensor t, int64_t n)
{
    return flat_f32(t) && rs_tensor_count(t) == n;
}

static bool opt_vec(rs_tensor t, int64_t n)
{
    return !rs_has(t) || is_vec(t, n);
}

static bool like(rs_tensor t, rs_tensor x)
{
    return flat_f32(t) && rs_tensor_count(t) == rs_tensor_count(x);
}

static bool opt_like_act(rs_tensor t, rs_tensor x)
{
    return !rs_has(t) || like_act(t, x);
}

static bool is_act(rs_act act)
{
    return act >= RS_ACT_NONE && act <= RS_ACT_SILU;
}

static void check_residual(const rs_gemm_args *g)
{
    int64_t m = rs_tensor_rows(g->y), n = rs_tensor_cols(g->y), parts = g->parts > 0 ? g->parts : 1;
    if (!rs_has(g->res)) {
        NEED("gemm", !rs_has(g->gate), g->y, g->gate);
        return;
    }
    NEED("gemm", is_mat(g->res, m, n) && rows_f32(g->y), g->y, g->res);
    NEED("gemm", g->y.data != g->res.data || (g->beta == 0 && g->y.ld == g->res.ld), g->y, g->res);
    NEED("gemm", !rs_has(g->gate) || is_mat(g->gate, parts, n), g->y, g->gate);
}

void rs_check_gemm(const rs_gemm_args *g)
{
    int64_t m = rs_tensor_rows(g->y), n = rs_tensor_cols(g->y);
    int64_t k = g->trans_a ? rs_tensor_rows(g->a) : rs_tensor_cols(g->a);
    NEED("gemm", rows_act(g->y), g->y, g->a, g->b);
    NEED("gemm", g->trans_a ? is_act_mat(g->a, k, m) : is_act_mat(g->a, m, k), g->y, g->a, g->b);
    if (g->b.dtype == RS_DTYPE_U8) {
        NEED("gemm", bound(g->b) && rs_tensor_contiguous(g->b) && rs_fp8_fits(g->b), g->b);
        NEED("gemm", g->b.shape[0] == (g->trans_b ? n : k), g->y, g->b);
        NEED("gemm", g->b.shape[1] == (g->trans_b ? k : n), g->y, g->b);
        NEED("gemm", g->y.dtype == RS_DTYPE_BF16, g->y);
        NEED("gemm", g->a.dtype == RS_DTYPE_BF16 || !g->trans_b, g->y, g->a);
        NEED("gemm", !g->trans_a && g->bf16, g->a);
    } else {
        NEED("gemm", g->trans_b ? is_act_mat(g->b, n, k) : is_act_mat(g->b, k, n), g->y, g->a,
             g->b);
    }
    NEED("gemm", opt_vec(g->bias, n), g->y, g->bias);
    NEED("gemm", !rs_has(g->pre) || (flat_act(g->pre) && rs_tensor_count(g->pre) == m * n), g->y,
         g->pre);
    NEED("gemm", g->y.data != g->a.data && g->y.data != g->b.data, g->y, g->a, g->b);
    NEED("gemm", is_act(g->act), g->y);
    NEED("gemm",
         !rs_has(g->act_at) || (flat_act(g->act_at) && rs_tensor_count(g->act_at) == m * n &&
                                same_type(g->act_at, g->y) && !rs_has(g->pre)),
         g->y, g->act_at, g->pre);
    int parts = g->parts > 0 ? g->parts : 1;
    NEED("gemm", parts <= RS_GEMM_PARTS && m % parts == 0, g->y);
    for (int i = 0; i < RS_GEMM_PARTS; i++) {
        const rs_tensor ta = g->ta[i], tb = g->tb[i];
        int64_t r = rs_tensor_cols(ta);
        NEED("gemm", !rs_has(ta) || (i < parts && is_act_mat(ta, m / parts, r)), g->y, ta);
        NEED("gemm", !rs_has(ta) || (g->trans_b ? is_act_mat(tb, n, r) : is_act_mat(tb, r, n)), ta,
             tb);
        NEED("gemm", !rs_has(ta) || (g->y.data != ta.data && g->y.data != tb.data), g->y, ta, tb);
    }
    check_residual(g);
}

void rs_check_quant8(const rs_quant8_args *a)
{
    int64_t m = rs_tensor_rows(a->x), k = rs_tensor_cols(a->x);
    NEED("quant8", rows_act(a->x) && is_vec(a->scale, m), a->x, a->scale);
    NEED("quant8", bound(a->y) && a->y.dtype == RS_DTYPE_U8 && rs_tensor_contiguous(a->y), a->y);
    NEED("quant8", rs_tensor_rows(a->y) == m && rs_tensor_cols(a->y) == k, a->y, a->x);
}

/* Of the pairs of a thin product; wide: rows of all parts, f factors or gradients. */
static void check_pairs(const char *op, rs_tensor wide, int parts, int each, bool tall,
                        const rs_tensor *low, const rs_tensor *f)
{
    NEED(op, parts >= 1 && parts <= RS_LORA_PARTS && each >= 1 && each <= RS_LORA_EACH, wide);
    NEED(op, rows_act(wide) && rs_tensor_rows(wide) % parts == 0, wide);
    int64_t m = rs_tensor_rows(wide) / parts, k = rs_tensor_cols(wide);
    for (int i = 0; i < parts * each; i++) {
        int64_t r = rs_tensor_cols(low[i]);
        NEED(op, !rs_has(low[i]) || is_act_mat(low[i], m, r), wide, low[i]);
        NEED(op, !rs_has(low[i]) || is_mat(f[i], tall ? k : r, tall ? r : k), wide, low[i], f[i]);
        NEED(op, !rs_has(low[i]) || low[i].data != wide.data, wide, low[i]);
    }
}

void rs_check_lora_down(const rs_lora_down_args *a)
{
    check_pairs("lora_down", a->x, a->parts, a->each, a->tall, a->low, a->f);
}

void rs_check_lora_up(const rs_lora_up_args *a)
{
    check_pairs("lora_up", a->y, a->parts, a->each, a->tall, a->low, a->f);
}

void rs_check_lora_grad(const rs_lora_grad_args *a)
{
    int n = a->segments, levels = n == 1 ? 0 : n == 2 ? 1 : n == 4 ? 2 : 3;
    check_pairs("lora_grad", a->x, a->parts, a->each, a->tall, a->low, a->g);
    NEED("lora_grad", n == 1 || n == 2 || n == 4 || n == RS_LORA_SEGMENTS, a->x);
    NEED("lora_grad", a->at[0] == 0 && a->at[n] == rs_tensor_rows(a->x) / a->parts, a->x);
    for (int i = 0; i < n; i++)
        NEED("lora_grad", a->at[i] <= a->at[i + 1], a->x);
    for (int i = 0; i < a->parts * a->each; i++) {
        int64_t need = rs_has(a->low[i]) ? rs_tensor_count(a->g[i]) * levels : 0;
        NEED("lora_grad", !rs_has(a->low[i]) || flat_f32(a->g[i]), a->g[i]);
        NEED("lora_grad", need == 0 || (flat_f32(a->work) && rs_tensor_count(a->work) >= need),
             a->g[i], a->work);
    }
}

/* Heads divide the columns into even parts. */
static bool has_heads(rs_tensor t, int64_t heads)
{
    return rows_act(t) && heads >= 1 && rs_tensor_cols(t) % (2 * heads) == 0;
}

void rs_check_attention_fwd(const rs_attention_fwd_args *a)
{
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k), c = rs_tensor_cols(a->q);
    NEED("attention_fwd", has_heads(a->q, a->heads) && sk >= 1, a->q, a->k);
    NEED("attention_fwd", a->last_key_count >= 0, a->q, a->k);
    NEED("attention_fwd", is_act_mat(a->o, sq, c), a->o, a->q);
    NEED("attention_fwd", is_act_mat(a->k, sk, c) && is_act_mat(a->v, sk, c), a->q, a->k, a->v);
    NEED("attention_fwd", !rs_has(a->lse) || is_mat(a->lse, a->heads, sq), a->lse, a->q);
    NEED("attention_fwd", opt_vec(a->bias_rel, a->heads * (sq + sk - 1)), a->bias_rel, a->q, a->k);
    NEED("attention_fwd",
         a->o.data != a->q.data && a->o.data != a->k.data && a->o.data != a->v.data, a->o, a->q,
         a->k, a->v);
}

void rs_check_attention_bwd(const rs_attention_bwd_args *a)
{
    int64_t sq = rs_tensor_rows(a->q), sk = rs_tensor_rows(a->k), c = rs_tensor_cols(a->q);
    NEED("attention_bwd", has_heads(a->q, a->heads) && sk >= 1, a->q, a->k);
    NEED("attention_bwd", a->last_key_count >= 0, a->q, a->k);
    NEED("attention_bwd", is_act_mat(a->d_o, sq, c) && is_act_mat(a->o, sq, c), a->d_o, a->o, a->q);
    NEED("attention_bwd", is_act_mat(a->dq, sq, c), a->dq, a->q);
    NEED("attention_bwd", is_act_mat(a->k, sk, c) && is_act_mat(a->v, sk, c), a->q, a->k, a->v);
    NEED("attention_bwd", is_mat(a->lse, a->heads, sq), a->lse, a->q);
    NEED("attention_bwd", rs_has(a->dk) == rs_has(a->dv), a->dk, a->dv);
    NEED("attention_bwd", !rs_has(a->dk) || (is_act_mat(a->dk, sk, c) && is_act_mat(a->dv, sk, c)),
         a->dk, a->dv, a->k);
}

void rs_check_layernorm_fwd(const rs_layernorm_fwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    NEED("layernorm_fwd", flat_act(a->x) && like_act(a->y, a->x) && branches(a->x, a->y), a->y,
         a->x);
    NEED("layernorm_fwd", opt_vec(a->weight, c) && opt_vec(a->bias, c), a->x, a->weight, a->bias);
    NEED("layernorm_fwd", opt_vec(a->scale, c) && opt_vec(a->shift, c), a->x, a->scale, a->shift);
    NEED("layernorm_fwd", !rs_has(a->weight) || !rs_has(a->scale), a->weight, a->scale);
    NEED("layernorm_fwd", rs_has(a->o) == rs_has(a->sum), a->o, a->sum);
    if (!rs_has(a->o))
        return;
    NEED("layernorm_fwd", like_act(a->o, a->x) && same_type(a->o, a->y), a->x, a->y, a->o);
    NEED("layernorm_fwd", like_act(a->sum, a->x) && same_type(a->sum, a->x), a->x, a->sum);
    NEED("layernorm_fwd", opt_vec(a->gate, c) && a->y.data != a->sum.data && a->y.data != a->x.data,
         a->y, a->x, a->gate, a->sum);
}

void rs_check_layernorm_bwd(const rs_layernorm_bwd_args *a)
{
    int64_t c = rs_tensor_cols(a->x);
    NEED("layernorm_bwd", flat_act(a->x) && like_act(a->dx, a->x) && like_act(a->dy, a->x), a->dx,
         a->dy, a->x);
    NEED("layernorm_bwd", same_type(a->dx, a->x) && branches(a->x, a->dy), a->dx, a->dy, a->x);
    NEED("layernorm_bwd", opt_vec(a->weight, c) && opt_vec(a->scale, c), a->x, a->weight, a->scale);
    NEED("layernorm_bwd", !rs_has(a->weight) || !rs_has(a->scale), a->weight, a->scale);
    NEED("layernorm_bwd", !a->accumulate || a->dx.data != a->x.data, a->dx, a->x);
    if (!rs_has(a->next))
        return;
    NEED("layernorm_bwd", like_act(a->next, a->x) && same_type(a->next, a->dy), a->x, a->dy,
         a->next);
    NEED("layernorm_bwd", opt_vec(a->gate, c) && a->next.data != a->dx.data, a->dx, a->next,
         a->gate);
}

static bool is_rope_table(rs_tensor t)
{
    return flat_f32(t) && t.ndim == 3 && t.shape[2] == 2;
}

/* Angles for the rows of x. */
static void check_rotation(const char *op, rs_tensor x, rs_tensor f, rs_tensor h, rs_tensor w,
                           int64_t heads, int64_t first)
{
    NEED(op, is_rope_table(f) && is_rope_table(h) && is_rope_table(w), f, h, w);
    int64_t pairs = f.shape[1] + h.shape[1] + w.shape[1];
    int64_t tokens = f.shape[0] * h.shape[0] * w.shape[0];
    NEED(op, heads >= 1 && rs_tensor_cols(x) == 2 * pairs * heads, x, f, h, w);
    NEED(op, first >= 0 && first + rs_tensor_rows(x) <= tokens, x, f, h, w);
}

static void check_rope(const char *op, const rs_rope_fwd_args *a)
{
    int64_t r = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    NEED(op, is_act_mat(a->x, r, c) && is_act_mat(a->y, r, c), a->y, a->x);
    NEED(op, same_type(a->y, a->x), a->y, a->x);
    check_rotation(op, a->x, a->table_f, a->table_h, a->table_w, a->heads, a->first);
}

void rs_check_rmsnorm_fwd(const rs_rmsnorm_fwd_args *a)
{
    int64_t r = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    NEED("rmsnorm_fwd", is_act_mat(a->x, r, c) && is_act_mat(a->y, r, c), a->y, a->x);
    NEED("rmsnorm_fwd", branches(a->x, a->y), a->y, a->x);
    NEED("rmsnorm_fwd", is_vec(a->weight, c) && is_act(a->act), a->x, a->weight);
    if (!rs_has(a->table_f) && !rs_has(a->table_h) && !rs_has(a->table_w))
        return;
    check_rotation("rmsnorm_fwd", a->x, a->table_f, a->table_h, a->table_w, a->heads, a->first);
    NEED("rmsnorm_fwd", a->act == RS_ACT_NONE, a->x);
}

void rs_check_rmsnorm_bwd(const rs_rmsnorm_bwd_args *a)
{
    int64_t r = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    NEED("rmsnorm_bwd",
         is_act_mat(a->x, r, c) && is_act_mat(a->dx, r, c) && is_act_mat(a->dy, r, c), a->dx, a->dy,
         a->x);
    NEED("rmsnorm_bwd", same_type(a->dx, a->x) && same_type(a->dy, a->x), a->dx, a->dy, a->x);
    NEED("rmsnorm_bwd", is_vec(a->weight, c), a->x, a->weight);
    if (rs_has(a->table_f) || rs_has(a->table_h) || rs_has(a->table_w))
        check_rotation("rmsnorm_bwd", a->x, a->table_f, a->table_h, a->table_w, a->heads, a->first);
}

void rs_check_rope_fwd(const rs_rope_fwd_args *a)
{
    check_rope("rope_fwd", a);
}

void rs_check_rope_bwd(const rs_rope_bwd_args *a)
{
    check_rope("rope_bwd", a);
}

void rs_check_gate_add(const rs_gate_add_args *a)
{
    NEED("gate_add", flat_act(a->x) && like_act(a->y, a->x) && like_act(a->o, a->x), a->y, a->x,
         a->o);
    NEED("gate_add", same_type(a->y, a->x) && branches(a->x, a->o), a->y, a->x, a->o);
    NEED("gate_add", opt_vec(a->gate, rs_tensor_cols(a->x)), a->x, a->gate);
}

void rs_check_gate_mul(const rs_gate_mul_args *a)
{
    NEED("gate_mul", flat_act(a->x) && like_act(a->y, a->x) && branches(a->x, a->y), a->y, a->x);
    NEED("gate_mul", is_vec(a->gate, rs_tensor_cols(a->x)), a->x, a->gate);
}

void rs_check_act_fwd(const rs_act_fwd_args *a)
{
    NEED("act_fwd", flat_act(a->x) && like_act(a->y, a->x) && is_act(a->act), a->y, a->x);
    NEED("act_fwd", same_type(a->y, a->x), a->y, a->x);
}

void rs_check_act_bwd(const rs_act_bwd_args *a)
{
    NEED("act_bwd", flat_act(a->x) && like_act(a->dx, a->x) && like_act(a->dy, a->x), a->dx, a->dy,
         a->x);
    NEED("act_bwd", same_type(a->dx, a->x) && same_type(a->dy, a->x), a->dx, a->dy, a->x);
    NEED("act_bwd", is_act(a->act), a->x);
}

void rs_check_glu_fwd(const rs_glu_fwd_args *a)
{
    NEED("glu_fwd", flat_act(a->a) && like_act(a->b, a->a) && like_act(a->y, a->a), a->y, a->a,
         a->b);
    NEED("glu_fwd", same_type(a->y, a->a) && same_type(a->b, a->a), a->y, a->a, a->b);
    NEED("glu_fwd", is_act(a->act), a->a);
}

/* x (C,F,H,W) and tokens (S, features) of one patch size. */
static bool patches_fit(rs_tensor x, rs_tensor tokens, const int64_t patch[3])
{
    if (!flat_act(x) || x.ndim != 4 || !rows_act(tokens))
        return false;
    int64_t rows = 1, features = x.shape[0];
    for (int i = 0; i < 3; i++) {
        if (patch[i] < 1 || x.shape[i + 1] % patch[i] != 0)
            return false;
        rows *= x.shape[i + 1] / patch[i];
        features *= patch[i];
    }
    return rs_tensor_rows(tokens) == rows && rs_tensor_cols(tokens) == features;
}

void rs_check_patchify(const rs_patchify_args *a)
{
    NEED("patchify", patches_fit(a->x, a->tokens, a->patch), a->tokens, a->x);
}

void rs_check_unpatchify(const rs_unpatchify_args *a)
{
    NEED("unpatchify", patches_fit(a->x, a->tokens, a->patch), a->x, a->tokens);
}

void rs_check_conv3d(const rs_conv3d_args *a)
{
    const rs_tensor x = a->x, y = a->y, w = a->weight;
    NEED("conv3d", flat_act(x) && flat_act(y) && branches(y, x) && x.ndim == 4 && y.ndim == 4, y,
         x);
    NEED("conv3d", flat_act(w) && w.ndim == 5, w);
    int64_t up = a->upsample ? 2 : 1;
    int64_t h = x.shape[1] * up + a->pad[0] + a->pad[1] - w.shape[1];
    int64_t v = x.shape[2] * up + a->pad[2] + a->pad[3] - w.shape[2];
    NEED("conv3d", a->stride[0] >= 1 && a->stride[1] >= 1 && a->stride[2] >= 1, y, x, w);
    NEED("conv3d", h >= 0 && v >= 0 && x.shape[0] >= 1, y, x, w);
    NEED("conv3d", y.shape[0] == (x.shape[0] - 1) / a->stride[0] + 1, y, x, w);
    NEED("conv3d", y.shape[1] == h / a->stride[1] + 1 && y.shape[2] == v / a->stride[2] + 1, y, x,
         w);
    NEED("conv3d", w.shape[3] == x.shape[3] && w.shape[4] == y.shape[3], y, x, w);
    NEED("conv3d", opt_vec(a->bias, y.shape[3]) && opt_like_act(a->residual, y), y, a->bias,
         a->residual);
    NEED("conv3d", same_type(a->prev, x) && same_type(a->residual, y), x, y, a->prev, a->residual);
    int64_t before = (w.shape[0] - 1) * x.shape[1] * x.shape[2] * x.shape[3];
    NEED("conv3d", !rs_has(a->prev) || (flat_act(a->prev) && rs_tensor_count(a->prev) == before), x,
         w, a->prev);
    NEED("conv3d", y.data != x.data, y, x);
}

void rs_check_lincomb(const rs_lincomb_args *a)
{
    NEED("lincomb", a->n >= 1 && a->n <= RS_LINCOMB_MAX && flat_f32(a->y), a->y);
    for (int i = 0; i < a->n; i++)
        NEED("lincomb", like(a->x[i], a->y), a->y, a->x[i]);
}

void rs_check_affine(const rs_affine_args *a)
{
    NEED("affine", flat_act(a->x) && like_act(a->y, a->x), a->y, a->x);
    int64_t c = a->channel_first ? a->x.shape[0] : rs_tensor_cols(a->x);
    NEED("affine", is_vec(a->mul, c) && opt_vec(a->add, c), a->x, a->mul, a->add);
}

void rs_check_mse(const rs_mse_args *a)
{
    NEED("mse", flat_act(a->p) && like_act(a->t, a->p) && rs_tensor_count(a->p) >= 1, a->p, a->t);
    NEED("mse", is_vec(a->loss, 1) && opt_like_act(a->grad, a->p), a->loss, a->grad, a->p);
}

void rs_check_sumsq(const rs_sumsq_args *a)
{
    NEED("sumsq", is_vec(a->out, 1) && flat_f32(a->x), a->out, a->x);
}

void rs_check_adamw(const rs_adamw_args *a)
{
    NEED("adamw", flat_f32(a->p) && like(a->m, a->p) && like(a->v, a->p) && like(a->g, a->p), a->p,
         a->m, a->v, a->g);
    NEED("adamw", a->step >= 1, a->p);
}

void rs_check_noise(const rs_noise_args *a)
{
    NEED("noise", flat_f32(a->y), a->y);
}

void rs_check_embed(const rs_embed_args *a)
{
    NEED("embed",
         flat_act(a->table) && is_act_mat(a->y, rs_tensor_count(a->ids), rs_tensor_cols(a->table)),
         a->y, a->table, a->ids);
    NEED("embed", bound(a->ids) && a->ids.dtype == RS_DTYPE_I32 && flat_act(a->y), a->y, a->ids);
}

void rs_check_transpose(const rs_transpose_args *a)
{
    NEED("transpose", a->rows >= 0 && a->cols >= 0 && flat_act(a->x) && flat_act(a->y), a->y, a->x);
    NEED("transpose", rs_tensor_count(a->x) == a->rows * a->cols && like_act(a->y, a->x), a->y,
         a->x);
    NEED("transpose", a->y.data != a->x.data, a->y, a->x);
}

void rs_check_copy(const rs_copy_args *a)
{
    int64_t r = rs_tensor_rows(a->x), c = rs_tensor_cols(a->x);
    NEED("copy", is_act_mat(a->x, r, c) && is_act_mat(a->y, r, c), a->y, a->x);
}
