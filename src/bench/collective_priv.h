/* One size of one collective under test. Private to src/bench. */
#ifndef RS_BENCH_COLLECTIVE_PRIV_H
#define RS_BENCH_COLLECTIVE_PRIV_H

#include "bench/collective.h"

#define RS_BENCH_WHAT "benchmark" /* what the timed calls are for, in traces and faults */

typedef struct rs_collective {
    rs_comm *comm;
    rs_comm_bench_op op;
    const rs_collective_opts *o;
    int rank, ranks;
    int64_t piece;        /* floats for each rank (allgather, alltoall), or of the whole buffer */
    int64_t n_src, n_dst; /* floats */
    float *src, *dst;     /* owned */
    size_t *src_bytes;    /* (P), owned: per rank */
    size_t *dst_bytes;    /* (P), owned */
    uint32_t call;        /* number of the verified call, for its pattern */
    rs_arena *a;
} rs_collective;

rs_status rs_collective_open(rs_collective *t, rs_comm *c, rs_comm_bench_op op, int64_t bytes,
                             const rs_collective_opts *o) RS_NODISCARD;
void rs_collective_close(rs_collective *t);
/* Collective: one blocking call. */
rs_status rs_collective_call(rs_collective *t) RS_NODISCARD;
/* This rank's part of new input for the next call, with dst poisoned; then what must have arrived.
 */
void rs_collective_fill(rs_collective *t);
rs_status rs_collective_check(const rs_collective *t) RS_NODISCARD;
/* Collective. Largest value of all ranks, element by element; in place. */
rs_status rs_collective_slowest(double *v, int64_t n, rs_comm *c) RS_NODISCARD;

/* Collective. The gather beside a compute loop: fills the fields of overlap; r->s is there. */
rs_status rs_collective_overlap(rs_collective_rate *r, rs_collective *t) RS_NODISCARD;

#endif
