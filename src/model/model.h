/* Models of one family, opened component by component so that each can be freed when its work is
 * done. All tensors in these interfaces are host fp32, contiguous, caller-owned; components keep
 * device memory inside. Component configs are read from the model directory's JSON files, so a 1.3
 * M parameter model and the 14 B one run the same code. Errors: RS_MODEL names file and key or
 * tensor.
 *
 * Layout of a model directory: Diffusers (transformer/ vae/ text_encoder/ image_encoder/ tokenizer/
 * with config.json and safetensors), or the original one (config.json and
 * diffusion_pytorch_model*.safetensors in the root, *.pth or *.safetensors beside them). */
#ifndef RS_MODEL_MODEL_H
#define RS_MODEL_MODEL_H

#include "comm/comm.h"
#include "device/device.h"
#include "model/adapter.h"
#include "weights/stream.h"

/* ---- denoiser: the diffusion transformer ---- */

typedef struct rs_denoiser rs_denoiser;
typedef struct rs_denoiser_cond rs_denoiser_cond;

/* What training keeps of a block for its backward, besides the block's input. */
typedef enum rs_block_policy {
    RS_BLOCK_RECOMPUTE, /* nothing: computed again, but for its last linear */
    RS_BLOCK_ATTENTION, /* output and log-sum-exps of its self attention; the rest again */
    RS_BLOCK_STORE      /* everything that the backward reads */
} rs_block_policy;

/* Blocks by policy: the last `store` ones, the `attention` ones in front of them, and the others.
 * The last block is always stored, in the buffers that the others are computed again in. More than
 * there are means all. offload: what is kept, block inputs too, is in page-locked host memory until
 * the backward, and of two blocks on the device. Bits depend on neither. */
typedef struct rs_kept {
    int64_t store, attention;
    bool offload;
} rs_kept;
#define RS_KEPT_ALL       ((rs_kept){.store = INT64_MAX})
#define RS_KEPT_ATTENTION ((rs_kept){.attention = INT64_MAX})

typedef struct rs_denoiser_opts {
    rs_weight_home home;
    rs_comm *gang; /* home sharded: the ranks that share the weights; borrowed */
    rs_comm *node; /* home host: the ranks of this machine, which share the copy; NULL: alone */
    rs_kept kept;  /* of training; see rs_denoiser_set_kept */
    rs_comm *lane; /* as rs_denoiser_set_lane */
    rs_comm *pair;
    bool describe; /* without weights: to plan with (model/sizes.h), not to run; nor do adapters get
                       memory */
} rs_denoiser_opts;

typedef struct rs_denoiser_info {
    const char *family;
    int64_t blocks, dim, heads, ffn;
    int64_t in_channels;                   /* of the patch embedding: 36 (I2V) or 16 */
    int64_t out_channels;                  /* latent channels: 16 */
    int64_t cond_channels;                 /* in - out: 20 (mask 4 + condition 16) or 0 */
    int64_t text_dim, text_len, image_dim; /* image_dim 0: no image branch */
    int64_t image_len; /* usual number of image rows, for planning; a condition may have others */
    int64_t patch[3];
    int64_t params;
} rs_denoiser_info;

/* With sharded weights opening and closing are collective over the gang, and passes wait for it
 * (weights/stream.h); they fail with RS_PEER when it is broken. With a node opening is collective
 * over it. */
rs_status rs_denoiser_open(rs_denoiser **out, rs_device *d, const char *model_dir,
                           const rs_denoiser_opts *opts) RS_NODISCARD;
void rs_denoiser_close(rs_denoiser **m);
/* Gives back the buffers of passes, until the next pass. Local. */
void rs_denoiser_rest(rs_denoiser *m);
/* Around passes that follow each other closely (the steps of a stage): the gang waits for them. */
void rs_denoiser_join(rs_denoiser *m);
void rs_denoiser_leave(rs_denoiser *m);
rs_wstream_stats rs_denoiser_stream_stats(rs_denoiser *m);
const rs_denoiser_info *rs_denoiser_get_info(const rs_denoiser *m);

/* Over which ranks passes are shared from now on, borrowed; the binding is dropped, conditions and
 * adapters stay. May be NULL.
 *   lane  1, 2, 4 or 8 ranks that share every pass by sequence parallelism (nn/lane.h): each holds
 *         about 1/P of the activations. All results are the same bits for every P.
 *   pair  two ranks that share the two passes of rs_denoiser_guided, each with a lane of its own of
 *         equal width (rs_lane_halves makes both from a wider lane). Same bits again.
 * With them all calls from bind to loss_grad are collective over the lane (guided over both),
 * with equal arguments on every rank, and end in agreement: they fail on all ranks or on none
 * (rs_comm_agree). Not covered: a failing weight stream, whose ranks are more than the lane; it
 * ends the pass on this rank, and the caller should end the world. RS_CONFIG: a number of ranks
 * that is impossible or does not divide the heads. Local. */
