/* Communicators: the ranks of a run and what they exchange. One interface over three backends:
 *   serial   one rank, no library (a plain `reshoot run`)
 *   threads  ranks as threads of one process, for tests and sanitizers (rs_comm_threads_run)
 *   mpi      one process per rank, started by mpirun or srun
 * Code above this module never sees MPI.
 *
 * Rules that hold for every call:
 * - Collective calls are made by all ranks of the communicator in the same order; one thread at a
 *   time makes them on one communicator. Messages (send, probe, take, receive), test, wait and
 *   progress may be used by any thread.
 * - Counts and lists of counts are host memory. Bulk data (dst and src of the collectives) is in
 *   host memory. Data in the memory of a GPU goes through a communicator's twin (device_data.h).
 * - dst and src of one call do not overlap except where a call says so.
 * - `what` says in a few words what the call is for ("block stream"); error texts, the watchdog and
 *   traces show it. Borrowed until the call, or its request, is over. NULL for nothing.
 * - Wrong arguments are our own bugs and assert. A call that fails has failed on this rank only,
 *   its dst undefined: agree (comm/agree.h) at the next step boundary. RS_PEER: another rank ended
 *   or called something else; RS_INTERNAL: MPI's own text. After RS_PEER or an MPI error the
 *   communicator is of no more use.
 * - No call gives up by itself: waiting is limited by the watchdog (comm/watchdog.h). */
#ifndef RS_COMM_COMM_H
#define RS_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

typedef struct rs_comm rs_comm;
typedef struct rs_comm_request rs_comm_request;

#define RS_COMM_OPS(X)                                                                             \
    X(BARRIER, "barrier")                                                                          \
    X(BROADCAST, "broadcast")                                                                      \
    X(ALLGATHER, "allgather")                                                                      \
    X(ALLTOALL, "alltoall")                                                                        \
    X(ALLREDUCE, "allreduce")                                                                      \
    X(SPLIT, "split")                                                                              \
    X(SEND, "send")                                                                                \
    X(RECEIVE, "receive")

typedef enum rs_comm_op {
#define RS_COMM_OP_ENUM(name, text) RS_COMM_##name,
    RS_COMM_OPS(RS_COMM_OP_ENUM)
#undef RS_COMM_OP_ENUM
        RS_COMM_OP_COUNT
} rs_comm_op;

typedef enum rs_comm_type { RS_COMM_F32, RS_COMM_F64, RS_COMM_I64 } rs_comm_type;
typedef enum rs_comm_reduce { RS_COMM_SUM, RS_COMM_MIN, RS_COMM_MAX } rs_comm_reduce;

/* Sizes that change how data travels, never what arrives. 0: the default. */
typedef struct rs_comm_opts {
    bool serial;         /* rs_comm_open: one rank even where a launcher is found */
    size_t chunk_bytes;  /* most bytes of one MPI message, at most INT_MAX (default 1 GiB) */
    size_t window_bytes; /* allreduce works through its data in pieces of this size (16 MiB) */
} rs_comm_opts;

/* The name of the variable that shows that mpirun or srun started this process as a rank, or NULL:
 * OMPI_COMM_WORLD_SIZE (mpirun of Open MPI), PMIX_RANK (srun --mpi=pmix, prterun) and PMI_RANK
 * (srun --mpi=pmi2, mpiexec of Hydra). A batch script and what it calls directly have none. */
const char *rs_comm_launcher(void);
/* This process's number among the ranks of its host, as the launcher says; 0 without one. */
int rs_comm_local_rank(void);
/* The world: MPI's when a launcher is found, else one rank. MPI is initialised here and only then,
 * with MPI_THREAD_MULTIPLE, so a process without a launcher never pays for it. opts may be NULL.
 * RS_USAGE: srun started several tasks without PMI, or MPI sees another number of ranks than the
 * launcher says. Collective over the started ranks; once per process. */
rs_status rs_comm_open(rs_comm **out, const rs_comm_opts *opts) RS_NODISCARD;
/* Collective; no request, message or communicator split from it may be open. MPI is
 * finalised when the process exits, so that no rank leaves, failed, before rank 0 has said why.
 * Where ranks may have failed, rs_comm_abort instead. Accepts NULL, nulls it. */
void rs_comm_close(rs_comm **c);
/* "Open MPI v4.1.4": the library this program runs with, in the arena; works without a launcher. */
const char *rs_comm_mpi_library(rs_arena *a);
/* "NCCL 2.28.9", or that there is none; in the arena. */
const char *rs_comm_nccl_library(rs_arena *a);

/* The function of one rank; its communicator is closed for it afterwards. */
typedef rs_status rs_comm_rank_fn(rs_comm *c, void *ctx);
/* Run fn on n threads, ranks 0 to n-1 of a world of their own. A rank that fails, or returns while
 * others wait for it, makes their waits return RS_PEER. Returns the first failure (in time) with
 * "rank N: " in front of its message. opts may be NULL. */
rs_status rs_comm_threads_run(int n, rs_comm_rank_fn *fn, void *ctx,
                              const rs_comm_opts *opts) RS_NODISCARD;

