#include "media/mask.h"

#include <math.h>
#include <string.h>

#include "base/num.h"
#include "media/source_priv.h"

int64_t rs_mask_count(rs_tensor mask)
{
    const uint8_t *p = mask.data;
    int64_t n = 0, count = rs_tensor_count(mask);
    for (int64_t i = 0; i < count; i++)
        n += p[i] != 0;
    return n;
}

static rs_tensor new_masks(rs_arena *a, const rs_clip *clip)
{
    const int64_t shape[] = {clip->rgb.shape[0], clip->fit.height, clip->fit.width};
    void *data = rs_arena_alloc(a, (size_t)(shape[0] * shape[1] * shape[2]), 1);
    return rs_tensor_of(data, RS_DTYPE_U8, 3, shape);
}

/* Shape every frame; a clip without anything to edit is an error. */
static rs_status finish(rs_tensor m, rs_arena *a, const char *name, const rs_mask_opts *o)
{
    if (rs_mask_count(m) == 0)
        return RS_FAIL(INPUT, "%s: the mask is empty: no edit pixel in any of the %lld frames used",
                       name, (long long)m.shape[0]);
    for (int64_t t = 0; t < m.shape[0]; t++)
        rs_mask_shape_frame(rs_tensor_slice(m, t, t + 1).data, a, m.shape[1], m.shape[2], o);
    if (rs_mask_count(m) == 0)
        return RS_FAIL(INPUT, "%s: the mask is empty: every box is below min_area %lld", name,
                       (long long)o->min_area);
    return RS_OK;
}

typedef struct receiver {
    rs_tensor masks;
    rs_arena *arena;
    const rs_source *source;
    const rs_clip *clip;
    int threshold;
} receiver;

static rs_status receive(void *ctx, int64_t slot, int64_t at, const rs_av_picture *p)
{
    receiver *r = ctx;
    const rs_fit *f = &r->clip->fit;
    if (p->w != f->src_w || p->h != f->src_h)
        return RS_FAIL(INPUT, "%s: mask is %lldx%lld but the video is %lldx%lld",
                       rs_source_frame_name(r->source, at), (long long)p->w, (long long)p->h,
                       (long long)f->src_w, (long long)f->src_h);
    uint8_t *out = p->data; /* reduced in place: one byte never passes the pixel it comes from */
    const uint8_t *in = p->data;
    for (int64_t i = 0; i < p->w * p->h; i++, in += p->channels) {
        int v = in[0] > in[1] ? in[0] : in[1];
        v = v > in[2] ? v : in[2];
        if (p->channels == 4)
            v = v * in[3] / 255;
        *out++ = v > r->threshold ? 255 : 0;
    }
    rs_fit_nearest(rs_tensor_slice(r->masks, slot, slot + 1).data, r->arena, p->data, 1, f);
    return RS_OK;
}

static rs_status count_differs(const rs_source *s, int64_t masks, const rs_clip *clip)
{
    if (clip->source_frames < 0)
        return RS_FAIL(INPUT, "%s: %lld masks but %lld frames of the video are used", s->path,
                       (long long)masks, (long long)clip->rgb.shape[0]);
    return RS_FAIL(INPUT, "%s: %lld masks but the video has %lld frames", s->path, (long long)masks,
                   (long long)clip->source_frames);
}

/* The mask of the first frame stands for all. */
static void repeat_first(rs_tensor m)
{
    size_t bytes = (size_t)(m.shape[1] * m.shape[2]);
    for (int64_t t = 1; t < m.shape[0]; t++)
        memcpy((uint8_t *)m.data + (size_t)t * bytes, m.data, bytes);
}

