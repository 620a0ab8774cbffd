#include "comm/comm.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "comm/comm_priv.h"

static const char *const k_op_names[RS_COMM_OP_COUNT] = {
#define RS_COMM_OP_TEXT(name, text) text,
    RS_COMM_OPS(RS_COMM_OP_TEXT)
#undef RS_COMM_OP_TEXT
};

const char *rs_comm_op_name(rs_comm_op op)
{
    return op < RS_COMM_OP_COUNT ? k_op_names[op] : "unknown";
}

int rs_comm_rank(const rs_comm *c)
{
    return c->rank;
}

int rs_comm_size(const rs_comm *c)
{
    return c->size;
}

const char *rs_comm_name(const rs_comm *c)
{
    return c->name;
}

const char *rs_comm_backend(const rs_comm *c)
{
    return c->ops->name;
}

static size_t sum_of(const size_t *bytes, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        RS_ASSERTF(!__builtin_add_overflow(sum, bytes[i], &sum), "sizes of all ranks overflow");
    return sum;
}

rs_status rs_comm_barrier(rs_comm *c, const char *what)
{
    return rs_comm_blocking(c, &(rs_comm_call){.op = RS_COMM_BARRIER, .what = what});
}

rs_status rs_comm_broadcast(void *data, rs_comm *c, size_t bytes, int root, const char *what)
{
    RS_ASSERT(root >= 0 && root < c->size && (data || bytes == 0));
    return rs_comm_blocking(c, &(rs_comm_call){.op = RS_COMM_BROADCAST,
                                               .what = what,
                                               .dst = data,
                                               .src = data,
                                               .bytes = bytes,
                                               .peer = root});
}

static rs_comm_call allgather_call(void *dst, rs_comm *c, const void *src, const size_t *bytes,
                                   const char *what)
{
    RS_ASSERT((dst || sum_of(bytes, c->size) == 0) && (src || bytes[c->rank] == 0));
    return (rs_comm_call){
        .op = RS_COMM_ALLGATHER, .what = what, .dst = dst, .src = src, .dst_bytes = bytes};
}

rs_status rs_comm_allgather(void *dst, rs_comm *c, const void *src, const size_t *bytes,
                            const char *what)
{
    rs_comm_call call = allgather_call(dst, c, src, bytes, what);
    return rs_comm_blocking(c, &call);
}

static rs_status begin_listed(rs_comm_request **out, rs_comm *c, const rs_comm_call *call)
{
    rs_comm_request *r;
    *out = NULL;
    RS_TRY(rs_comm_begin(&r, c, call));
    rs_comm_list(r);
    *out = r;
    return RS_OK;
}

rs_status rs_comm_iallgather(rs_comm_request **out, void *dst, rs_comm *c, const void *src,
                             const size_t *bytes, const char *what)
{
    rs_comm_call call = allgather_call(dst, c, src, bytes, what);
    return begin_listed(out, c, &call);
}

rs_status rs_comm_alltoall(void *dst, rs_comm *c, const void *src, const size_t *dst_bytes,
                           const size_t *src_bytes, const char *what)
{
    RS_ASSERT(dst_bytes[c->rank] == src_bytes[c->rank]);
    RS_ASSERT((dst || sum_of(dst_bytes, c->size) == 0) && (src || sum_of(src_bytes, c->size) == 0));
    return rs_comm_blocking(c, &(rs_comm_call){.op = RS_COMM_ALLTOALL,
                                               .what = what,
                                               .dst = dst,
                                               .src = src,
                                               .dst_bytes = dst_bytes,
                                               .src_bytes = src_bytes});
}

rs_status rs_comm_allreduce(void *dst, rs_comm *c, const void *src, int64_t n, rs_comm_type type,
                            rs_comm_reduce op, const char *what)
{
    RS_ASSERT(n >= 0 && (uint64_t)n <= SIZE_MAX / sizeof(double) && ((dst && src) || n == 0));
    return rs_comm_blocking(c, &(rs_comm_call){.op = RS_COMM_ALLREDUCE,
                                               .what = what,
                                               .dst = dst,
                                               .src = src,
                                               .bytes = (size_t)n * rs_comm_type_size(type),
                                               .n = n,
                                               .type = type,
                                               .reduce = op});
}

static rs_comm_call send_call(const rs_comm *c, const void *src, size_t bytes, int to, int tag)
{
    RS_ASSERT(to >= 0 && to < c->size && tag >= 0 && tag <= RS_COMM_TAG_MAX);
    RS_ASSERT(bytes <= RS_COMM_MESSAGE_MAX && (src || bytes == 0));
    return (rs_comm_call){.op = RS_COMM_SEND, .src = src, .bytes = bytes, .peer = to, .tag = tag};
}

