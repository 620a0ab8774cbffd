/* Components of a model directory: where the weights of one are, and its configuration.
 *
 *   Diffusers: <dir>/<folder>/config.json with safetensors beside it
 *   original:  for the transformer <dir>/config.json with its safetensors in <dir>; for the others
 *              one file in <dir> by its published name (.pth or .safetensors) and no configuration:
 *              then Wan2.1's own is used
 * Folders win over files. The names of the tensors decide for themselves (weights/layout.h). */
#ifndef RS_MODEL_COMPONENT_H
#define RS_MODEL_COMPONENT_H

#include "store/json.h"

typedef enum rs_component_kind {
    RS_COMPONENT_TRANSFORMER,
    RS_COMPONENT_VAE,
    RS_COMPONENT_TEXT,
    RS_COMPONENT_IMAGE
} rs_component_kind;

typedef struct rs_component {
    const char *weights; /* file or folder for rs_wstream_open; in the caller's arena */
    rs_json *config;     /* owned: rs_component_close */
    bool original;       /* config.json is in the original repository's form */
} rs_component;

/* RS_MODEL names the directory and what was looked for; errors of the configuration file as in
 * store/json.h. */
rs_status rs_component_open(rs_component *out, rs_arena *a, const char *model_dir,
                            rs_component_kind kind) RS_NODISCARD;
void rs_component_close(rs_component *c);
/* False where the directory has no such component (T2V models have no image encoder). */
bool rs_component_present(const char *model_dir, rs_component_kind kind);

/* The tokenizer's folder: <dir>/tokenizer, or google/umt5-xxl in the original layout. */
rs_status rs_component_tokenizer(const char **path, rs_arena *a,
                                 const char *model_dir) RS_NODISCARD;

#endif
