/* Wan VAE: configuration, the layer lists of encoder and decoder, and the weight layout made of
 * them (names of wan21.md 2.2). */
#include "base/num.h"
#include "model/wan/wan_vae_priv.h"

#define W3(name, original, co, ci, kt, k)                                                          \
    {                                                                                              \
        name, original, RS_VAE_W3, co, ci, kt, k                                                   \
    }
#define W2(name, original, co, ci, k)                                                              \
    {                                                                                              \
        name, original, RS_VAE_W2, co, ci, 1, k                                                    \
    }
#define BIAS(name, original, co)                                                                   \
    {                                                                                              \
        name, original, RS_VAE_BIAS, co, RS_VAE_IN, 1, 1                                           \
    }
#define GAMMA(name, original, form, c)                                                             \
    {                                                                                              \
        name, original, form, c, RS_VAE_IN, 1, 1                                                   \
    }

static const rs_vae_part k_linear[] = {
    W3(".weight", ".weight", RS_VAE_OUT, RS_VAE_IN, 1, 1),
    BIAS(".bias", ".bias", RS_VAE_OUT),
};
static const rs_vae_part k_conv[] = {
    W3(".weight", ".weight", RS_VAE_OUT, RS_VAE_IN, 3, 3),
    BIAS(".bias", ".bias", RS_VAE_OUT),
};
static const rs_vae_part k_head[] = {
    GAMMA(".norm_out.gamma", ".head.0.gamma", RS_VAE_GAMMA3, RS_VAE_IN),
    W3(".conv_out.weight", ".head.2.weight", RS_VAE_OUT, RS_VAE_IN, 3, 3),
    BIAS(".conv_out.bias", ".head.2.bias", RS_VAE_OUT),
};
static const rs_vae_part k_res[] = {
    GAMMA(".norm1.gamma", ".residual.0.gamma", RS_VAE_GAMMA3, RS_VAE_IN),
    W3(".conv1.weight", ".residual.2.weight", RS_VAE_OUT, RS_VAE_IN, 3, 3),
    BIAS(".conv1.bias", ".residual.2.bias", RS_VAE_OUT),
    GAMMA(".norm2.gamma", ".residual.3.gamma", RS_VAE_GAMMA3, RS_VAE_OUT),
    W3(".conv2.weight", ".residual.6.weight", RS_VAE_OUT, RS_VAE_OUT, 3, 3),
    BIAS(".conv2.bias", ".residual.6.bias", RS_VAE_OUT),
    W3(".conv_shortcut.weight", ".shortcut.weight", RS_VAE_OUT, RS_VAE_IN, 1, 1),
    BIAS(".conv_shortcut.bias", ".shortcut.bias", RS_VAE_OUT),
};
static const rs_vae_part k_attn[] = {
    GAMMA(".norm.gamma", ".norm.gamma", RS_VAE_GAMMA2, RS_VAE_IN),
    W2(".to_qkv.weight", ".to_qkv.weight", RS_VAE_IN3, RS_VAE_IN, 1),
    BIAS(".to_qkv.bias", ".to_qkv.bias", RS_VAE_IN3),
    W2(".proj.weight", ".proj.weight", RS_VAE_IN, RS_VAE_IN, 1),
    BIAS(".proj.bias", ".proj.bias", RS_VAE_IN),
};
#define RESAMPLE                                                                                   \
    W2(".resample.1.weight", ".resample.1.weight", RS_VAE_OUT, RS_VAE_IN, 3),                      \
        BIAS(".resample.1.bias", ".resample.1.bias", RS_VAE_OUT)
static const rs_vae_part k_down[] = {
    RESAMPLE,
    W3(".time_conv.weight", ".time_conv.weight", RS_VAE_OUT, RS_VAE_OUT, 3, 1),
    BIAS(".time_conv.bias", ".time_conv.bias", RS_VAE_OUT),
};
static const rs_vae_part k_up[] = {
    RESAMPLE,
    W3(".time_conv.weight", ".time_conv.weight", RS_VAE_IN2, RS_VAE_IN, 3, 1),
    BIAS(".time_conv.bias", ".time_conv.bias", RS_VAE_IN2),
};

