/* How many threads the ranks of a machine start by default: never more than there are cores. */
#ifndef RS_JOB_CORES_H
#define RS_JOB_CORES_H

#include <sched.h>

#include "base/hash.h"

/* What a rank may use. */
typedef struct rs_rank_cores {
    char host[RS_HASH_HEX]; /* names the machine */
    cpu_set_t set;
} rs_rank_cores;

/* Of this process. */
rs_rank_cores rs_rank_cores_here(void);
/* Threads for rank `me` of n: a core counts for each rank that may use it as its part of one, so
 * that those of all ranks together are no more than the cores they may use, except that every rank
 * has one. */
int rs_rank_cores_share(const rs_rank_cores *all, int n, int me);

#endif
