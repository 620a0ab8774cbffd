#include "harness/comm_cases.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "comm/agree.h"
#include "comm/progress.h"

enum { P_MAX = 16 };

/* Byte `i` of what rank `from` has for rank `to` in round `round`. */
static unsigned char pattern(int round, int from, int to, size_t i)
{
    size_t v = (size_t)round * 101 + (size_t)from * 31 + (size_t)to * 17 + i * 7 + i / 251;
    return (unsigned char)(v % 256);
}

static void fill(unsigned char *p, size_t n, int round, int from, int to)
{
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(round, from, to, i);
}

static bool holds(const unsigned char *p, size_t n, int round, int from, int to)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern(round, from, to, i))
            return false;
    return true;
}

static void nap(double s)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(s * 1e9)}, NULL);
}

/* Nobody leaves before the last one came: clocks of one machine are one clock. */
static rs_status barrier_holds_all(rs_comm *c)
{
    double came[P_MAX], mine;
    size_t bytes[P_MAX];
    for (int late = 0; late < rs_comm_size(c); late++) {
        if (rs_comm_rank(c) == late)
            nap(0.02);
        mine = rs_now();
        RS_TRY(rs_comm_barrier(c, "test"));
        double left = rs_now();
        for (int r = 0; r < P_MAX; r++)
            bytes[r] = sizeof mine;
        RS_TRY(rs_comm_allgather(came, c, &mine, bytes, NULL));
        for (int r = 0; r < rs_comm_size(c); r++)
            C_CHECK(came[r] <= left);
    }
    return RS_OK;
}

static rs_status broadcast_from_every_root(rs_comm *c)
{
    static const size_t sizes[] = {0, 1, 7, 1000, 100003};
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    unsigned char *p = RS_NEW(a, unsigned char, 100003);
    for (int root = 0; root < rs_comm_size(c); root++)
        for (int k = 0; k < 5 && st == RS_OK; k++) {
            memset(p, 0xee, sizes[k]);
            if (rs_comm_rank(c) == root)
                fill(p, sizes[k], k, root, 0);
            st = rs_comm_broadcast(p, c, sizes[k], root, "test");
            if (st == RS_OK && !holds(p, sizes[k], k, root, 0))
                st = RS_FAIL(NUMERIC, "broadcast of %zu bytes from %d", sizes[k], root);
        }
    rs_arena_destroy(&a);
    return st;
}

/* Unequal, some of them empty. */
static size_t piece(int round, int rank)
{
    static const size_t scale[] = {1, 16, 1001, 20011};
    return ((size_t)rank * 3 + (size_t)round) % 4 * scale[round % 4];
}

typedef struct gather {
    size_t bytes[P_MAX];
    size_t total, at;
    unsigned char *dst, *src;
} gather;

static void gather_init(gather *g, rs_comm *c, rs_arena *a, int round, bool in_place)
{
    int me = rs_comm_rank(c);
    *g = (gather){0};
    for (int r = 0; r < rs_comm_size(c); r++) {
        g->bytes[r] = piece(round, r);
        g->at += r < me ? g->bytes[r] : 0;
        g->total += g->bytes[r];
    }
    g->dst = RS_NEW(a, unsigned char, g->total + 1);
    memset(g->dst, 0xee, g->total + 1);
    g->src = in_place ? g->dst + g->at : RS_NEW(a, unsigned char, g->bytes[me] + 1);
    fill(g->src, g->bytes[me], round, me, 0);
}

static rs_status gather_check(const gather *g, rs_comm *c, int round)
{
    const unsigned char *p = g->dst;
    for (int r = 0; r < rs_comm_size(c); p += g->bytes[r], r++)
        C_CHECK(holds(p, g->bytes[r], round, r, 0));
    C_CHECK(*p == 0xee);
    return RS_OK;
}

