/* Wan VAE: opening, and the memory that a clip wants. */
#include "base/log.h"
#include "base/num.h"
#include "model/component.h"
#include "model/wan/wan_vae_priv.h"

static rs_status init(rs_vae *v, const char *model_dir, bool weights)
{
    rs_status st = RS_OK;
    rs_component found;
    RS_TRY(rs_component_open(&found, v->arena, model_dir, RS_COMPONENT_VAE));
    rs_layout layout;
    RS_TRY_OUT(rs_vae_layout(&layout, v->arena, found.config, found.original));
    RS_TRY_OUT(rs_vae_config_read(&v->config, v->arena, found.config));
    rs_vae_nets_build(&v->encoder, &v->decoder, v->arena, &v->config);
    v->info = (rs_vae_info){.z_dim = v->config.z_dim,
                            .scale_t = v->config.scale_t,
                            .scale_s = v->config.scale_s,
                            .params = rs_layout_params(&layout)};
    if (weights)
        RS_TRY_OUT(rs_vae_weights_load(v, found.weights, &layout));
out:
    rs_component_close(&found);
    return st;
}

static rs_status open_vae(rs_vae **out, rs_device *d, const char *model_dir, bool weights)
{
    rs_vae *v = rs_alloc(1, sizeof *v);
    v->dev = d;
    v->arena = rs_arena_create();
    v->chunk = 1;
    rs_status st = init(v, model_dir, weights);
    if (st != RS_OK) {
        rs_vae_close(&v);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = v;
    return RS_OK;
}

rs_status rs_vae_open(rs_vae **out, rs_device *d, const char *model_dir)
{
    return open_vae(out, d, model_dir, true);
}

rs_status rs_vae_describe(rs_vae **out, rs_device *d, const char *model_dir)
{
    return open_vae(out, d, model_dir, false);
}

void rs_vae_close(rs_vae **v)
{
    if (!v || !*v)
        return;
    rs_pool_release(&(*v)->work);
    rs_pool_release(&(*v)->weights);
    rs_arena_destroy(&(*v)->arena);
    rs_dealloc(*v);
    *v = NULL;
}

const rs_vae_info *rs_vae_get_info(const rs_vae *v)
{
    return &v->info;
}

void rs_vae_set_chunk(rs_vae *v, int64_t latent_frames)
{
    RS_ASSERT(latent_frames >= 1);
    v->chunk = latent_frames;
}

/* ---- sizes ---- */

int64_t rs_vae_pixel_frame(const rs_vae *v, int64_t f)
{
    return f == 0 ? 0 : 1 + v->info.scale_t * (f - 1);
}

/* Two chunks need what any number of them does. */
static rs_vae_binding binding_of(const rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w)
{
    int64_t chunk = rs_min_i64(v->chunk, F);
    return (rs_vae_binding){decode, rs_min_i64(F, 2 * chunk), h, w, chunk};
}

/* Input of the network for latent frames [lo,hi). */
static void input_shape(const rs_vae *v, const rs_vae_binding *b, int64_t lo, int64_t hi,
                        int64_t shape[3])
{
    int64_t s = b->decode ? 1 : v->info.scale_s;
    shape[0] = b->decode ? hi - lo : rs_vae_pixel_frame(v, hi) - rs_vae_pixel_frame(v, lo);
    shape[1] = b->h * s;
    shape[2] = b->w * s;
}

static const rs_vae_net *net_of(const rs_vae *v, const rs_vae_binding *b)
{
    return b->decode ? &v->decoder : &v->encoder;
}

/* Elements of the widest tensor of a chunk, its channels-first ends included. */
static int64_t chunk_need(const rs_vae *v, const rs_vae_binding *b, int64_t lo, int64_t hi)
{
    int64_t s[3], need = 0;
    const rs_vae_net *net = net_of(v, b);
    input_shape(v, b, lo, hi, s);
    for (int64_t i = 0; i < net->n; i++) {
        need = rs_max_i64(need, rs_vae_layer_need(&net->layers[i], lo == 0, s[0], s[1], s[2]));
        rs_vae_layer_shape(&net->layers[i], lo == 0, &s[0], &s[1], &s[2]);
    }
    return need;
}

typedef struct binder {
    rs_vae *vae;
    rs_vae_binding b;
} binder;

static void bind_work(void *object, rs_carver *c)
{
    binder *k = object;
    const rs_vae_binding *b = &k->b;
    int64_t need = chunk_need(k->vae, b, 0, b->chunk);
    if (b->chunk < b->frames) /* later chunks are the longer ones */
        need = rs_max_i64(need, chunk_need(k->vae, b, b->chunk, b->frames));
    for (int i = 0; i < RS_VAE_BUFFERS; i++)
        k->vae->run.buffer[i] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(need));
    if (b->frames == 1)
        return; /* one frame needs no memory of the frames before */
    int64_t s[3];
    input_shape(k->vae, b, 0, 1, s);
    const rs_vae_net *net = net_of(k->vae, b);
    for (int64_t i = 0; i < net->n; i++) {
        rs_vae_layer_caches(&net->layers[i], c, rs_device_activation_dtype(k->vae->dev), s[1],
                            s[2]);
        rs_vae_layer_shape(&net->layers[i], true, &s[0], &s[1], &s[2]);
    }
}

size_t rs_vae_work_bytes(rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w)
{
    rs_pool_release(&v->work); /* planning forgets the addresses */
    v->binding = (rs_vae_binding){0};
    rs_carver plan = {0};
    bind_work(&(binder){v, binding_of(v, decode, F, h, w)}, &plan);
    return plan.used;
}

int64_t rs_vae_macs(const rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w)
{
    rs_vae_binding b = binding_of(v, decode, F, h, w);
    const rs_vae_net *net = net_of(v, &b);
    int64_t s[3], macs = 0;
    input_shape(v, &b, 0, F, s);
    for (int64_t i = 0; i < net->n; i++) {
        macs += rs_vae_layer_macs(&net->layers[i], true, s[0], s[1], s[2]);
        rs_vae_layer_shape(&net->layers[i], true, &s[0], &s[1], &s[2]);
    }
    return macs;
}

static bool same_work(const rs_vae_binding *a, const rs_vae_binding *b)
{
    return a->decode == b->decode && a->h == b->h && a->w == b->w && a->chunk == b->chunk &&
           a->frames == b->frames;
}

rs_status rs_vae_bind(rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w)
{
    binder k = {v, binding_of(v, decode, F, h, w)};
    if (same_work(&k.b, &v->binding))
        return RS_OK;
    rs_pool_release(&v->work);
    v->binding = (rs_vae_binding){0};
    RS_TRY(rs_pool_bind(&v->work, v->dev, bind_work, &k));
    v->binding = k.b;
    v->run.dev = v->dev;
    RS_LOG(DETAIL, "vae %s: %lld latent frames of %lldx%lld, %.1f MiB of buffers and caches",
           decode ? "decode" : "encode", (long long)F, (long long)w, (long long)h,
           (double)v->work.bytes / 0x1p20);
    return RS_OK;
}
