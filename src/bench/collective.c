#include "bench/collective.h"

#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "bench/collective_priv.h"
#include "bench/pattern.h"
#include "comm/agree.h"

enum { ROOT = 0, CALLS_MAX = 10000 };

static void list_pieces(rs_collective *t)
{
    int64_t piece = t->piece * (int64_t)sizeof(float);
    t->src_bytes = RS_NEW(t->a, size_t, t->ranks);
    t->dst_bytes = RS_NEW(t->a, size_t, t->ranks);
    if (t->op == RS_BENCH_SENDRECV) {
        t->src_bytes[(t->rank + 1) % t->ranks] = (size_t)piece;
        t->dst_bytes[(t->rank + t->ranks - 1) % t->ranks] = (size_t)piece;
        return;
    }
    for (int r = 0; r < t->ranks; r++)
        t->src_bytes[r] = t->dst_bytes[r] = (size_t)piece;
}

rs_status rs_collective_open(rs_collective *t, rs_comm *c, rs_comm_bench_op op, int64_t bytes,
                             const rs_collective_opts *o)
{
    *t = (rs_collective){.comm = c,
                         .op = op,
                         .o = o,
                         .rank = rs_comm_rank(c),
                         .ranks = rs_comm_size(c),
                         .a = rs_arena_create()};
    bool gathers = op == RS_BENCH_ALLGATHER || op == RS_BENCH_OVERLAP;
    bool parts = gathers || op == RS_BENCH_ALLTOALL;
    t->piece = rs_max_i64(bytes / (int64_t)sizeof(float) / (parts ? t->ranks : 1), 1);
    t->n_src = op == RS_BENCH_ALLTOALL ? t->piece * t->ranks : t->piece;
    t->n_dst = parts ? t->piece * t->ranks : t->piece;
    t->src = rs_alloc_large((size_t)t->n_src * sizeof *t->src);
    t->dst = rs_alloc_large((size_t)t->n_dst * sizeof *t->dst);
    list_pieces(t);
    return t->src && t->dst ? RS_OK
                            : RS_FAIL(NOMEM, "no room for two buffers of %lld bytes",
                                      (long long)t->n_dst * (long long)sizeof *t->dst);
}

void rs_collective_close(rs_collective *t)
{
    rs_dealloc(t->src);
    rs_dealloc(t->dst);
    rs_arena_destroy(&t->a);
}

rs_status rs_collective_call(rs_collective *t)
{
    switch (t->op) {
    case RS_BENCH_ALLGATHER:
        return rs_comm_allgather(t->dst, t->comm, t->src, t->dst_bytes, RS_BENCH_WHAT);
    case RS_BENCH_ALLTOALL:
    case RS_BENCH_SENDRECV:
        return rs_comm_alltoall(t->dst, t->comm, t->src, t->dst_bytes, t->src_bytes, RS_BENCH_WHAT);
    case RS_BENCH_ALLREDUCE:
        return rs_comm_allreduce(t->dst, t->comm, t->src, t->n_src, RS_COMM_F32, RS_COMM_SUM,
                                 RS_BENCH_WHAT);
    case RS_BENCH_BROADCAST:
        return rs_comm_broadcast(t->dst, t->comm, (size_t)t->n_dst * sizeof *t->dst, ROOT,
                                 RS_BENCH_WHAT);
    case RS_BENCH_OVERLAP: {
        rs_comm_request *r;
        RS_TRY(rs_comm_iallgather(&r, t->dst, t->comm, t->src, t->dst_bytes, RS_BENCH_WHAT));
        return rs_comm_wait(&r);
    }
    case RS_COMM_BENCH_COUNT:
        break;
    }
    return RS_OK;
}

void rs_collective_fill(rs_collective *t)
{
    rs_pattern mine = {.from = t->rank, .to = -1, .call = ++t->call};
    rs_pattern_poison(t->dst, (size_t)t->n_dst * sizeof *t->dst);
    if (t->op == RS_BENCH_ALLREDUCE) {
        rs_pattern_floats(t->src, mine, t->n_src);
    } else if (t->op == RS_BENCH_ALLTOALL) {
        for (mine.to = 0; mine.to < t->ranks; mine.to++)
            rs_pattern_words((uint32_t *)(void *)(t->src + mine.to * t->piece), mine, t->piece);
    } else if (t->op == RS_BENCH_BROADCAST) {
        if (t->rank == ROOT)
            rs_pattern_words((uint32_t *)(void *)t->dst, mine, t->n_dst);
    } else {
        rs_pattern_words((uint32_t *)(void *)t->src, mine, t->n_src);
    }
}