int rs_comm_rank(const rs_comm *c);
int rs_comm_size(const rs_comm *c);
const char *rs_comm_name(const rs_comm *c);    /* "world", or what split was given */
const char *rs_comm_backend(const rs_comm *c); /* "serial", "threads", "mpi" */
const char *rs_comm_op_name(rs_comm_op op);

/* Collective. */
rs_status rs_comm_barrier(rs_comm *c, const char *what) RS_NODISCARD;
/* Collective. `bytes` (equal on all ranks) of root's data to all ranks. */
rs_status rs_comm_broadcast(void *data, rs_comm *c, size_t bytes, int root,
                            const char *what) RS_NODISCARD;
/* Collective. dst: the ranks' pieces one after the other, rank r's of bytes[r] bytes (list of P,
 * equal on all ranks, borrowed for the call). src: this rank's piece; may be its place in dst. */
rs_status rs_comm_allgather(void *dst, rs_comm *c, const void *src, const size_t *bytes,
                            const char *what) RS_NODISCARD;
/* The same without waiting. dst and src stay untouched by the caller until rs_comm_wait, which must
 * follow exactly once. Several may be open at a time. MPI moves data only while this process is in
 * a call of this module: call rs_comm_progress now and then, or use a rs_comm_progress thread. */
rs_status rs_comm_iallgather(rs_comm_request **out, void *dst, rs_comm *c, const void *src,
                             const size_t *bytes, const char *what) RS_NODISCARD;
/* Collective. Rank p's piece for rank q has p's src_bytes[q] = q's dst_bytes[p] bytes. src holds
 * the pieces for ranks 0, 1, ... one after the other, dst those from them. */
rs_status rs_comm_alltoall(void *dst, rs_comm *c, const void *src, const size_t *dst_bytes,
                           const size_t *src_bytes, const char *what) RS_NODISCARD;
/* Collective. dst[i] = (...((x_0[i] op x_1[i]) op x_2[i])... op x_{P-1}[i]) with x_r rank r's src:
 * in rank order and in the type itself, so its bits depend on nothing but the inputs and P, and are
 * equal on all ranks. i64 sums wrap. min and max: NaN if any is NaN; of equal values (0, -0) the
 * lowest rank's. n elements, equal on all ranks; dst may be src. */
rs_status rs_comm_allreduce(void *dst, rs_comm *c, const void *src, int64_t n, rs_comm_type type,
                            rs_comm_reduce op, const char *what) RS_NODISCARD;

/* Has it arrived? May be asked by any thread until rs_comm_wait is called. Errors show in wait. */
bool rs_comm_test(rs_comm_request *r);
/* Until it is done; its status. Ends the request (also on failure) and nulls the pointer. */
rs_status rs_comm_wait(rs_comm_request **r) RS_NODISCARD;
/* Local. Move what is under way in all requests of this rank (all communicators); cheap. */
void rs_comm_progress(rs_comm *c);

/* Messages: small, between two ranks, with a tag. Messages of one sender with one tag arrive in
 * order. The receiver takes whole messages only. */
enum { RS_COMM_ANY = -1, RS_COMM_TAG_MAX = 32767 };
#define RS_COMM_MESSAGE_MAX ((size_t)1 << 30) /* bytes; bulk data goes through collectives */

typedef struct rs_comm_message {
    bool found;
    int from;
    int tag;
    size_t bytes;
    void *handle; /* the backend's */
} rs_comm_message;

/* Returns when src may be reused: at once up to 512 bytes, for larger messages perhaps only when
 * the receiver takes them. So a rank sends nothing larger to itself. */
rs_status rs_comm_send(rs_comm *c, const void *src, size_t bytes, int to, int tag) RS_NODISCARD;
/* The same without waiting: src stays untouched until rs_comm_wait, which must follow exactly once.
 * Messages of both kinds arrive in the order in which they were sent. */
rs_status rs_comm_isend(rs_comm_request **out, rs_comm *c, const void *src, size_t bytes, int to,
                        int tag) RS_NODISCARD;
/* Not waiting, not watched. If a message of that sender and tag (or RS_COMM_ANY) is there, found is
 * set and it is this caller's: it must be taken, nobody else sees it any more. */
rs_status rs_comm_probe(rs_comm_message *m, rs_comm *c, int from, int tag) RS_NODISCARD;
/* Into dst, m->bytes bytes. */
rs_status rs_comm_take(rs_comm *c, rs_comm_message *m, void *dst) RS_NODISCARD;
/* Wait for one and take it; RS_PEER if it does not have exactly `bytes` bytes (it is taken then,
 * too). */
rs_status rs_comm_receive(void *dst, rs_comm *c, size_t bytes, int from, int tag) RS_NODISCARD;

/* Collective. One communicator per colour (>= 0), its ranks in the order of (key, rank of c); with
 * a negative colour *out is NULL. `name` is copied. Requests, faults, traces and watchdog of the
 * world are also those of its parts. */
rs_status rs_comm_split(rs_comm **out, rs_comm *c, int colour, int key,
                        const char *name) RS_NODISCARD;

/* End the whole world at once with this exit code, having logged `message`; does not return. Only
 * with thread ranks, whose world is less than the process: calls of the other ranks, also waiting
 * ones, then return RS_PEER with the message, and this call returns. */
void rs_comm_abort(rs_comm *c, int exit_code, const char *message);

#endif
