/* Media decoded ahead: frames and mask of the video whose ingest comes next are read by a thread of
 * their own while this one computes. One video is held at a time. What was read counts only for the
 * inputs and settings that it was read with (the key of the ingest stage), and an error is that of
 * the job whose media they are: the thread says nothing, the stage fails with it. */
#ifndef RS_STAGE_AHEAD_H
#define RS_STAGE_AHEAD_H

#include "stage/common.h"

typedef struct rs_ahead rs_ahead;

/* The video whose ingest comes next on this rank, NULL while that is not known or it is another
 * stage. Asked by both threads, one at a time, while nothing is read. */
typedef const rs_catalog_video *rs_ahead_next_fn(void *ctx);

/* Run and ctx are borrowed until stop; settings of the run do not change so long. RS_NOMEM: no
 * thread. */
rs_status rs_ahead_start(rs_ahead **out, const rs_run *run, rs_ahead_next_fn *next,
                         void *ctx) RS_NODISCARD;
/* Ends what is being read. Accepts NULL, nulls the pointer. */
void rs_ahead_stop(rs_ahead **a);
/* A task of this video begins: look at once for what comes next. What is held of other videos is
 * dropped. */
void rs_ahead_look(rs_ahead *a, const rs_catalog_video *present);
/* In the ingest stage: this job's media if they are read or being read, with their arena, which is
 * the caller's. Returns the error of reading them; RS_STOPPED. */
rs_status rs_ahead_take(rs_stage_media *out, bool *there, rs_ahead *a,
                        const rs_job *job) RS_NODISCARD;

#endif
