/* State files of stages and checkpoints: safetensors with the stage's key in the metadata, durable
 *and atomic , with the paths of the run directory. Private to src/stage and src/job. */
#ifndef RS_STAGE_STATE_IO_H
#define RS_STAGE_STATE_IO_H

#include "stage/stage.h"
#include "store/state.h"

/* Save the finished state of a stage and remove its checkpoint. The inputs are hashed again first:
 * RS_INPUT if they changed while the stage ran. `extra`: further metadata. */
rs_status rs_stage_save(const rs_run *run, const rs_job *job, rs_stage_id id,
                        const rs_tensor_list *tensors, const rs_meta_list *extra) RS_NODISCARD;
/* Load a finished state into the arena (host copies). RS_FORMAT if key or tensors are not as
 * expected. */
rs_status rs_stage_load(const rs_run *run, const rs_job *job, rs_stage_id id, rs_arena *a,
                        rs_tensor_list *tensors, rs_meta_list *meta) RS_NODISCARD;
/* Wall time of a finished stage over all restarts; 0 where it does not apply to the job, NAN where
 * there is no such state. */
double rs_stage_seconds(const rs_run *run, const rs_job *job, rs_stage_id id);
/* Checkpoint of a running stage: `step` done so far. Like finished states it records the seconds
 * spent. */
rs_status rs_checkpoint_save(const rs_run *run, const rs_job *job, rs_stage_id id, int64_t step,
                             const rs_tensor_list *tensors) RS_NODISCARD;
/* Remove the checkpoint of a finished stage; a failure is a warning. */
void rs_checkpoint_remove(const rs_run *run, const rs_job *job, rs_stage_id id);
/* *step = 0 and an empty list when there is none that belongs to this key; a torn or foreign one is
 * reported as a warning and ignored. */
void rs_checkpoint_load(const rs_run *run, rs_job *job, rs_stage_id id, rs_arena *a, int64_t *step,
                        rs_tensor_list *tensors);
/* Required tensor of a list; RS_FORMAT names the file. */
rs_status rs_state_need(rs_tensor *out, const rs_tensor_list *l, const char *name,
                        const char *path) RS_NODISCARD;
/* Value of a metadata key or NULL. */
const char *rs_meta_get(const rs_meta_list *meta, const char *key);

#endif
