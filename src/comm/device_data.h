/* Bulk data in device memory: a communicator's twin, by NCCL. The ranks, their order and whatever
 * is small (barriers, messages, agreement, splits) stay with the communicator; its twin makes
 * gathers, exchanges and broadcasts of device memory, enqueued on one stream.
 *
 * With `enqueue` a call returns when it is enqueued: its result is there for whatever the stream is
 * given next, as that of an op. Otherwise it returns when the data has arrived. Calls on one twin
 * are made in the same order by all ranks. Two twins of a rank may be under way at a time where all
 * ranks enqueue their calls in one order (weights/stream_gang.c sees to it); `blocks` bounds what
 * they take of the device together.
 *
 * Reductions are the caller's (nn/lane.h): NCCL's order of additions depends on the ranks.
 *
 * What is enqueued and does not end is found by the watchdog, like a rank that waits: it names
 * collective, number and the ranks that have not come, aborts NCCL, and ends the world. */
#ifndef RS_COMM_DEVICE_DATA_H
#define RS_COMM_DEVICE_DATA_H

#include "comm/comm.h"

typedef struct rs_comm_data_opts {
    void *stream; /* cudaStream_t */
    bool enqueue;
    int blocks; /* of the device that one collective may use (NCCL's CTAs); 0: NCCL's choice */
    bool
        share; /* with parts of it (rs_comm_attach_part): buffers, as one of them works at a time */
} rs_comm_data_opts;

/* Collective over c, which has no twin yet. The calling thread's current CUDA device is the twin's.
 * The twin is closed with c. RS_DEVICE: this program has no NCCL, or what NCCL says. */
rs_status rs_comm_attach(rs_comm *c, const rs_comm_data_opts *opts) RS_NODISCARD;
/* The same from the twin of `whole`, of which c is a part: cheaper, as connections are shared.
 * Collective over `whole`: all ranks call at the same time, each with its part (none: NULL). */
rs_status rs_comm_attach_part(rs_comm *c, rs_comm *whole,
                              const rs_comm_data_opts *opts) RS_NODISCARD;
/* Device bytes that NCCL may take for a twin and `parts` more that share with it; exchanges:
 * alltoall is used, too. Reckoned from NCCL's sources: the buffers of its three protocols, per
 * block and kind of connection. */
int64_t rs_comm_data_bytes(const rs_comm_data_opts *opts, int parts, bool exchanges);
/* Collective over c and local to its twin: one small call of each kind, for what NCCL makes with
 * the first one (connections, buffers); waits for it. scratch: device memory of 2 * ranks *
 * RS_COMM_WARM bytes. Nothing without a twin. */
enum { RS_COMM_WARM = 4096 };
rs_status rs_comm_data_warm(rs_comm *c, void *scratch, bool exchanges) RS_NODISCARD;
/* The twin, or c itself where it has none: for data in the memory of the device that computes. */
rs_comm *rs_comm_data(rs_comm *c);
/* Collective. Closes the twin, before its stream or device is closed; c may be NULL or without. */
void rs_comm_detach(rs_comm *c);
/* Stop what c's twin has under way and take no more: nobody waits for it any longer. */
void rs_comm_data_stop(rs_comm *c);

#endif
