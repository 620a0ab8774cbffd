/* Inside of the sizes: plan_sizes.c makes them, plan_keep.c decides what blocks keep, where, and
 * how many jobs train together. */
#ifndef RS_JOB_PLAN_SIZES_PRIV_H
#define RS_JOB_PLAN_SIZES_PRIV_H

#include "job/plan_sizes.h"
#include "model/adapter.h"

enum { RS_PLAN_PROMPT_ROWS = 64 }; /* typical */

/* What sizes are made from; shapes are latent ones. */
typedef struct rs_plan_maker {
    rs_plan_sizes *z;
    const rs_config *cfg;
    const rs_catalog *catalog;
    rs_device *dev;
    rs_denoiser *m;
    rs_vae *vae;
    rs_adapter *adapter;
    rs_encoder_sizes text, image;
    bool gpu;
    bool offload; /* what blocks keep is on the host until the backward */
    const rs_plan_room *room;
    rs_precision precision;
    int64_t frames, window; /* of the longest clip, of its training windows */
    int64_t F, Fw, H, W;
} rs_plan_maker;

/* Device bytes of the training conditions of one job. */
int64_t rs_plan_train_conditions(const rs_plan_maker *k);

/* ---- plan_keep.c ---- */

/* Operations of a step of F latent frames with what is kept now. */
rs_flops rs_plan_step_flops(const rs_plan_maker *k, int64_t F, bool training);
/* Batches, activations and the total within the budget: offloaded where that is asked for, or
 * needed and of use. */
void rs_plan_lay_out(rs_plan_maker *k);

#endif
