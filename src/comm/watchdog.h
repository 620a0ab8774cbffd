/* No wait without an end, and no end without a name. One thread per rank looks a few times a second
 * where the rank's own threads wait in calls of comm.h. After warn_s it says so, after timeout_s it
 * ends the world:
 *   rank 2 of 4: waited 30.0 s in allgather (block stream), call 17 of world; rank 1 has not
 * arrived (it is not in a call; its last one here was barrier, call 16) Who has not arrived it
 * learns from the watchdogs of the other ranks: they answer also while their ranks compute or hang.
 * A rank that is stopped or cut off "does not answer". Of a collective of device memory it is told
 * who has not enqueued it, and whose device has not come to it.
 *
 * Once started it makes no MPI calls: it knows this rank by the numbers of its own calls, and talks
 * to the others by datagrams (UDP). The one exception is MPI_Abort, at the end of all, which has
 * ten seconds; a rank that is told of the end and is still there three seconds later ends itself.
 * NCCL is aborted before. Where there are no datagrams it says so, and whoever waits is known, but
 * not for whom.
 *
 * Waits only: a rank that computes for ever is named by those who wait for it. rs_comm_receive is
 * watched too: who may wait long by design polls with rs_comm_probe. */
#ifndef RS_COMM_WATCHDOG_H
#define RS_COMM_WATCHDOG_H

#include "comm/comm.h"

typedef struct rs_watchdog rs_watchdog;

typedef struct rs_watchdog_opts {
    double warn_s;    /* log a warning after this; 0: never */
    double timeout_s; /* end the world after this; > 0 */
    int exit_code;    /* then */
} rs_watchdog_opts;

/* Collective over the world c, before other threads use it. Addresses are exchanged over a part of
 * c which faults and traces leave alone. */
rs_status rs_watchdog_start(rs_watchdog **out, rs_comm *c,
                            const rs_watchdog_opts *opts) RS_NODISCARD;
/* Collective, not watched itself: when all ranks are done and before c is closed. Others are
 * answered until all have come. Accepts NULL, nulls the pointer. */
void rs_watchdog_stop(rs_watchdog **w);

#endif
