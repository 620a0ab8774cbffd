#include "media/source_priv.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/fsio.h"

static bool is_image_name(const char *name)
{
    static const char *const known[] = {"jpg", "jpeg", "png",  "bmp", "tif", "tiff", "webp",
                                        "ppm", "pgm",  "pnm",  "tga", "jp2", "exr",  "dpx",
                                        "gif", "pam",  "avif", "jxl", "pbm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(dot + 1, known[i]) == 0)
            return true;
    return false;
}

/* Digit runs compare as numbers, everything else as bytes; equal numbers fall back to bytes. */
static int compare_natural(const char *a, const char *b)
{
    const char *a0 = a, *b0 = b;
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t na = strspn(a, "0123456789"), nb = strspn(b, "0123456789");
            int c = na != nb ? (na < nb ? -1 : 1) : strncmp(a, b, na);
            if (c)
                return c;
            a += na;
            b += nb;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(a0, b0);
}

/* Insertion keeps what is mostly sorted already (rs_list_dir sorts by bytes). */
static void sort_natural(char **names, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        char *name = names[i];
        int64_t lo = 0, hi = i;
        while (lo < hi) {
            int64_t mid = (lo + hi) / 2;
            if (compare_natural(names[mid], name) <= 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        memmove(names + lo + 1, names + lo, (size_t)(i - lo) * sizeof *names);
        names[lo] = name;
    }
}

static rs_status open_folder(rs_source *s)
{
    char **all;
    int64_t n, kept = 0;
    RS_TRY(rs_list_dir(&all, &n, s->arena, s->path));
    for (int64_t i = 0; i < n; i++)
        if (is_image_name(all[i]))
            all[kept++] = all[i];
    if (kept == 0)
        return RS_FAIL(INPUT, "%s: no images in this folder (%lld other files)", s->path,
                       (long long)n);
    sort_natural(all, kept);
    s->names = all;
    s->frames = kept;
    s->exact = true;
    return RS_OK;
}

rs_status rs_source_open(rs_source *s, rs_arena *a, const char *path)
{
    *s = (rs_source){.path = rs_arena_strdup(a, path), .arena = a, .fps = {0, 1}};
    if (rs_path_is_dir(path))
        return open_folder(s);
    rs_av_reader *r = NULL;
    RS_TRY(rs_av_reader_open(&r, path));
    s->fps = rs_av_reader_fps(r);
    rs_status st = rs_av_reader_count_packets(&s->frames, r);
    rs_av_reader_close(&r);
    return st;
}

const char *rs_source_frame_name(const rs_source *s, int64_t i)
{
    return s->names ? rs_path_join(s->arena, s->path, s->names[i]) : s->path;
}

typedef struct walk {
    rs_source *s;
    const int64_t *index;
    int64_t n, given;
    rs_frame_fn fn;
    void *ctx;
    rs_av_converter converter;
    int64_t w, h;
    int64_t first; /* source frame that set the size */
} walk;

/* Convert and hand over source frame `at`, if it is the next chosen one. */
static rs_status offer(walk *k, const rs_av_reader *r, const AVFrame *frame, int64_t at)
{
    const rs_media_stop *stop = k->s->stop;
    if (stop && stop->asked(stop->ctx))
        return RS_FAIL(STOPPED, "%s: stopped at frame %lld", k->s->path, (long long)at);
    if (k->given == k->n || k->index[k->given] != at)
        return RS_OK;
    rs_av_picture p;
    const char *name = rs_source_frame_name(k->s, at);
    rs_status st = rs_av_convert(&p, &k->converter, frame, rs_av_reader_display(r, frame));
    if (st != RS_OK) {
        rs_error_context("%s: frame %lld", name, (long long)at);
        return st;
    }
    if (k->given == 0) {
        k->w = p.w;
        k->h = p.h;
        k->first = at;
    }
    if (p.w != k->w || p.h != k->h)
        return RS_FAIL(INPUT, "%s: frame %lld is %lldx%lld but frame %lld is %lldx%lld", name,
                       (long long)at, (long long)p.w, (long long)p.h, (long long)k->first,
                       (long long)k->w, (long long)k->h);
    RS_TRY(k->fn(k->ctx, k->given, at, &p));
    k->given++;
    return RS_OK;
}

static rs_status walk_folder(walk *k)
{
    for (int64_t i = 0; i < k->n; i++) {
        rs_av_reader *r = NULL;
        const AVFrame *frame = NULL;
        const char *name = rs_source_frame_name(k->s, k->index[i]);
        rs_status st = rs_av_reader_open(&r, name);
        if (st == RS_OK)
            st = rs_av_reader_next(&frame, r);
        if (st == RS_OK && !frame)
            st = RS_FAIL(INPUT, "%s: no picture in this file", name);
        if (st == RS_OK)
            st = offer(k, r, frame, k->index[i]);
        rs_av_reader_close(&r);
        RS_TRY(st);
    }
    return RS_OK;
}

static rs_status walk_video(walk *k, bool to_end)
{
    rs_av_reader *r = NULL;
    RS_TRY(rs_av_reader_open(&r, k->s->path));
    rs_status st = RS_OK;
    int64_t at = 0;
    for (; to_end || k->given < k->n; at++) {
        const AVFrame *frame;
        RS_TRY_OUT(rs_av_reader_next(&frame, r));
        if (!frame) {
            k->s->frames = at;
            k->s->exact = true;
            break;
        }
        RS_TRY_OUT(offer(k, r, frame, at));
    }
    if (at == 0 && k->n > 0)
        st = RS_FAIL(INPUT, "%s: the video has no frames", k->s->path);
out:
    rs_av_reader_close(&r);
    return st;
}

rs_status rs_source_walk(int64_t *given, rs_source *s, const int64_t *index, int64_t n, bool to_end,
                         rs_frame_fn fn, void *ctx)
{
    walk k = {.s = s, .index = index, .n = n, .fn = fn, .ctx = ctx};
    rs_status st = s->names ? walk_folder(&k) : walk_video(&k, to_end);
    rs_av_converter_fini(&k.converter);
    *given = k.given;
    return st;
}

bool rs_picture_drop_alpha(rs_av_picture *p)
{
    if (p->channels == 3)
        return true;
    bool opaque = true;
    const uint8_t *in = p->data;
    uint8_t *out = p->data;
    for (int64_t i = 0; i < p->w * p->h; i++, in += 4, out += 3) {
        opaque = opaque && in[3] == 255;
        memmove(out, in, 3);
    }
    p->channels = 3;
    return opaque;
}
