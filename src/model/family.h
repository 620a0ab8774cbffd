/* Model family: what the generic denoiser driver (denoiser.c) needs from one architecture, at block
 * granularity, so that weights can be streamed and blocks recomputed. One folder and one registry
 * row per family.
 *
 * A family's state holds its device buffers; the driver owns the residual stream checkpoints, walks
 * the blocks forwards (0..L-1) and backwards, and acquires each block's weights from the stream
 * just for the call. `weights` and `globals` are indexed by the slots of the family's layout.
 *
 * A binding is for n samples of equal size that go through the blocks together: their rows follow
 * each other in the residual stream, and only the frozen linears see them as one. `loras[target * n
 * + k]` and `conds[k]` are those of sample k. */
#ifndef RS_MODEL_FAMILY_H
#define RS_MODEL_FAMILY_H

#include "model/sizes.h"
#include "nn/nn.h"
#include "store/json.h"

typedef struct rs_family rs_family;

/* A linear of every block that adapters may target. */
typedef struct rs_target {
    const char *name;     /* "attn1.to_q": Diffusers name after "blocks.N." */
    const char *original; /* "self_attn.q" */
    int slot;             /* of its weight in the block */
} rs_target;

/* What a binding is for. */
typedef struct rs_dims {
    int64_t F, H, W;
    bool training;
    rs_kept kept;        /* all of it within the number of blocks; {0,0} unless training */
    int64_t rank;        /* largest LoRA rank that will be applied; 0: none */
    int64_t image_rows;  /* largest number of image rows of a condition */
    rs_lane *lane;       /* borrowed; the tokens are divided over its ranks */
    int samples;         /* n, at least 1; 1 in lanes of several ranks */
    rs_dtype activation; /* rs_device_activation_dtype */
} rs_dims;

/* What blocks first .. first + n - 1 keep, `bytes` each. In memory, block first + k is at k mod the
 * number of places there: n of them, or if it is offloaded those of a ring (device/spill.h). */
typedef struct rs_kept_part {
    void *memory;
    size_t bytes;
    int64_t first, n;
} rs_kept_part;
enum { RS_FAMILY_PARTS = 2 };

typedef enum rs_pass {
    RS_PASS_PLAIN,    /* forward only */
    RS_PASS_KEEP,     /* forward of training: keeps what the block's policy says */
    RS_PASS_RECOMPUTE /* makes the rest of what the backward reads, and no output */
} rs_pass;

/* Of block i of `blocks`. */
rs_block_policy rs_kept_policy(const rs_kept *k, int64_t blocks, int64_t i);

/* Parts of a pass whose floating-point operations are counted. */
typedef enum rs_counted {
    RS_COUNT_ENDS,           /* begin and end */
    RS_COUNT_ENDS_BWD,       /* end_bwd */
    RS_COUNT_FORWARD,        /* block_fwd of PLAIN and KEEP */
    RS_COUNT_AGAIN,          /* RECOMPUTE, under the block's policy */
    RS_COUNT_BACKWARD,       /* block_bwd */
    RS_COUNT_BACKWARD_LOWEST /* block_bwd without need_dx */
} rs_counted;

struct rs_family {
    const char *name;
    const char *const *class_names; /* "_class_name" values of its configurations, NULL-ended */
    const rs_target *targets;
    int n_targets;
    size_t state_size, cond_size; /* plain host structs, zeroed by the driver */

    /* Architecture from the component's JSON: state, info (but params) and weight layout. */
    rs_status (*describe)(void *state, rs_denoiser_info *info, rs_layout *layout, rs_arena *a,
                          const rs_json *config, bool original);
    /* Buffers. Called in plan mode (carver without memory) and then for real. */
    void (*bind)(void *state, rs_carver *c, const rs_dims *dims);
    /* After a real bind: constant tables (RoPE). */
    void (*setup)(void *state, rs_device *d);
    /* What a binding for training keeps of its blocks, besides their inputs. */
    void (*kept)(const void *state, rs_kept_part parts[RS_FAMILY_PARTS]);
    /* S: rows of the residual stream of one sample on this rank under these dims. */
    int64_t (*tokens)(const void *state, const rs_dims *dims);

    /* Adds the operations of a part, for block i under `loras`, to *sum. */
    void (*count)(rs_flops *sum, const void *state, const rs_dims *dims, const rs_lora_terms *loras,
                  int64_t text_rows, int64_t image_rows, rs_counted what, int i);

    /* Condition: buffers for `text_rows` true rows and `image_rows` (0: none), then its encoding
     * from host tensors text (text_rows,text_dim), image (image_rows,image_dim). y
     * (cond_channels,F,H,W), on the device, is owned by the driver and borrowed. */
    void (*bind_cond)(const void *state, void *cond, rs_carver *c, rs_dtype activation,
                      int64_t text_rows, int64_t image_rows);
    void (*encode_cond)(void *state, void *cond, rs_device *d, const rs_tensor *globals,
                        rs_tensor y, rs_tensor text, rs_tensor image);

    /* Before the blocks, for each sample k: patch embedding into its rows x (S,D) of the residual
     * stream, and its time modulation. */
    void (*begin)(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor x,
                  rs_tensor latent, float t, const void *cond);
    /* x (n*S,D): residual stream. y = block(x); y may be x in a plain pass, and none
     * when recomputing. */
    void (*block_fwd)(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor y, rs_tensor x,
                      const void *const *conds, rs_pass pass);
    /* After KEEP of a stored block, RECOMPUTE of another, with input x. dx in: gradient of the
     * block's output, out: of its input (undefined unless need_dx). Gradients of this block's
     * trained LoRA factors are written. */
    void (*block_bwd)(void *state, rs_device *d, int i, const rs_tensor *weights,
                      const rs_lora_terms *loras, rs_tensor dx, rs_tensor x,
                      const void *const *conds, bool need_dx);
    /* Head of sample k: v (C,F,H,W), whole on every rank, from its rows x; and its backward to its
     * rows dx, which may be x. */
    void (*end)(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor v,
                rs_tensor x);
    void (*end_bwd)(void *state, rs_device *d, const rs_tensor *globals, int k, rs_tensor dx,
                    rs_tensor dv, rs_tensor x);
};

extern const rs_family rs_family_wan21;
/* NULL if unknown. The registry is the only place where families are listed. */
const rs_family *rs_family_find(const char *name);
/* By a configuration's "_class_name". RS_MODEL names the file and the name. */
rs_status rs_family_of_config(const rs_family **out, const rs_json *config) RS_NODISCARD;

/* For adapter.c: the family, weight shapes and device behind an open denoiser. */
const rs_family *rs_denoiser_family(const rs_denoiser *m);
const rs_layout *rs_denoiser_layout(const rs_denoiser *m);
rs_device *rs_denoiser_device(const rs_denoiser *m);
bool rs_denoiser_described(const rs_denoiser *m); /* opened without weights */

#endif
