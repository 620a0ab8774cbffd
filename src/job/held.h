/* Videos in the hands of other runs: a run that has nothing else to do waits for them, as the
 * others may die. */
#ifndef RS_JOB_HELD_H
#define RS_JOB_HELD_H

#include "job/job.h"

typedef struct rs_held {
    int64_t *at; /* which of the list may be worked on now, equal on all ranks (session's arena) */
    int64_t n;
} rs_held;

/* Collective. The list of rank 0: videos (by id) that are to be worked on as soon as no other run
 * holds them. Waits until there is one, or a rank was asked to stop (*stopped, equal on all ranks).
 * Rank 0 has the leases then, and so has its run: the ranks that work on them join in. h->n: 0 only
 * when stopped, or when the list is empty. */
rs_status rs_held_await(rs_held *h, bool *stopped, rs_run_session *s, const char *const *ids,
                        int64_t n) RS_NODISCARD;

#endif
