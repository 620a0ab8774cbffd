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

typedef struct rs_sim_worker {
    int64_t epoch; /* messages of an earlier life are lost */
    int64_t turn;  /* of its pace: when its task ends was foreseen anew */
    bool working, has_next, done, helps;
    rs_answer now, next;
    double ran, left; /* seconds of work of this task since it began here, and to come */
    double since;     /* when these two were true, */
    double pace;      /* and so many of them are done in a second */
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
    double pace; /* of all */
    double handed_useful;
} rs_sim;

void rs_sim_send(rs_sim *s, double at, rs_sim_event k, int64_t gang, const rs_answer *a);

/* ---- sim_pace.c ---- */

/* The gang works on its task `now`, of which so many seconds are left. */
void rs_sim_begin_work(rs_sim *s, int64_t gang, double left);
void rs_sim_end_work(rs_sim *s, int64_t gang);
/* What was done until now. */
void rs_sim_settle(rs_sim *s, int64_t gang);

#endif
