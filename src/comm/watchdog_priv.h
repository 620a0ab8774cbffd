/* Private to the watchdog: what a rank knows of itself (watchdog_board.c). No MPI here. */
#ifndef RS_COMM_WATCHDOG_PRIV_H
#define RS_COMM_WATCHDOG_PRIV_H

#include "comm/comm_priv.h"

typedef enum rs_watch_kind {
    RS_WATCH_HELLO, /* are you there? answered by an empty REPLY */
    RS_WATCH_QUERY, /* has your rank arrived at call `number` of communicator `id`? */
    RS_WATCH_REPLY, /* the same, filled */
    RS_WATCH_END    /* the sender ends the world */
} rs_watch_kind;

/* What watchdogs send each other; the ranks run one program, so it is sent as it is. */
typedef struct rs_watch_note {
    int32_t kind;
    int32_t reached; /* 0, 1: it has arrived, and so has its device, where that takes part */
    int32_t arrived; /* 0, 1 */
    int32_t pad;
    uint64_t id;
    int64_t number;
    int64_t asked; /* serial number of the question, so that late answers are told apart */
    char where[192];
} rs_watch_note;

/* The wait that has lasted longest, as a copy: its request may be over in a moment. */
typedef struct rs_watch_wait {
    bool any;
    bool warned;
    double since;
    uint64_t id;
    int64_t number;
    int peer; /* in the world, of a message; -1: any */
    int n;
    int *world_rank; /* (n) of who is in that communicator; room for the world */
    char text[192];
} rs_watch_wait;

void rs_watch_longest(rs_watch_wait *w, rs_comm_shared *s, int *members);
void rs_watch_set_warned(rs_comm_shared *s, double since);
/* Answers n->id and n->number by the numbers of this rank's own calls, and of what its device has
 * begun and ended. */
void rs_watch_fill(rs_watch_note *n, rs_comm_shared *s);
/* Threads that wait for a device get their way; NCCL's kernels end. */
void rs_watch_stop_devices(rs_comm_shared *s);

#endif
