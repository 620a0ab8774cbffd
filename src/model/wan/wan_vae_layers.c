/* Wan VAE: the layers on chunks of a clip (wan21.md 3.1 and 3.2), channels last.
 *
 * A causal convolution needs the two frames before its chunk: each keeps them in its cache. Layers
 * that change the frame rate treat frame 0 of the clip apart: down_time and up_time pass it through
 * unchanged, and up_time's convolution sees zeros in its place.
 *
 * What goes from layer to layer is fp32 on every device. Between a norm and the convolution behind
 * it a device's activation type does: one that is bf16 is what the convolution would round to. */
#include <math.h>

#include "base/num.h"
#include "model/wan/wan_vae_priv.h"

enum { CONTEXT = 2 }; /* frames before a chunk that a convolution of 3 frames sees */

static const float k_norm_floor = 1e-12f;

static rs_tensor view(const rs_vae_run *r, int buffer, int64_t t, int64_t h, int64_t w, int64_t c)
{
    rs_tensor flat = r->buffer[buffer];
    RS_ASSERT(t * h * w * c <= rs_tensor_count(flat));
    return rs_tensor_of(flat.data, RS_DTYPE_F32, RS_SHAPE(t, h, w, c));
}

/* The same in the type of activations. */
static rs_tensor view_act(const rs_vae_run *r, int buffer, int64_t t, int64_t h, int64_t w,
                          int64_t c)
{
    rs_tensor x = view(r, buffer, t, h, w, c);
    x.dtype = rs_device_activation_dtype(r->dev);
    return x;
}

static int other(const rs_vae_run *r, int k)
{
    return (r->at + k) % RS_VAE_BUFFERS;
}

static void set(rs_vae_run *r, int buffer, rs_tensor x)
{
    r->at = buffer;
    r->x = x;
}

static void copy(rs_vae_run *r, rs_tensor dst, rs_tensor src)
{
    RS_ASSERT(rs_tensor_count(dst) == rs_tensor_count(src));
    rs_device_copy(r->dev, dst.data, src.data, rs_tensor_bytes(src));
}

static rs_tensor frame(rs_tensor x, int64_t t)
{
    return rs_tensor_slice(x, t, t + 1);
}

/* Keep the last two of [cache, x] for the next chunk. */
static void remember(rs_vae_run *r, rs_tensor cache, rs_tensor x)
{
    int64_t t = x.shape[0];
    if (r->last)
        return;
    if (t >= CONTEXT) {
        copy(r, cache, rs_tensor_slice(x, t - CONTEXT, t));
        return;
    }
    if (r->first)
        rs_device_zero(r->dev, cache.data, rs_tensor_bytes(frame(cache, 0)));
    else
        copy(r, frame(cache, 0), frame(cache, 1));
    copy(r, frame(cache, 1), x);
}

/* Causal 3x3x3 convolution with its cache; residual may be left out or be y. */
static void causal(rs_vae_run *r, rs_tensor y, rs_tensor x, rs_tensor cache, rs_tensor weight,
                   rs_tensor bias, rs_tensor residual)
{
    rs_tensor none = {0};
    RS_OP(r->dev, conv3d, .y = y, .x = x, .prev = r->first ? none : cache, .weight = weight,
          .bias = bias, .residual = residual, .stride = {1, 1, 1}, .pad = {1, 1, 1, 1},
          .bf16 = rs_device_rounds(r->dev));
    remember(r, cache, x);
}

static void norm_silu(rs_vae_run *r, rs_tensor y, rs_tensor x, rs_tensor gamma)
{
    RS_OP(r->dev, rmsnorm_fwd, .y = y, .x = x, .weight = gamma, .floor = k_norm_floor,
          .act = RS_ACT_SILU);
}

/* y = x W^T + b on rows of channels: the 1x1x1 convolutions, weights (Co,Ci). */
static void pointwise(rs_vae_run *r, rs_tensor y, rs_tensor x, rs_tensor w, rs_tensor b, float beta)
{
    RS_OP(r->dev, gemm, .y = y, .a = x, .b = w, .trans_b = true, .bias = b, .beta = beta,
          .bf16 = rs_device_rounds(r->dev));
}

static void run_conv(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    rs_tensor y = view(r, other(r, 1), s[0], s[1], s[2], l->cout);
    causal(r, y, r->x, l->cache[0], l->w[0], l->w[1], (rs_tensor){0});
    set(r, other(r, 1), y);
}

