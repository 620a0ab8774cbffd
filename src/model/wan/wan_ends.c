/* What stands around the blocks: condition encoding, patch embedding, time modulation, head
 * (wan21.md 1.2). In a lane every rank has the whole latent and the whole velocity. */
#include <math.h>

#include "model/wan/wan_state.h"

static rs_tensor matrix(rs_tensor w)
{
    return rs_tensor_reshape(w, RS_SHAPE(w.shape[0], rs_tensor_count(w) / w.shape[0]));
}

/* In the device's precision. Time embedding and head are fp32 whatever that is (wan21.md 1.5 A). */
static void linear(rs_device *d, const rs_tensor *globals, int slot, rs_tensor y, rs_tensor x,
                   rs_act act)
{
    bool fp32 =
        slot == WAN_G_TIME1 || slot == WAN_G_TIME2 || slot == WAN_G_TIME_PROJ || slot == WAN_G_HEAD;
    RS_OP(d, gemm, .y = y, .a = x, .b = matrix(globals[slot]), .trans_b = true,
          .bias = globals[slot + 1], .act = act,
          .bf16 = !fp32 && rs_device_precision(d) == RS_PRECISION_BF16);
}

static void put(rs_device *d, rs_tensor dst, rs_tensor src)
{
    rs_device_put(d, dst.data, src.data, rs_tensor_bytes(src));
}

void rs_wan_encode_cond(void *state, void *cond, rs_device *d, const rs_tensor *globals,
                        rs_tensor y, rs_tensor text, rs_tensor image)
{
    const rs_wan_config *cfg = &((wan_state *)state)->cfg;
    wan_cond *c = cond;
    c->y = y;
    rs_device_zero(d, c->text_in.data, rs_tensor_bytes(c->text_in));
    put(d, c->text_in, text);
    linear(d, globals, WAN_G_TEXT1, c->text_hidden, c->text_in, RS_ACT_GELU_TANH);
    linear(d, globals, WAN_G_TEXT2, c->text, c->text_hidden, RS_ACT_NONE);
    if (!cfg->image_dim)
        return;
    const float eps = 1e-5f; /* of both norms, whatever the blocks use */
    put(d, c->image_in, image);
    RS_OP(d, layernorm_fwd, .y = c->image_in, .x = c->image_in,
          .weight = globals[WAN_G_IMAGE_NORM1], .bias = globals[WAN_G_IMAGE_NORM1 + 1], .eps = eps);
    linear(d, globals, WAN_G_IMAGE1, c->image_hidden, c->image_in, RS_ACT_GELU_ERF);
    linear(d, globals, WAN_G_IMAGE2, c->image, c->image_hidden, RS_ACT_NONE);
    RS_OP(d, layernorm_fwd, .y = c->image, .x = c->image, .weight = globals[WAN_G_IMAGE_NORM2],
          .bias = globals[WAN_G_IMAGE_NORM2 + 1], .eps = eps);
}

/* [cos(t f_0..) | sin(t f_0..)], f_i = 10000^(-2i/n), in double. */
static void put_sinusoid(rs_device *d, rs_tensor dst, double t)
{
    int64_t half = rs_tensor_count(dst) / 2;
    float *host = rs_alloc((size_t)half * 2, sizeof *host);
    for (int64_t i = 0; i < half; i++) {
        double angle = t * pow(10000.0, -(double)i / (double)half);
        host[i] = (float)cos(angle);
        host[half + i] = (float)sin(angle);
    }
    rs_device_put(d, dst.data, host, rs_tensor_bytes(dst));
    rs_dealloc(host);
}

static rs_tensor row(rs_tensor t, int64_t i)
{
    return rs_tensor_rows_view(t, i, i + 1);
}

/* Of sample k. */
static void embed_time(wan_state *s, rs_device *d, const rs_tensor *globals, int k, float t)
{
    int64_t D = s->cfg.dim;
    put_sinusoid(d, s->sinusoid, (double)t);
    linear(d, globals, WAN_G_TIME1, s->e1, s->sinusoid, RS_ACT_SILU);
    linear(d, globals, WAN_G_TIME2, s->e, s->e1, RS_ACT_NONE);
    RS_OP(d, act_fwd, .y = s->se, .x = s->e, .act = RS_ACT_SILU);
    linear(d, globals, WAN_G_TIME_PROJ, row(s->e0, k), s->se, RS_ACT_NONE);
    rs_tensor table = rs_tensor_reshape(globals[WAN_G_HEAD_TABLE], RS_SHAPE(2, D));
    for (int i = 0; i < 2; i++)
        RS_OP(d, gate_add, .y = row(s->head_mod, 2 * k + i), .x = row(table, i), .o = s->e);
}

/* This rank's rows of a tensor over all tokens. */
static rs_tensor own_rows(const wan_state *s, rs_tensor all)
{
    return rs_tensor_rows_view(all, s->segments.first, s->segments.first + s->S);
}

void rs_wan_begin(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor x,
                  rs_tensor latent, float t, const void *cond)
{
    wan_state *s = state;
    const wan_cond *c = cond;
    const int64_t *p = s->cfg.patch;
    int64_t split = latent.shape[0] * p[0] * p[1] * p[2], all = rs_tensor_cols(s->tokens);
    RS_OP(d, patchify, .tokens = rs_tensor_cols_view(s->tokens, 0, split), .x = latent,
          .patch = {p[0], p[1], p[2]});
    if (split < all)
        RS_OP(d, patchify, .tokens = rs_tensor_cols_view(s->tokens, split, all), .x = c->y,
              .patch = {p[0], p[1], p[2]});
    linear(d, globals, WAN_G_PATCH, x, own_rows(s, s->tokens), RS_ACT_NONE);
    embed_time(s, d, globals, k, t);
    s->ctx_block = -1;
}

static rs_tensor head_row(const wan_state *s, int64_t i)
{
    return rs_tensor_reshape(row(s->head_mod, i), RS_SHAPE(s->cfg.dim));
}

/* (S,D) scratch. */
static rs_tensor scratch(const wan_state *s)
{
    return rs_tensor_rows_view(s->t[0], 0, s->S);
}

void rs_wan_end(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor v,
                rs_tensor x)
{
    wan_state *s = state;
    const int64_t *p = s->cfg.patch;
    RS_OP(d, layernorm_fwd, .y = scratch(s), .x = x, .scale = head_row(s, 2 * k + 1),
          .shift = head_row(s, 2 * k), .eps = s->cfg.eps);
    linear(d, globals, WAN_G_HEAD, own_rows(s, s->head), scratch(s), RS_ACT_NONE);
    rs_lane_gather(s->dims.lane, s->head);
    RS_OP(d, unpatchify, .x = v, .tokens = s->head, .patch = {p[0], p[1], p[2]});
}

void rs_wan_end_bwd(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor dx,
                    rs_tensor dv, rs_tensor x)
{
    wan_state *s = state;
    const int64_t *p = s->cfg.patch;
    RS_OP(d, unpatchify, .x = dv, .tokens = s->head, .patch = {p[0], p[1], p[2]}, .inverse = true);
    RS_OP(d, gemm, .y = scratch(s), .a = own_rows(s, s->head), .b = globals[WAN_G_HEAD]);
    RS_OP(d, layernorm_bwd, .dx = dx, .dy = scratch(s), .x = x, .scale = head_row(s, 2 * k + 1),
          .eps = s->cfg.eps);
}
