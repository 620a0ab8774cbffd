/* Which of the shared states of an experiment with arms are still needed: those whose keys its jobs
 * have now. The others were made by settings, inputs or arms that are gone. */
#ifndef RS_JOB_USED_STATES_H
#define RS_JOB_USED_STATES_H

#include "stage/stage.h"

typedef struct rs_used_states {
    rs_arena *arena;
    const char **paths;
    int64_t n;
    size_t cap;
} rs_used_states;

/* Note the states of a job that has its keys: a video's own, or an edit's own. Nothing where states
 * are not shared. */
void rs_used_states_add(rs_used_states *u, const rs_run *run, const rs_job *job);
/* Remove every other shared state of a video and count them in *removed. Files of other names stay.
 */
rs_status rs_used_states_sweep(rs_used_states *u, const char *folder,
                               int64_t *removed) RS_NODISCARD;

#endif