rs_status rs_mask_load(rs_tensor *out, rs_arena *a, const char *path, const rs_clip *clip,
                       const rs_mask_opts *o)
{
    rs_source s;
    RS_TRY(rs_source_open(&s, a, path));
    s.stop = o->stop;
    receiver r = {.masks = new_masks(a, clip),
                  .arena = a,
                  .source = &s,
                  .clip = clip,
                  .threshold = o->threshold};
    int64_t want = clip->rgb.shape[0], known = clip->source_frames, given;
    if (s.names && known >= 0 && s.frames != known)
        return count_differs(&s, s.frames, clip);
    bool single = !s.names && s.fps.num == 0 && s.frames == 1;
    if (single) {
        int64_t first = 0;
        RS_TRY(rs_source_walk(&given, &s, &first, 1, false, receive, &r));
        repeat_first(r.masks);
    } else {
        if (s.names && clip->index[want - 1] >= s.frames)
            return count_differs(&s, s.frames, clip);
        RS_TRY(rs_source_walk(&given, &s, clip->index, want, known >= 0, receive, &r));
        if (given < want || (known >= 0 && s.frames != known))
            return count_differs(&s, s.exact ? s.frames : given, clip);
    }
    RS_TRY(finish(r.masks, a, path, o));
    *out = r.masks;
    return RS_OK;
}

rs_box_key rs_box_at(const rs_box_key *keys, int64_t n, double frame)
{
    int64_t i = 0;
    while (i < n && (double)keys[i].frame <= frame)
        i++;
    if (i == 0)
        return keys[0];
    if (i == n)
        return keys[n - 1];
    const rs_box_key *p = &keys[i - 1], *q = &keys[i];
    double t = (frame - (double)p->frame) / (double)(q->frame - p->frame);
    return (rs_box_key){.frame = (int64_t)frame,
                        .x = p->x + t * (q->x - p->x),
                        .y = p->y + t * (q->y - p->y),
                        .w = p->w + t * (q->w - p->w),
                        .h = p->h + t * (q->h - p->h)};
}

static rs_status check_keys(const char *name, const rs_box_key *k, int64_t n)
{
    if (n < 1)
        return RS_FAIL(INPUT, "%s: no boxes", name);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(k[i].x) || !isfinite(k[i].y) || !(k[i].w > 0) || !(k[i].h > 0) ||
            !isfinite(k[i].w) || !isfinite(k[i].h))
            return RS_FAIL(INPUT, "%s: box %lld: width and height must be above 0", name,
                           (long long)i);
        if (k[i].frame < 0 || (i && k[i].frame <= k[i - 1].frame))
            return RS_FAIL(INPUT, "%s: box %lld: frame %lld; frames must be rising from 0", name,
                           (long long)i, (long long)k[i].frame);
    }
    return RS_OK;
}

static int64_t edge(double v, int64_t limit)
{
    return v <= 0 ? 0 : v >= (double)limit ? limit : (int64_t)floor(v + 0.5);
}

static void paint_box(uint8_t *mask, const rs_box_key *b, const rs_fit *f)
{
    double x0 = b->x, y0 = b->y, x1 = b->x + b->w, y1 = b->y + b->h;
    rs_fit_point(&x0, &y0, f);
    rs_fit_point(&x1, &y1, f);
    int64_t left = edge(x0, f->width), right = edge(x1, f->width);
    for (int64_t y = edge(y0, f->height); y < edge(y1, f->height); y++)
        memset(mask + y * f->width + left, 255, (size_t)(right - left));
}

rs_status rs_mask_from_boxes(rs_tensor *out, rs_arena *a, const char *name, const rs_box_key *keys,
                             int64_t n, const rs_clip *clip, const rs_mask_opts *o)
{
    RS_TRY(check_keys(name, keys, n));
    rs_tensor m = new_masks(a, clip);
    for (int64_t t = 0; t < m.shape[0]; t++) {
        rs_box_key b = rs_box_at(keys, n, (double)clip->index[t]);
        paint_box(rs_tensor_slice(m, t, t + 1).data, &b, &clip->fit);
    }
    RS_TRY(finish(m, a, name, o));
    *out = m;
    return RS_OK;
}
