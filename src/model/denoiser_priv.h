/* Private to src/model: the generic denoiser. */
#ifndef RS_MODEL_DENOISER_PRIV_H
#define RS_MODEL_DENOISER_PRIV_H

#include "model/family.h"

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
    rs_lora_term *terms;  /* (blocks * n_targets * room) behind them */
    int room;
    bool trainable;    /* the last adapter, and no other, has gradients; weight 1 */
    int first_trained; /* lowest block with a trained linear */

    /* Binding. */
    bool bound;
    rs_dims dims; /* rank and image_rows are kept up to date without a binding too */
    rs_pool pool;
    rs_tensor stream; /* (n,S,D) residual stream: block inputs and the end; n = 1: in place */
    rs_tensor dx;     /* (S,D) */
    rs_tensor latent; /* (C,F,H,W) */
    rs_tensor v, dv;  /* (C,F,H,W) */
    rs_tensor target; /* (C,F,H,W) */
    rs_tensor loss;   /* (1) */
    rs_tensor sums;   /* for the gradients of a block on their way through the lane */
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
/* Gradients of a block's factors: of the tokens of all ranks instead of this one's. Collective. */
void rs_denoiser_sum_gradients(rs_denoiser *m, int block);
/* Elements of the factors that adapters of this rank have on one block, at most. */
int64_t rs_denoiser_block_factors(const rs_denoiser *m, int64_t rank);

#endif
