/* Catalog: the videos of an experiment, their masks, and the edits wanted of each.
 *
 *   root: ../data                    # optional; where relative paths start (default: the catalog's
 * folder) license: CC-BY 4.0               # optional; note and license are kept, nothing reads
 * them videos:
 *     - id: car-shadow               # letters, digits and . _ - ; unique
 *       source: car-shadow/frames    # video file or folder of images
 *       mask: car-shadow/masks       # video, folder or one image; or boxes (below)
 *       prompt: a car turns into a street
 *       frames: 13                   # optional, instead of clip.frames
 *       fps: 24                      # optional, instead of the file's (folders have none)
 *       edits:
 *         - id: red
 *           first_frame: edits/red.png
 *           prompt: a red car turns into a street
 *           seed: 3                  # optional, instead of edit.seed
 *           truth: red/frames        # optional; the exact edited clip, as source: for measures
 *           references:              # optional; enables the appearance stage
 *             - {frame: 24, image: edits/red_24.png, prompt: a red car}    # prompt: optional, the
 * edit's
 *
 *   mask: [{frame: 0, x: 40, y: 20, w: 60, h: 120}, {frame: 90, x: 200, y: 24, w: 64, h: 128}]
 *   mask: {boxes: [...]}             # the same
 *
 * Boxes: pixels and frame numbers of the source before resizing and sampling; linear in between,
 * held before the first and after the last. References count frames of the clip (after sampling),
 * from 0. */
#ifndef RS_CONFIG_CATALOG_H
#define RS_CONFIG_CATALOG_H

#include <stdint.h>

#include "config/config.h"
#include "config/problem.h"

/* A path as found from the current directory, and the place of its node, "file:line:col". */
typedef struct rs_catalog_path {
    const char *path;
    const char *where;
} rs_catalog_path;

typedef struct rs_catalog_box {
    int64_t frame; /* of the source, increasing */
    int64_t x, y;  /* top left corner, pixels of the source */
    int64_t w, h;
} rs_catalog_box;

typedef struct rs_catalog_reference {
    int64_t frame; /* of the clip */
    rs_catalog_path image;
    const char *prompt; /* the edit's where it has none itself */
    const char *where;
} rs_catalog_reference;

typedef struct rs_catalog_edit {
    const char *id;
    rs_catalog_path first_frame;
    const char *prompt;
    int64_t seed;          /* -1: edit.seed */
    rs_catalog_path truth; /* path NULL: none */
    const rs_catalog_reference *references;
    int64_t n_references;
    const char *where;
} rs_catalog_edit;

typedef struct rs_catalog_video {
    const char *id;
    rs_catalog_path source;
    rs_catalog_path mask;        /* path NULL: boxes */
    const rs_catalog_box *boxes; /* in source pixels; n_boxes 0: mask.path */
    int64_t n_boxes;
    const char *prompt;
    int64_t frames; /* 0: clip.frames */
    double fps;     /* 0: what the file says */
    const rs_catalog_edit *edits;
    int64_t n_edits;
    const char *where;
} rs_catalog_video;

/* Read-only after loading; owns everything it points to. */
typedef struct rs_catalog {
    rs_arena *arena;
    const char *file;
    const char *root; /* "" = current directory */
    const char *note;
    const char *license;
    const rs_catalog_video *videos;
    int64_t n_videos;
} rs_catalog;

/* Load and check everything but the existence of files. root: instead of the catalog's own
 * (cfg->catalog_root; NULL or "": none). RS_CONFIG: the first problem, "(+N more)"; *out is NULL
 * then. */
rs_status rs_catalog_load(rs_catalog **out, const char *path, const char *root) RS_NODISCARD;
/* The same, with every problem in `problems`. */
rs_status rs_catalog_load_all(rs_catalog **out, rs_problems *problems, const char *path,
                              const char *root) RS_NODISCARD;
void rs_catalog_destroy(rs_catalog **catalog); /* accepts NULL, nulls the pointer */

/* Frames of a video's clip under this configuration. */
int64_t rs_catalog_clip_frames(const rs_config *cfg, const rs_catalog_video *video);
/* Rules between catalog and configuration: reference frames inside the clip. */
void rs_catalog_check(rs_problems *problems, const rs_config *cfg, const rs_catalog *catalog);
/* Report every file or folder that is not there, at its node. */
void rs_catalog_check_files(rs_problems *problems, const rs_catalog *catalog);

#endif
