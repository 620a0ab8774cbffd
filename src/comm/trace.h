/* What every call moved and how long it took. */
#ifndef RS_COMM_TRACE_H
#define RS_COMM_TRACE_H

#include "comm/comm.h"

typedef struct rs_comm_event {
    int rank; /* in the world */
    rs_comm_op op;
    const char *comm;
    const char *what; /* NULL: nothing */
    int64_t number;   /* of the collective on its communicator, from 1; 0: a message */
    size_t bytes;     /* received by this rank; of a send: sent */
    double start_s;   /* rs_now() of this process */
    double seconds;   /* from the call to when it was seen to be done */
    double wait_s;    /* of these, in which the caller could do nothing else */
    rs_status status;
} rs_comm_event;

/* Called at the end of each call by the thread that made it, one at a time. Strings are borrowed
 * for the call. */
typedef void rs_comm_event_fn(void *ctx, const rs_comm_event *e);

typedef struct rs_comm_total {
    int64_t calls, failed;
    size_t bytes;
    double seconds, wait_s;
} rs_comm_total;

typedef struct rs_trace_opts {
    rs_comm_event_fn *fn; /* NULL: none */
    void *ctx;
    const char *path; /* JSON lines, one per event, appended; NULL: none */
} rs_trace_opts;

typedef struct rs_trace rs_trace;

/* Local. From now on every call of the world c, and of all parts of it, is counted and told; the
 * calls of a watchdog are not. Once per world, before other threads use it; destroyed when this
 * rank makes no more calls. RS_IO: the path. */
rs_status rs_trace_add(rs_trace **out, rs_comm *c, const rs_trace_opts *opts) RS_NODISCARD;
rs_comm_total rs_trace_total(rs_trace *t, rs_comm_op op);
/* RS_IO: a line could not be written. Accepts NULL, nulls the pointer. */
rs_status rs_trace_destroy(rs_trace **t) RS_NODISCARD;

#endif
