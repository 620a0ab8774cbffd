/* Frames out: an mp4 file, or a folder of PNG files. */
#ifndef RS_MEDIA_ENCODE_H
#define RS_MEDIA_ENCODE_H

#include "base/status.h"
#include "base/tensor.h"
#include "media/clip.h"

typedef struct rs_encode_opts {
    int crf;            /* x264 constant rate factor, 0 (lossless luma) to 51 */
    const char *preset; /* x264 preset name */
} rs_encode_opts;
#define RS_ENCODE_OPTS_DEFAULT                                                                     \
    {                                                                                              \
        .crf = 18, .preset = "medium"                                                              \
    }

/* rgb: U8 (T, height, width, 3), even sides. H.264 yuv420p, BT.709 limited range (tagged), index in
 * front, no dates or host data: the same frames give the same bytes. `path` appears whole or not at
 * all. Errors: RS_INPUT for odd sides, an unknown rate or preset; RS_IO. */
rs_status rs_video_write(const char *path, rs_tensor rgb, rs_ratio fps,
                         const rs_encode_opts *o) RS_NODISCARD;

/* frames: U8 (T, h, w, 3) or masks (T, h, w). Writes folder/00000.png and so on; the folder is
 * created, and other files in it are left alone. */
rs_status rs_frames_write_png(const char *folder, rs_tensor frames) RS_NODISCARD;

#endif
