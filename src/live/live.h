/* What a rank does now and has done, in small files that anybody can read while the run goes on,
 * hangs or is dead: no message is needed. One folder per world (one start of the program):
 *
 *   <output>/live/<world>/run.json              what the world is and how it ended (live/world.h)
 *                         jobs.csv              its tasks (live/world.h)
 *                         rank-N.json           what rank N does now: replaced as a whole
 *                         timeline-rank-N.csv   what it has ended: a line per task, appended
 *
 * The readers are in live/view.h. Calls below cost a lock and a copy; a thread of each rank writes
 * its record, at most once a period (a second, more on thousands of ranks), and several periods
 * apart while nothing changes, so that a record that is old shows that its rank is gone. The
 * timeline alone is written by the caller: one short line per task.
 * Records are never worth a failure: what cannot be written is a warning, once.
 *
 * Stages are rs_task_stage (sched/director.h) from INGEST to PUBLISH. All calls accept NULL, which
 * is no record at all, and may come from any thread of the rank. */
#ifndef RS_LIVE_LIVE_H
#define RS_LIVE_LIVE_H

#include <stdint.h>

#include "base/status.h"
#include "sched/director.h"

enum { RS_LIVE_STAGES = RS_TASK_CHAIN };

typedef struct rs_live rs_live;

typedef enum rs_live_how {
    RS_LIVE_DONE,
    RS_LIVE_CACHED, /* was there already: nothing was computed */
    RS_LIVE_FAILED,
    RS_LIVE_STOPPED, /* asked to stop; its state is saved */
    RS_LIVE_HOWS
} rs_live_how;

/* Of a task that ended with this status. */
static inline rs_live_how rs_live_how_of(rs_status st)
{
    return st == RS_OK                         ? RS_LIVE_DONE
           : st == RS_STOPPED || st == RS_HELD ? RS_LIVE_STOPPED
                                               : RS_LIVE_FAILED;
}

typedef struct rs_live_opts {
    const char *folder; /* of the world; it is there */
    const char *world;  /* its id */
    int rank, size;
    double period_s; /* between records; 0: by the number of ranks */
} rs_live_opts;

rs_status rs_live_open(rs_live **out, const rs_live_opts *o) RS_NODISCARD;
/* Last record, and the end of its thread; nulls the pointer. */
void rs_live_close(rs_live **l);

/* Tasks that begin from now on belong to this arm of the experiment ("": it has none). */
void rs_live_arm(rs_live *l, const char *arm);
/* What the rank does where no task is open: "waits for work". Copied. */
void rs_live_doing(rs_live *l, const char *what);

/* A task begins: a stage of a video (edit NULL) or of one of its edits. Several may be open at a
 * time (batches, work ahead); their time is shared out evenly. Returns the number that the calls
 * below take, 0 stands for no task; names are copied. */
int rs_live_begin(rs_live *l, const char *video, const char *edit, int stage);

typedef struct rs_live_steps {
    int64_t step, steps;
    double loss;       /* NAN: the stage has none */
    double s_per_step; /* mean of this process */
} rs_live_steps;

void rs_live_step(rs_live *l, int task, const rs_live_steps *s);
/* The task has ended; reason: one line, of a failure. */
void rs_live_end(rs_live *l, int task, rs_live_how how, const char *reason);
/* A task with nothing to do: its result was there. */
void rs_live_cached(rs_live *l, const char *video, const char *edit, int stage);
/* What became of an edit as a whole, said by the rank that knows for all (0). how CACHED: nothing
 * was computed for it. stage: that failed, or -1. */
void rs_live_outcome(rs_live *l, const char *video, const char *edit, rs_live_how how, int stage,
                     const char *reason);
/* Seconds that this rank has waited for gathers of weights which computing did not hide. */
void rs_live_gather(rs_live *l, double seconds);

/* Of one rank since it was opened. Plain data: ranks send it to each other. */
typedef struct rs_live_totals {
    double seconds[RS_LIVE_STAGES]; /* that it worked, by stage; of open tasks too */
    double gather_s;
    int64_t ended[RS_LIVE_HOWS]; /* tasks, by how */
} rs_live_totals;

rs_live_totals rs_live_get_totals(rs_live *l);
double rs_live_busy(const rs_live_totals *t); /* sum of its seconds */

#endif
