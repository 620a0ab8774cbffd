/* Wan VAE: weights from a checkpoint into the layout that the layers run on: convolutions as
 * (kt,k,k,Ci,Co), 1x1x1 convolutions as matrices (Co,Ci), everything else flat. Convolutions are
 * stored in the device's activation type: where that is bf16, they would be rounded in every use.
 */
#include "base/dtype.h"
#include "model/wan/wan_vae_priv.h"
#include "weights/stream.h"

static bool packed(const rs_vae_part *p)
{
    return (p->form == RS_VAE_W2 || p->form == RS_VAE_W3) && p->kt * p->k > 1;
}

/* up_time: both frames that a time convolution makes have weights of their own. */
static bool split(const rs_vae_layer *l, const rs_vae_part *p)
{
    return l->kind == RS_VAE_UP_TIME && p->co == RS_VAE_IN2 && packed(p);
}

static rs_tensor carve_part(rs_vae_layer *l, const rs_vae_part *p, rs_dtype type, rs_carver *c)
{
    int64_t shape[RS_MAX_DIM];
    rs_vae_part_shape(shape, l, p);
    if (p->form != RS_VAE_W2 && p->form != RS_VAE_W3)
        return rs_carve(c, RS_DTYPE_F32, RS_SHAPE(shape[0]));
    int64_t co = shape[0], ci = shape[1];
    if (!packed(p))
        return rs_carve(c, RS_DTYPE_F32, RS_SHAPE(co, ci));
    if (!split(l, p))
        return rs_carve(c, type, RS_SHAPE(p->kt, p->k, p->k, ci, co));
    l->time_odd = rs_carve(c, type, RS_SHAPE(p->kt, p->k, p->k, ci, co / 2));
    return rs_carve(c, type, RS_SHAPE(p->kt, p->k, p->k, ci, co / 2));
}

static void bind_net(rs_vae_net *net, rs_dtype type, rs_carver *c)
{
    for (int64_t i = 0; i < net->n; i++) {
        rs_vae_layer *l = &net->layers[i];
        int n;
        const rs_vae_part *parts = rs_vae_parts(l, &n);
        for (int k = 0; k < n; k++)
            l->w[k] = carve_part(l, &parts[k], type, c);
    }
}

static void bind_weights(void *object, rs_carver *c)
{
    rs_vae *v = object;
    bind_net(&v->encoder, rs_device_activation_dtype(v->dev), c);
    bind_net(&v->decoder, rs_device_activation_dtype(v->dev), c);
    rs_tensor *stats[] = {&v->encode_mul, &v->encode_add, &v->decode_mul, &v->decode_add};
    for (int i = 0; i < 4; i++)
        *stats[i] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(v->config.z_dim));
}

size_t rs_vae_weight_bytes(rs_vae *v)
{
    if (v->weights.bytes)
        return v->weights.bytes;
    rs_carver plan = {0};
    bind_weights(v, &plan);
    return plan.used;
}

/* Host memory for one tensor before and after packing, and in its type. */
typedef struct staging {
    rs_device *dev;
    float *raw, *done;
    void *stored;
} staging;

static void load_packed(staging *s, rs_tensor dst, const float *raw)
{
    rs_tensor host = dst;
    host.dtype = RS_DTYPE_F32;
    host.data = s->done;
    rs_conv3d_pack(host, raw);
    if (dst.dtype != RS_DTYPE_F32)
        rs_convert_from_f32(s->stored, dst.dtype, s->done, rs_tensor_count(dst));
    rs_device_put(s->dev, dst.data, dst.dtype == RS_DTYPE_F32 ? s->done : s->stored,
                  rs_tensor_bytes(dst));
}

static void load_part(staging *s, rs_vae_layer *l, const rs_vae_part *p, rs_tensor dst,
                      rs_tensor src)
{
    if (!packed(p)) {
        rs_device_copy(s->dev, dst.data, src.data, rs_tensor_bytes(dst));
        return;
    }
    rs_device_get(s->dev, s->raw, src.data, rs_tensor_bytes(src));
    load_packed(s, dst, s->raw);
    if (split(l, p))
        load_packed(s, l->time_odd, s->raw + rs_tensor_count(dst));
}

static void load_net(staging *s, rs_vae_net *net, const rs_tensor *globals)
{
    for (int64_t i = 0; i < net->n; i++) {
        rs_vae_layer *l = &net->layers[i];
        int n;
        const rs_vae_part *parts = rs_vae_parts(l, &n);
        for (int k = 0; k < n; k++)
            load_part(s, l, &parts[k], l->w[k], globals[l->slot + k]);
    }
}

static void load_stats(rs_vae *v)
{
    const rs_vae_config *c = &v->config;
    size_t bytes = rs_tensor_bytes(v->encode_mul);
    rs_arena_mark mark = rs_arena_get_mark(v->arena);
    float *f = RS_NEW(v->arena, float, 4 * c->z_dim), *mul = f, *add = f + c->z_dim;
    float *std = add + c->z_dim, *mean = std + c->z_dim;
    for (int64_t i = 0; i < c->z_dim; i++) {
        mul[i] = (float)(1.0 / c->std[i]);
        add[i] = (float)(-c->mean[i] / c->std[i]);
        std[i] = (float)c->std[i];
        mean[i] = (float)c->mean[i];
    }
    rs_device_put(v->dev, v->encode_mul.data, mul, bytes);
    rs_device_put(v->dev, v->encode_add.data, add, bytes);
    rs_device_put(v->dev, v->decode_mul.data, std, bytes);
    rs_device_put(v->dev, v->decode_add.data, mean, bytes);
    rs_arena_release(v->arena, mark);
}

static size_t largest_row(const rs_layout *layout)
{
    size_t most = 0;
    for (int64_t i = 0; i < layout->n; i++) {
        const rs_weight_row *r = &layout->rows[i];
        rs_tensor t = rs_tensor_of(NULL, RS_DTYPE_F32, r->ndim, r->shape);
        most = rs_tensor_bytes(t) > most ? rs_tensor_bytes(t) : most;
    }
    return most;
}

rs_status rs_vae_weights_load(rs_vae *v, const char *path, const rs_layout *layout)
{
    rs_status st = RS_OK;
    rs_wstream *stream = NULL;
    size_t most = largest_row(layout);
    staging s = {.dev = v->dev};
    RS_TRY_OUT(rs_wstream_open(&stream, v->dev, path, layout, RS_HOME_AUTO));
    RS_TRY_OUT(rs_pool_bind(&v->weights, v->dev, bind_weights, v));
    s.raw = rs_alloc_large(3 * most);
    if (!s.raw) {
        st = RS_FAIL(NOMEM, "%s: no room for %zu bytes to pack weights in", path, 3 * most);
        goto out;
    }
    s.done = s.raw + most / sizeof(float);
    s.stored = s.done + most / sizeof(float);
    load_net(&s, &v->encoder, rs_wstream_globals(stream));
    load_net(&s, &v->decoder, rs_wstream_globals(stream));
    load_stats(v);
    RS_TRY_OUT(rs_device_check(v->dev));
out:
    rs_dealloc(s.raw);
    rs_wstream_close(&stream);
    return st;
}
