/* Hands the videos of a run to its ranks: the director (sched/director.h) at work on rank 0, with
 * messages (comm/comm.h) as its events. A rank that is free asks, gets one video, works on all of
 * its stages and edits, and reports what became of each edit; nothing is assigned beforehand.
 *
 *   every rank:  open -> { next -> work -> report }... -> close
 *
 * Rank 0 works too: a thread of its own, which sleeps between looks at the messages, directs. */
#ifndef RS_JOB_DISPATCH_H
#define RS_JOB_DISPATCH_H

#include <signal.h>

#include "job/world.h"
#include "sched/director.h"
#include "stage/measure.h"

typedef struct rs_dispatch rs_dispatch;

/* What became of one edit, as a rank tells it to rank 0. */
typedef struct rs_edit_report {
    rs_status status;
    int32_t stage; /* that failed (rs_stage_id), RS_STAGE_COUNT: publish, -1: none */
    bool ran;
    bool movie, archive; /* are there */
    double train_s, sample_s;
    rs_measures measures;
    char reason[1024]; /* "" for none */
} rs_edit_report;

/* Rank 0, one call at a time, from any of its threads. `video`: index into the list of open. */
typedef void rs_report_fn(void *ctx, int64_t video, int64_t edit, const rs_edit_report *report);

typedef struct rs_dispatch_opts {
    const rs_sched_video
        *videos; /* what there is to do, equal on all ranks; borrowed until close */
    int64_t n_videos;
    rs_report_fn *on_report; /* rank 0: called for the edits of all ranks */
    void *ctx;
    const volatile sig_atomic_t
        *stop; /* of this rank; raised on any rank, no rank gets another video */
} rs_dispatch_opts;

/* Collective. */
rs_status rs_dispatch_open(rs_dispatch **out, const rs_world *w,
                           const rs_dispatch_opts *o) RS_NODISCARD;
/* The next video of this rank, -1 when there are no more for it. Waits for rank 0's answer. */
rs_status rs_dispatch_next(rs_dispatch *d, int64_t *video) RS_NODISCARD;
/* One edit of the video that this rank works on. */
rs_status rs_dispatch_report(rs_dispatch *d, int64_t edit,
                             const rs_edit_report *report) RS_NODISCARD;
/* The video has ended; stopped: with its state saved. It follows every video that next has given.
 */
rs_status rs_dispatch_end(rs_dispatch *d, bool stopped) RS_NODISCARD;
/* Collective, after next gave -1: waits until no rank works any more (not in a collective: the
 * others may take their time). *finished: every video has ended, equal on all ranks. Nulls *d. */
rs_status rs_dispatch_close(rs_dispatch **d, bool *finished) RS_NODISCARD;

#endif
