/* A fence: whether this thread may still change what others see. Files are put into place
 * (rs_atomic_commit) and cleared away (rs_atomic_sweep) only inside of it, so that who has lost the
 * right to a job cannot publish it, whatever layer the file comes from. */
#ifndef RS_BASE_FENCE_H
#define RS_BASE_FENCE_H

#include "base/status.h"

typedef struct rs_fence {
    rs_status (*enter)(void *ctx); /* RS_OK: nothing can take the right away until leave */
    void (*leave)(void *ctx);
    void *ctx;
} rs_fence;

/* The fence of this thread from now on, NULL for none; returns the one until now, so that it can be
 * put back. Borrowed until then. */
const rs_fence *rs_fence_use(const rs_fence *f);
/* The thread's fence, if it has one. Short: others wait. Not nested. */
rs_status rs_fence_enter(void) RS_NODISCARD;
void rs_fence_leave(void);

#endif
