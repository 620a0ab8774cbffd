/* Agreement on errors: at a step boundary all ranks learn whether any of them failed, and all go
 * the same way. */
#ifndef RS_COMM_AGREE_H
#define RS_COMM_AGREE_H

#include "comm/comm.h"

typedef struct rs_vote {
    rs_status status; /* RS_OK, or that of the lowest failing rank */
    int rank;         /* that rank; -1: none failed */
    int failed;       /* how many did */
    char message[1024];
} rs_vote;

/* Collective. Every rank gives its status and (where it failed) its message; all get the same
 * verdict. Fails only where the exchange itself fails. */
rs_status rs_comm_vote(rs_vote *v, rs_comm *c, rs_status mine, const char *message) RS_NODISCARD;
/* Collective. The same with this thread's error record, as a status: equal on all ranks, with the
 * message "rank 2: <its message>", "... (and 1 more)" where several failed. On one rank the record
 * stays as it is. Usage: return rs_comm_agree(c, work()). */
rs_status rs_comm_agree(rs_comm *c, rs_status mine) RS_NODISCARD;

#endif
