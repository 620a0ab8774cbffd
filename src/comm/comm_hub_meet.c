/* What happens when all ranks have come to a meeting. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "comm/comm_hub_priv.h"

static void mismatch(hub_meeting *m, const char *fmt, ...) RS_PRINTF(2, 3);
static void mismatch(hub_meeting *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m->message, sizeof m->message, fmt, ap);
    va_end(ap);
    m->st = RS_PEER;
}

static void check_sizes(hub_meeting *m, int r, int n)
{
    const rs_comm_call *a = &m->posted[0]->call, *b = &m->posted[r]->call;
    if (a->op == RS_COMM_BROADCAST && (a->bytes != b->bytes || a->peer != b->peer))
        mismatch(m, "rank 0 broadcasts %zu bytes of rank %d, rank %d %zu bytes of rank %d",
                 a->bytes, a->peer, r, b->bytes, b->peer);
    for (int i = 0; i < n && a->op == RS_COMM_ALLGATHER; i++)
        if (a->dst_bytes[i] != b->dst_bytes[i])
            mismatch(m, "piece of rank %d has %zu bytes for rank 0, %zu for rank %d", i,
                     a->dst_bytes[i], b->dst_bytes[i], r);
    for (int i = 0; i < n && a->op == RS_COMM_ALLTOALL; i++)
        if (m->posted[i]->call.src_bytes[r] != b->dst_bytes[i])
            mismatch(m, "rank %d sends %zu bytes to rank %d, which expects %zu", i,
                     m->posted[i]->call.src_bytes[r], r, b->dst_bytes[i]);
}

static void check(hub_meeting *m, int n)
{
    const rs_comm_request *a = m->posted[0];
    for (int r = 0; r < n && m->st == RS_OK; r++) {
        const rs_comm_request *b = m->posted[r];
        if (a->call.op != b->call.op || a->shown != b->shown)
            mismatch(m, "rank 0 is in %s, rank %d in %s", rs_comm_op_name(a->shown), r,
                     rs_comm_op_name(b->shown));
    }
    for (int r = 0; r < n && m->st == RS_OK; r++)
        check_sizes(m, r, n);
}

static size_t offset(const size_t *bytes, int rank)
{
    size_t at = 0;
    for (int i = 0; i < rank; i++)
        at += bytes[i];
    return at;
}

/* All copies of one receiver. */
static void deliver(hub_meeting *m, int n, int to)
{
    const rs_comm_call *d = &m->posted[to]->call;
    const rs_comm_space *space = m->posted[to]->comm->ops->space;
    if (d->op == RS_COMM_BROADCAST)
        space->copy(d->dst, m->posted[d->peer]->call.src, d->bytes);
    if (d->op != RS_COMM_ALLGATHER && d->op != RS_COMM_ALLTOALL)
        return;
    for (int from = 0; from < n; from++) {
        const rs_comm_call *s = &m->posted[from]->call;
        const char *src = s->src;
        if (d->dst_bytes[from] == 0)
            continue;
        if (d->op == RS_COMM_ALLTOALL)
            src += offset(s->src_bytes, to);
        space->copy((char *)d->dst + offset(d->dst_bytes, from), src, d->dst_bytes[from]);
    }
}

void rs_hub_meet(hub_meeting *m, int n)
{
    check(m, n);
    for (int to = 0; to < n && m->st == RS_OK; to++)
        deliver(m, n, to);
    m->over = true;
}