const rs_vae_part *rs_vae_parts(const rs_vae_layer *l, int *n)
{
    switch (l->kind) {
    case RS_VAE_LINEAR:
        *n = 2;
        return k_linear;
    case RS_VAE_CONV:
        *n = 2;
        return k_conv;
    case RS_VAE_HEAD:
        *n = 3;
        return k_head;
    case RS_VAE_RES:
        *n = l->cin != l->cout ? 8 : 6;
        return k_res;
    case RS_VAE_ATTN:
        *n = 5;
        return k_attn;
    case RS_VAE_DOWN:
    case RS_VAE_DOWN_TIME:
        *n = l->kind == RS_VAE_DOWN ? 2 : 4;
        return k_down;
    case RS_VAE_UP:
    case RS_VAE_UP_TIME:
        break;
    }
    *n = l->kind == RS_VAE_UP ? 2 : 4;
    return k_up;
}

static int64_t width(const rs_vae_layer *l, rs_vae_width w)
{
    switch (w) {
    case RS_VAE_IN:
        return l->cin;
    case RS_VAE_OUT:
        return l->cout;
    case RS_VAE_IN2:
        return 2 * l->cin;
    case RS_VAE_IN3:
        break;
    }
    return 3 * l->cin;
}

int rs_vae_part_shape(int64_t shape[RS_MAX_DIM], const rs_vae_layer *l, const rs_vae_part *p)
{
    int n = 0;
    shape[n++] = width(l, p->co);
    if (p->form == RS_VAE_BIAS)
        return n;
    if (p->form == RS_VAE_GAMMA2 || p->form == RS_VAE_GAMMA3) {
        while (n < (p->form == RS_VAE_GAMMA2 ? 3 : 4))
            shape[n++] = 1;
        return n;
    }
    shape[n++] = width(l, p->ci);
    if (p->form == RS_VAE_W3)
        shape[n++] = p->kt;
    shape[n++] = p->k;
    shape[n++] = p->k;
    return n;
}

/* ---- the two chains ---- */

typedef struct builder {
    rs_arena *arena;
    rs_vae_net *net;
    int slot;
} builder;

/* Append a layer; the name prefixes are patterns with up to two numbers. */
static void add(builder *b, rs_vae_kind kind, int64_t cin, int64_t cout, const char *diffusers,
                const char *original)
{
    rs_vae_net *net = b->net;
    net->layers =
        rs_arena_grow(b->arena, net->layers, &net->cap, (size_t)net->n + 1, sizeof *net->layers);
    rs_vae_layer l = {.kind = kind,
                      .cin = cin,
                      .cout = cout,
                      .slot = b->slot,
                      .diffusers = diffusers,
                      .original = original};
    int parts;
    rs_vae_parts(&l, &parts);
    b->slot += parts;
    net->layers[net->n++] = l;
}

static void add_mid(builder *b, int64_t c, const char *half)
{
    static const rs_vae_kind k_kinds[] = {RS_VAE_RES, RS_VAE_ATTN, RS_VAE_RES};
    static const char *const k_names[] = {"resnets.0", "attentions.0", "resnets.1"};
    for (int i = 0; i < 3; i++)
        add(b, k_kinds[i], c, c, rs_arena_printf(b->arena, "%s.mid_block.%s", half, k_names[i]),
            rs_arena_printf(b->arena, "%s.middle.%d", half, i));
}

/* Diffusers and the original number the encoder's layers alike, stages run on. */
static void add_down(builder *b, int *index, rs_vae_kind kind, int64_t cin, int64_t cout)
{
    add(b, kind, cin, cout, rs_arena_printf(b->arena, "encoder.down_blocks.%d", *index),
        rs_arena_printf(b->arena, "encoder.downsamples.%d", *index));
    ++*index;
}

