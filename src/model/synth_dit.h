/* Transformers for benchmarks: any width and depth, weights by rule, written block by block so that
 * a model far larger than memory can be made. */
#ifndef RS_MODEL_SYNTH_DIT_H
#define RS_MODEL_SYNTH_DIT_H

#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_dit_shape {
    int64_t dim, heads, ffn, blocks;
    int64_t in_channels; /* 36: image to video, 16: text to video */
    int64_t text_dim;
    int64_t image_dim; /* 0: no image branch */
} rs_dit_shape;

/* The published sizes: "wan21-14b" (image to video) and "wan21-1.3b" (text to video). false: some
 * other name. */
bool rs_dit_shape_find(rs_dit_shape *out, const char *name);

/* <dir>/transformer in the Diffusers layout: config.json, one file of weights per block and one for
 * what is outside, and their index, last. Values follow base/rng.h's rule, matrices uniform with
 * the variance of a fresh network; all blocks have the same. Holds one block in memory. RS_CONFIG:
 * heads do not divide the width; RS_IO. */
rs_status rs_synth_dit(const char *dir, const rs_dit_shape *shape, rs_dtype dtype) RS_NODISCARD;

#endif
