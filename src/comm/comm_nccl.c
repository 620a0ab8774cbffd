/* NCCL twins of communicators (device_data.h). Communicators are non-blocking, so that a call that
 * waits for a rank that is gone can be given up. */
#include <nccl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "comm/agree.h"
#include "comm/comm_priv.h"
#include "comm/device_data.h"

enum { FLIGHTS = 64 };

/* A collective on the stream that nobody waits for. */
typedef struct flight {
    cudaEvent_t begun, done;
    rs_comm_request request; /* a copy, for the watchdog */
    rs_comm_mark mark;
} flight;

typedef struct nccl_state {
    ncclComm_t comm;
    cudaStream_t stream;
    bool enqueue;
    int device;
    bool stopped;            /* under the board's lock */
    flight flights[FLIGHTS]; /* a ring, first to first + n; under the board's lock */
    int first, n;
} nccl_state;

static rs_status failed(ncclResult_t r, ncclComm_t comm, const char *what)
{
    const char *more = comm ? ncclGetLastError(comm) : "";
    return RS_FAIL(PEER, "nccl: %s: %s%s%s", what, ncclGetErrorString(r), more && *more ? ": " : "",
                   more ? more : "");
}

static rs_status cuda_try(cudaError_t e, const char *what)
{
    return e == cudaSuccess ? RS_OK : RS_FAIL(DEVICE, "nccl: %s: %s", what, cudaGetErrorString(e));
}

#define NCCL(s, what, call)                                                                        \
    do {                                                                                           \
        ncclResult_t nccl_r_ = (call);                                                             \
        if (nccl_r_ != ncclSuccess && nccl_r_ != ncclInProgress)                                   \
            return failed(nccl_r_, (s)->comm, what);                                               \
    } while (0)

static bool stopped(rs_comm *c)
{
    nccl_state *s = c->state;
    pthread_mutex_lock(&c->shared->board);
    bool yes = s->stopped;
    pthread_mutex_unlock(&c->shared->board);
    return yes;
}

/* Until the library has done what it does in the background. */
static rs_status settle(nccl_state *s, const char *what)
{
    ncclResult_t r = ncclInProgress;
    for (int64_t polls = 0;; rs_comm_relax(&polls)) {
        NCCL(s, what, ncclCommGetAsyncError(s->comm, &r));
        if (r != ncclInProgress)
            break;
    }
    return r == ncclSuccess ? RS_OK : failed(r, s->comm, what);
}

/* ---- calls ---- */

static size_t before(const size_t *bytes, int rank)
{
    size_t sum = 0;
    for (int i = 0; i < rank; i++)
        sum += bytes[i];
    return sum;
}

static bool all_equal(const size_t *bytes, int n)
{
    for (int i = 1; i < n; i++)
        if (bytes[i] != bytes[0])
            return false;
    return true;
}

/* Pieces of unequal size are one broadcast each, in one launch. */
static rs_status allgather(rs_comm *c, nccl_state *s, const rs_comm_call *a)
{
    char *dst = a->dst;
    if (all_equal(a->dst_bytes, c->size)) {
        NCCL(s, "allgather",
             ncclAllGather(a->src, dst, a->dst_bytes[0], ncclUint8, s->comm, s->stream));
        return RS_OK;
    }
    NCCL(s, "allgather", ncclGroupStart());
    for (int r = 0; r < c->size; r++) {
        char *place = dst + before(a->dst_bytes, r);
        if (a->dst_bytes[r] > 0)
            NCCL(s, "allgather",
                 ncclBroadcast(r == c->rank ? a->src : place, place, a->dst_bytes[r], ncclUint8, r,
                               s->comm, s->stream));
    }
    NCCL(s, "allgather", ncclGroupEnd());
    return RS_OK;
}

static rs_status alltoall(rs_comm *c, nccl_state *s, const rs_comm_call *a)
{
    const char *src = a->src;
    char *dst = a->dst;
    size_t own = a->src_bytes[c->rank];
    if (own > 0)
        RS_TRY(cuda_try(cudaMemcpyAsync(dst + before(a->dst_bytes, c->rank),
                                        src + before(a->src_bytes, c->rank), own,
                                        cudaMemcpyDeviceToDevice, s->stream),
                        "own piece"));
    NCCL(s, "alltoall", ncclGroupStart());
    for (int step = 1; step < c->size; step++) {
        int to = (c->rank + step) % c->size, from = (c->rank - step + c->size) % c->size;
        if (a->src_bytes[to] > 0)
            NCCL(s, "alltoall",
                 ncclSend(src + before(a->src_bytes, to), a->src_bytes[to], ncclUint8, to, s->comm,
                          s->stream));
        if (a->dst_bytes[from] > 0)
            NCCL(s, "alltoall",
                 ncclRecv(dst + before(a->dst_bytes, from), a->dst_bytes[from], ncclUint8, from,
                          s->comm, s->stream));
    }
    NCCL(s, "alltoall", ncclGroupEnd());
    return RS_OK;
}

