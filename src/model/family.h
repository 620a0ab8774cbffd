/* Model family: what the generic denoiser driver (denoiser.c) needs from one architecture, at block
 * granularity, so that weights can be streamed and blocks recomputed. One folder and one registry
 * row per family.
 *
 * A family's state holds its device buffers; the driver owns the residual stream checkpoints, walks
 * the blocks forwards (0..L-1) and backwards, and acquires each block's weights from the stream
 * just for the call. */
#ifndef RS_MODEL_FAMILY_H
#define RS_MODEL_FAMILY_H

#include "model/model.h"

typedef struct rs_json rs_json;

/* Condition encoded to model width; memory owned by the rs_denoiser_cond. */
typedef struct rs_encoded_cond {
    rs_tensor y;       /* (cond_channels,F,H,W) device */
    rs_tensor context; /* (n_image + text_len, dim) device: image rows first */
    int64_t n_image;
} rs_encoded_cond;

typedef struct rs_family {
    const char *name;
    /* Architecture from the component's JSON: info and weight layout (arena-owned by the caller).
     */
    rs_status (*describe)(rs_denoiser_info *info, rs_layout *layout, rs_arena *a,
                          const rs_json *config, bool original);
    /* Family state. bind is called in plan mode (carver without memory) and then for real. */
    size_t state_size;
    void (*bind)(void *state, rs_carver *c, const rs_denoiser_info *info, int64_t F, int64_t H,
                 int64_t W, bool training, rs_recompute recompute);
    /* After a real bind: constant tables (RoPE). */
    void (*setup)(void *state, rs_device *d);
    void (*encode_cond)(void *state, rs_device *d, const rs_tensor *globals, rs_encoded_cond *out,
                        rs_tensor text, rs_tensor image);
    /* x (S,dim): residual stream. begin: patch embedding and time modulation. */
    void (*begin)(void *state, rs_device *d, const rs_tensor *globals, rs_tensor x,
                  rs_tensor latent, float t, const rs_encoded_cond *cond);
    /* In place on x. keep: store what block_bwd needs for this block. */
    void (*block_fwd)(void *state, rs_device *d, int i, const rs_tensor *weights, const void *loras,
                      rs_tensor x, const rs_encoded_cond *cond, bool keep);
    /* dx in: gradient of the block's output, out: of its input (need_dx; the first trained block
     * may skip it). Gradients of this block's adapter factors are written. */
    void (*block_bwd)(void *state, rs_device *d, int i, const rs_tensor *weights, const void *loras,
                      rs_tensor dx, const rs_encoded_cond *cond, bool need_dx);
    /* Head: v (C,F,H,W) from x; and its backward to dx. */
    void (*end)(void *state, rs_device *d, const rs_tensor *globals, rs_tensor v, rs_tensor x);
    void (*end_bwd)(void *state, rs_device *d, const rs_tensor *globals, rs_tensor dx, rs_tensor dv,
                    rs_tensor x);
} rs_family;

extern const rs_family rs_family_wan21;
/* NULL if unknown. The registry is the only place where families are listed. */
const rs_family *rs_family_find(const char *name);

#endif
