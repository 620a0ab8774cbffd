/* Weight layouts of the components of a model directory: which tensors each has for a given
 * configuration. `config` is the component's JSON; `original` says that it is in the form of the
 * original repository (keys "dim", "ffn_dim", ...) rather than that of Diffusers / transformers.
 * The layout (rows, names) lives in the arena. RS_MODEL names file and key. */
#ifndef RS_MODEL_LAYOUTS_H
#define RS_MODEL_LAYOUTS_H

#include "store/json.h"
#include "weights/layout.h"

rs_status rs_dit_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                        bool original) RS_NODISCARD;
rs_status rs_vae_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                        bool original) RS_NODISCARD;
rs_status rs_umt5_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                         bool original) RS_NODISCARD;
rs_status rs_clip_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                         bool original) RS_NODISCARD;
/* What the tower needs beyond that for an image embedding: last layer, final norm, projection. */
rs_status rs_clip_head_layout(rs_layout *out, rs_arena *a, const rs_json *config,
                              bool original) RS_NODISCARD;

#endif
