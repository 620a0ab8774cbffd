// bench: formulas against hand values, and results that are wrong are noticed.
#include <math.h>
#include <string.h>

#include "bench/catalog.h"
#include "bench/collective_priv.h"
#include "bench/pattern.h"
#include "comm/fault.h"
#include "harness/test.h"

/* doc/PERFORMANCE.md of NVIDIA/nccl-tests, worked out by hand. */
static void t_bus_bandwidth(void)
{
    static const struct {
        rs_comm_bench_op op;
        double on1, on2, on8;
    } rows[] = {
        {RS_BENCH_ALLREDUCE, 0, 1, 1.75},   {RS_BENCH_ALLGATHER, 0, 0.5, 0.875},
        {RS_BENCH_ALLTOALL, 0, 0.5, 0.875}, {RS_BENCH_OVERLAP, 0, 0.5, 0.875},
        {RS_BENCH_BROADCAST, 0, 1, 1},      {RS_BENCH_SENDRECV, 0, 1, 1},
    };
    T_EQ_I(sizeof rows / sizeof rows[0], RS_COMM_BENCH_COUNT);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        T_NEAR(rs_busbw_factor(rows[i].op, 1), rows[i].on1, 0);
        T_NEAR(rs_busbw_factor(rows[i].op, 2), rows[i].on2, 0);
        T_NEAR(rs_busbw_factor(rows[i].op, 8), rows[i].on8, 0);
    }
}

static void t_spread_and_exposed(void)
{
    const double odd[] = {5, 1, 9}, even[] = {4, 2, 8, 6}, one[] = {3};
    rs_spread s = rs_spread_of(odd, 3, t_arena());
    T_CHECK(s.min == 1 && s.median == 5 && s.max == 9 && odd[0] == 5);
    s = rs_spread_of(even, 4, t_arena());
    T_CHECK(s.min == 2 && s.median == 5 && s.max == 8);
    s = rs_spread_of(one, 1, t_arena());
    T_CHECK(s.min == 3 && s.median == 3 && s.max == 3);
    T_NEAR(rs_exposed_fraction(4, 10, 11), 0.25, 0);
    T_NEAR(rs_exposed_fraction(4, 10, 14), 1, 0);
    T_NEAR(rs_exposed_fraction(4, 10, 30), 1, 0);
    T_NEAR(rs_exposed_fraction(4, 10, 9), 0, 0);
    T_NEAR(rs_exposed_fraction(0, 1, 1), 0, 0);
}

static void t_catalog_rates(void)
{
    rs_catalog_rate one = rs_catalog_rate_of(16, 1, 100, 95, 100);
    rs_catalog_rate two = rs_catalog_rate_of(16, 2, 50, 270, 150); /* of three runs */
    rs_catalog_rate four = rs_catalog_rate_of(16, 4, 40, 80, 40);
    rs_catalog_rate_against(&one, 1, &one, 1);
    rs_catalog_rate_against(&two, 2, &one, 1);
    rs_catalog_rate_against(&four, 4, &two, 2);
    T_NEAR(one.videos_per_hour, 576, 0);
    T_NEAR(one.speedup, 1, 0);
    T_NEAR(one.efficiency, 1, 0);
    T_NEAR(one.busy, 0.95, 1e-15);
    T_NEAR(two.speedup, 2, 0);
    T_NEAR(two.efficiency, 1, 0);
    T_NEAR(two.busy, 0.9, 1e-15);
    T_NEAR(four.speedup, 1.25, 1e-15);
    T_NEAR(four.efficiency, 0.625, 1e-15);
    T_NEAR(four.busy, 0.5, 1e-15);
}