static rs_status enqueue(rs_comm *c, nccl_state *s, const rs_comm_call *a)
{
    if (a->op == RS_COMM_ALLGATHER)
        RS_TRY(allgather(c, s, a));
    else if (a->op == RS_COMM_ALLTOALL)
        RS_TRY(alltoall(c, s, a));
    else if (a->bytes > 0)
        NCCL(s, "broadcast",
             ncclBroadcast(a->src, a->dst, a->bytes, ncclUint8, a->peer, s->comm, s->stream));
    return settle(s, rs_comm_op_name(a->op));
}

/* ---- what is under way ---- */

static void unmark(rs_comm_shared *s, rs_comm_mark *m)
{
    rs_comm_mark **at = &s->marks;
    while (*at && *at != m)
        at = &(*at)->next;
    if (*at)
        *at = m->next;
}

static flight *flight_at(nccl_state *s, int i)
{
    return &s->flights[(s->first + i) % FLIGHTS];
}

static bool has_passed(cudaEvent_t e)
{
    return cudaEventQuery(e) != cudaErrorNotReady;
}

/* Under the board's lock: collectives that have ended leave the list; what the device has come to.
 */
static void reap(rs_comm *c)
{
    nccl_state *s = c->state;
    while (s && s->n > 0 && (s->stopped || has_passed(flight_at(s, 0)->done))) {
        unmark(c->shared, &flight_at(s, 0)->mark);
        if (!s->stopped)
            c->begun = c->ended = flight_at(s, 0)->request.number;
        s->first = (s->first + 1) % FLIGHTS;
        s->n--;
    }
    for (int i = 0; s && i < s->n && has_passed(flight_at(s, i)->begun); i++)
        c->begun = flight_at(s, i)->request.number;
}

/* The place behind the newest; the oldest becomes free only when its collective has ended. It is
 * in the ring when `watch` has put it there: before, its events are those of an older one. */
static flight *next_place(rs_comm *c)
{
    nccl_state *s = c->state;
    flight *f = NULL;
    for (int64_t polls = 0; !f; rs_comm_relax(&polls)) {
        pthread_mutex_lock(&c->shared->board);
        reap(c);
        if (s->n < FLIGHTS)
            f = flight_at(s, s->n);
        pthread_mutex_unlock(&c->shared->board);
    }
    return f;
}

static void watch(rs_comm *c, rs_comm_request *r, flight *f)
{
    nccl_state *s = c->state;
    f->request = *r;
    f->mark = (rs_comm_mark){.request = &f->request, .since = rs_now()};
    pthread_mutex_lock(&c->shared->board);
    s->n++;
    f->mark.next = c->shared->marks;
    c->shared->marks = &f->mark;
    pthread_mutex_unlock(&c->shared->board);
}

/* ---- the table ---- */

/* r is marked while NCCL works on the launch, then its flight is. */
static rs_status nccl_start(rs_comm *c, rs_comm_request *r)
{
    nccl_state *s = c->state;
    rs_comm_mark mark;
    RS_ASSERTF(r->call.op == RS_COMM_ALLGATHER || r->call.op == RS_COMM_ALLTOALL ||
                   r->call.op == RS_COMM_BROADCAST,
               "%s of device memory", rs_comm_op_name(r->call.op));
    RS_TRY(cuda_try(cudaSetDevice(s->device), "current device"));
    if (stopped(c))
        return RS_FAIL(PEER, "nccl: stopped");
    flight *f = next_place(c);
    RS_TRY(cuda_try(cudaEventRecord(f->begun, s->stream), "event"));
    rs_comm_mark_add(r, &mark);
    rs_status st = enqueue(c, s, &r->call);
    rs_comm_mark_remove(r, &mark);
    if (st == RS_OK)
        st = cuda_try(cudaEventRecord(f->done, s->stream), "event");
    if (st == RS_OK)
        watch(c, r, f);
    r->state = f;
    return st;
}

static rs_status nccl_test(bool *done, rs_comm *c, rs_comm_request *r)
{
    nccl_state *s = c->state;
    ncclResult_t now = ncclSuccess;
    if (s->enqueue) {
        *done = true;
        return RS_OK;
    }
    if (stopped(c))
        return RS_FAIL(PEER, "nccl: stopped");
    cudaError_t e = cudaEventQuery(((flight *)r->state)->done);
    *done = e == cudaSuccess;
    if (e != cudaSuccess && e != cudaErrorNotReady)
        return cuda_try(e, "collective");
    NCCL(s, "collective", ncclCommGetAsyncError(s->comm, &now));
    return now == ncclSuccess || now == ncclInProgress ? RS_OK : failed(now, s->comm, "collective");
}

static void nccl_stop(rs_comm *c)
{
    nccl_state *s = c->state;
    pthread_mutex_lock(&c->shared->board);
    bool first = s && !s->stopped;
    if (s)
        s->stopped = true;
    pthread_mutex_unlock(&c->shared->board);
    if (first)
        (void)ncclCommAbort(s->comm);
}

