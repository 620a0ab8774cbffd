/* What sharing the weights costs: training steps on one model with its weights in a gang of all
 * ranks (weights/stream.h, sharded) and with a copy or mapping of its own per rank (mapped), step
 * by step in turns, so that both see the same machine. */
#ifndef RS_BENCH_STREAM_H
#define RS_BENCH_STREAM_H

#include "bench/rates.h"
#include "comm/comm.h"

typedef struct rs_stream_opts {
    const char *model; /* directory */
    int64_t tokens;    /* at least so many; frames of equal sides */
    int64_t steps;     /* timed, of each home */
    int64_t rank;      /* of the adapter */
    int64_t threads;   /* of this rank */
} rs_stream_opts;

/* Times are of this rank unless they say otherwise. */
typedef struct rs_stream_rate {
    int64_t tokens, blocks;
    int64_t params;                      /* of the model */
    rs_spread mapped, sharded;           /* seconds of a step: the slowest rank's, over the steps */
    double ratio;                        /* median of sharded over mapped, step by step */
    int64_t mapped_bytes, sharded_bytes; /* device bytes held for weights, of this rank */
    int64_t bytes_read;                  /* from the file for the blocks */
    double gathered_step;                /* bytes received in a step */
    double gather_s, exposed_s, boundary_s; /* per step */
} rs_stream_rate;

/* Collective over c, which is split for the gang. Losses and gradients of both homes are compared
 * bit by bit first: RS_NUMERIC if they differ. */
rs_status rs_stream_measure(rs_stream_rate *out, rs_comm *c, const rs_stream_opts *o) RS_NODISCARD;

#endif