static void t_patterns(void)
{
    enum { N = 1000 };
    uint32_t w[N];
    float x[N], sum[N];
    rs_pattern a = {.from = 0, .to = -1, .call = 1}, b = a, c = a, d = a;
    b.from = 1;
    c.to = 1;
    d.call = 2;
    rs_pattern_words(w, a, N);
    T_OK(rs_pattern_check(w, a, N, 0));
    T_FAILS(rs_pattern_check(w, b, N, 0), INTERNAL, "element 0 is 0x");
    T_FAILS(rs_pattern_check(w, c, N, 0), INTERNAL, "element 0 is 0x");
    T_FAILS(rs_pattern_check(w, d, N, 0), INTERNAL, "element 0 is 0x");
    w[999] ^= 1;
    T_FAILS(rs_pattern_check(w, a, N, 5000), INTERNAL, "element 5999 is 0x");
    rs_pattern_floats(x, a, N);
    rs_pattern_floats(sum, b, N);
    for (int i = 0; i < N; i++) {
        T_CHECK(x[i] >= -1 && x[i] < 1);
        sum[i] = x[i] + sum[i];
    }
    T_OK(rs_pattern_check_sum(sum, 2, 1, N));
    T_FAILS(rs_pattern_check_sum(sum, 2, 2, N), INTERNAL, "element 0 is ");
    sum[17] = nextafterf(sum[17], 4);
    T_FAILS(rs_pattern_check_sum(sum, 2, 1, N), INTERNAL, "element 17 is ");
}

/* ---- collectives, ranks as threads ---- */

static const rs_collective_opts k_fast = {.samples = 2, .sample_s = 1e-5, .compute = 1};

static rs_status time_all(rs_comm *c, void *ctx)
{
    (void)ctx;
    static const int64_t sizes[] = {1, 8, 100, 4096, 100000};
    for (int op = 0; op < RS_COMM_BENCH_COUNT; op++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            rs_collective_rate r;
            rs_collective_opts o = k_fast;
            o.progress_thread = i % 2;
            RS_TRY(rs_collective_time(&r, c, (rs_comm_bench_op)op, sizes[i], &o));
            bool parts =
                op == RS_BENCH_ALLGATHER || op == RS_BENCH_ALLTOALL || op == RS_BENCH_OVERLAP;
            int64_t n = rs_comm_size(c), piece = sizes[i] / 4 / (parts ? n : 1);
            int64_t want = (piece ? piece : 1) * (parts ? n : 1);
            if (r.bytes != want * 4 || r.checked != want * n || !(r.s.min > 0) ||
                !(r.s.min <= r.s.median) || !(r.s.median <= r.s.max) || r.calls < 1 ||
                fabs(r.algbw * r.s.median / (double)r.bytes - 1) > 1e-12 ||
                fabs(r.busbw - r.algbw * rs_busbw_factor(r.op, (int)n)) > 0)
                return RS_FAIL(NUMERIC, "%s of %lld bytes is reported wrong",
                               rs_comm_bench_name(r.op), (long long)sizes[i]);
        }
    return RS_OK;
}

static void t_collectives(void)
{
    for (int n = 1; n <= 4; n++)
        T_OK(rs_comm_threads_run(n, time_all, NULL, NULL));
}

typedef struct faulty {
    rs_comm_bench_op op;
    const char *spec;
    const char *want[8]; /* per rank: what it is told */
} faulty;

/* Every rank gets the same error: of the damaged rank, with the element. */
static rs_status run_faulty(rs_comm *c, void *ctx)
{
    const faulty *f = ctx;
    rs_fault *fault;
    rs_collective_rate r;
    RS_TRY(rs_fault_add(&fault, c, f->spec));
    /* samples of one call, so that calls can be counted */
    rs_status st =
        rs_collective_time(&r, c, f->op, 1200, &(rs_collective_opts){.samples = 2, .compute = 1});
    rs_fault_destroy(&fault);
    if (st != RS_INTERNAL)
        return RS_FAIL(NUMERIC, "%s passes", rs_comm_bench_name(f->op));
    for (int i = 0; f->want[i]; i++)
        if (!strstr(rs_error_message(), f->want[i]))
            return RS_FAIL(NUMERIC, "no \"%s\" in \"%s\"", f->want[i], rs_error_message());
    return RS_OK;
}

