/* Inside of the Wan VAE: its configuration, and the two networks as lists of layers.
 *
 * One list serves the weight layout (names and shapes), loading (packing) and execution; a layer is
 * a node of a straight chain, with all of a kind's tensors described by one table of parts. */
#ifndef RS_MODEL_WAN_VAE_PRIV_H
#define RS_MODEL_WAN_VAE_PRIV_H

#include "model/layouts.h"
#include "model/sizes.h"

enum { RS_VAE_STAGES = 8, RS_VAE_PARTS = 8, RS_VAE_RGB = 3 };

typedef struct rs_vae_config {
    int64_t encoder_dim, decoder_dim; /* "base_dim", "decoder_base_dim" */
    int64_t z_dim;
    int64_t res_blocks; /* per encoder stage; one more per decoder stage */
    int64_t stages;
    int64_t mult[RS_VAE_STAGES];  /* channels of encoder stage i: encoder_dim * mult[i] */
    bool temporal[RS_VAE_STAGES]; /* stage i ends in a down3d (time too), else down2d */
    double *mean, *std;           /* (z_dim) of the latents */
    int64_t scale_t, scale_s;
} rs_vae_config;

/* Layer kinds (wan21.md 3.1). All act on (T,H,W,cin) and give (T',H',W',cout). */
typedef enum rs_vae_kind {
    RS_VAE_LINEAR,    /* 1x1x1 convolution: quant_conv, post_quant_conv */
    RS_VAE_CONV,      /* causal 3x3x3 */
    RS_VAE_HEAD,      /* norm, SiLU, causal 3x3x3 */
    RS_VAE_RES,       /* residual block, 1x1x1 shortcut when cin != cout */
    RS_VAE_ATTN,      /* single-head attention inside each frame */
    RS_VAE_DOWN,      /* half the size */
    RS_VAE_DOWN_TIME, /* half the size, then half the frames after frame 0 */
    RS_VAE_UP,        /* double the size */
    RS_VAE_UP_TIME    /* double the frames after frame 0, then double the size */
} rs_vae_kind;

/* One weight tensor of a layer kind. */
typedef enum rs_vae_form {
    RS_VAE_GAMMA3, /* (C,1,1,1) */
    RS_VAE_GAMMA2, /* (C,1,1) */
    RS_VAE_BIAS,   /* (Co) */
    RS_VAE_W3,     /* (Co,Ci,kt,k,k) */
    RS_VAE_W2      /* (Co,Ci,k,k) */
} rs_vae_form;

typedef enum rs_vae_width { RS_VAE_IN, RS_VAE_OUT, RS_VAE_IN2, RS_VAE_IN3 } rs_vae_width;

typedef struct rs_vae_part {
    const char *diffusers, *original; /* appended to the layer's names */
    rs_vae_form form;
    rs_vae_width co, ci;
    int64_t kt, k;
} rs_vae_part;

typedef struct rs_vae_layer {
    rs_vae_kind kind;
    int64_t cin, cout;
    int slot;                         /* of its first tensor in the layout */
    const char *diffusers, *original; /* name prefixes */
    rs_tensor w[RS_VAE_PARTS];        /* device, by part; convolutions packed (wan_vae_weights.c) */
    rs_tensor time_odd;               /* up_time: second half of the packed time convolution */
    rs_tensor cache[2];               /* (2,H,W,C): last inputs of the causal convolutions */
} rs_vae_layer;

/* A chain: rgb -> latent mean and log variance, or latent -> rgb. */
typedef struct rs_vae_net {
    rs_vae_layer *layers;
    int64_t n;
    size_t cap;
} rs_vae_net;

/* RS_MODEL names file and key of what is missing or not Wan2.1's. */
rs_status rs_vae_config_read(rs_vae_config *out, rs_arena *a, const rs_json *config) RS_NODISCARD;
void rs_vae_nets_build(rs_vae_net *encoder, rs_vae_net *decoder, rs_arena *a,
                       const rs_vae_config *c);
/* Parts of a layer, in slot order; the shortcut's are left out where the layer has none. */
const rs_vae_part *rs_vae_parts(const rs_vae_layer *l, int *n);
/* Shape of a part as in the checkpoint; returns the number of dimensions. */
int rs_vae_part_shape(int64_t shape[RS_MAX_DIM], const rs_vae_layer *l, const rs_vae_part *p);

/* ---- execution ---- */

enum { RS_VAE_BUFFERS = 3 };

/* One pass over a clip, chunk after chunk. `x` lives in buffer[at]. */
typedef struct rs_vae_run {
    rs_device *dev;
    bool first, last; /* chunk of the clip */
    rs_tensor x;      /* (T,H,W,C) */
    int at;
    rs_tensor buffer[RS_VAE_BUFFERS]; /* flat, each holds any activation of a chunk */
} rs_vae_run;

void rs_vae_layer_run(rs_vae_run *r, rs_vae_layer *l);

/* Sizes (wan_vae_plan.c) of a layer on (frames,h,w), in the first chunk of a clip or a later one:
 * shape after it; elements of its widest tensor; multiply-adds. */
void rs_vae_layer_shape(const rs_vae_layer *l, bool first, int64_t *frames, int64_t *h, int64_t *w);
int64_t rs_vae_layer_need(const rs_vae_layer *l, bool first, int64_t frames, int64_t h, int64_t w);
int64_t rs_vae_layer_macs(const rs_vae_layer *l, bool first, int64_t frames, int64_t h, int64_t w);
/* Carve the layer's caches for inputs of h x w; act: the type of activations. */
void rs_vae_layer_caches(rs_vae_layer *l, rs_carver *c, rs_dtype act, int64_t h, int64_t w);

/* What the work memory is bound to. */
typedef struct rs_vae_binding {
    bool decode;
    int64_t frames, h, w; /* latent frames planned for, latent size */
    int64_t chunk;        /* latent frames per chunk */
} rs_vae_binding;

struct rs_vae {
    rs_device *dev;
    rs_arena *arena;
    rs_vae_config config;
    rs_vae_info info;
    rs_vae_net encoder, decoder;
    rs_pool weights, work;
    rs_tensor encode_mul, encode_add, decode_mul, decode_add; /* (z) device */
    int64_t chunk;                                            /* latent frames per chunk */
    rs_vae_binding binding;                                   /* of `work`; frames 0: none */
    rs_vae_run run;
};

/* Pixel frames before latent frame f. */
int64_t rs_vae_pixel_frame(const rs_vae *v, int64_t f);
/* Work memory for F latent frames of h x w; what fits already stays. */
rs_status rs_vae_bind(rs_vae *v, bool decode, int64_t F, int64_t h, int64_t w) RS_NODISCARD;
/* Read, pack and bind all weights (wan_vae_weights.c). */
rs_status rs_vae_weights_load(rs_vae *v, const char *path, const rs_layout *layout) RS_NODISCARD;
/* Latent frames per chunk, 1 by default: more memory for longer convolutions, the same values. */
void rs_vae_set_chunk(rs_vae *v, int64_t latent_frames);

#endif
