/* What a benchmark's samples say, and bandwidths in the terms of nccl-tests. */
#ifndef RS_BENCH_RATES_H
#define RS_BENCH_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct rs_spread {
    double min, median, max; /* of an even number of values the mean of the middle two */
} rs_spread;

rs_spread rs_spread_of(const double *v, int64_t n, rs_arena *a); /* n >= 1; v stays as it is */

/* What can be timed. */
#define RS_COMM_BENCHES(X)                                                                         \
    X(ALLGATHER, "allgather")                                                                      \
    X(ALLTOALL, "alltoall")                                                                        \
    X(ALLREDUCE, "allreduce")                                                                      \
    X(BROADCAST, "broadcast")                                                                      \
    X(SENDRECV, "sendrecv") /* to the next rank while the one before sends */                      \
    X(OVERLAP, "overlap")   /* a gather while the rank computes */

typedef enum rs_comm_bench_op {
#define RS_COMM_BENCH_ENUM(name, text) RS_BENCH_##name,
    RS_COMM_BENCHES(RS_COMM_BENCH_ENUM)
#undef RS_COMM_BENCH_ENUM
        RS_COMM_BENCH_COUNT
} rs_comm_bench_op;

const char *rs_comm_bench_name(rs_comm_bench_op op);
bool rs_comm_bench_find(rs_comm_bench_op *op, const char *name);

/* busbw / algbw on n ranks, as doc/PERFORMANCE.md of NVIDIA/nccl-tests derives it: what a
 * collective must move over the slowest link, per byte of S. algbw = S / t, with S as there: the
 * gathered array of allgather, one rank's whole buffer of the others. 0 on one rank where nothing
 * has to move. */
double rs_busbw_factor(rs_comm_bench_op op, int ranks);

/* Of a gather that takes gather_s alone: the part that a compute loop of compute_s did not hide,
 * when both together took both_s; 0 to 1 (all of it, or more than the gather alone). */
double rs_exposed_fraction(double gather_s, double compute_s, double both_s);

#endif
