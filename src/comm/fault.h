/* Faults on purpose, to test what happens then. */
#ifndef RS_COMM_FAULT_H
#define RS_COMM_FAULT_H

#include "comm/comm.h"

typedef struct rs_fault rs_fault;

/* Local. From now on calls of the world c, and of all parts of it, misbehave as `spec` says. It is
 * rules between ';' such as "rank=1,op=allgather,call=7,do=fail":
 * - rank: of the world; left out: every rank
 * - op: as rs_comm_op_name says; left out: every call
 * - what: what the call is for (comm.h), without ',' and ';'; left out: anything
 * - call: the n-th of these calls on that rank, from 1; left out: each of them
 * - do=fail: the call is made and then fails on this rank
 * - do=corrupt: the call is made, and then one bit in the middle of what this rank has received is
 *   wrong (host memory; calls that bring data)
 * - do=delay:200ms: it comes late (also 0.2s)
 * - do=hang: the rank never arrives (thread ranks: until the world is aborted)
 * - do=kill: SIGKILL; only where a rank is a process
 *
 * RS_USAGE names the rule that is wrong. Once per world, before other threads use it; destroyed
 * when this rank makes no more calls. */
rs_status rs_fault_add(rs_fault **out, rs_comm *c, const char *spec) RS_NODISCARD;
void rs_fault_destroy(rs_fault **f); /* accepts NULL, nulls the pointer */

#endif
