#include "media/clip.h"

#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "media/source_priv.h"

#define CLIP_MAX_BYTES ((int64_t)16 << 30) /* refuse what is surely a mistake */

rs_ratio rs_ratio_of(int64_t num, int64_t den)
{
    if (num <= 0 || den <= 0)
        return (rs_ratio){0, 1};
    int64_t a = num, b = den;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return (rs_ratio){num / a, den / a};
}

int64_t rs_frame_indices(int64_t *index, int64_t n, int64_t frames)
{
    int64_t count = rs_min_i64(frames, n);
    double step = (double)n / (double)rs_max_i64(frames, 1);
    for (int64_t i = 0; i < count; i++)
        index[i] = frames >= n ? i : rs_min_i64((int64_t)((double)i * step), n - 1);
    return count;
}

int64_t rs_frames_4n1(int64_t n)
{
    return n < 1 ? 0 : n - (n - 1) % 4;
}

typedef struct receiver {
    rs_clip *clip;
    rs_arena *arena;
    const rs_source *source;
    const rs_clip_opts *o;
    int64_t slots;
    bool warned;
} receiver;

static rs_status begin_clip(receiver *r, const rs_av_picture *p)
{
    int64_t w = r->o->width ? r->o->width : p->w, h = r->o->height ? r->o->height : p->h;
    int64_t bytes;
    if (!rs_mul_i64(&bytes, r->slots, w * h * 3) || bytes > CLIP_MAX_BYTES)
        return RS_FAIL(INPUT, "%s: %lld frames of %lldx%lld do not fit in memory; ask for fewer",
                       r->source->path, (long long)r->slots, (long long)w, (long long)h);
    r->clip->fit = rs_fit_plan(p->w, p->h, w, h);
    const int64_t shape[] = {r->slots, h, w, 3};
    r->clip->rgb = rs_tensor_of(rs_arena_alloc(r->arena, (size_t)bytes, 1), RS_DTYPE_U8, 4, shape);
    return RS_OK;
}

static rs_status receive(void *ctx, int64_t slot, int64_t at, const rs_av_picture *picture)
{
    receiver *r = ctx;
    rs_av_picture p = *picture;
    if (slot == 0)
        RS_TRY(begin_clip(r, &p));
    if (!rs_picture_drop_alpha(&p) && !r->warned) {
        RS_LOG(WARN, "%s: frame %lld has transparent pixels; their stored colours are used",
               rs_source_frame_name(r->source, at), (long long)at);
        r->warned = true;
    }
    rs_tensor frame = rs_tensor_slice(r->clip->rgb, slot, slot + 1);
    rs_fit_bilinear(frame.data, r->arena, p.data, 3, &r->clip->fit);
    return RS_OK;
}

/* Spread over the whole source: walk with indices for the estimated count; if decoding finds
 * another count, once more with the true one. */
static rs_status read_even(rs_clip *c, rs_arena *a, rs_source *s, const rs_clip_opts *o)
{
    for (int pass = 0; pass < 2; pass++) {
        int64_t expected = rs_max_i64(s->frames, 1);
        int64_t want = o->frames ? o->frames : expected;
        rs_arena_mark mark = rs_arena_get_mark(a);
        c->index = RS_NEW(a, int64_t, rs_min_i64(want, expected));
        int64_t n = rs_frame_indices(c->index, expected, want), given;
        receiver r = {.clip = c, .arena = a, .source = s, .o = o, .slots = n};
        RS_TRY(rs_source_walk(&given, s, c->index, n, true, receive, &r));
        if (given == n && s->frames == expected)
            return RS_OK;
        rs_arena_release(a, mark);
    }
    return RS_FAIL(INPUT, "%s: decoding gives another number of frames each time", s->path);
}

static rs_status read_first(rs_clip *c, rs_arena *a, rs_source *s, const rs_clip_opts *o)
{
    int64_t n = s->exact ? rs_min_i64(o->frames, s->frames) : o->frames, given;
    c->index = RS_NEW(a, int64_t, n);
    for (int64_t i = 0; i < n; i++)
        c->index[i] = i;
    receiver r = {.clip = c, .arena = a, .source = s, .o = o, .slots = n};
    RS_TRY(rs_source_walk(&given, s, c->index, n, false, receive, &r));
    c->rgb.shape[0] = given;
    return RS_OK;
}

/* Drop trailing frames until the count is 4n+1. */
static rs_status trim(rs_clip *c, const rs_source *s, const rs_clip_opts *o)
{
    int64_t have = c->rgb.shape[0], keep = rs_frames_4n1(have);
    if (o->strict && (keep != have || (o->frames && have != o->frames)))
        return RS_FAIL(INPUT, "%s: has %lld frames; %lld wanted, and the count must be 4n+1",
                       s->path, (long long)have, (long long)(o->frames ? o->frames : keep));
    if (o->frames && have < o->frames)
        RS_LOG(WARN, "%s: has only %lld of %lld wanted frames; %lld are used (4n+1)", s->path,
               (long long)have, (long long)o->frames, (long long)keep);
    else if (keep != have)
        RS_LOG(WARN, "%s: %lld frames are not 4n+1; the first %lld are used", s->path,
               (long long)have, (long long)keep);
    c->rgb.shape[0] = keep;
    return RS_OK;
}

rs_status rs_clip_load(rs_clip *out, rs_arena *a, const char *path, const rs_clip_opts *o)
{
    RS_ASSERTF(o->frames >= 0 && (o->width > 0) == (o->height > 0), "clip options");
    rs_clip c = {0};
    rs_source s;
    RS_TRY(rs_source_open(&s, a, path));
    s.stop = o->stop;
    if (o->sampling == RS_SAMPLING_FIRST && o->frames)
        RS_TRY(read_first(&c, a, &s, o));
    else
        RS_TRY(read_even(&c, a, &s, o));
    c.source_frames = s.exact ? s.frames : -1;
    int64_t chosen = c.rgb.shape[0];
    RS_TRY(trim(&c, &s, o));
    c.fps = rs_ratio_of(s.fps.num, s.fps.den);
    c.play_fps = c.fps;
    if (o->sampling == RS_SAMPLING_EVEN && c.fps.num && chosen < c.source_frames)
        c.play_fps = rs_ratio_of(c.fps.num * chosen, c.fps.den * c.source_frames);
    *out = c;
    return RS_OK;
}

static rs_status keep_size(void *ctx, int64_t slot, int64_t at, const rs_av_picture *p)
{
    (void)slot, (void)at;
    rs_clip_info *info = ctx;
    info->width = p->w;
    info->height = p->h;
    return RS_OK;
}

rs_status rs_clip_probe(rs_clip_info *out, const char *path)
{
    *out = (rs_clip_info){0};
    rs_arena *a = rs_arena_create();
    rs_source s;
    int64_t given, first = 0;
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_source_open(&s, a, path));
    RS_TRY_OUT(rs_source_walk(&given, &s, &first, 1, false, keep_size, out));
    out->frames = s.frames;
    out->fps = rs_ratio_of(s.fps.num, s.fps.den);
out:
    rs_arena_destroy(&a);
    return st;
}

rs_status rs_clip_count(int64_t *frames, const char *path)
{
    rs_arena *a = rs_arena_create();
    rs_source s;
    rs_clip_info info;
    int64_t given, first = 0;
    rs_status st = RS_OK;
    RS_TRY_OUT(rs_source_open(&s, a, path));
    RS_TRY_OUT(rs_source_walk(&given, &s, &first, 1, true, keep_size, &info));
    *frames = s.frames;
out:
    rs_arena_destroy(&a);
    return st;
}
