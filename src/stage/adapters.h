/* Adapters in and out of stage states and checkpoints. Private to src/stage. */
#ifndef RS_STAGE_ADAPTERS_H
#define RS_STAGE_ADAPTERS_H

#include "base/log.h"
#include "stage/stage.h"
#include "train/train.h"

/* A fresh adapter of the configured shape for the run's denoiser. */
rs_status rs_stage_adapter_create(rs_adapter **out, rs_run *run, bool trainable) RS_NODISCARD;
/* Factors from the finished state of `id` (motion or appearance). */
rs_status rs_stage_adapter_load(rs_adapter *a, const rs_run *run, const rs_job *job,
                                rs_stage_id id) RS_NODISCARD;
/* Does the stage (motion or appearance) leave an adapter? Not motion with 0 steps, and not a stage
 * that does not apply. */
bool rs_stage_has_adapter(const rs_run *run, const rs_job *job, rs_stage_id id);

/* A stage's training of one job. The stage fills in run, job, id, of the loop items, order, steps
 * and optim, and `frozen` with its weight where there is an adapter to be applied beneath; the rest
 * is the calls' below. */
typedef struct rs_training {
    rs_run *run;
    rs_job *job;
    rs_stage_id id;
    rs_train_loop loop;
    rs_adapter *frozen; /* owned */
    float frozen_weight;
    rs_adapter *adapter;
    float *losses;
    int64_t step, first; /* done so far; before this process */
    double begin;
    bool together; /* with other jobs: `own` seconds are the job's, not those of the clock */
    double own;
    rs_log_pace pace;
} rs_training;

/* Adapter and step as the checkpoint has them, else as `init` makes them. Collective over the lane.
 */
typedef rs_status rs_stage_init_fn(rs_adapter *a, rs_run *run, rs_job *job);
rs_status rs_training_open(rs_training *t, rs_stage_init_fn *init) RS_NODISCARD;
/* All steps, with checkpoints, and the final state. Collective over the lane. */
rs_status rs_training_run(rs_training *t) RS_NODISCARD;
/* Ends with the final state: what rs_training_run does behind its last step. */
rs_status rs_training_finish(rs_training *t) RS_NODISCARD;
/* Also of one that was not opened, or not whole. */
void rs_training_close(rs_training *t);

/* Collective over the lane. Ranks go on from the same checkpoint, unless a file system shows them
 * different ones: RS_IO on all of them. */
rs_status rs_stage_same_step(const rs_run *run, int64_t step) RS_NODISCARD;

/* ---- several jobs: batch.c ---- */

/* What a stage fills in, and rs_training_open. */
typedef rs_status rs_training_prepare_fn(rs_training *t);
/* rs_stage.run_many of a training stage: each job is prepared, then all are trained together
 * (rs_train_run_many). */
void rs_stage_train_many(rs_run *run, rs_job *const *jobs, int n, rs_stage_id id,
                         rs_training_prepare_fn *prepare, rs_stage_ended_fn *ended, void *ctx);

/* Optimiser options of the config with a stage's learning rate. */
rs_optim_opts rs_stage_optim(const rs_run *run, double lr);

#endif
