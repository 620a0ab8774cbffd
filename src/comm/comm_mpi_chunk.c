/* Collectives as batches of MPI requests. MPI 3 counts and displacements are ints, so data above
 * 2 GiB travels in chunks, each with an address of its own. Gathers and exchanges are plain
 * messages between pairs: unequal sizes cost nothing, no displacement can overflow, and the
 * requests that are still open say who is late. MPI keeps messages of one pair and tag in order, so
 * the chunks of a call need one tag only. */
#include <string.h>

#include "base/num.h"
#include "comm/comm_mpi_priv.h"

enum { TAGS = 32768 }; /* what the standard guarantees */

void rs_mpi_batch_free(mpi_batch **at)
{
    mpi_batch *b = *at;
    if (!b)
        return;
    rs_dealloc(b->requests);
    rs_dealloc(b->statuses);
    rs_dealloc(b);
    *at = NULL;
}

static mpi_batch *batch_new(int64_t cap)
{
    mpi_batch *b = rs_alloc(1, sizeof *b);
    b->cap = rs_i32(cap);
    b->requests = rs_alloc((size_t)rs_max_i64(cap, 1), sizeof *b->requests);
    b->statuses = rs_alloc((size_t)rs_max_i64(cap, 1), sizeof *b->statuses);
    return b;
}

static MPI_Request *next_request(mpi_batch *b)
{
    RS_ASSERT(b->n < b->cap);
    b->requests[b->n] = MPI_REQUEST_NULL;
    return &b->requests[b->n++];
}

static int64_t chunks(const rs_comm *c, size_t bytes)
{
    return rs_ceil_div((int64_t)bytes, (int64_t)c->shared->chunk_bytes);
}

static int chunk_at(const rs_comm *c, size_t bytes, size_t at)
{
    size_t left = bytes - at;
    return (int)(left < c->shared->chunk_bytes ? left : c->shared->chunk_bytes);
}

static rs_status post_broadcast(mpi_batch *b, rs_comm *c, const rs_comm_call *call)
{
    mpi_state *s = c->state;
    for (size_t at = 0; at < call->bytes; at += c->shared->chunk_bytes)
        RS_MPI(MPI_Ibcast((char *)call->dst + at, chunk_at(c, call->bytes, at), MPI_BYTE,
                          call->peer, s->coll, next_request(b)));
    return RS_OK;
}

static rs_status post_receives(mpi_batch *b, rs_comm *c, char *dst, size_t bytes, int from, int tag)
{
    mpi_state *s = c->state;
    for (size_t at = 0; at < bytes; at += c->shared->chunk_bytes)
        RS_MPI(MPI_Irecv(dst + at, chunk_at(c, bytes, at), MPI_BYTE, from, tag, s->coll,
                         next_request(b)));
    return RS_OK;
}

static rs_status post_sends(mpi_batch *b, rs_comm *c, const char *src, size_t bytes, int to,
                            int tag)
{
    mpi_state *s = c->state;
    for (size_t at = 0; at < bytes; at += c->shared->chunk_bytes)
        RS_MPI(MPI_Isend(src + at, chunk_at(c, bytes, at), MPI_BYTE, to, tag, s->coll,
                         next_request(b)));
    return RS_OK;
}

/* ALLGATHER is an exchange that sends the same piece to everybody. Receives first, so that messages
 * find their place; each rank begins with its next neighbour, so that not all send to rank 0. */
static rs_status post_exchange(mpi_batch *b, rs_comm *c, const rs_comm_call *call)
{
    mpi_state *s = c->state;
    int tag = (int)(s->seq++ % TAGS);
    size_t at = 0;
    for (int p = 0; p < c->size; at += call->dst_bytes[p], p++)
        if (p != c->rank && call->dst_bytes[p] > 0)
            RS_TRY(post_receives(b, c, (char *)call->dst + at, call->dst_bytes[p], p, tag));
    for (int step = 0; step < c->size; step++) {
        int p = (c->rank + step) % c->size;
        size_t bytes = call->src_bytes ? call->src_bytes[p] : call->dst_bytes[c->rank];
        const char *src = call->src;
        at = 0;
        for (int i = 0; i < p && call->src_bytes; i++)
            src += call->src_bytes[i];
        for (int i = 0; i < c->rank; i++)
            at += call->dst_bytes[i];
        if (bytes > 0 && p == c->rank)
            c->ops->space->copy((char *)call->dst + at, src, bytes);
        else if (bytes > 0)
            RS_TRY(post_sends(b, c, src, bytes, p, tag));
    }
    return RS_OK;
}

static int64_t exchange_chunks(const rs_comm *c, const rs_comm_call *call)
{
    int64_t n = 0;
    for (int p = 0; p < c->size; p++) {
        n += chunks(c, call->dst_bytes[p]);
        n += chunks(c, call->src_bytes ? call->src_bytes[p] : call->dst_bytes[c->rank]);
    }
    return n;
}

rs_status rs_mpi_post(mpi_batch **out, rs_comm *c, rs_comm_request *r)
{
    mpi_state *s = c->state;
    const rs_comm_call *call = &r->call;
    if (call->op == RS_COMM_ALLGATHER || call->op == RS_COMM_ALLTOALL) {
        *out = batch_new(exchange_chunks(c, call));
        return post_exchange(*out, c, call);
    }
    if (call->op == RS_COMM_BROADCAST) {
        *out = batch_new(chunks(c, call->bytes));
        return post_broadcast(*out, c, call);
    }
    *out = batch_new(1);
    if (call->op == RS_COMM_BARRIER)
        RS_MPI(MPI_Ibarrier(s->coll, next_request(*out)));
    else
        RS_MPI(MPI_Isend(call->src, (int)call->bytes, MPI_BYTE, call->peer, call->tag, s->p2p,
                         next_request(*out)));
    return RS_OK;
}
