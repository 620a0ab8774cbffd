/* Hands the tasks of a run to its ranks: the director (sched/director.h) at work on rank 0, with
 * messages (comm/comm.h) as its events. A task is one stage of a video or of one of its edits, or
 * the publishing of a video. A rank asks when it begins a task for the one after it, so that the
 * answer is there when it is free; nothing else is assigned beforehand.
 *
 *   every rank:  open -> { next -> work -> report* -> end }... -> close
 *
 * An appearance may come with companions (sched/director.h: batches), each of which has an end of
 * its own.
 *
 * With lanes of several ranks their leaders do so, and call the others to the stages that a lane
 * shares:  open -> { follow -> work }... -> close
 * Where lanes are found for each stage, a rank may be told by next that it helps another one. Then
 * it goes on with  follow -> work  once, and asks again.
 *
 * Rank 0 works too: a thread of its own, which sleeps between looks at the messages, directs. */
#ifndef RS_JOB_DISPATCH_H
#define RS_JOB_DISPATCH_H

#include <signal.h>

#include "job/world.h"
#include "sched/director.h"
#include "stage/measure.h"

typedef struct rs_dispatch rs_dispatch;

/* A further appearance, to be worked on at the same time as the assignment. */
typedef struct rs_companion {
    int64_t video, edit;
} rs_companion;

typedef struct rs_assignment {
    int64_t video; /* index into the list of open; -1: there is nothing more for this rank */
    int64_t edit;  /* -1: the video's own */
    rs_task_stage stage;
    int width;  /* ranks that share it, beyond those of the world's lanes: this one and the next */
    bool helps; /* this rank is one of the others: next is follow */
    /* PUBLISH: what became of the video's edits so far (n_edits); valid until the next call of
     * next. Of those that failed: status, stage and reason. */
    const struct rs_edit_report *fates;
    rs_companion with[RS_SCHED_BATCH - 1]; /* companions, of the same stage */
    int n_with;
} rs_assignment;

/* What became of one edit, as a rank tells it to rank 0, or of a task. */
typedef struct rs_edit_report {
    rs_status status;
    int32_t stage;       /* that failed (rs_task_stage), -1: none */
    bool ran;            /* something was computed */
    bool movie, archive; /* are there */
    double train_s, sample_s;
    rs_measures measures;
    char reason[1024]; /* "" for none */
} rs_edit_report;

/* Rank 0, one call at a time, from any of its threads. `video`: index into the list of open. A task
 * has ended: of a failed one all that it failed for (edit -1: all edits that have not ended) have
 * report->status; reason and stage too. */
typedef void rs_task_end_fn(void *ctx, int64_t video, int64_t edit, rs_task_stage stage,
                            const rs_edit_report *end);
/* The publisher's words on one edit. */
typedef void rs_report_fn(void *ctx, int64_t video, int64_t edit, const rs_edit_report *report);

typedef struct rs_dispatch_opts {
    const rs_sched_video
        *videos; /* what there is to do, equal on all ranks; borrowed until close */
    int64_t n_videos;
    const rs_sched_gang *ranks; /* (world size) what they may do; NULL: everything */
    bool in_step;               /* ranks of a gang walk their passes together */
    int widest;                 /* lanes of a gang's ranks that are found for each stage; 1: none */
    int batch; /* most appearances of a rank at a time (equal on all ranks); 0, 1: one */
    rs_task_end_fn *on_task; /* rank 0: called for the tasks of all ranks */
    rs_report_fn *on_report;
    void *ctx;
    const volatile sig_atomic_t
        *stop; /* of this rank; raised on any rank, no rank gets another task */
} rs_dispatch_opts;

/* Collective. RS_CONFIG: no rank may run some stage that there is work for. */
rs_status rs_dispatch_open(rs_dispatch **out, const rs_world *w,
                           const rs_dispatch_opts *o) RS_NODISCARD;
/* The next task of this rank. Waits for rank 0's answer. */
rs_status rs_dispatch_next(rs_dispatch *d, rs_assignment *out) RS_NODISCARD;
/* Any thread: what next will give, if the answer is there already; `fates` are left out. The answer
 * may turn out to be void. */
bool rs_dispatch_peek(rs_dispatch *d, rs_assignment *out);
/* One edit of the video that this rank publishes. */
rs_status rs_dispatch_report(rs_dispatch *d, int64_t edit,
                             const rs_edit_report *report) RS_NODISCARD;
/* The task has ended: end->status RS_OK, RS_STOPPED (its state is saved), or why it failed. It
 * follows every task that next has given. k: 0, or 1 + i of the companion with[i], in any order,
 * each as soon as it has ended. */
rs_status rs_dispatch_end(rs_dispatch *d, int k, const rs_edit_report *end) RS_NODISCARD;
/* Leader of a lane: the others begin this task too, with follow. */
rs_status rs_dispatch_call_lane(rs_dispatch *d) RS_NODISCARD;
/* The other ranks of a lane, in place of next: the task that the leader calls for; video -1: there
 * are no more, or who was told to help is not needed. Nothing is reported, and it has no end. */
rs_status rs_dispatch_follow(rs_dispatch *d, rs_assignment *out) RS_NODISCARD;
/* Collective, after next gave nothing: waits until no rank works any more (not in a collective: the
 * others may take their time). *finished: every video has ended, equal on all ranks. Nulls *d. */
rs_status rs_dispatch_close(rs_dispatch **d, bool *finished) RS_NODISCARD;

#endif
