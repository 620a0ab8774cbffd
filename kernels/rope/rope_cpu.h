/* Rotation of a range of rows, for ops that have just made them or are about to read them. */
#ifndef RS_KERNELS_ROPE_ROPE_CPU_H
#define RS_KERNELS_ROPE_ROPE_CPU_H

#include "kernels/rope/rope.h"
#include "kernels/vec/vec.h"

typedef struct rs_rope_job {
    const rs_rope_fwd_args *a;
    rs_kctx *k;
    float sign; /* -1 rotates back */
} rs_rope_job;

/* Takes an rs_rope_job; uses the thread's scratch. */
rs_range_fn *rs_rope_rows(void);

#endif
