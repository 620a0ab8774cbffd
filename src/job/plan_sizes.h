/* What one rank of a run will hold and compute, from the configurations of model and experiment:
 * the run allocates what is planned here. */
#ifndef RS_JOB_PLAN_SIZES_H
#define RS_JOB_PLAN_SIZES_H

#include "config/catalog.h"
#include "model/sizes.h"

/* Where the transformer's frozen weights are. */
typedef enum rs_plan_home {
    RS_PLAN_RESIDENT, /* every block on the device */
    RS_PLAN_MAPPED,   /* in their files; what is not fp32 is converted into a ring of two blocks */
    RS_PLAN_HOST,     /* page-locked on the host, once per machine; two blocks on the device */
    RS_PLAN_SHARDED,  /* 1/S of every block, and two whole ones */
    RS_PLAN_HOMES
} rs_plan_home;

const char *rs_plan_home_name(rs_plan_home home);

/* Memory that the ranks of a machine share. */
typedef struct rs_plan_room {
    int64_t machine; /* bytes: of the machine, or what its cgroup allows; of a GPU: its own */
    int64_t ranks;   /* that share it */
    int64_t limit;   /* memory.limit in bytes per rank; 0: a share of the machine */
    bool gpu;        /* device memory is not the host's */
    int64_t lane;    /* ranks that a lane may have, of a GPU each */
    rs_device *dev;  /* the GPU, to ask it; NULL: not here */
    int64_t host;    /* with a GPU: bytes that a rank may lock on the host; 0: not known */
} rs_plan_room;

/* Of this machine, by /proc/meminfo and the limits of this process's cgroups (version 1 or 2) under
 * `root` ("": the system's). 0 where nothing can be read. */
int64_t rs_plan_machine_bytes(const char *root);

/* Floating-point operations. */
typedef struct rs_plan_work {
    rs_flops step, one_frame; /* a training step: on the clip or window, on one frame */
    rs_flops step_forward, one_frame_forward; /* the forwards of these */
    rs_flops forward;                         /* a pass without gradients over the whole clip */
    rs_flops text, image;                     /* encodings of one prompt, one frame */
    double encode, decode;                    /* convolutions of the VAE over the whole clip */
    double encode_one;                        /* over one frame */
} rs_plan_work;

/* Bytes are of one rank. Where they depend on the prompts, for the longest. */
typedef struct rs_plan_sizes {
    const char *family;
    int64_t blocks, dim, heads, params;
    int64_t frames[3];             /* latent F', h, w of a whole clip */
    int64_t tokens, window_tokens; /* of a sampling and of a training step */
    bool streamed;                 /* blocks are gathered or converted in every pass */
    bool weights_present;          /* false: configurations only */
    int64_t files;                 /* bytes of the transformer's weights in their files */

    rs_plan_home home;
    const char *home_reason;
    int64_t gang;                   /* ranks that share the sharded home */
    int64_t weights[RS_PLAN_HOMES]; /* transformer, by home */
    int64_t block_image;            /* a block as a gang gathers it */
    int64_t vae, vae_work;          /* weights; buffers of the larger of encoding and decoding */
    int64_t text, image;            /* encoders: weights that are not used in place, buffers */
    int64_t train, sample;          /* activations, one after the other */
    int64_t block_store, block_attention; /* of one more block that is stored, keeps attention */
    int64_t conditions;
    /* Appearance stages whose one-frame steps a rank takes together, at most; 1: each alone. */
    int batch;
    const char *batch_reason;
    int64_t companions;         /* of batch - 1 more jobs: conditions, adapters, clips */
    int64_t together;           /* activations of batch one-frame samples, instead of `train` */
    int64_t adapter;            /* factors, gradients and moments; frozen ones beneath it */
    int64_t clip;               /* frames and latents on the host; 0 with a GPU */
    int64_t workspace;          /* of a GPU's ops */
    int64_t twins;              /* of NCCL's communicators, at most (job/twins.h) */
    int64_t pinned;             /* page-locked on the host, home host: once for all of a machine */
    int64_t offloaded;          /* page-locked on the host for what blocks keep */
    const char *offload_reason; /* NULL: off */
    int64_t total;              /* most that is held at once */
    int64_t checkpoint;         /* file: factors and moments */

    int64_t budget; /* bytes that a rank may hold */
    bool fits;
    rs_kept kept; /* blocks that store, that keep attention; the others recompute */
    rs_plan_work work;
} rs_plan_sizes;

/* model.precision as the device takes it. */
rs_precision rs_plan_precision(const rs_config *c);
/* Asked for, or there are gangs and nothing else is asked for. */
bool rs_plan_sharded(const rs_config *c);
/* value_bytes: 4, or 2 for a GPU that computes in 16 bits whatever model.precision says. gang:
 * ranks of the sharded home; 0: a copy per rank or machine, as memory.home says. memory.recompute
 * `auto` becomes what computes least in the budget. RS_MODEL / RS_CONFIG as when the model is
 * opened. */
rs_status rs_plan_sizes_make(rs_plan_sizes *z, const rs_config *c, const rs_catalog *catalog,
                             const rs_plan_room *room, int value_bytes, int64_t gang) RS_NODISCARD;

#endif
