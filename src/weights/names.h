/* Names: where each tensor of a layout is in a checkpoint's files. The naming (Diffusers or
 * original) and a common prefix ("model.diffusion_model.", "visual.", ...) are found by looking for
 * the pair under which most tensors of the layout are present. */
#ifndef RS_WEIGHTS_NAMES_H
#define RS_WEIGHTS_NAMES_H

#include "store/weights_file.h"
#include "weights/layout.h"

typedef struct rs_weight_map {
    const rs_layout *layout;
    bool original;
    const char *prefix; /* "" for none; in the arena */
    rs_tensor *globals; /* (global_slots) views into the file, row's shape, file's type */
    rs_tensor *blocks;  /* (blocks * block_slots) */
} rs_weight_map;

/* Find and check every tensor. Counts as equal: shapes that differ by dimensions of 1 only.
 * RS_MODEL names file, tensor and, for a wrong shape, both shapes. */
rs_status rs_weight_map_make(rs_weight_map *out, rs_arena *a, const rs_weights_file *file,
                             const rs_layout *layout) RS_NODISCARD;

#endif
