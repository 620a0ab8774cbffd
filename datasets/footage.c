/* Catalogs for real footage that is not part of the project. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "base/str.h"
#include "datasets/world.h"
#include "media/mask.h"

rs_status world_absolute(char **out, rs_arena *a, const char *path)
{
    char buffer[PATH_MAX];
    if (!realpath(path, buffer))
        return RS_FAIL(INPUT, "%s: %s", path, strerror(errno));
    *out = rs_arena_strdup(a, buffer);
    return RS_OK;
}

static rs_status car_shadow(rs_arena *a, const char *data, const char *out, const rs_clip_opts *o)
{
    const world_recolour red = {.hue = 356, .saturation = 0.72};
    const rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
    char *root;
    RS_TRY(world_absolute(&root, a, data));
    rs_clip clip;
    rs_tensor mask;
    RS_TRY(rs_clip_load(&clip, a, rs_path_join(a, root, "frames"), o));
    RS_TRY(rs_mask_load(&mask, a, rs_path_join(a, root, "masks"), &clip, &exact));
    RS_TRY(rs_make_dirs(rs_path_join(a, out, "edits")));
    int64_t later = clip.rgb.shape[0] * 2 / 3;
    const char *name = rs_arena_printf(a, "edits/red-%lld.png", (long long)later);
    RS_TRY(world_write_recoloured(rs_path_join(a, out, "edits/red.png"), a, &clip, mask, 0, &red));
    RS_TRY(world_write_recoloured(rs_path_join(a, out, name), a, &clip, mask, later, &red));
    rs_strbuf s = rs_strbuf_on(a);
    rs_strbuf_printf(
        &s,
        "# Made by `reshoot-world car-shadow`; the edited frames are the source's own\n"
        "# with the car recoloured inside its mask.\n"
        "note: DAVIS 2016 car-shadow; edits for a clip of %lld frames, %lldx%lld\n"
        "license: BSD (DAVIS)\n"
        "videos:\n"
        "  - id: car-shadow\n"
        "    source: \"%s/frames\"\n"
        "    mask: \"%s/masks\"\n"
        "    fps: 24\n"
        "    prompt: a silver car turns into a street\n"
        "    edits:\n"
        "      - id: red\n"
        "        first_frame: edits/red.png\n"
        "        prompt: a red car turns into a street\n"
        "        references:\n"
        "          - {frame: %lld, image: %s}\n",
        (long long)clip.rgb.shape[0], (long long)clip.fit.width, (long long)clip.fit.height, root,
        root, (long long)later, name);
    return rs_write_file_atomic(rs_path_join(a, out, "catalog.yaml"), s.data, s.len);
}

/* The man in the dark coat who crosses the road from the right, until the lamp post hides him. */
static const rs_box_key k_walker[] = {
    {0, 636, 234, 54, 92}, {6, 576, 234, 56, 94}, {12, 518, 232, 52, 98}, {20, 434, 230, 52, 94}};
enum { WALKER_KEYS = 4 };

static rs_status pedestrians(rs_arena *a, const char *video, const char *out, const rs_clip_opts *o)
{
    const world_recolour coat = {.hue = 28, .saturation = 0.85, .lift = 0.5, .dark_below = 120};
    const rs_mask_opts exact = {.shape = RS_MASK_EXACT, .threshold = 127};
    char *source;
    RS_TRY(world_absolute(&source, a, video));
    rs_clip clip;
    rs_tensor mask;
    RS_TRY(rs_clip_load(&clip, a, source, o));
    RS_TRY(rs_mask_from_boxes(&mask, a, source, k_walker, WALKER_KEYS, &clip, &exact));
    RS_TRY(rs_make_dirs(rs_path_join(a, out, "edits")));
    RS_TRY(
        world_write_recoloured(rs_path_join(a, out, "edits/orange.png"), a, &clip, mask, 0, &coat));
    rs_strbuf s = rs_strbuf_on(a);
    rs_strbuf_printf(
        &s,
        "# Made by `reshoot-world pedestrians`; the first frames of the video, in which\n"
        "# a man in a dark coat crosses the road. Use clip.sampling: first.\n"
        "note: OpenCV's vtest.avi\n"
        "videos:\n"
        "  - id: pedestrians\n"
        "    source: \"%s\"\n"
        "    mask:\n",
        source);
    for (int i = 0; i < WALKER_KEYS; i++)
        rs_strbuf_printf(&s, "      - {frame: %lld, x: %.0f, y: %.0f, w: %.0f, h: %.0f}\n",
                         (long long)k_walker[i].frame, k_walker[i].x, k_walker[i].y, k_walker[i].w,
                         k_walker[i].h);
    rs_strbuf_printf(&s, "    prompt: a person in a black coat walks across the street\n"
                         "    edits:\n"
                         "      - id: orange\n"
                         "        first_frame: edits/orange.png\n"
                         "        prompt: a person in an orange coat walks across the street\n");
    return rs_write_file_atomic(rs_path_join(a, out, "catalog.yaml"), s.data, s.len);
}

rs_status world_car_shadow(const char *data, const char *out, const rs_clip_opts *clip)
{
    rs_arena *a = rs_arena_create();
    rs_status st = car_shadow(a, data, out, clip);
    rs_arena_destroy(&a);
    return st;
}

rs_status world_pedestrians(const char *video, const char *out, const rs_clip_opts *clip)
{
    rs_arena *a = rs_arena_create();
    rs_status st = pedestrians(a, video, out, clip);
    rs_arena_destroy(&a);
    return st;
}