static rs_status allgather_unequal(rs_comm *c)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    for (int round = 0; round < 8; round++) {
        gather g;
        gather_init(&g, c, a, round, round >= 4);
        RS_TRY_OUT(rs_comm_allgather(g.dst, c, g.src, g.bytes, "test"));
        RS_TRY_OUT(gather_check(&g, c, round));
    }
out:
    rs_arena_destroy(&a);
    return st;
}

/* Four open at a time, ended in another order than begun, with other collectives in between. */
static rs_status iallgather_overlaps(rs_comm *c)
{
    static const int order[4] = {2, 0, 3, 1};
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    rs_comm_request *r[4];
    gather g[4];
    for (int k = 0; k < 4; k++) {
        gather_init(&g[k], c, a, k, false);
        RS_TRY_OUT(rs_comm_iallgather(&r[k], g[k].dst, c, g[k].src, g[k].bytes, "block"));
    }
    RS_TRY_OUT(rs_comm_barrier(c, "between"));
    for (int k = 0; k < 100; k++)
        rs_comm_progress(c);
    while (!rs_comm_test(r[2]))
        nap(1e-5);
    for (int k = 0; k < 4; k++) {
        RS_TRY_OUT(rs_comm_wait(&r[order[k]]));
        RS_TRY_OUT(r[order[k]] == NULL ? RS_OK : RS_FAIL(NUMERIC, "request is not nulled"));
        RS_TRY_OUT(gather_check(&g[order[k]], c, order[k]));
    }
out:
    rs_arena_destroy(&a);
    return st;
}

rs_status t_comm_progress_case(rs_comm *c, double idle_s)
{
    enum { BYTES = 300000 };
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    rs_progress *p = NULL;
    rs_comm_request *r;
    size_t bytes[P_MAX];
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    unsigned char *dst = RS_NEW(a, unsigned char, BYTES *n), *src = RS_NEW(a, unsigned char, BYTES);
    for (int i = 0; i < n; i++)
        bytes[i] = BYTES;
    fill(src, BYTES, 1, me, 0);
    RS_TRY_OUT(rs_progress_start(&p, c, 1e-4));
    RS_TRY_OUT(rs_comm_barrier(c, "begin together"));
    RS_TRY_OUT(rs_comm_iallgather(&r, dst, c, src, bytes, "moved by the thread"));
    for (double until = rs_now() + idle_s; rs_now() < until;)
        nap(0.01);
    RS_TRY_OUT(rs_comm_wait(&r));
    for (int i = 0; i < n; i++)
        if (!holds(dst + (size_t)i * BYTES, BYTES, 1, i, 0))
            st = RS_FAIL(NUMERIC, "piece of rank %d", i);
out:
    rs_progress_stop(&p);
    rs_arena_destroy(&a);
    return st;
}

static rs_status progress_thread_moves(rs_comm *c)
{
    return t_comm_progress_case(c, 0.01);
}

static size_t cell(int round, int from, int to)
{
    return (size_t)((from * 7 + to * 3 + round) % 5) * (round % 2 ? 1 : 4099);
}

static rs_status alltoall_unequal(rs_comm *c)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    for (int round = 0; round < 4; round++) {
        size_t out[P_MAX], in[P_MAX];
        unsigned char *src = RS_NEW(a, unsigned char, 1 << 18), *s = src;
        unsigned char *dst = RS_NEW(a, unsigned char, 1 << 18), *d = dst;
        for (int r = 0; r < n; s += out[r], r++) {
            out[r] = cell(round, me, r);
            in[r] = cell(round, r, me);
            fill(s, out[r], round, me, r);
        }
        RS_TRY_OUT(rs_comm_alltoall(dst, c, src, in, out, "test"));
        for (int r = 0; r < n; d += in[r], r++)
            if (!holds(d, in[r], round, r, me))
                st = RS_FAIL(NUMERIC, "round %d: %zu bytes from %d to %d", round, in[r], r, me);
        RS_TRY_OUT(st);
    }
