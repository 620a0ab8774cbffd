/* Leases on videos: several runs may work in one output folder, and each video is in the hands of
 * one of them. <output>/leases/<video>.lease names the holder with a token that grows by one with
 * every holder. A thread renews what this process holds four times per `seconds`.
 *
 * Taken over is a lease whose holder is known to be gone (a process of this machine whose lock the
 * kernel has dropped), or that was not renewed for `seconds` on the clock of who watches it: two
 * hosts' clocks are never compared. So a holder may have lost its lease without knowing (stopped
 * and continued, cut off): whatever it makes visible goes through the lease's fence, which locks
 * the lease, checks that the token is still its own, and keeps the lock until the file is in place.
 *
 * The ranks of a run hold together: a rank that takes what its run has already gets the same token,
 * and what one of them gives back is given back for all. Not collective; one thread per lease at a
 * time, besides the renewing one. */
#ifndef RS_JOB_LEASE_H
#define RS_JOB_LEASE_H

#include "base/fence.h"
#include "job/lease_file.h"

typedef struct rs_leases rs_leases; /* of one process */
typedef struct rs_lease rs_lease;

/* `seconds` > 0. Holds the run's sign of life with this text, starts the renewing thread. */
rs_status rs_leases_open(rs_leases **out, const char *output, const char *world, double seconds,
                         const char *text) RS_NODISCARD;
/* Gives back what is still held. Accepts NULL, nulls the pointer. */
void rs_leases_close(rs_leases **l);

/* The lease on a video, which this process may have already. *out NULL: another run has it; *holder
 * (arena) then says who. Does not wait. RS_IO for a folder that cannot be written. */
rs_status rs_lease_take(rs_lease **out, const char **holder, rs_arena *a, rs_leases *l,
                        const char *video) RS_NODISCARD;
/* Valid until the lease is given back; for rs_fence_use. It fails with RS_HELD, "lease lost to
 * process 12 on node7". */
const rs_fence *rs_lease_fence(const rs_lease *lease);
/* RS_HELD if it is lost, as the fence says it. */
rs_status rs_lease_check(rs_lease *lease) RS_NODISCARD;
int64_t rs_lease_token(const rs_lease *lease);
/* For any run to take, unless it is lost or another rank of this run has given it back. Accepts
 * NULL, nulls the pointer. */
void rs_lease_give_back(rs_lease **lease);
/* No more work of this process on the video for now, but it stays in the run's hands and is renewed
 * here, until some rank gives it back. Accepts NULL, nulls the pointer. */
void rs_lease_leave(rs_lease **lease);
/* All that this process has. */
void rs_leases_give_back(rs_leases *l);

#endif