static void run_linear(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    rs_tensor y = view(r, other(r, 1), s[0], s[1], s[2], l->cout);
    pointwise(r, y, r->x, l->w[0], l->w[1], 0.0f);
    set(r, other(r, 1), y);
}

static void run_head(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    bool narrow = rs_device_activation_dtype(r->dev) != RS_DTYPE_F32; /* else in place */
    int iy = other(r, 1), ia = narrow ? other(r, 2) : r->at;
    rs_tensor a = view_act(r, ia, s[0], s[1], s[2], l->cin);
    norm_silu(r, a, r->x, l->w[0]);
    rs_tensor y = view(r, iy, s[0], s[1], s[2], l->cout);
    causal(r, y, a, l->cache[0], l->w[1], l->w[2], (rs_tensor){0});
    set(r, iy, y);
}

static void run_res(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    int ia = other(r, 1), ib = other(r, 2);
    rs_tensor a = view_act(r, ia, s[0], s[1], s[2], l->cin);
    rs_tensor b = view(r, ib, s[0], s[1], s[2], l->cout);
    norm_silu(r, a, r->x, l->w[0]);
    causal(r, b, a, l->cache[0], l->w[1], l->w[2], (rs_tensor){0});
    /* In place where the type allows it; the other of the two is free for y. */
    int ic = a.dtype == b.dtype ? ib : ia, iy = a.dtype == b.dtype ? ia : ib;
    rs_tensor n = view_act(r, ic, s[0], s[1], s[2], l->cout);
    norm_silu(r, n, b, l->w[3]);
    if (l->cin == l->cout) {
        causal(r, r->x, n, l->cache[1], l->w[4], l->w[5], r->x);
        return;
    }
    rs_tensor y = view(r, iy, s[0], s[1], s[2], l->cout);
    pointwise(r, y, r->x, l->w[6], l->w[7], 0.0f);
    causal(r, y, n, l->cache[1], l->w[4], l->w[5], y);
    set(r, iy, y);
}

static void run_attn(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    int64_t c = l->cin, tokens = s[1] * s[2];
    rs_tensor a = view(r, other(r, 1), s[0], s[1], s[2], c);
    rs_tensor qkv = view(r, other(r, 2), s[0], s[1], s[2], 3 * c);
    RS_OP(r->dev, rmsnorm_fwd, .y = a, .x = r->x, .weight = l->w[0], .floor = k_norm_floor);
    pointwise(r, qkv, a, l->w[1], l->w[2], 0.0f);
    for (int64_t t = 0; t < s[0]; t++) {
        rs_tensor in = rs_tensor_reshape(frame(qkv, t), RS_SHAPE(tokens, 3 * c));
        rs_tensor o = rs_tensor_reshape(frame(a, t), RS_SHAPE(tokens, c));
        RS_OP(r->dev, attention_fwd, .o = o, .q = rs_tensor_cols_view(in, 0, c),
              .k = rs_tensor_cols_view(in, c, 2 * c), .v = rs_tensor_cols_view(in, 2 * c, 3 * c),
              .heads = 1, .scale = (float)(1.0 / sqrt((double)c)),
              .bf16 = rs_device_rounds(r->dev));
    }
    pointwise(r, r->x, a, l->w[3], l->w[4], 1.0f);
}

/* Frames at odd and even places of the clip meet: out k sees in 2k-2, 2k-1, 2k (k >= 1). With
 * cache[0] = in 2k-2 the first new frame becomes cache[1], and the convolution runs on the rest. */
static void halve_frames(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    int64_t skip = r->first ? 1 : 0, t = s[0];
    RS_ASSERT((t - skip) % 2 == 0);
    rs_tensor x = r->x, cache = l->cache[0];
    if (r->first && !(r->last && t == 1))
        copy(r, frame(cache, 0), frame(x, 0));
    if (r->first && t == 1)
        return;
    rs_tensor y = view(r, other(r, 1), skip + (t - skip) / 2, s[1], s[2], l->cout);
    if (r->first)
        copy(r, frame(y, 0), frame(x, 0));
    copy(r, frame(cache, 1), frame(x, skip));
    RS_OP(r->dev, conv3d, .y = rs_tensor_slice(y, skip, y.shape[0]),
          .x = rs_tensor_slice(x, skip + 1, t), .prev = cache, .weight = l->w[2], .bias = l->w[3],
          .stride = {2, 1, 1}, .pad = {0, 0, 0, 0}, .bf16 = rs_device_rounds(r->dev));
    if (!r->last)
        copy(r, frame(cache, 0), frame(x, t - 1));
    set(r, other(r, 1), y);
}