out:
    rs_arena_destroy(&a);
    return st;
}

/* Values whose sum depends on the order. */
static double value(int rank, int64_t i)
{
    static const double v[] = {1e8, 0.1, -1e8, 3.7e-3, 1e7, -12345.678, 0.3333, 1e-9};
    return v[((size_t)rank * 5 + (size_t)i) % 8] * (1 + (double)(i % 97));
}

static double pick(double a, double b, rs_comm_reduce op)
{
    return op == RS_COMM_MIN ? (b < a ? b : a) : (b > a ? b : a);
}

/* Element i as the header defines it. */
static void expect(void *out, int n, int64_t i, rs_comm_type type, rs_comm_reduce op)
{
    float f = (float)value(0, i);
    double d = value(0, i);
    int64_t k = (int64_t)value(0, i);
    for (int r = 1; r < n; r++) {
        float fr = (float)value(r, i);
        int64_t kr = (int64_t)value(r, i);
        f = op == RS_COMM_SUM ? f + fr : (float)pick(f, fr, op);
        d = op == RS_COMM_SUM ? d + value(r, i) : pick(d, value(r, i), op);
        k = op == RS_COMM_SUM ? k + kr : op == RS_COMM_MIN ? (kr < k ? kr : k) : (kr > k ? kr : k);
    }
    if (type == RS_COMM_F32)
        memcpy(out, &f, sizeof f);
    else
        memcpy(out, type == RS_COMM_F64 ? (const void *)&d : (const void *)&k, sizeof d);
}

static void store(void *p, int64_t i, int rank, rs_comm_type type)
{
    if (type == RS_COMM_F32)
        ((float *)p)[i] = (float)value(rank, i);
    else if (type == RS_COMM_F64)
        ((double *)p)[i] = value(rank, i);
    else
        ((int64_t *)p)[i] = (int64_t)value(rank, i);
}

static rs_status reduce_once(rs_comm *c, char *src, char *dst, int64_t n, rs_comm_type type,
                             rs_comm_reduce op)
{
    size_t size = type == RS_COMM_F32 ? 4 : 8;
    for (int64_t i = 0; i < n; i++)
        store(src, i, rs_comm_rank(c), type);
    RS_TRY(rs_comm_allreduce(dst, c, src, n, type, op, "test"));
    for (int64_t i = 0; i < n; i++) {
        char want[8];
        expect(want, rs_comm_size(c), i, type, op);
        C_CHECK(memcmp(want, dst + (size_t)i * size, size) == 0);
    }
    return RS_OK;
}

static rs_status allreduce_has_rank_order(rs_comm *c)
{
    static const int64_t sizes[] = {0, 1, 3, 257, 5003};
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    char *src = (char *)RS_NEW(a, double, 5003), *dst = (char *)RS_NEW(a, double, 5003);
    for (int k = 0; k < 5; k++)
        for (int type = RS_COMM_F32; type <= RS_COMM_I64; type++)
            for (int op = RS_COMM_SUM; op <= RS_COMM_MAX; op++) {
                RS_TRY_OUT(
                    reduce_once(c, src, dst, sizes[k], (rs_comm_type)type, (rs_comm_reduce)op));
                RS_TRY_OUT(
                    reduce_once(c, src, src, sizes[k], (rs_comm_type)type, (rs_comm_reduce)op));
            }
out:
    rs_arena_destroy(&a);
    return st;
}

/* NaN wins wherever it is; of 0 and -0 the lowest rank's stays. */
static rs_status allreduce_special_values(rs_comm *c)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    for (int bad = 0; bad < n; bad++)
        for (int op = RS_COMM_SUM; op <= RS_COMM_MAX; op++) {
            float x = me == bad ? NAN : 1, y;
            double u = me == bad ? NAN : 1, v;
            RS_TRY(rs_comm_allreduce(&y, c, &x, 1, RS_COMM_F32, (rs_comm_reduce)op, NULL));
            RS_TRY(rs_comm_allreduce(&v, c, &u, 1, RS_COMM_F64, (rs_comm_reduce)op, NULL));
            C_CHECK(isnan(y) && isnan(v));
        }
    float zero = me == 0 ? -0.0f : 0.0f, got;
    RS_TRY(rs_comm_allreduce(&got, c, &zero, 1, RS_COMM_F32, RS_COMM_MAX, NULL));
    C_CHECK(got == 0 && signbit(got));
    return RS_OK;
}

