/* What every kernel shares: the context it runs in, and the argument conventions.
 *
 * Arguments are structs of rs_tensor values (destinations first). A tensor with ndim 0 was left
 * out. "rows" of a tensor = product of all but its last dimension; tensors marked (ld) may have
 * rows `ld` apart, all others are contiguous. The CPU backend computes in fp32 and takes only F32
 * tensors unless stated. Destinations never alias inputs unless an op says so. Ops never fail: a
 * broken contract is our bug (assert). Results do not depend on the number of threads. */
#ifndef RS_KERNELS_KERNEL_H
#define RS_KERNELS_KERNEL_H

#include <stdint.h>

#include "base/tensor.h"

/* Execution context of the CPU backend: workers and per-thread scratch. Created by the device. */
typedef struct rs_kctx rs_kctx;
/* threads >= 1. */
rs_kctx *rs_kctx_create(int threads);
void rs_kctx_destroy(rs_kctx **k);
int rs_kctx_threads(const rs_kctx *k);
/* Run fn(arg, task, thread) for task in [0, tasks), dynamically over the workers (passive waiting).
 * Task boundaries must not depend on the thread count where bits matter. Not re-entrant. */
typedef void rs_task_fn(void *arg, int64_t task, int thread);
void rs_parallel(rs_kctx *k, int64_t tasks, rs_task_fn *fn, void *arg);
/* Scratch of at least `bytes`, 64-byte aligned, private to `thread`, kept until the next request of
 * the same thread. Grows on first use only. */
void *rs_scratch(rs_kctx *k, int thread, size_t bytes);
/* Bytes of scratch held over all threads. */
size_t rs_scratch_bytes(const rs_kctx *k);

#endif
