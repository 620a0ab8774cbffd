/* reshoot-world: makes the small inputs that the quick start and the tests run on. */
#ifndef RS_DATASETS_WORLD_H
#define RS_DATASETS_WORLD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "media/clip.h"

/* Colour an object: hue in degrees, saturation 0..1 (a pixel keeps more if it has more), brightness
 * kept. Highlights stay white, black stays black. lift 0..1 brightens first, so that black cloth
 * can show a colour. dark_below > 0 takes only pixels darker than that (0..255), for masks that are
 * boxes around something dark. */
typedef struct world_recolour {
    double hue;
    double saturation;
    double lift;
    double dark_below;
} world_recolour;

/* In place: rgb (n, 3) where mask (n) is not 0. */
void world_recolour_pixels(uint8_t *rgb, const uint8_t *mask, int64_t n, const world_recolour *r);

/* Frame `frame` of `clip`, recoloured inside `mask` (T, h, w), written as PNG at the clip's size.
 */
rs_status world_write_recoloured(const char *path, rs_arena *a, const rs_clip *clip, rs_tensor mask,
                                 int64_t frame, const world_recolour *r) RS_NODISCARD;

/* Two synthetic videos with masks and edited frames, and catalog.yaml, in `out`: a video and a
 * folder of pictures as sources, mask pictures and boxes, with a reference frame and without. */
rs_status world_formats(const char *out) RS_NODISCARD;
/* Edited frames and catalog.yaml for real footage: a folder with frames/ and masks/ of DAVIS
 * car-shadow; OpenCV's vtest.avi. clip: what the experiment will ask for. */
rs_status world_car_shadow(const char *data, const char *out,
                           const rs_clip_opts *clip) RS_NODISCARD;
rs_status world_pedestrians(const char *video, const char *out,
                            const rs_clip_opts *clip) RS_NODISCARD;

/* "/absolute/form" of an existing path. RS_INPUT where it is not there. */
rs_status world_absolute(char **out, rs_arena *a, const char *path) RS_NODISCARD;

#endif
