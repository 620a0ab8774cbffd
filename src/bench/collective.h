/* Times of the collectives that a run is made of (comm/comm.h), each verified before and after it
 * is timed. */
#ifndef RS_BENCH_COLLECTIVE_H
#define RS_BENCH_COLLECTIVE_H

#include "bench/rates.h"
#include "comm/comm.h"

typedef struct rs_collective_opts {
    int64_t samples;      /* timed samples per size, >= 1 */
    double sample_s;      /* a sample is as many calls in a row as last this long */
    double compute;       /* overlap: length of the compute loop, in times of the gather alone */
    bool progress_thread; /* overlap: a thread moves the data, else calls inside the loop do */
} rs_collective_opts;

typedef struct rs_collective_rate {
    rs_comm_bench_op op;
    int64_t bytes;   /* S of nccl-tests: what was asked for, in whole floats for each rank */
    int64_t checked; /* elements held against the formula, over all ranks */
    int64_t calls;   /* in a sample */
    /* Seconds of a call. min, max: of all ranks and samples; median: over the samples, each of
     * which counts as its slowest rank. */
    rs_spread s;
    double algbw, busbw; /* bytes/s, from the median */
    /* overlap only (the times above are of the gather alone); medians over the samples */
    double compute_s, both_s, exposed_s, exposed_fraction;
} rs_collective_rate;

/* Collective. bytes >= 1. RS_INTERNAL, equal on all ranks: a wrong element, with rank and index.
 * RS_NOMEM: no room for the buffers. */
rs_status rs_collective_time(rs_collective_rate *out, rs_comm *c, rs_comm_bench_op op,
                             int64_t bytes, const rs_collective_opts *o) RS_NODISCARD;

#endif
