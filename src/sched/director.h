/* Director: who computes what next. A pure state machine without clock, threads, files or messages,
 * so that the same code schedules a run and a simulation of one.
 *
 *   video:  ingest -> motion -> { edit: [appearance ->] edit -> decode } ... -> publish
 *
 * Tasks are stages of a video or of one of its edits; a video is published once, by one gang, when
 * all its edits have ended. A gang is what works on one task at a time. Order of tasks: the latest
 * stage first (work in progress drains), then the longest expected remainder of the job; among
 * equals one whose previous stage this gang ran (its source is in memory), else catalog order.
 *
 * Events come in by calls, answers are taken with rs_director_next until there are no more. A gang
 * asks once for every answer. It may ask while it still works on a task: then the answer is one
 * assignment ahead, usually the next stage of the same job. Such an answer names the task that it
 * follows: should that one not end with RS_TASK_OK, the answer is void for both sides, and the gang
 * asks again. A gang holds at most two tasks and ends them in the order it got them.
 *
 * Gangs may have neighbours, their *group*. What its members do at that moment decides then, so a
 * question is answered when the task has ended, not ahead. Two things that groups may be:
 *   in step  they share weights and walk the passes over them together, each as long as the longest
 *            of them. The members keep to one kind of pass (training the motion, the appearance,
 *            sampling) while there is work of it: a gang takes what makes no passes and comes late
 *            (publish, decode), then the kind that most of its group work on, then ingest while
 *            fewer than four videos per gang are under way, then the other kinds. Nobody waits for
 *            the sake of it.
 *   lanes    where fewer tasks are ready than gangs wait, a task with passes is given to several
 *            neighbours that wait: 2, 4 or 8, the first of which works on it and the others help.
 *            Nothing is handed out before all gangs have asked once, so that this is known.
 *
 * Batches (`batch` > 1): an appearance comes with companions, further ready ones of its shape
 * class, which the gang works on at the same time. They count as one task with their first one, and
 * end in any order. So that there are companions, the director lets appearances wait, behind all
 * other work that a gang may do, until there are enough for a batch: `batch` of them, or an even
 * share of those that are left for every gang that may run them, whichever is less. A gang that
 * would have nothing to do gets its own instead.
 *
 * Failures stay where they are: a failed stage fails its edit, or all edits of the video when it is
 * one of the video's; siblings go on. What succeeded is published; when ingest or motion failed
 * nothing is. Every operation is O(log n); a task's end is O(log n) for each task it makes ready.
 */
#ifndef RS_SCHED_DIRECTOR_H
#define RS_SCHED_DIRECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* In the order of the work; the first five are those of stage/stage.h. */
typedef enum rs_task_stage {
    RS_TASK_INGEST,
    RS_TASK_MOTION,
    RS_TASK_APPEARANCE,
    RS_TASK_EDIT,
    RS_TASK_DECODE,
    RS_TASK_PUBLISH,
    RS_TASK_CHAIN, /* all stages of a video and its edits, one after the other on one gang */
    RS_TASK_COUNT
} rs_task_stage;

#define RS_TASK_BIT(stage) (1u << (stage))
/* Stages that make passes over the transformer's weights. */
#define RS_TASK_PASSES                                                                             \
    (RS_TASK_BIT(RS_TASK_MOTION) | RS_TASK_BIT(RS_TASK_APPEARANCE) | RS_TASK_BIT(RS_TASK_EDIT))
#define RS_TASK_ANY ((1u << RS_TASK_COUNT) - 1u)
/* Stages that save their state as they go (a chain also between its stages): of these only `room`
 * has to be left before a deadline. */
#define RS_TASK_CHECKPOINTED                                                                       \
    (RS_TASK_BIT(RS_TASK_MOTION) | RS_TASK_BIT(RS_TASK_APPEARANCE) | RS_TASK_BIT(RS_TASK_EDIT) |   \
     RS_TASK_BIT(RS_TASK_CHAIN))

const char *rs_task_stage_name(rs_task_stage stage); /* "ingest" ... "publish", "chain" */

typedef enum rs_granularity {
    RS_GRANULARITY_STAGE, /* every stage is a task of its own */
    RS_GRANULARITY_CHAIN  /* one task per video */
} rs_granularity;

/* seconds: expected, by stage; read where the stage is the edit's (appearance, edit, decode) or the
 * video's (ingest, motion, publish). room: that must be left before a gang's deadline for the stage
 * to be begun, at least `seconds` where it keeps no checkpoints. skip: bits of stages with nothing
 * to do. */
typedef struct rs_sched_edit {
    double seconds[RS_TASK_COUNT], room[RS_TASK_COUNT];
    uint32_t skip;
    int shape;   /* shape class of its appearance, from 0: those of one may be companions */
    bool failed; /* before it began, such as for unusable media: it has no tasks */
} rs_sched_edit;

