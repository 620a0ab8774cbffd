/* Single pictures: load, fit to a clip, write as PNG. */
#ifndef RS_MEDIA_IMAGE_H
#define RS_MEDIA_IMAGE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"
#include "media/clip.h"

/* rgb: U8 (h, w, 3) in `a`, at the file's own size, by the colour rules of rs_clip_load. */
rs_status rs_image_load(rs_tensor *rgb, rs_arena *a, const char *path) RS_NODISCARD;

/* As above, then brought to the size of a clip: an image of the target size is taken as it is, one
 * of the clip's source size goes through the clip's own resize and crop. Any other size: RS_INPUT
 * naming all three sizes. */
rs_status rs_image_load_fit(rs_tensor *rgb, rs_arena *a, const char *path,
                            const rs_fit *fit) RS_NODISCARD;

/* image: U8 (h, w, 3), or (h, w) written as grey. Lossless, atomically placed, same bytes each
 * time. */
rs_status rs_image_write_png(const char *path, rs_tensor image) RS_NODISCARD;

#endif