static rs_status messages_go_round(rs_comm *c)
{
    enum { BYTES = 200000 };
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    int next = (me + 1) % n, before = (me + n - 1) % n, got = -1, last = -1;
    RS_TRY(rs_comm_send(c, &me, sizeof me, next, 5));
    RS_TRY(rs_comm_send(c, &n, sizeof n, next, 6));
    RS_TRY(rs_comm_receive(&last, c, sizeof last, before, 6)); /* by tag, not by order */
    RS_TRY(rs_comm_receive(&got, c, sizeof got, RS_COMM_ANY, 5));
    C_CHECK(got == before && last == n);
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    unsigned char *p = RS_NEW(a, unsigned char, BYTES);
    if (n > 1 && me == 0) { /* more than MPI buffers: the receiver must be there */
        fill(p, BYTES, 1, 0, 1);
        RS_TRY_OUT(rs_comm_send(c, p, BYTES, 1, 7));
    } else if (me == 1) {
        RS_TRY_OUT(rs_comm_receive(p, c, BYTES, 0, 7));
        if (!holds(p, BYTES, 1, 0, 1))
            st = RS_FAIL(NUMERIC, "large message");
    }
out:
    rs_arena_destroy(&a);
    return st;
}

/* Large messages under way to a rank that does not look at them until it is told to. */
static rs_status isend_waits_for_nobody(rs_comm *c)
{
    enum { N = 3, BYTES = 300000, ALL = N * BYTES };
    int me = rs_comm_rank(c), go = 0;
    rs_comm_request *r[N];
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    unsigned char *p = RS_NEW(a, unsigned char, ALL);
    if (rs_comm_size(c) > 1 && me == 0) {
        fill(p, ALL, 1, 0, 1);
        for (int i = 0; i < N; i++)
            RS_TRY_OUT(rs_comm_isend(&r[i], c, p + i * BYTES, BYTES, 1, 7));
        RS_TRY_OUT(rs_comm_send(c, &go, sizeof go, 1, 8));
        for (int i = N - 1; i >= 0; i--)
            RS_TRY_OUT(rs_comm_wait(&r[i]));
    } else if (me == 1) {
        RS_TRY_OUT(rs_comm_receive(&go, c, sizeof go, 0, 8));
        for (int i = 0; i < N; i++)
            RS_TRY_OUT(rs_comm_receive(p + i * BYTES, c, BYTES, 0, 7));
        if (!holds(p, ALL, 1, 0, 1))
            st = RS_FAIL(NUMERIC, "messages under way");
    }
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status probe_takes_in_order(rs_comm *c)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    rs_comm_message m;
    RS_TRY(rs_comm_probe(&m, c, RS_COMM_ANY, RS_COMM_ANY));
    C_CHECK(!m.found);
    RS_TRY(rs_comm_barrier(c, "nothing was sent before"));
    for (int64_t k = 0; k < 3; k++)
        RS_TRY(rs_comm_send(c, &k, sizeof k, (me + 1) % n, RS_COMM_TAG_MAX));
    RS_TRY(rs_comm_send(c, NULL, 0, (me + 1) % n, 0));
    for (int64_t k = 0, got = -1; k < 4; k++) {
        do {
            RS_TRY(rs_comm_probe(&m, c, RS_COMM_ANY, RS_COMM_ANY));
        } while (!m.found);
        C_CHECK(m.from == (me + n - 1) % n && m.tag == (k < 3 ? RS_COMM_TAG_MAX : 0));
        C_CHECK(m.bytes == (k < 3 ? sizeof got : 0));
        RS_TRY(rs_comm_take(c, &m, &got));
        C_CHECK(got == (k < 3 ? k : 2) && !m.found);
    }
    int32_t small = 1;
    int64_t large;
    RS_TRY(rs_comm_send(c, &small, sizeof small, (me + 1) % n, 1));
    rs_status st = rs_comm_receive(&large, c, sizeof large, RS_COMM_ANY, 1);
    C_CHECK(st == RS_PEER && strstr(rs_error_message(), "has 4 bytes, expected 8"));
    return RS_OK;
}

