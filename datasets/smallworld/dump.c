/* Clips for training, as flat files that any language maps: clips.u8 (N, T, H, W, 3), masks.u8
 * (N, T, H, W), captions.txt (a line each). */
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "datasets/smallworld/smallworld.h"

typedef struct dump {
    FILE *clips, *masks, *captions;
} dump;

static rs_status open_file(FILE **out, rs_arena *a, const char *folder, const char *name)
{
    char *path = rs_path_join(a, folder, name);
    *out = fopen(path, "wb");
    return *out ? RS_OK : RS_FAIL(IO, "%s: cannot be created", path);
}

static rs_status write_clip(dump *d, const sw_dump_opts *o, uint64_t seed)
{
    rs_arena *a = rs_arena_create();
    size_t pixels = (size_t)(o->width * o->height), frames = (size_t)o->frames;
    uint8_t *rgb = rs_arena_alloc(a, frames * pixels, 3), *mask = rs_arena_alloc(a, frames, pixels);
    sw_clip c;
    sw_clip_of_seed(&c, seed, o->frames, o->width, o->height);
    for (size_t t = 0; t < frames; t++)
        sw_draw(rgb + t * pixels * 3, mask + t * pixels, &c, &c.look, (int64_t)t);
    bool ok = fwrite(rgb, pixels * 3, frames, d->clips) == frames &&
              fwrite(mask, pixels, frames, d->masks) == frames &&
              fprintf(d->captions, "%s\n", sw_caption(a, &c, &c.look)) > 0;
    rs_arena_destroy(&a);
    return ok ? RS_OK : RS_FAIL(IO, "the clips cannot be written");
}

rs_status sw_dump(const char *folder, const sw_dump_opts *o)
{
    dump d = {0};
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    RS_TRY_OUT(rs_make_dirs(folder));
    RS_TRY_OUT(open_file(&d.clips, a, folder, "clips.u8"));
    RS_TRY_OUT(open_file(&d.masks, a, folder, "masks.u8"));
    RS_TRY_OUT(open_file(&d.captions, a, folder, "captions.txt"));
    for (int64_t i = 0; i < o->count; i++)
        RS_TRY_OUT(write_clip(&d, o, (uint64_t)(o->first_seed + i)));
out:
    for (FILE **f = (FILE *[]){d.clips, d.masks, d.captions, NULL}; *f; f++)
        if (fclose(*f) != 0 && st == RS_OK)
            st = RS_FAIL(IO, "%s: the clips cannot be written", folder);
    rs_arena_destroy(&a);
    return st;
}
