/* Worlds of a run directory: one folder below <output>/live per start of the program, made by its
 * rank 0, which writes run.json and jobs.csv there. Names sort by time. A world that ended is kept
 * for those who look, the last few of them; several may be at work at a time. */
#ifndef RS_LIVE_WORLD_H
#define RS_LIVE_WORLD_H

#include <stdbool.h>

#include "base/arena.h"
#include "live/live.h"

enum { RS_LIVE_WORLD_ID = 32, RS_LIVE_WORLDS_KEPT = 8 };

typedef struct rs_live_world {
    char id[RS_LIVE_WORLD_ID]; /* "20261128-110412.120-9f3c01ab" */
    const char *folder;        /* arena-owned */
    const char *name;          /* of the experiment */
    int ranks;
    double begin; /* wall clock */
} rs_live_world;

/* Rank 0: a new world below `output`; temporaries and surplus folders of worlds that are dead go.
 */
rs_status rs_live_world_create(rs_live_world *w, rs_arena *a, const char *output, const char *name,
                               int ranks) RS_NODISCARD;
/* The others: the same from its id. */
void rs_live_world_use(rs_live_world *w, rs_arena *a, const char *output, const char *id);

/* Rank 0: an arm's tasks are known. */
typedef struct rs_live_job {
    const char *arm, *video, *edit; /* edit "": the video's own tasks; its edits follow it */
    uint32_t tasks;                 /* bits of the stages that it has in this run */
} rs_live_job;
rs_status rs_live_world_add_jobs(const rs_live_world *w, const rs_live_job *jobs,
                                 int64_t n) RS_NODISCARD;

/* What is said at the end: of rs_live_world_end, and in run.json. */
typedef struct rs_live_summary {
    int64_t videos, edits, done, failed, stopped, cached; /* edits; cached ones are done, too */
    int64_t computed;                                     /* edits that this run worked on */
    double wall_s, utilisation, edits_per_hour;           /* NAN where there is none */
    rs_live_totals totals;                                /* of all ranks */
} rs_live_summary;

/* Rank 0: the world ended like this ("done", "failed", "stopped", "error"); message: one line or
 * "". summary may be NULL. */
rs_status rs_live_world_end(const rs_live_world *w, const char *result, const char *message,
                            const rs_live_summary *summary) RS_NODISCARD;

/* Does some process of this world still live, as far as can be known? Not once run.json says that
 * it ended. Where its records are of this host the processes are asked; elsewhere a record counts
 * while it is not too old. */
bool rs_live_world_is_alive(const char *folder);
/* The same for one rank: its record of `time`, by a rank that writes one every `period`. */
bool rs_live_rank_is_alive(const char *host, int64_t pid, double time, double period);
/* Ids below <output>/live, oldest first. RS_INPUT: there is no such folder. */
rs_status rs_live_worlds(char ***ids, int64_t *n, rs_arena *a, const char *output) RS_NODISCARD;

#endif