static void state_free(nccl_state *s)
{
    for (int i = 0; i < FLIGHTS; i++) {
        if (s->flights[i].begun)
            cudaEventDestroy(s->flights[i].begun);
        if (s->flights[i].done)
            cudaEventDestroy(s->flights[i].done);
    }
    rs_dealloc(s);
}

static void nccl_close(rs_comm *c)
{
    nccl_state *s = c->state;
    (void)cudaSetDevice(s->device);
    if (!stopped(c)) {
        (void)cudaStreamSynchronize(s->stream);
        (void)ncclCommFinalize(s->comm);
        if (settle(s, "finalize") == RS_OK)
            (void)ncclCommDestroy(s->comm);
    }
    pthread_mutex_lock(&c->shared->board);
    for (; s->n > 0; s->n--, s->first = (s->first + 1) % FLIGHTS)
        unmark(c->shared, &s->flights[s->first].mark);
    c->state = NULL;
    pthread_mutex_unlock(&c->shared->board);
    state_free(s);
}

static const rs_comm_ops k_nccl = {
    .name = "nccl",
    .space = &rs_comm_space_host, /* what allreduce would need; none is made here */
    .start = nccl_start,
    .test = nccl_test,
    .reap = reap,
    .stop = nccl_stop,
    .close = nccl_close,
    .processes = true,
};

/* ---- creation ---- */

static rs_status state_new(nccl_state **out, const rs_comm_data_opts *o)
{
    nccl_state *s = rs_alloc(1, sizeof *s);
    *out = s;
    s->stream = o->stream;
    s->enqueue = o->enqueue;
    RS_TRY(cuda_try(cudaGetDevice(&s->device), "current device"));
    for (int i = 0; i < FLIGHTS; i++) {
        flight *f = &s->flights[i];
        RS_TRY(cuda_try(cudaEventCreateWithFlags(&f->begun, cudaEventDisableTiming), "event"));
        RS_TRY(cuda_try(cudaEventCreateWithFlags(&f->done, cudaEventDisableTiming), "event"));
    }
    return RS_OK;
}

static ncclConfig_t config_of(const rs_comm_data_opts *o)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.splitShare = o->share ? 1 : 0;
    if (o->blocks > 0)
        config.maxCTAs = o->blocks;
    return config;
}

static void give_up(nccl_state *s)
{
    if (s->comm)
        (void)ncclCommAbort(s->comm);
    state_free(s);
}

static void finish(rs_comm *c, nccl_state *s)
{
    rs_comm *twin = rs_comm_twin_new(c, &k_nccl);
    twin->state = s;
    rs_comm_twin_list(c, twin);
}

/* Rank 0 of c makes the name under which all meet. */
static rs_status join(nccl_state *s, rs_comm *c, const rs_comm_data_opts *o)
{
    ncclUniqueId id = {{0}};
    ncclConfig_t config = config_of(o);
    rs_status st = RS_OK;
    if (c->rank == 0 && ncclGetUniqueId(&id) != ncclSuccess)
        st = RS_FAIL(DEVICE, "nccl: no unique id");
    RS_TRY(rs_comm_agree(c, st));
    RS_TRY(rs_comm_broadcast(&id, c, sizeof id, 0, "name of an NCCL communicator"));
    NCCL(s, "init", ncclCommInitRankConfig(&s->comm, c->size, id, c->rank, &config));
    return settle(s, "init");
}

rs_status rs_comm_attach(rs_comm *c, const rs_comm_data_opts *opts)
{
    nccl_state *s = NULL;
    RS_ASSERT(!c->data);
    rs_status st = rs_comm_agree(c, state_new(&s, opts));
    if (st == RS_OK)
        st = rs_comm_agree(c, join(s, c, opts));
    if (st != RS_OK) {
        give_up(s);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    finish(c, s);
    return RS_OK;
}

static rs_status split(nccl_state *s, rs_comm *c, rs_comm *whole, const rs_comm_data_opts *o)
{
    nccl_state *of = whole->data->state;
    ncclConfig_t config = config_of(o);
    NCCL(of, "split",
         ncclCommSplit(of->comm, c ? c->world_rank[0] : NCCL_SPLIT_NOCOLOR, c ? c->rank : 0,
                       &s->comm, &config));
    RS_TRY(settle(of, "split"));
    return c ? settle(s, "split") : RS_OK;
}

rs_status rs_comm_attach_part(rs_comm *c, rs_comm *whole, const rs_comm_data_opts *opts)
{
    nccl_state *s = NULL;
    RS_ASSERT(whole->data && (!c || !c->data));
    rs_status st = rs_comm_agree(whole, state_new(&s, opts));
    if (st == RS_OK)
        st = rs_comm_agree(whole, split(s, c, whole, opts));
    if (st != RS_OK || !c) {
        give_up(s);
        return st == RS_OK ? RS_OK : rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    finish(c, s);
    return RS_OK;
}

const char *rs_comm_nccl_library(rs_arena *a)
{
    int v = 0;
    if (ncclGetVersion(&v) != ncclSuccess)
        return "unknown NCCL";
    return rs_arena_printf(a, "NCCL %d.%d.%d", v / 10000, v / 100 % 100, v % 100);
}
