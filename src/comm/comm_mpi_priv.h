/* Inside of the MPI backend. */
#ifndef RS_COMM_COMM_MPI_PRIV_H
#define RS_COMM_COMM_MPI_PRIV_H

#include <mpi.h>

#include "comm/comm_priv.h"

/* A communicator has two of MPI's: ours are duplicates, so nothing meets the messages of others. */
typedef struct mpi_state {
    MPI_Comm coll; /* collectives, also those made of MPI messages */
    MPI_Comm p2p;  /* messages of the caller, with the caller's tags */
    int64_t seq;   /* collectives made of messages so far: their tag */
} mpi_state;

/* The MPI requests of one of ours. */
typedef struct mpi_batch {
    int n, cap;
    MPI_Request *requests;
    MPI_Status *statuses;
} mpi_batch;

/* RS_INTERNAL with MPI's text. */
rs_status rs_mpi_failed(int rc, const char *file, int line, const char *func, const char *call);
#define RS_MPI(call)                                                                               \
    do {                                                                                           \
        int mpi_rc_ = (call);                                                                      \
        if (mpi_rc_ != MPI_SUCCESS)                                                                \
            return rs_mpi_failed(mpi_rc_, __FILE__, __LINE__, __func__, #call);                    \
    } while (0)

void rs_mpi_batch_free(mpi_batch **b);
/* Post everything of r (BARRIER, BROADCAST, ALLGATHER, ALLTOALL, SEND). On failure the batch is
 * left as it is: MPI may still write to the buffers. */
rs_status rs_mpi_post(mpi_batch **out, rs_comm *c, rs_comm_request *r);

#endif