/* Two parts, in opposite orders; then parts of the parts; then one rank left out. */
static rs_status split_makes_parts(rs_comm *c)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c), odd = me % 2, members = (n + 1 - odd) / 2;
    rs_comm *half, *one, *rest;
    int64_t sum, want = 0;
    RS_TRY(rs_comm_split(&half, c, odd, odd ? -me : 0, odd ? "odd" : "even"));
    C_CHECK(rs_comm_size(half) == members && strcmp(rs_comm_name(half), odd ? "odd" : "even") == 0);
    C_CHECK(rs_comm_rank(half) == (odd ? members - 1 - me / 2 : me / 2));
    for (int r = odd; r < n; r += 2)
        want += r;
    int64_t mine = me;
    RS_TRY(rs_comm_allreduce(&sum, half, &mine, 1, RS_COMM_I64, RS_COMM_SUM, "part"));
    C_CHECK(sum == want);
    int first = me;
    RS_TRY(rs_comm_broadcast(&first, half, sizeof first, 0, "part"));
    C_CHECK(first == (odd ? (n - 2) / 2 * 2 + 1 : 0));
    RS_TRY(rs_comm_split(&one, half, rs_comm_rank(half), 0, "one"));
    C_CHECK(rs_comm_size(one) == 1);
    RS_TRY(rs_comm_barrier(one, NULL));
    RS_TRY(rs_comm_split(&rest, c, me == 0 ? -1 : 3, 0, "rest"));
    C_CHECK((rest == NULL) == (me == 0));
    if (rest) {
        RS_TRY(rs_comm_allreduce(&sum, rest, &mine, 1, RS_COMM_I64, RS_COMM_MIN, "rest"));
        C_CHECK(sum == 1 && rs_comm_size(rest) == n - 1);
    }
    rs_comm_close(&rest);
    rs_comm_close(&one);
    rs_comm_close(&half);
    C_CHECK(!half && !one);
    return RS_OK;
}

static rs_status agreement_names_the_lowest(rs_comm *c)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    C_CHECK(rs_comm_agree(c, RS_OK) == RS_OK);
    for (int bad = 0; bad < n; bad++) {
        rs_status mine = RS_OK;
        if (me >= bad)
            mine = me == bad ? RS_FAIL(FORMAT, "file %d is bad", me) : RS_FAIL(IO, "other %d", me);
        rs_vote v;
        RS_TRY(rs_comm_vote(&v, c, mine, rs_error_message()));
        char want[64], first[64];
        snprintf(first, sizeof first, "file %d is bad", bad);
        C_CHECK(v.status == RS_FORMAT && v.rank == bad && v.failed == n - bad);
        C_CHECK(strcmp(v.message, first) == 0);
        if (me == bad) /* the record of this thread is what agree sends */
            mine = RS_FAIL(FORMAT, "%s", first);
        C_CHECK(rs_comm_agree(c, mine) == RS_FORMAT);
        snprintf(want, sizeof want, n - bad > 1 ? "rank %d: %s (and %d more)" : "rank %d: %s", bad,
                 first, n - bad - 1);
        C_CHECK(n == 1 || strcmp(rs_error_message(), want) == 0);
    }
    rs_error_clear();
    return RS_OK;
}

