/* A catalog of held-out clips with their exact edits: frames, masks, edited first frames,
 * references and the whole edited clip as truth. */
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "datasets/smallworld/smallworld.h"
#include "media/encode.h"
#include "media/image.h"

enum { REFERENCES = 3, FPS = 8 };

typedef struct writer {
    rs_arena *a;
    const char *out;
    const sw_catalog_opts *o;
    rs_strbuf yaml;
    uint64_t next_seed;
} writer;

/* Every second clip turns its back for a quarter to three quarters of its frames, so that there is
 * something the first frame does not show; the others never do. */
static bool suits(const sw_clip *c, int64_t k)
{
    double back = sw_back_share(c);
    return k % 2 ? back == 0 : back >= 0.25 && back <= 0.75;
}

static void next_clip(writer *w, sw_clip *c, int64_t k)
{
    do
        sw_clip_of_seed(c, w->next_seed++, w->o->frames, w->o->width, w->o->height);
    while (!suits(c, k));
}

static rs_tensor film(writer *w, const sw_clip *c, const sw_look *look, rs_tensor *mask)
{
    size_t pixels = (size_t)(c->width * c->height);
    uint8_t *rgb = rs_arena_alloc(w->a, (size_t)c->frames * pixels, 3), *m = NULL;
    if (mask) {
        m = rs_arena_alloc(w->a, (size_t)c->frames, pixels);
        *mask = rs_tensor_of(m, RS_DTYPE_U8, RS_SHAPE(c->frames, c->height, c->width));
    }
    for (int64_t t = 0; t < c->frames; t++)
        sw_draw(rgb + (size_t)t * pixels * 3, m ? m + (size_t)t * pixels : NULL, c, look, t);
    return rs_tensor_of(rgb, RS_DTYPE_U8, RS_SHAPE(c->frames, c->height, c->width, 3));
}

/* The frames that show most of what the first one hides: the back where there is one. The first of
 * them is the middle one, for those who take only one. */
static void pick_references(int64_t frames[REFERENCES], const sw_clip *c)
{
    int64_t first = c->frames / 3, last = c->frames - 1;
    for (int64_t t = c->frames - 1; t > 0; t--)
        if (sw_pose_at(c, t).flip > 0.40)
            first = t;
    frames[0] = (first + last) / 2;
    frames[1] = last;
    frames[2] = first;
}

static rs_status write_png(writer *w, const char *path, rs_tensor clip, int64_t frame)
{
    rs_tensor t = rs_tensor_slice(clip, frame, frame + 1);
    return rs_image_write_png(
        rs_path_join(w->a, w->out, path),
        rs_tensor_of(t.data, RS_DTYPE_U8, RS_SHAPE(t.shape[1], t.shape[2], t.shape[3])));
}

static rs_status write_edit(writer *w, const sw_clip *c, const char *id, sw_change change)
{
    static const char *const names[] = {"recolour", "retexture", "reshape"};
    sw_look look = sw_edited_look(c, change, 0);
    rs_tensor truth = film(w, c, &look, NULL);
    const char *folder = rs_arena_printf(w->a, "%s/%s", id, names[change]);
    int64_t frames[REFERENCES];
    pick_references(frames, c);
    RS_TRY(rs_frames_write_png(rs_arena_printf(w->a, "%s/%s/truth", w->out, folder), truth));
    RS_TRY(write_png(w, rs_arena_printf(w->a, "%s/first.png", folder), truth, 0));
    rs_strbuf_printf(&w->yaml,
                     "      - id: %s\n        first_frame: %s/first.png\n        prompt: %s\n"
                     "        truth: %s/truth\n        references:\n",
                     names[change], folder, sw_caption(w->a, c, &look), folder);
    for (int i = 0; i < REFERENCES; i++) {
        const char *image = rs_arena_printf(w->a, "%s/%02d.png", folder, (int)frames[i]);
        RS_TRY(write_png(w, image, truth, frames[i]));
        rs_strbuf_printf(&w->yaml, "          - {frame: %d, image: %s}\n", (int)frames[i], image);
    }
    return RS_OK;
}

static rs_status write_video(writer *w, int64_t k)
{
    sw_clip c;
    rs_tensor mask;
    next_clip(w, &c, k);
    const char *id = rs_arena_printf(w->a, "clip-%02d", (int)k);
    rs_tensor rgb = film(w, &c, &c.look, &mask);
    RS_TRY(rs_frames_write_png(rs_arena_printf(w->a, "%s/%s/frames", w->out, id), rgb));
    RS_TRY(rs_frames_write_png(rs_arena_printf(w->a, "%s/%s/masks", w->out, id), mask));
    rs_strbuf_printf(&w->yaml,
                     "  - id: %s # seed %llu\n    source: %s/frames\n    mask: %s/masks\n"
                     "    fps: %d\n    prompt: %s\n    edits:\n",
                     id, (unsigned long long)c.seed, id, id, FPS, sw_caption(w->a, &c, &c.look));
    return write_edit(w, &c, id, (sw_change)(k / 2 % SW_CHANGES));
}

rs_status sw_catalog(const char *out, const sw_catalog_opts *o)
{
    static const char head[] =
        "# Made by `reshoot-world smallworld`: clips of the small world, each with one edit whose "
        "exact result is known.\n"
        "note: synthetic, made by reshoot-world\nlicense: Apache-2.0\nvideos:\n";
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    writer w = {.a = a, .out = out, .o = o, .yaml = rs_strbuf_on(a)};
    w.next_seed = (uint64_t)o->first_seed;
    rs_strbuf_add(&w.yaml, head, strlen(head));
    for (int64_t k = 0; k < o->count; k++)
        RS_TRY_OUT(write_video(&w, k));
    st = rs_write_file_atomic(rs_path_join(a, out, "catalog.yaml"), w.yaml.data, w.yaml.len);
out:
    rs_arena_destroy(&a);
    return st;
}
