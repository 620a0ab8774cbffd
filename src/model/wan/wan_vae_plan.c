/* Wan VAE: sizes of layers, without running them: shapes, buffers, caches, work. */
#include "base/num.h"
#include "model/wan/wan_vae_priv.h"

void rs_vae_layer_shape(const rs_vae_layer *l, bool first, int64_t *frames, int64_t *h, int64_t *w)
{
    int64_t skip = first ? 1 : 0;
    if (l->kind == RS_VAE_DOWN_TIME)
        *frames = skip + (*frames - skip) / 2;
    if (l->kind == RS_VAE_UP_TIME)
        *frames = skip + (*frames - skip) * 2;
    if (l->kind == RS_VAE_DOWN || l->kind == RS_VAE_DOWN_TIME) {
        *h /= 2;
        *w /= 2;
    }
    if (l->kind == RS_VAE_UP || l->kind == RS_VAE_UP_TIME) {
        *h *= 2;
        *w *= 2;
    }
}

int64_t rs_vae_layer_need(const rs_vae_layer *l, bool first, int64_t frames, int64_t h, int64_t w)
{
    int64_t wide = l->kind == RS_VAE_ATTN ? 3 * l->cin : l->cin;
    int64_t need = frames * h * w * wide;
    /* up_time's doubled frames before they grow in size take half of what they take after */
    rs_vae_layer_shape(l, first, &frames, &h, &w);
    return rs_max_i64(need, frames * h * w * l->cout);
}

void rs_vae_layer_caches(rs_vae_layer *l, rs_carver *c, rs_dtype act, int64_t h, int64_t w)
{
    static const rs_vae_kind k_none[] = {RS_VAE_LINEAR, RS_VAE_ATTN, RS_VAE_DOWN, RS_VAE_UP};
    for (size_t i = 0; i < sizeof k_none / sizeof k_none[0]; i++)
        if (l->kind == k_none[i])
            return;
    if (l->kind == RS_VAE_DOWN_TIME) { /* the time convolution comes after the smaller size */
        h /= 2;
        w /= 2;
    }
    bool normed = l->kind == RS_VAE_RES || l->kind == RS_VAE_HEAD;
    l->cache[0] = rs_carve(c, normed ? act : RS_DTYPE_F32, RS_SHAPE(2, h, w, l->cin));
    if (l->kind == RS_VAE_RES)
        l->cache[1] = rs_carve(c, act, RS_SHAPE(2, h, w, l->cout));
}

/* Multiply-adds per pixel of one part's convolution; norms and biases count nothing. */
static int64_t part_macs(const rs_vae_layer *l, const rs_vae_part *p)
{
    int64_t shape[RS_MAX_DIM], n = 1;
    if (p->form != RS_VAE_W2 && p->form != RS_VAE_W3)
        return 0;
    int dims = rs_vae_part_shape(shape, l, p);
    for (int i = 0; i < dims; i++)
        n *= shape[i];
    return n;
}

int64_t rs_vae_layer_macs(const rs_vae_layer *l, bool first, int64_t frames, int64_t h, int64_t w)
{
    int parts;
    const rs_vae_part *p = rs_vae_parts(l, &parts);
    int64_t in_frames = frames, in_h = h, in_w = w, macs = 0;
    rs_vae_layer_shape(l, first, &frames, &h, &w);
    int64_t moved = first ? 1 : 0; /* frame 0 passes the time convolutions by */
    for (int k = 0; k < parts; k++) {
        bool time = (l->kind == RS_VAE_DOWN_TIME || l->kind == RS_VAE_UP_TIME) && k >= 2;
        if (time && l->kind == RS_VAE_UP_TIME)
            macs += part_macs(l, &p[k]) * (in_frames - moved) * in_h * in_w;
        else if (time)
            macs += part_macs(l, &p[k]) * (frames - moved) * h * w;
        else if (l->kind == RS_VAE_DOWN_TIME)
            macs += part_macs(l, &p[k]) * in_frames * h * w;
        else
            macs += part_macs(l, &p[k]) * frames * h * w;
    }
    if (l->kind == RS_VAE_ATTN)
        macs += 2 * frames * h * w * h * w * l->cin;
    return macs;
}