rs_status rs_denoiser_set_lane(rs_denoiser *m, rs_comm *lane, rs_comm *pair) RS_NODISCARD;
rs_comm *rs_denoiser_lane(const rs_denoiser *m); /* NULL for one rank */
rs_comm *rs_denoiser_pair(const rs_denoiser *m); /* NULL: none */

/* Device bytes held for weights; their home decides (weights/stream.h). */
size_t rs_denoiser_weight_bytes(const rs_denoiser *m);
/* Bytes of device memory that binding F x H x W will hold: activations (training or inference) for
 * the adapters and conditions set so far. Needs no binding. Local. */
size_t rs_denoiser_plan(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training);
/* What training keeps from the next binding (or plan) on. */
void rs_denoiser_set_kept(rs_denoiser *m, rs_kept kept);
/* As it holds: at least one block stored, no more than there are. */
rs_kept rs_denoiser_kept(const rs_denoiser *m);
/* The same for the rank with most of it in a lane of `width`, 1, 2, 4 or 8, whatever lane is set.
 */
size_t rs_denoiser_plan_lane(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training,
                             int width);
/* The same for training n samples at once (rs_denoiser_bind_many). */
size_t rs_denoiser_plan_many(const rs_denoiser *m, int n, int64_t F, int64_t H, int64_t W);
/* Bytes of page-locked host memory that go with them: 0 unless offloaded. */
size_t rs_denoiser_plan_away(const rs_denoiser *m, int n, int64_t F, int64_t H, int64_t W);
/* Allocate for one latent size and mode; replaces an earlier binding. Conditions stay valid for
 * their own size. An adapter of a larger rank, or a condition with more image rows, than before
 * makes the binding grow by itself. RS_INPUT if H or W does not divide by the patch, or if there
 * are fewer tokens than ranks in the lane. */
rs_status rs_denoiser_bind(rs_denoiser *m, int64_t F, int64_t H, int64_t W,
                           bool training) RS_NODISCARD;
/* Adapters applied to the linears, unmerged: y += weight * alpha/r * B(A x), summed over n.
 * Borrowed until changed. For training the last one has gradients and weight 1, and those in front
 * of it have none: they are applied and stay as they are. */
rs_status rs_denoiser_set_adapters(rs_denoiser *m, rs_adapter *const *adapters,
                                   const float *weights, int n) RS_NODISCARD;

/* Condition of one pass: y (cond_channels,F,H,W) when cond_channels > 0; text (L,text_dim), L <=
 * text_len true rows (zero rows are appended inside); image (n,image_dim) when image_dim > 0.
 * Encoded to the model's width once. */
rs_status rs_denoiser_cond_create(rs_denoiser_cond **out, rs_denoiser *m, rs_tensor y,
                                  rs_tensor text, rs_tensor image) RS_NODISCARD;
void rs_denoiser_cond_destroy(rs_denoiser_cond **c);

/* v (out_channels,F,H,W) = model(x, t), t = 1000*sigma in [0,1000], not rounded. */
rs_status rs_denoiser_forward(rs_denoiser *m, rs_tensor v, rs_tensor x, float t,
                              const rs_denoiser_cond *cond) RS_NODISCARD;
/* Both passes of classifier-free guidance: rs_denoiser_forward with each of the conditions. */
rs_status rs_denoiser_guided(rs_denoiser *m, rs_tensor v_cond, rs_tensor v_uncond, rs_tensor x,
                             float t, const rs_denoiser_cond *cond,
                             const rs_denoiser_cond *uncond) RS_NODISCARD;
/* Training step's model part: forward, loss = mean((v - target)^2), and the gradients of the
 * trained adapter's A and B (overwritten in adapter->grad). No gradient of any base weight is ever
 * computed. v optional (ndim 0). */
rs_status rs_denoiser_loss_grad(rs_denoiser *m, float *loss, rs_tensor v, rs_tensor x, float t,
                                rs_tensor target, const rs_denoiser_cond *cond) RS_NODISCARD;

/* ---- several samples in one walk over the weights ---- */

/* A sample with adapters of its own, whatever is set by rs_denoiser_set_adapters; borrowed. */
typedef struct rs_denoiser_sample {
    rs_adapter *const
        *adapters; /* (n_adapters) as for training: the last has gradients, weight 1 */
    const float *weights;
    int n_adapters;
    rs_tensor x, target, v; /* (out_channels,F,H,W); v optional (ndim 0) */
    float t;
    const rs_denoiser_cond *cond;
    float loss; /* result */
} rs_denoiser_sample;