static void build_encoder(builder *b, const rs_vae_config *c)
{
    int64_t dim = c->encoder_dim;
    add(b, RS_VAE_CONV, RS_VAE_RGB, dim, "encoder.conv_in", "encoder.conv1");
    int index = 0;
    for (int64_t s = 0; s < c->stages; s++) {
        for (int64_t r = 0; r < c->res_blocks; r++) {
            int64_t out = c->encoder_dim * c->mult[s];
            add_down(b, &index, RS_VAE_RES, dim, out);
            dim = out;
        }
        if (s + 1 < c->stages)
            add_down(b, &index, c->temporal[s] ? RS_VAE_DOWN_TIME : RS_VAE_DOWN, dim, dim);
    }
    add_mid(b, dim, "encoder");
    add(b, RS_VAE_HEAD, dim, 2 * c->z_dim, "encoder", "encoder");
    add(b, RS_VAE_LINEAR, 2 * c->z_dim, 2 * c->z_dim, "quant_conv", "conv1");
}

static void build_decoder(builder *b, const rs_vae_config *c)
{
    int64_t dim = c->decoder_dim * c->mult[c->stages - 1];
    add(b, RS_VAE_LINEAR, c->z_dim, c->z_dim, "post_quant_conv", "conv2");
    add(b, RS_VAE_CONV, c->z_dim, dim, "decoder.conv_in", "decoder.conv1");
    add_mid(b, dim, "decoder");
    int index = 0; /* the original numbers the layers through, Diffusers per stage */
    for (int64_t s = 0; s < c->stages; s++) {
        int64_t out = c->decoder_dim * c->mult[c->stages - 1 - s];
        for (int r = 0; r <= rs_i32(c->res_blocks); r++) {
            add(b, RS_VAE_RES, dim, out,
                rs_arena_printf(b->arena, "decoder.up_blocks.%d.resnets.%d", rs_i32(s), r),
                rs_arena_printf(b->arena, "decoder.upsamples.%d", index++));
            dim = out;
        }
        if (s + 1 == c->stages)
            break;
        add(b, c->temporal[c->stages - 2 - s] ? RS_VAE_UP_TIME : RS_VAE_UP, dim, dim / 2,
            rs_arena_printf(b->arena, "decoder.up_blocks.%d.upsamplers.0", rs_i32(s)),
            rs_arena_printf(b->arena, "decoder.upsamples.%d", index++));
        dim /= 2;
    }
    add(b, RS_VAE_HEAD, dim, RS_VAE_RGB, "decoder", "decoder");
}

void rs_vae_nets_build(rs_vae_net *encoder, rs_vae_net *decoder, rs_arena *a,
                       const rs_vae_config *c)
{
    *encoder = *decoder = (rs_vae_net){0};
    builder b = {.arena = a, .net = encoder};
    build_encoder(&b, c);
    b.net = decoder;
    build_decoder(&b, c);
}

/* ---- configuration ---- */

static rs_status bad_key(const rs_json *config, const char *key, const char *text)
{
    return RS_FAIL(MODEL, "%s: %s: %s", rs_json_file(config), key, text);
}

/* What other models of the same class may switch on and this code does not have. */
static rs_status check_variant(const rs_json *config)
{
    bool residual;
    RS_TRY(rs_json_bool_or(&residual, config, "is_residual", false));
    if (residual)
        return bad_key(config, "is_residual", "the residual VAE of Wan2.2 is not supported");
    if (rs_json_has(config, "patch_size"))
        return bad_key(config, "patch_size", "a patched VAE is not supported");
    const rs_json *scales = rs_json_find(config, "attn_scales");
    if (scales && rs_json_size(scales) > 0)
        return bad_key(config, "attn_scales", "attention outside the middle is not supported");
    int64_t rgb;
    RS_TRY(rs_json_i64_in_or(&rgb, config, "in_channels", RS_VAE_RGB, RS_VAE_RGB, RS_VAE_RGB));
    RS_TRY(rs_json_i64_in_or(&rgb, config, "out_channels", RS_VAE_RGB, RS_VAE_RGB, RS_VAE_RGB));
    return RS_OK;
}

