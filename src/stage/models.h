/* The components of one model directory, opened when first needed and kept for the next job: a
 * catalog never loads a model twice. Also the encodings every stage needs. One thread at a time. */
#ifndef RS_STAGE_MODELS_H
#define RS_STAGE_MODELS_H

#include "base/hash.h"
#include "model/model.h"
#include "text/tokenizer.h"

typedef struct rs_models {
    rs_device *dev;
    const char *dir;
    rs_denoiser_opts denoiser_opts;
    rs_denoiser *denoiser;
    rs_vae *vae;
    rs_text_encoder *text;
    rs_image_encoder *image;
    rs_tokenizer *tokenizer;
} rs_models;

void rs_models_close(rs_models *m);
/* On a GPU, before the transformer trains or samples: closes VAE and encoders, which are opened
 * again when needed; they in turn take back the transformer's buffers. So the GPU holds the larger
 * of both. On the CPU, whose memory is larger, everything stays. */
void rs_models_rest(rs_models *m);

rs_status rs_models_denoiser(rs_models *m, rs_denoiser **out) RS_NODISCARD;
/* Passes are shared from now on as rs_denoiser_set_lane says; nothing changes where they are so
 * already. */
rs_status rs_models_use_lane(rs_denoiser *m, rs_comm *lane, rs_comm *pair) RS_NODISCARD;
rs_status rs_models_vae(rs_models *m, rs_vae **out) RS_NODISCARD;

/* states (L,dim) of cleaned and tokenised text. */
rs_status rs_models_encode_text(rs_models *m, rs_arena *a, rs_tensor *states,
                                const char *text) RS_NODISCARD;
/* states (tokens,dim) of one frame U8 (1,H,W,3); ndim 0 when the denoiser has no image branch. */
rs_status rs_models_encode_image(rs_models *m, rs_arena *a, rs_tensor *states,
                                 rs_tensor frame) RS_NODISCARD;
/* embedding (dim) of one frame U8 (1,H,W,3), as rs_image_embed makes it; ndim 0 when the denoiser
 * has no image branch. */
rs_status rs_models_embed_image(rs_models *m, rs_arena *a, rs_tensor *embedding,
                                rs_tensor frame) RS_NODISCARD;
/* Normalised latent (z,F',H/8,W/8) of frames U8 (T,H,W,3). */
rs_status rs_models_encode_frames(rs_models *m, rs_arena *a, rs_tensor *latent,
                                  rs_tensor frames) RS_NODISCARD;
/* frames U8 (T,H,W,3) of a normalised latent. */
rs_status rs_models_decode_frames(rs_models *m, rs_arena *a, rs_tensor *frames,
                                  rs_tensor latent) RS_NODISCARD;

/* Identity of a component's files ("transformer", "vae", ...): names, sizes and sampled bytes. For
 * the original layout, where there is no such folder, of all files in the directory. */
rs_status rs_model_component_id(char out[RS_HASH_HEX], const char *dir,
                                const char *component) RS_NODISCARD;

#endif