/* rs_denoiser_bind for training n samples of one size at once, so that the weights are read, sent
 * and converted once for all of them: what a step of few tokens spends its time on. RS_CONFIG: more
 * than one over a lane of several ranks. */
rs_status rs_denoiser_bind_many(rs_denoiser *m, int n, int64_t F, int64_t H,
                                int64_t W) RS_NODISCARD;
/* rs_denoiser_loss_grad of each of n samples, as many as are bound, with the bits that each has
 * alone: a NaN in one of them does not reach the others. No two may train the same adapter. */
rs_status rs_denoiser_loss_grad_many(rs_denoiser *m, rs_denoiser_sample *samples,
                                     int n) RS_NODISCARD;

/* ---- VAE ---- */

typedef struct rs_vae rs_vae;
typedef struct rs_vae_info {
    int64_t z_dim;            /* latent channels */
    int64_t scale_t, scale_s; /* 4 and 8: F' = (T-1)/4 + 1, H' = H/8 */
    int64_t params;
} rs_vae_info;

rs_status rs_vae_open(rs_vae **out, rs_device *d, const char *model_dir) RS_NODISCARD;
void rs_vae_close(rs_vae **v);
const rs_vae_info *rs_vae_get_info(const rs_vae *v);
/* latent (z,F',H',W') normalised mean <- video (3,T,H,W) in [-1,1]. T = 1 + 4k, H and W multiples
 * of 8. */
rs_status rs_vae_encode(rs_vae *v, rs_tensor latent, rs_tensor video) RS_NODISCARD;
/* video (3,T,H,W) <- normalised latent; clamped to [-1,1] unless raw. */
rs_status rs_vae_decode(rs_vae *v, rs_tensor video, rs_tensor latent, bool raw) RS_NODISCARD;
/* Frames first.. of a clip as (3,n,H,W) in [-1,1]: filled by the caller, or handed to it. In order,
 * each once; the tensor is valid during the call. */
typedef void rs_vae_frames_fn(void *user, rs_tensor frames, int64_t first);
/* The same, to the bit, without the clip in floats: a chunk at a time. The latent's shape says how
 * many frames there are, and their size. */
rs_status rs_vae_encode_from(rs_vae *v, rs_tensor latent, rs_vae_frames_fn *read,
                             void *user) RS_NODISCARD;
rs_status rs_vae_decode_to(rs_vae *v, rs_tensor latent, rs_vae_frames_fn *write,
                           void *user) RS_NODISCARD;

/* ---- text encoder (umT5) ---- */

typedef struct rs_text_encoder rs_text_encoder;
rs_status rs_text_encoder_open(rs_text_encoder **out, rs_device *d,
                               const char *model_dir) RS_NODISCARD;
void rs_text_encoder_close(rs_text_encoder **e);
int64_t rs_text_encoder_dim(const rs_text_encoder *e);
int64_t rs_text_encoder_vocab(const rs_text_encoder *e);
/* states (L,dim) of the L true tokens (no padding). RS_INPUT if an id is outside the vocabulary. */
rs_status rs_text_encode(rs_text_encoder *e, rs_tensor states, const int32_t *ids,
                         int64_t L) RS_NODISCARD;

/* ---- image encoder (CLIP vision tower) ---- */

typedef struct rs_image_encoder rs_image_encoder;
rs_status rs_image_encoder_open(rs_image_encoder **out, rs_device *d,
                                const char *model_dir) RS_NODISCARD;
void rs_image_encoder_close(rs_image_encoder **e);
int64_t rs_image_encoder_dim(const rs_image_encoder *e);
int64_t rs_image_encoder_tokens(const rs_image_encoder *e); /* patches + 1 */
int64_t rs_image_encoder_size(const rs_image_encoder *e);   /* input side in pixels */
/* The official preprocessing (wan21.md 5): image (3,H,W) in [-1,1] -> pixels (3,S,S). */
rs_status rs_image_preprocess(const rs_image_encoder *e, rs_tensor pixels,
                              rs_tensor image) RS_NODISCARD;
/* states (tokens,dim) = output of the last but one layer, no post-norm, no projection. */
rs_status rs_image_encode(rs_image_encoder *e, rs_tensor states, rs_tensor pixels) RS_NODISCARD;
/* Width of the image embedding. The first call opens what only the embedding needs: last layer,
 * final norm and, where the checkpoint has it, projection. RS_MODEL names file and tensor where the
 * checkpoint lacks them. */
rs_status rs_image_embed_dim(int64_t *dim, rs_image_encoder *e) RS_NODISCARD;
/* embedding (dim): the class token of the last layer, normalised (transformers' pooler_output), and
 * projected where the checkpoint has a projection (image_embeds). */
rs_status rs_image_embed(rs_image_encoder *e, rs_tensor embedding, rs_tensor pixels) RS_NODISCARD;

#endif