/* A second thread of rank 0 answers small questions while all main threads are in collectives. */
typedef struct director {
    rs_comm *comm;
    int ends; /* ranks that have said goodbye */
    rs_status st;
} director;

static rs_status answer(director *d, rs_comm_message *m)
{
    int64_t q;
    int from = m->from;
    RS_TRY(rs_comm_take(d->comm, m, &q));
    d->ends += q < 0;
    q *= 2;
    return rs_comm_send(d->comm, &q, sizeof q, from, 12);
}

static void *direct(void *arg)
{
    director *d = arg;
    while (d->st == RS_OK && d->ends < rs_comm_size(d->comm)) {
        rs_comm_message m;
        d->st = rs_comm_probe(&m, d->comm, RS_COMM_ANY, 11);
        if (d->st == RS_OK && m.found)
            d->st = answer(d, &m);
        else
            nap(1e-3);
    }
    return NULL;
}

static rs_status ask_director(rs_comm *c, int64_t q)
{
    int64_t reply;
    RS_TRY(rs_comm_send(c, &q, sizeof q, 0, 11));
    RS_TRY(rs_comm_receive(&reply, c, sizeof reply, 0, 12));
    C_CHECK(reply == 2 * q);
    return RS_OK;
}

static rs_status second_thread_directs(rs_comm *c)
{
    director d = {.comm = c};
    pthread_t thread;
    rs_status st = RS_OK;
    int me = rs_comm_rank(c);
    bool first = me == 0;
    if (first && pthread_create(&thread, NULL, direct, &d) != 0)
        return RS_FAIL(NOMEM, "no thread");
    for (int64_t k = 0; k < 20 && st == RS_OK; k++) {
        int64_t sum, mine = me + k, n = rs_comm_size(c);
        st = rs_comm_allreduce(&sum, c, &mine, 1, RS_COMM_I64, RS_COMM_SUM, "step");
        if (st == RS_OK && sum != n * (n - 1) / 2 + n * k)
            st = RS_FAIL(NUMERIC, "sum %lld", (long long)sum);
        if (st == RS_OK)
            st = ask_director(c, k + 100 * me);
    }
    if (st == RS_OK)
        st = ask_director(c, -1);
    if (first && st == RS_OK)
        pthread_join(thread, NULL);
    return st == RS_OK ? d.st : st;
}

const t_comm_case t_comm_cases[] = {
    {"barrier_holds_all", barrier_holds_all},
    {"broadcast_from_every_root", broadcast_from_every_root},
    {"allgather_unequal", allgather_unequal},
    {"iallgather_overlaps", iallgather_overlaps},
    {"progress_thread_moves", progress_thread_moves},
    {"alltoall_unequal", alltoall_unequal},
    {"allreduce_has_rank_order", allreduce_has_rank_order},
    {"allreduce_special_values", allreduce_special_values},
    {"messages_go_round", messages_go_round},
    {"isend_waits_for_nobody", isend_waits_for_nobody},
    {"probe_takes_in_order", probe_takes_in_order},
    {"split_makes_parts", split_makes_parts},
    {"agreement_names_the_lowest", agreement_names_the_lowest},
    {"second_thread_directs", second_thread_directs},
};
const int t_n_comm_cases = sizeof t_comm_cases / sizeof t_comm_cases[0];

rs_status t_comm_run_table(rs_comm *c, void (*tell)(const char *name))
{
    RS_ASSERT(rs_comm_size(c) <= P_MAX);
    for (int i = 0; i < t_n_comm_cases; i++) {
        if (tell)
            tell(t_comm_cases[i].name);
        rs_status st = t_comm_cases[i].run(c);
        if (st != RS_OK) { /* the others may wait for this rank in the middle of the case */
            rs_error_context("%s", t_comm_cases[i].name);
            return st;
        }
        RS_TRY(rs_comm_agree(c, RS_OK));
    }
    return RS_OK;
}