static rs_status read_stages(rs_vae_config *c, rs_arena *a, const rs_json *config)
{
    int64_t *mult;
    RS_TRY(rs_json_i64_array(&mult, &c->stages, a, config, "dim_mult"));
    if (c->stages < 1 || c->stages > RS_VAE_STAGES)
        return bad_key(config, "dim_mult", "expected 1 to 8 numbers");
    for (int64_t i = 0; i < c->stages; i++) {
        if (mult[i] < 1 || mult[i] > 1024)
            return bad_key(config, "dim_mult", "expected numbers from 1 to 1024");
        c->mult[i] = mult[i];
    }
    const rs_json *flags;
    RS_TRY(rs_json_array(&flags, config, "temperal_downsample"));
    if (rs_json_size(flags) != c->stages - 1)
        return bad_key(config, "temperal_downsample", "expected one flag less than dim_mult has");
    c->scale_t = c->scale_s = 1;
    for (int64_t i = 0; i + 1 < c->stages; i++) {
        RS_TRY(rs_json_as_bool(&c->temporal[i], rs_json_at(flags, i)));
        c->scale_t *= c->temporal[i] ? 2 : 1;
        c->scale_s *= 2;
    }
    return RS_OK;
}

/* The decoder halves the channels at every step up. */
static rs_status check_widths(const rs_vae_config *c, const rs_json *config)
{
    for (int64_t i = 1; i < c->stages; i++)
        if (c->decoder_dim * c->mult[i] % 2 != 0)
            return bad_key(config, "dim_mult", "the decoder's widths must be even");
    return RS_OK;
}

static rs_status read_stats(double **out, const rs_vae_config *c, rs_arena *a,
                            const rs_json *config, const char *key)
{
    int64_t n;
    RS_TRY(rs_json_f64_array(out, &n, a, config, key));
    if (n != c->z_dim)
        return RS_FAIL(MODEL, "%s: %s: has %lld numbers, but z_dim is %lld", rs_json_file(config),
                       key, (long long)n, (long long)c->z_dim);
    return RS_OK;
}

rs_status rs_vae_config_read(rs_vae_config *c, rs_arena *a, const rs_json *config)
{
    *c = (rs_vae_config){0};
    RS_TRY(check_variant(config));
    RS_TRY(rs_json_i64_in(&c->encoder_dim, config, "base_dim", 1, 1 << 16));
    RS_TRY(
        rs_json_i64_in_or(&c->decoder_dim, config, "decoder_base_dim", 1, 1 << 16, c->encoder_dim));
    RS_TRY(rs_json_i64_in(&c->z_dim, config, "z_dim", 1, 1 << 12));
    RS_TRY(rs_json_i64_in(&c->res_blocks, config, "num_res_blocks", 1, 64));
    RS_TRY(read_stages(c, a, config));
    RS_TRY(check_widths(c, config));
    RS_TRY(read_stats(&c->mean, c, a, config, "latents_mean"));
    RS_TRY(read_stats(&c->std, c, a, config, "latents_std"));
    for (int64_t i = 0; i < c->z_dim; i++)
        if (!(c->std[i] > 0.0))
            return bad_key(config, "latents_std", "expected positive numbers");
    return RS_OK;
}

static void add_rows(rs_layout *out, rs_arena *a, const rs_vae_net *net)
{
    for (int64_t i = 0; i < net->n; i++) {
        const rs_vae_layer *l = &net->layers[i];
        int n;
        const rs_vae_part *parts = rs_vae_parts(l, &n);
        for (int k = 0; k < n; k++) {
            rs_weight_row row = {
                .slot = l->slot + k,
                .block = -1,
                .diffusers = rs_arena_printf(a, "%s%s", l->diffusers, parts[k].diffusers),
                .original = rs_arena_printf(a, "%s%s", l->original, parts[k].original),
            };
            row.ndim = rs_vae_part_shape(row.shape, l, &parts[k]);
            rs_layout_add(out, a, row);
        }
    }
}

rs_status rs_vae_layout(rs_layout *out, rs_arena *a, const rs_json *config, bool original)
{
    (void)original; /* the original repository has no VAE config: the form is always Diffusers' */
    rs_vae_config c;
    RS_TRY(rs_vae_config_read(&c, a, config));
    rs_vae_net encoder, decoder;
    rs_vae_nets_build(&encoder, &decoder, a, &c);
    *out = (rs_layout){0};
    add_rows(out, a, &encoder);
    add_rows(out, a, &decoder);
    return RS_OK;
}
