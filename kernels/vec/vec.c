#include "kernels/vec/vec.h"

#include "base/num.h"

/* Up to this many blocks (some 10 microseconds) are done sooner than another thread wakes up. */
enum { FEW = 3 };

typedef struct range_job {
    rs_range_fn *fn;
    const void *args;
    int64_t n;
    int64_t block;
} range_job;

static void range_task(void *arg, int64_t task, int thread)
{
    const range_job *j = arg;
    int64_t lo = task * j->block;
    j->fn(j->args, lo, rs_min_i64(lo + j->block, j->n), thread);
}

void rs_for_range(rs_kctx *k, int64_t n, int64_t block, rs_range_fn *fn, const void *args)
{
    range_job j = {fn, args, n, block};
    int64_t tasks = rs_ceil_div(n, block);
    if (tasks > FEW)
        rs_parallel(k, tasks, range_task, &j);
    for (int64_t t = 0; t < tasks && tasks <= FEW; t++)
        range_task(&j, t, 0);
}

int64_t rs_row_block(int64_t cols)
{
    return rs_max_i64(1, 16384 / rs_max_i64(1, cols));
}

int64_t rs_row_block_ahead(int64_t rows, int64_t cols)
{
    int64_t one = rs_row_block(cols);
    return rs_max_i64(one, rs_min_i64(8 * one, rows / 32));
}
