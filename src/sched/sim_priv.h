/* Inside the simulation: sim.c is the clock, failures and the talk with the director, sim_pace.c
 * how fast gangs get on. */
#ifndef RS_SCHED_SIM_PRIV_H
#define RS_SCHED_SIM_PRIV_H

#include "sched/events.h"
#include "sched/sim.h"

typedef enum rs_sim_event {
    RS_SIM_ASKS,   /* a question reaches the director */
    RS_SIM_ENDED,  /* the news that a task ended reaches the director */
    RS_SIM_ANSWER, /* an answer reaches its gang */
    RS_SIM_ENDS,   /* a gang's task ends */
    RS_SIM_FAILS,  /* a node */
    RS_SIM_BACK    /* a world */
} rs_sim_event;

typedef struct rs_sim_job {
    rs_answer task;
    double ran, left; /* seconds of work of this task since it began here, and to come */
} rs_sim_job;

typedef struct rs_sim_worker {
    int64_t epoch; /* messages of an earlier life are lost */
    int64_t turn;  /* of its pace: when its first task ends was foreseen anew */
    bool has_next, done, helps;
    int n, n_next; /* tasks: one, or those of a batch. Of next, companions come first */
    rs_sim_job now[RS_SCHED_BATCH];
    rs_answer next[RS_SCHED_BATCH];
    double since; /* when ran and left were true, */
    double pace;  /* and so many seconds of their sum are done in a second, */
    double gain;  /* so many times those of one after the other, as it is a batch */
} rs_sim_worker;

typedef struct rs_sim {
    const rs_sim_opts *o;
    rs_sim_result *r;
    rs_arena *arena;
    rs_director *d;
    rs_events queue;
    rs_sim_worker *gangs;
    double *saved;      /* by task: seconds done that no failure takes away */
    bool *begun;        /* by video */
    bool *down;         /* by world */
    uint32_t *failures; /* by node */
    int64_t per_world, n_done;
    double at, busy_s;
    int64_t busy, n_down, n_help;
    double pace, gained; /* of all: seconds of work done in a second, with and by batches */
    double handed_useful;
} rs_sim;

void rs_sim_send(rs_sim *s, double at, rs_sim_event k, int64_t gang, const rs_answer *a);

/* ---- sim_pace.c ---- */

/* The gang's tasks `now` have begun, or one of them has ended: it works on the others, if any. */
void rs_sim_work_changed(rs_sim *s, int64_t gang);
/* Seconds until all its tasks have ended, at its pace. */
double rs_sim_work_left(const rs_sim_worker *w);
/* What was done until now. */
void rs_sim_settle(rs_sim *s, int64_t gang);

#endif
