/* Private to src/model: the generic denoiser. */
#ifndef RS_MODEL_DENOISER_PRIV_H
#define RS_MODEL_DENOISER_PRIV_H

#include "model/family.h"

typedef struct rs_offload rs_offload;

struct rs_denoiser {
    rs_device *dev;
    rs_arena *arena; /* info, layout, names */
    const rs_family *family;
    void *state; /* family's */
    rs_denoiser_info info;
    rs_layout layout;
    rs_wstream *weights;
    rs_denoiser_opts opts;
    rs_lane lane;
    rs_comm *pair; /* borrowed; NULL: both passes of guidance run here */

    /* Applied adapters: terms by (block, target). */
    rs_arena *lora_arena;
    rs_lora_terms *loras; /* (blocks * n_targets) */
    bool trainable;       /* the last adapter, and no other, has gradients; weight 1 */
    int first_trained;    /* lowest block with a trained linear */

    /* Binding. */
    bool bound;
    bool resting; /* bound, but its memory is given back until the next pass */
    rs_dims dims; /* rank and image_rows are kept up to date without a binding too */
    rs_pool pool;
    rs_tensor stream; /* (inputs,n*S,D) residual stream: block inputs and the end; 1: in place; 2
                         and offloaded: a ring of them */
    rs_tensor
        rows;     /* (2,n*S,D) fp32: what blocks read and write where the stream is kept in bf16 */
    rs_tensor dx; /* (n*S,D) unless the end of the stream has a place of its own */
    rs_tensor latent;    /* (n*C,F,H,W) */
    rs_tensor v, dv;     /* (n*C,F,H,W) */
    rs_tensor target;    /* (n*C,F,H,W) */
    rs_tensor loss;      /* (n) */
    rs_tensor sums;      /* for the gradients of a block on their way through the lane */
    rs_offload *offload; /* NULL: what is kept stays on the device */
};

struct rs_denoiser_cond {
    rs_denoiser *model;
    rs_pool pool;
    int64_t text_rows, image_rows;
    int64_t size[3]; /* F, H, W of y */
    rs_tensor y;
    void *encoded; /* family's */
};

rs_dims rs_denoiser_dims(const rs_denoiser *m, int64_t F, int64_t H, int64_t W, bool training);
/* Allocate again for the current dims (rank or image rows have grown). Local. */
rs_status rs_denoiser_rebind(rs_denoiser *m) RS_NODISCARD;
/* The memory of a resting one. Local. */
rs_status rs_denoiser_wake(rs_denoiser *m) RS_NODISCARD;
/* Terms of adapters by (block, target). */
typedef struct rs_lora_set {
    rs_lora_terms *loras; /* (blocks * n_targets) */
    rs_lora_term *terms;  /* (blocks * n_targets * room) behind them */
    int room;
    bool trainable;
    int first_trained;
    int64_t rank; /* the largest */
} rs_lora_set;

rs_status rs_lora_set_make(rs_lora_set *out, rs_arena *a, const rs_denoiser *m,
                           rs_adapter *const *adapters, const float *weights, int n) RS_NODISCARD;
/* Room for adapters of this rank. Local. */
rs_status rs_denoiser_grow_rank(rs_denoiser *m, int64_t rank) RS_NODISCARD;

/* What a pass goes through the blocks with. */
typedef struct rs_walk {
    const rs_lora_terms *loras; /* (blocks * n_targets * n) */
    const void *const *conds;   /* (n) encoded */
    int first_trained;
} rs_walk;

/* Is `t` a latent of the bound size, and the condition one for it? */
rs_status rs_denoiser_check_pass(const rs_denoiser *m, const char *name, rs_tensor t,
                                 const rs_denoiser_cond *cond) RS_NODISCARD;
rs_tensor rs_denoiser_stream_at(const rs_denoiser *m, int64_t i); /* (n*S,D) fp32 */
/* Training keeps the stream between blocks in the device's activation type. keep: what a block has
 * written at i is rounded to it, also for the next block, so that all policies see the same bits.
 * recall: what was kept at i < blocks; whatever was recalled before may be gone. */
void rs_denoiser_keep(rs_denoiser *m, int64_t i);
rs_tensor rs_denoiser_recall(rs_denoiser *m, int64_t i);
/* (n*S,D) of the stream on the way back. It takes the place of the stream's end, if that is not a
 * place of the ring in which inputs come back. */
rs_tensor rs_denoiser_gradient(const rs_denoiser *m);
/* That of sample k, of n of equal size: rows of a matrix, or the first dimension. */
rs_tensor rs_denoiser_sample_of(const rs_denoiser *m, rs_tensor all, int k);
void rs_denoiser_put(rs_denoiser *m, rs_tensor dst, rs_tensor host);
/* ---- denoiser_offload.c: what blocks keep, in host memory meanwhile. Without effect unless the
 * binding is for that. ---- */

/* For the present binding. No pass is under way. */
rs_status rs_offload_bind(rs_denoiser *m) RS_NODISCARD;
void rs_offload_close(rs_denoiser *m);
/* Host bytes that a binding needs; m may be a copy that is only planned. */
size_t rs_offload_bytes(const rs_denoiser *m);
void rs_offload_begin(rs_denoiser *m); /* of a pass */
/* Ops from now on may write the input of block i (or the end of the stream, i = blocks); those
 * given so far have. */
void rs_offload_may_write_input(rs_denoiser *m, int64_t i);
void rs_offload_wrote_input(rs_denoiser *m, int64_t i);
/* Block i runs, and has run: what it keeps, and the input of the next one. */
void rs_offload_may_write(rs_denoiser *m, int64_t i);
void rs_offload_wrote(rs_denoiser *m, int64_t i);
/* The end of the stream has been read for the last time. */
void rs_offload_ended(rs_denoiser *m);
/* Backwards: bring what block i keeps, ahead; its ops may read that; they were the last to. */
void rs_offload_ahead(rs_denoiser *m, int64_t i);
void rs_offload_read(rs_denoiser *m, int64_t i);
void rs_offload_done(rs_denoiser *m, int64_t i);

/* Prefetches `next` while block i runs: after the last one the first, for the next pass. */
rs_status rs_denoiser_run_block(rs_denoiser *m, const rs_walk *w, int i, int next, rs_tensor y,
                                rs_tensor x, rs_pass pass) RS_NODISCARD;
/* What every pass ends with. */
rs_status rs_denoiser_finish(rs_denoiser *m) RS_NODISCARD;

/* The weight stream learns with whom this rank makes its passes. */
void rs_denoiser_tell_lane(rs_denoiser *m);
/* Gradients of a block's factors: of the tokens of all ranks instead of this one's. Collective. */
void rs_denoiser_sum_gradients(rs_denoiser *m, const rs_lora_terms *loras);
/* Elements of the factors that adapters of this rank have on one block, at most. */
int64_t rs_denoiser_block_factors(const rs_denoiser *m, int64_t rank);

#endif
