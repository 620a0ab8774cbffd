/* Adapters in and out of stage states and checkpoints. Private to src/stage. */
#ifndef RS_STAGE_ADAPTERS_H
#define RS_STAGE_ADAPTERS_H

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

/* Train a stage: resumes from its checkpoint, else starts from `init`; saves checkpoints and the
 * final state. `loop` has items, order, steps, optim and frozen adapters set; identity, saving,
 * reporting and stopping are filled in here. */
typedef rs_status rs_stage_init_fn(rs_adapter *a, rs_run *run, rs_job *job);
rs_status rs_stage_train(rs_run *run, rs_job *job, rs_stage_id id, rs_train_loop loop,
                         rs_stage_init_fn *init) RS_NODISCARD;
/* Collective over the lane. Ranks go on from the same checkpoint, unless a file system shows them
 * different ones: RS_IO on all of them. */
rs_status rs_stage_same_step(const rs_run *run, int64_t step) RS_NODISCARD;
/* Optimiser options of the config with a stage's learning rate. */
rs_optim_opts rs_stage_optim(const rs_run *run, double lr);

#endif