static void run_down(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    rs_tensor y = view(r, other(r, 1), s[0], s[1] / 2, s[2] / 2, l->cout);
    RS_OP(r->dev, conv3d, .y = y, .x = r->x, .weight = l->w[0], .bias = l->w[1],
          .stride = {1, 2, 2}, .pad = {0, 1, 0, 1}, .bf16 = rs_device_rounds(r->dev));
    set(r, other(r, 1), y);
    if (l->kind == RS_VAE_DOWN_TIME)
        halve_frames(r, l);
}

/* One new frame x into two, by the halves of the time convolution; cache = the two before it. */
static void double_frame(rs_vae_run *r, rs_vae_layer *l, rs_tensor even, rs_tensor odd, rs_tensor x)
{
    int64_t c = l->cin;
    rs_tensor cache = l->cache[0];
    RS_OP(r->dev, conv3d, .y = even, .x = x, .prev = cache, .weight = l->w[2],
          .bias = rs_tensor_slice(l->w[3], 0, c), .stride = {1, 1, 1}, .pad = {0, 0, 0, 0},
          .bf16 = rs_device_rounds(r->dev));
    RS_OP(r->dev, conv3d, .y = odd, .x = x, .prev = cache, .weight = l->time_odd,
          .bias = rs_tensor_slice(l->w[3], c, 2 * c), .stride = {1, 1, 1}, .pad = {0, 0, 0, 0},
          .bf16 = rs_device_rounds(r->dev));
    copy(r, frame(cache, 0), frame(cache, 1));
    copy(r, frame(cache, 1), x);
}

static void double_frames(rs_vae_run *r, rs_vae_layer *l)
{
    const int64_t *s = r->x.shape;
    int64_t skip = r->first ? 1 : 0, t = s[0];
    rs_tensor x = r->x;
    if (r->first && !(r->last && t == 1))
        rs_device_zero(r->dev, l->cache[0].data, rs_tensor_bytes(l->cache[0]));
    if (r->first && t == 1)
        return;
    rs_tensor y = view(r, other(r, 1), skip + 2 * (t - skip), s[1], s[2], l->cin);
    if (r->first)
        copy(r, frame(y, 0), frame(x, 0));
    for (int64_t i = skip; i < t; i++) {
        int64_t k = skip + 2 * (i - skip);
        double_frame(r, l, frame(y, k), frame(y, k + 1), frame(x, i));
    }
    set(r, other(r, 1), y);
}

static void run_up(rs_vae_run *r, rs_vae_layer *l)
{
    if (l->kind == RS_VAE_UP_TIME)
        double_frames(r, l);
    const int64_t *s = r->x.shape;
    rs_tensor y = view(r, other(r, 1), s[0], 2 * s[1], 2 * s[2], l->cout), x = r->x;
    /* Four products a pixel of it: worth a pass over the small image. (Halving is not.) */
    if (rs_device_activation_dtype(r->dev) != RS_DTYPE_F32) {
        x = view_act(r, other(r, 2), s[0], s[1], s[2], l->cin);
        RS_OP(r->dev, copy, .y = x, .x = r->x);
    }
    RS_OP(r->dev, conv3d, .y = y, .x = x, .weight = l->w[0], .bias = l->w[1], .stride = {1, 1, 1},
          .pad = {1, 1, 1, 1}, .upsample = true, .bf16 = rs_device_rounds(r->dev));
    set(r, other(r, 1), y);
}

void rs_vae_layer_run(rs_vae_run *r, rs_vae_layer *l)
{
    switch (l->kind) {
    case RS_VAE_LINEAR:
        run_linear(r, l);
        break;
    case RS_VAE_CONV:
        run_conv(r, l);
        break;
    case RS_VAE_HEAD:
        run_head(r, l);
        break;
    case RS_VAE_RES:
        run_res(r, l);
        break;
    case RS_VAE_ATTN:
        run_attn(r, l);
        break;
    case RS_VAE_DOWN:
    case RS_VAE_DOWN_TIME:
        run_down(r, l);
        break;
    case RS_VAE_UP:
    case RS_VAE_UP_TIME:
        run_up(r, l);
        break;
    }
}
