/* Synthetic models: weight files made from a layout, for tests, benchmarks and the quick start.
 * Everything is written atomically; equal arguments give equal bytes. */
#ifndef RS_MODEL_SYNTH_H
#define RS_MODEL_SYNTH_H

#include "weights/layout.h"

/* Fills one tensor (host fp32, contiguous, shape as in the file) by its name in the file. */
typedef void rs_synth_fill(void *ctx, const char *name, rs_tensor t);

typedef struct rs_synth_opts {
    bool original;      /* names (and fused tensors) of the original layout */
    rs_dtype dtype;     /* F32, BF16 or F16 on disk */
    size_t shard_bytes; /* largest file; 0: one file */
} rs_synth_opts;

/* Weights of one component: <dir>/<stem>.safetensors, or shards and their index. All tensors of the
 * layout, optional ones too. The whole component is held in memory. RS_IO. */
rs_status rs_synth_component(const char *dir, const char *stem, const rs_layout *layout,
                             const rs_synth_opts *opts, rs_synth_fill *fill,
                             void *ctx) RS_NODISCARD;

/* Random weights of a freshly initialised network: matrices and convolutions normal with
 * 1/sqrt(fan in), norms 1, biases and modulation small. ctx: the seed. */
typedef struct rs_synth_seed {
    uint64_t seed;
    const char *component; /* part of every tensor's random stream */
} rs_synth_seed;
void rs_synth_random(void *ctx, const char *name, rs_tensor t);

/* A complete image-to-video model directory in the Diffusers layout with random weights:
 * model_index.json, transformer, vae, text_encoder, image_encoder, image_processor, scheduler, and
 * the tokenizer copied from `tokenizer_dir`. Presets: "small" (2.4 M parameters: DiT of 4 layers,
 * width 128), "tiny" (0.4 M: 2 layers, width 48). RS_CONFIG names an unknown preset. */
rs_status rs_synth_model(const char *dir, const char *preset, uint64_t seed,
                         const char *tokenizer_dir) RS_NODISCARD;

#endif