rs_status rs_comm_send(rs_comm *c, const void *src, size_t bytes, int to, int tag)
{
    rs_comm_call call = send_call(c, src, bytes, to, tag);
    return rs_comm_blocking(c, &call);
}

rs_status rs_comm_isend(rs_comm_request **out, rs_comm *c, const void *src, size_t bytes, int to,
                        int tag)
{
    rs_comm_call call = send_call(c, src, bytes, to, tag);
    return begin_listed(out, c, &call);
}

rs_status rs_comm_probe(rs_comm_message *m, rs_comm *c, int from, int tag)
{
    RS_ASSERT(from >= RS_COMM_ANY && from < c->size && tag >= RS_COMM_ANY &&
              tag <= RS_COMM_TAG_MAX);
    *m = (rs_comm_message){0};
    return c->ops->probe(m, c, from, tag);
}

rs_status rs_comm_take(rs_comm *c, rs_comm_message *m, void *dst)
{
    RS_ASSERT(m->found && (dst || m->bytes == 0));
    rs_comm_call call = {
        .op = RS_COMM_RECEIVE, .dst = dst, .bytes = m->bytes, .peer = m->from, .tag = m->tag};
    rs_comm_request *r = rs_comm_request_new(c, &call);
    rs_status st = rs_comm_enter(r);
    if (st == RS_OK)
        st = c->ops->take(c, m, dst);
    return rs_comm_leave(&r, st);
}

/* A message of the wrong size is taken all the same: nobody else can see it any more. */
static rs_status take_exactly(rs_comm *c, rs_comm_message *m, void *dst, size_t bytes)
{
    if (m->bytes == bytes)
        return c->ops->take(c, m, dst);
    size_t got = m->bytes;
    void *scratch = rs_alloc(got ? got : 1, 1);
    rs_status st = c->ops->take(c, m, scratch);
    rs_dealloc(scratch);
    if (st != RS_OK)
        return st;
    return RS_FAIL(PEER, "message from rank %d of %s with tag %d has %zu bytes, expected %zu",
                   m->from, c->name, m->tag, got, bytes);
}

/* The peer may have sent and ended since the last look. */
static rs_status still_possible(rs_comm_message *m, rs_comm *c, int from, int tag)
{
    rs_status st = c->ops->check ? c->ops->check(c, from) : RS_OK;
    if (st == RS_OK)
        return RS_OK;
    RS_TRY(c->ops->probe(m, c, from, tag));
    return m->found ? RS_OK : st;
}

rs_status rs_comm_receive(void *dst, rs_comm *c, size_t bytes, int from, int tag)
{
    RS_ASSERT(from >= RS_COMM_ANY && from < c->size && tag >= RS_COMM_ANY &&
              tag <= RS_COMM_TAG_MAX && (dst || bytes == 0));
    rs_comm_call call = {
        .op = RS_COMM_RECEIVE, .dst = dst, .bytes = bytes, .peer = from, .tag = tag};
    rs_comm_request *r = rs_comm_request_new(c, &call);
    rs_status st = rs_comm_enter(r);
    rs_comm_message m = {0};
    rs_comm_mark mark;
    int64_t polls = 0;
    rs_comm_mark_add(r, &mark);
    while (st == RS_OK && !m.found) {
        st = c->ops->probe(&m, c, from, tag);
        if (st == RS_OK && !m.found)
            st = still_possible(&m, c, from, tag);
        if (st == RS_OK && !m.found)
            rs_comm_relax(&polls);
    }
    rs_comm_mark_remove(r, &mark);
    if (st == RS_OK)
        st = take_exactly(c, &m, dst, bytes);
    return rs_comm_leave(&r, st);
}

rs_status rs_comm_open(rs_comm **out, const rs_comm_opts *opts)
{
    *out = NULL;
    RS_TRY(rs_comm_launcher_check(opts && opts->serial));
    if (rs_comm_launcher() && !(opts && opts->serial))
        return rs_comm_open_mpi(out, opts);
    *out = rs_comm_open_serial(opts);
    return RS_OK;
}

void rs_comm_close(rs_comm **c)
{
    if (!*c)
        return;
    rs_comm_close(&(*c)->data);
    (*c)->ops->close(*c);
    rs_comm_free(*c);
    *c = NULL;
}

void rs_comm_abort(rs_comm *c, int exit_code, const char *message)
{
    RS_LOG(ERROR, "rank %d of %d: %s", c->shared->rank, c->shared->size, message);
    c->ops->abort(c, exit_code, message);
}