/* A video all of whose edits have failed before they began, or without edits, has no tasks. */
typedef struct rs_sched_video {
    double seconds[RS_TASK_COUNT], room[RS_TASK_COUNT];
    uint32_t skip; /* the bit of CHAIN counts with RS_GRANULARITY_CHAIN, and alone there */
    const rs_sched_edit *edits;
    int64_t n_edits;
} rs_sched_video;

typedef struct rs_sched_gang {
    uint32_t stages; /* bits of the stages it may run: a pinned gang */
    double deadline; /* end of its allocation on the caller's clock; INFINITY: none. Tasks are
                        handed out only where their room is left before it. */
} rs_sched_gang;

enum { RS_SCHED_BATCH = 8 };

typedef struct rs_director_opts {
    rs_granularity granularity;
    const rs_sched_video *videos; /* borrowed until destroy, edits too */
    int64_t n_videos;
    const rs_sched_gang *gangs; /* n_gangs of them; NULL: all of them any stage, no deadline */
    int64_t n_gangs;
    const int64_t *groups; /* (n_gangs) neighbours with equal numbers are a group; NULL: none */
    bool in_step;          /* groups walk passes together */
    int widest; /* most gangs that may share a task: 2, 4 or 8; 0 or 1: none. Those of a lane of
                   width P are w * P ... of their group, in its order. */
    int batch;  /* most appearances that are given together, up to RS_SCHED_BATCH; 0, 1: none */
} rs_director_opts;

typedef struct rs_director rs_director;

/* RS_CONFIG: no gang may run some stage that there is work for. */
rs_status rs_director_create(rs_director **out, const rs_director_opts *o) RS_NODISCARD;
void rs_director_destroy(rs_director **d); /* accepts NULL, nulls the pointer */

/* ---- answers ---- */

typedef enum rs_answer_kind {
    RS_ANSWER_TASK,
    RS_ANSWER_HELP, /* with a task of the gang `leader`; it may ask at once, as if it worked */
    RS_ANSWER_WITH, /* a companion of the task that this gang is given next: the answers that come
                       directly behind this one, up to RS_ANSWER_TASK, are all of one batch */
    RS_ANSWER_DONE /* nothing more for this gang: all has ended, or the run stops, or nobody that is
                     left may run what is left */
} rs_answer_kind;

typedef struct rs_answer {
    rs_answer_kind kind;
    int64_t gang;
    int64_t task;        /* names it in rs_director_end */
    int64_t video, edit; /* edit -1: the video's own */
    rs_task_stage stage;
    int64_t follows; /* void, companions too, unless this task, which the gang works on, ends with
                        RS_TASK_OK; -1 */
    double seconds;  /* expected, of one gang */
    double room;     /* that must be left before the gang's deadline when the task, with its
                        companions, is begun */
    int64_t leader;  /* works on the task: the gang itself unless it helps */
    int width;       /* gangs that share it: leader and those behind it */
} rs_answer;

/* The next answer that is due, false when there is none now: whoever has asked and got no answer
 * waits. `now`: the caller's clock, that of the deadlines. */
bool rs_director_next(rs_director *d, double now, rs_answer *out);

/* ---- events ---- */

typedef enum rs_task_end {
    RS_TASK_OK,
    RS_TASK_FAILED, /* its job is over */
    RS_TASK_STOPPED /* saved its state: goes back into the queue */
} rs_task_end;

/* The gang wants its next assignment. It has no other question open and holds at most one task. */
void rs_director_ask(rs_director *d, int64_t gang);
/* A task of a gang ended, or one of its companions. reason: one line, of a failure, copied. False,
 * and nothing happens, when the gang does not hold the task: it was lost in between, or the task
 * was void. */
bool rs_director_end(rs_director *d, int64_t gang, int64_t task, rs_task_end how,
                     const char *reason);
/* The gang is gone: its question is dropped, its tasks are handed out again, who helps it is free.
 * Twice is fine. */
void rs_director_lose(rs_director *d, int64_t gang);
/* A lost gang is back, without memory of what it did. */
void rs_director_join(rs_director *d, int64_t gang);
/* No new assignments: every question is answered with RS_ANSWER_DONE. */
void rs_director_stop(rs_director *d);

/* ---- state ---- */

bool rs_director_finished(const rs_director *d); /* every job has ended */
int64_t rs_director_held(const rs_director *d);  /* tasks that gangs hold, ahead ones too */
int64_t rs_director_tasks(const rs_director *d); /* rs_answer.task is below this */

typedef enum rs_edit_state {
    RS_EDIT_OPEN, /* not reached, running, or stopped */
    RS_EDIT_DONE, /* published; with granularity CHAIN: its chain ended with RS_TASK_OK */
    RS_EDIT_FAILED
} rs_edit_state;

typedef struct rs_edit_outcome {
    rs_edit_state state;
    rs_task_stage stage; /* that failed; RS_TASK_COUNT: none, it failed before it began */
    const char *reason;  /* of the failure, NULL where none was given; valid until destroy */
} rs_edit_outcome;

rs_edit_outcome rs_director_outcome(const rs_director *d, int64_t video, int64_t edit);

#endif