static void t_wrong_elements_are_named(void)
{
    /* the middle of 1200 bytes: float 150 */
    static const faulty rows[] = {
        {RS_BENCH_ALLGATHER,
         "rank=2,op=allgather,what=benchmark,do=corrupt",
         {"allgather of 1200 bytes on 3 ranks: rank 2: element 150 is 0x", "rank 1 sent 0x"}},
        {RS_BENCH_ALLTOALL,
         "rank=0,op=alltoall,what=benchmark,do=corrupt",
         {"alltoall of 1200 bytes on 3 ranks: rank 0: element 150 is 0x", "rank 1 sent 0x"}},
        {RS_BENCH_ALLREDUCE,
         "rank=1,op=allreduce,what=benchmark,do=corrupt",
         {"allreduce of 1200 bytes on 3 ranks: rank 1: element 150 is ", "the sum in rank order"}},
        {RS_BENCH_BROADCAST,
         "rank=1,op=broadcast,what=benchmark,do=corrupt",
         {"broadcast of 1200 bytes on 3 ranks: rank 1: element 150 is 0x", "rank 0 sent 0x"}},
        {RS_BENCH_SENDRECV,
         "rank=2,what=benchmark,do=corrupt",
         {"sendrecv of 1200 bytes on 3 ranks: rank 2: element 150 is 0x", "rank 1 sent 0x"}},
        {RS_BENCH_OVERLAP, "what=benchmark,do=corrupt", {"(and 2 more)"}},
        /* verified, calibrated by two, two samples; then the gather beside the loop, and the last
           check */
        {RS_BENCH_OVERLAP,
         "rank=1,what=benchmark,call=6,do=corrupt",
         {"allgather of 1200 bytes beside a loop: rank 1: element 150 is 0x"}},
        {RS_BENCH_BROADCAST,
         "rank=1,op=broadcast,what=benchmark,call=6,do=corrupt",
         {"broadcast of 1200 bytes on 3 ranks: rank 1: element 150 is 0x"}},
        /* a call that fails instead: the others hear of it, nobody waits */
        {RS_BENCH_ALLTOALL, "rank=1,op=alltoall,call=4,do=fail", {"rank 1: ", "on purpose"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faulty f = rows[i];
        T_OK(rs_comm_threads_run(3, run_faulty, &f, NULL));
    }
}

/* What an earlier call left behind is not what the next one must bring. */
static rs_status fill_twice(rs_comm *c, void *ctx)
{
    (void)ctx;
    for (int op = 0; op < RS_COMM_BENCH_COUNT; op++) {
        rs_collective t;
        rs_status st = rs_collective_open(&t, c, (rs_comm_bench_op)op, 400, &k_fast);
        if (st == RS_OK) {
            rs_collective_fill(&t);
            st = rs_collective_call(&t);
            rs_status good = rs_collective_check(&t);
            t.call++;
            if (st == RS_OK && (good != RS_OK || rs_collective_check(&t) == RS_OK))
                st = RS_FAIL(NUMERIC, "%s: old data pass", rs_comm_bench_name(t.op));
            uint32_t call = t.call;
            rs_collective_fill(&t);
            if (st == RS_OK && t.call <= call)
                st = RS_FAIL(NUMERIC, "%s: new data are the old", rs_comm_bench_name(t.op));
        }
        rs_collective_close(&t);
        RS_TRY(st);
    }
    return RS_OK;
}

static void t_every_check_has_new_data(void)
{
    T_OK(rs_comm_threads_run(2, fill_twice, NULL, NULL));
}

static const rs_test_case k_cases[] = {
    T_CASE(t_bus_bandwidth),
    T_CASE(t_spread_and_exposed),
    T_CASE(t_catalog_rates),
    T_CASE(t_patterns),
    T_CASE(t_collectives),
    T_CASE(t_wrong_elements_are_named),
    T_CASE(t_every_check_has_new_data),
};
RS_TEST_MAIN(k_cases)