rs_status rs_collective_check(const rs_collective *t)
{
    const uint32_t *got = (const uint32_t *)(const void *)t->dst;
    rs_pattern p = {.to = -1, .call = t->call};
    switch (t->op) {
    case RS_BENCH_ALLREDUCE:
        return rs_pattern_check_sum(t->dst, t->ranks, t->call, t->n_dst);
    case RS_BENCH_BROADCAST:
        p.from = ROOT;
        return rs_pattern_check(got, p, t->n_dst, 0);
    case RS_BENCH_SENDRECV:
        p.from = (t->rank + t->ranks - 1) % t->ranks;
        return rs_pattern_check(got, p, t->n_dst, 0);
    default:
        break;
    }
    if (t->op == RS_BENCH_ALLTOALL)
        p.to = t->rank;
    for (p.from = 0; p.from < t->ranks; p.from++)
        RS_TRY(rs_pattern_check(got + p.from * t->piece, p, t->piece, p.from * t->piece));
    return RS_OK;
}

/* One call with new data, checked on every rank. */
static rs_status verify(rs_collective *t)
{
    rs_collective_fill(t);
    rs_status st = rs_collective_call(t);
    st = rs_comm_agree(t->comm, st == RS_OK ? rs_collective_check(t) : st);
    if (st != RS_OK)
        rs_error_context("%s of %lld bytes on %d ranks", rs_comm_bench_name(t->op),
                         (long long)t->n_dst * (long long)sizeof *t->dst, t->ranks);
    return st;
}

rs_status rs_collective_slowest(double *v, int64_t n, rs_comm *c)
{
    return rs_comm_allreduce(v, c, v, n, RS_COMM_F64, RS_COMM_MAX, "slowest rank");
}

/* Collective. This rank's seconds of a call. A rank whose call fails makes the others of the
 * sample, too, so that all can agree on it. */
static rs_status sample(double *s, rs_collective *t, int64_t calls)
{
    RS_TRY(rs_comm_barrier(t->comm, "sample"));
    rs_status st = RS_OK;
    double since = rs_now();
    for (int64_t i = 0; i < calls; i++) {
        rs_status one = rs_collective_call(t);
        st = one == RS_OK ? st : one;
    }
    *s = (rs_now() - since) / (double)calls;
    return rs_comm_agree(t->comm, st);
}

/* How many calls make a sample, equal on all ranks; the calls that find out warm up, too. The
 * faster of two tries counts: a first call may be late by far. */
static rs_status calibrate(int64_t *calls, rs_collective *t)
{
    double s[2], call_s = 0;
    for (*calls = 1;; *calls *= 4) {
        RS_TRY(sample(&s[0], t, *calls));
        RS_TRY(sample(&s[1], t, *calls));
        RS_TRY(rs_collective_slowest(s, 2, t->comm));
        call_s = s[0] < s[1] ? s[0] : s[1];
        if (call_s * (double)*calls * 4 > t->o->sample_s || *calls >= CALLS_MAX)
            break;
    }
    double want = call_s > 0 ? t->o->sample_s / call_s : CALLS_MAX;
    *calls = rs_max_i64(1, rs_min_i64(CALLS_MAX, (int64_t)want));
    return RS_OK;
}

static rs_status time_calls(rs_collective_rate *r, rs_collective *t)
{
    int64_t n = t->o->samples;
    double *s = RS_NEW(t->a, double, n);
    RS_TRY(calibrate(&r->calls, t));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(sample(&s[i], t, r->calls));
    double least = rs_spread_of(s, n, t->a).min;
    RS_TRY(rs_comm_allreduce(&least, t->comm, &least, 1, RS_COMM_F64, RS_COMM_MIN, "fastest rank"));
    RS_TRY(rs_collective_slowest(s, n, t->comm));
    r->s = rs_spread_of(s, n, t->a);
    r->s.min = least;
    return RS_OK;
}

rs_status rs_collective_time(rs_collective_rate *out, rs_comm *c, rs_comm_bench_op op,
                             int64_t bytes, const rs_collective_opts *o)
{
    rs_collective t;
    RS_ASSERT(bytes >= 1 && o->samples >= 1);
    rs_status st = rs_comm_agree(c, rs_collective_open(&t, c, op, bytes, o));
    *out = (rs_collective_rate){
        .op = op, .bytes = t.n_dst * (int64_t)sizeof *t.dst, .checked = t.n_dst * t.ranks};
    if (st != RS_OK)
        goto out;
    RS_TRY_OUT(verify(&t));
    RS_TRY_OUT(time_calls(out, &t));
    if (op == RS_BENCH_OVERLAP)
        RS_TRY_OUT(rs_collective_overlap(out, &t));
    RS_TRY_OUT(verify(&t));
    out->algbw = (double)out->bytes / out->s.median;
    out->busbw = out->algbw * rs_busbw_factor(op, t.ranks);
out:
    rs_collective_close(&t);
    return st;
}
