/* LoRA training: one optimiser step, and the loop over a stage's steps with checkpoint, resume and
 * stop.
 *
 * The base is frozen; only adapter factors move (fp32 masters and moments). Every random draw is a
 * function of (seed, job, step), so a loop resumed at step k continues with the same bits as one
 * that never stopped.
 *
 * Over a lane of ranks (rs_denoiser_set_lane) steps and the loop are collective, with equal
 * arguments on every rank, each with its own copy of the adapter: all apply the same update to the
 * same sums of gradients. They fail on all ranks or on none. */
#ifndef RS_TRAIN_TRAIN_H
#define RS_TRAIN_TRAIN_H

#include "model/model.h"

typedef struct rs_optim_opts {
    double lr, beta1, beta2, eps, weight_decay;
    double grad_clip; /* global L2 norm; 0: no clipping */
} rs_optim_opts;

#define RS_OPTIM_OPTS_DEFAULT                                                                      \
    {                                                                                              \
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.01,                \
        .grad_clip = 1.0                                                                           \
    }

/* AdamW over all factors, step counted from 1, gradients scaled by min(1, clip/(norm + 1e-6)) as
 * torch.nn.utils.clip_grad_norm_ does. *grad_norm is the norm before clipping. RS_NUMERIC if it is
 * not finite (nothing is changed then). */
rs_status rs_optim_step(rs_adapter *a, const rs_optim_opts *o, int64_t step,
                        double *grad_norm) RS_NODISCARD;

/* One training sample, host fp32, borrowed for the loop's duration. */
typedef struct rs_train_item {
    rs_tensor x0;    /* (C,F,H,W) clean latent: the target clip */
    rs_tensor y;     /* (cond_channels,F,H,W), ndim 0 without condition */
    rs_tensor text;  /* (L,text_dim) */
    rs_tensor image; /* (n,image_dim), ndim 0 without image branch */
} rs_train_item;

/* Loss and gradients for given noise (C,F,H,W) and sigma, then one optimiser step. */
rs_status rs_train_step(rs_denoiser *m, rs_adapter *a, const rs_train_item *item,
                        const rs_denoiser_cond *cond, rs_tensor noise, float sigma,
                        const rs_optim_opts *o, int64_t step, float *loss,
                        double *grad_norm) RS_NODISCARD;

typedef struct rs_train_progress {
    int64_t step, steps; /* step just done, counted from 1 */
    int64_t item;
    float loss;
    double grad_norm;
    double seconds; /* of the step; of what several jobs did together, its share */
} rs_train_progress;

typedef struct rs_train_loop {
    const rs_train_item *items;
    int64_t n_items;
    rs_adapter *const
        *frozen; /* applied beneath the trained adapter, without gradients of theirs */
    const float *frozen_weights;
    int n_frozen;
    const int32_t *order; /* item of every step */
    int64_t steps;
    rs_optim_opts optim;
    uint64_t seed, job;       /* identity of the random streams */
    int64_t checkpoint_every; /* save after every so many steps; 0: never */
    void *ctx;
    rs_status (*save)(void *ctx, int64_t step);            /* called on every rank of a lane */
    void (*report)(void *ctx, const rs_train_progress *p); /* optional */
    bool (*stop)(void *ctx); /* optional: asked after every step; true, on any rank of a lane, saves
                                and returns RS_STOPPED */
} rs_train_loop;

/* Runs steps *step .. steps-1 (*step = number of steps already done; updated). losses[steps]
 * receives each step's loss. Binds the denoiser to each item's size as needed. RS_NUMERIC on a loss
 * that is not finite. */
rs_status rs_train_run(const rs_train_loop *l, rs_denoiser *m, rs_adapter *a, float *losses,
                       int64_t *step) RS_NODISCARD;

/* A job of several that are trained together. */
typedef struct rs_train_job {
    const rs_train_loop *loop;
    rs_adapter *adapter;
    float *losses;    /* (steps) */
    int64_t step;     /* steps done; updated */
    rs_status status; /* result: RS_OK when all steps are done, RS_STOPPED, or why this job, and no
                         other, ended */
    char reason[512]; /* message of that */
    /* Optional: called once, as soon as status is final (of RS_OK: all steps are done), while the
     * others go on; not for those that a pass has failed for. */
    void (*ended)(void *ctx, struct rs_train_job *job);
    void *ctx;
    bool told; /* it was called */
} rs_train_job;

/* rs_train_run of n jobs with adapters of their own. Jobs whose next items are single latent frames
 * of one size take that step in one pass over the weights, up to `most` at once (over a lane of
 * several ranks each alone); they wait until no other job has a longer item in front of its next
 * ones, so that jobs at different places of their epochs, as after a restart, still go together. A
 * job has the bits that it has alone, whatever its companions are and however they end. Saves and
 * reports go to each job's own loop. A stop that one job's loop tells is asked of all at once: each
 * saves and stops within one step. Returns what fails of the passes themselves and so for all, with
 * the message: the status of unfinished jobs too. */
rs_status rs_train_run_many(rs_train_job *jobs, int n, rs_denoiser *m, int most) RS_NODISCARD;

#endif
