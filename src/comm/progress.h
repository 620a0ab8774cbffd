/* A thread that keeps non-blocking calls moving while the caller computes. It sleeps while nothing
 * is open. */
#ifndef RS_COMM_PROGRESS_H
#define RS_COMM_PROGRESS_H

#include "comm/comm.h"

typedef struct rs_progress rs_progress;

/* Local. Looks every `interval_s` seconds (5e-5 is a few percent of a core) at all open requests of
 * this rank. c: any of its communicators, which outlives the thread. RS_NOMEM: no thread. */
rs_status rs_progress_start(rs_progress **out, rs_comm *c, double interval_s) RS_NODISCARD;
void rs_progress_stop(rs_progress **p); /* accepts NULL, nulls the pointer */

#endif
