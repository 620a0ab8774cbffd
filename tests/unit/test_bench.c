// bench: formulas against hand values, and results that are wrong are noticed.
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "bench/catalog.h"
#include "bench/collective.h"
#include "bench/io_file.h"
#include "bench/pattern.h"
#include "comm/fault.h"
#include "harness/test.h"
#include "store/archive.h"

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
    rs_status st = rs_collective_time(&r, c, f->op, 1200, &k_fast);
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
        /* a call that fails instead: the others hear of it, nobody waits */
        {RS_BENCH_ALLTOALL, "rank=1,op=alltoall,call=4,do=fail", {"rank 1: ", "on purpose"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faulty f = rows[i];
        T_OK(rs_comm_threads_run(3, run_faulty, &f, NULL));
    }
}

/* ---- files ---- */

static void make(rs_io_files *f, rs_io_kind kind, int rank, int64_t bytes)
{
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), rs_io_kind_name(kind));
    T_OK(rs_make_dirs(dir));
    rs_io_files_make(f, t_arena(), kind, dir, rank, bytes, 3);
}

static void flip_byte(const char *path, int64_t at)
{
    char *data;
    size_t bytes;
    T_OK(rs_read_file(&data, &bytes, t_arena(), path));
    T_CHECK(at < (int64_t)bytes);
    data[at] ^= 1;
    T_OK(rs_write_file_atomic(path, data, bytes));
}

static void t_files(void)
{
    for (int kind = 0; kind < RS_IO_KIND_COUNT; kind++) {
        rs_io_files mine, other;
        make(&mine, kind, 0, 40000);
        make(&other, kind, 1, 40000);
        T_EQ_I(mine.n, kind == RS_IO_SMALL ? 3 : 1);
        T_OK(rs_io_files_write(&mine));
        T_OK(rs_io_files_read(&mine, true));
        rs_io_files_forget(&mine);
        T_OK(rs_io_files_read(&mine, true));
        T_CHECK(rs_io_files_size(&mine) > (kind == RS_IO_FRAMES ? 10000 : 3 * 4096));
        /* a file that is whole, but of somebody else */
        T_OK(rs_io_files_read(&other, false));
        T_FAILS(rs_io_files_read(&other, true), FORMAT, "element ");
        /* one that is not whole: the product's own checksum */
        const char *last = rs_io_file_path(&mine, t_arena(), mine.n - 1);
        flip_byte(last, rs_file_size(last) / 2);
        T_FAILS(rs_io_files_read(&mine, false), FORMAT, rs_path_basename(last));
    }
}

static rs_status time_files(rs_comm *c, void *ctx)
{
    rs_io_opts o = {.folder = ctx, .bytes = 50000, .files = 4, .samples = 3};
    for (int kind = 0; kind < RS_IO_KIND_COUNT; kind++)
        for (int active = 1; active <= rs_comm_size(c); active++) {
            rs_io_rate r;
            RS_TRY(rs_io_time(&r, c, (rs_io_kind)kind, active, &o));
            double total = (double)(r.bytes * active);
            bool small = kind == RS_IO_SMALL;
            if (r.ranks != active || r.files != (small ? 4 : 1) ||
                r.bytes != (small                  ? 4 * 4096
                            : kind == RS_IO_FRAMES ? 5 * 48 * 64 * 3
                                                   : 12 * 4096) ||
                r.disk_bytes < 4096 || !(r.write.s.min > 0) || !(r.read.s.min > 0) ||
                fabs(r.write.total_rate * r.write.s.median / total - 1) > 1e-12 ||
                fabs(r.read.file_rate * r.read.s.median / (double)(r.files * active) - 1) > 1e-12)
                return RS_FAIL(NUMERIC, "%s on %d ranks is reported wrong",
                               rs_io_kind_name((rs_io_kind)kind), active);
        }
    return RS_OK;
}

static int64_t entries(const char *folder)
{
    char *text;
    T_EQ_I(t_shell(&text, "find %s -mindepth 1 | wc -l", folder), 0);
    int64_t n = -1;
    text[strcspn(text, "\n")] = 0;
    T_CHECK(sscanf(text, "%" SCNd64, &n) == 1);
    return n;
}

static void t_files_on_ranks(void)
{
    char *dir = rs_arena_strdup(t_arena(), t_tmpdir());
    T_OK(rs_comm_threads_run(3, time_files, dir, NULL));
    T_EQ_I(entries(dir), 0);
}

static rs_status stop_files(rs_comm *c, void *ctx)
{
    static const volatile sig_atomic_t stopped = 1;
    rs_io_opts o = {.folder = ctx, .bytes = 5000, .files = 1, .samples = 1};
    rs_io_rate r;
    o.stop = rs_comm_rank(c) == 1 ? &stopped : NULL;
    return rs_io_time(&r, c, RS_IO_CHECKPOINT, 2, &o) == RS_STOPPED
               ? RS_OK
               : RS_FAIL(NUMERIC, "rank %d goes on", rs_comm_rank(c));
}

static void t_files_stop_and_fail_clean(void)
{
    char *dir = rs_arena_strdup(t_arena(), t_tmpdir());
    T_OK(rs_comm_threads_run(2, stop_files, dir, NULL));
    T_EQ_I(entries(dir), 0);
    /* no folder can be made where a file is */
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "rank-1"), "x", 1));
    T_FAILS(rs_comm_threads_run(2, time_files, dir, NULL), IO, "rank-1");
    T_CHECK(!rs_path_exists(rs_path_join(t_arena(), dir, "rank-0")));
}

/* ---- contents of runs ---- */

static void write_run(const char *run, float value, float frames, double seconds)
{
    const char *path = rs_arena_printf(t_arena(), "%s/archive/a.h5", run);
    float x[4] = {1, 2, 3, value}, y[4] = {frames, 0, 0, 0};
    rs_tensor adapter = rs_tensor_of(x, RS_DTYPE_F32, RS_SHAPE(2, 2));
    rs_tensor film = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(4));
    rs_archive *f;
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), path)));
    T_OK(rs_archive_create(&f, path));
    T_OK(rs_archive_write_tensor(f, "/stages/motion/adapter/q/A", adapter, 0));
    T_OK(rs_archive_set_f64(f, "/stages/motion", "seconds", seconds));
    T_OK(rs_archive_make_group(f, "/stages/edit/red"));
    T_OK(rs_archive_set_f64(f, "/stages/edit/red", "seconds", 2));
    T_OK(rs_archive_write_tensor(f, "/edits/red/frames", film, 0));
    T_OK(rs_archive_make_group(f, "/edits/failed"));
    T_OK(rs_archive_commit(&f));
}

static void read_run(rs_content *c, const char *name, float value, float frames)
{
    const char *run = rs_path_join(t_arena(), t_tmpdir(), name);
    write_run(run, value, frames, 3.5);
    T_OK(rs_content_read(c, t_arena(), run));
}

static void t_contents(void)
{
    rs_content a, same, film, other, none;
    int64_t others;
    read_run(&a, "a", 4, 0);
    read_run(&same, "same", 4, 0);
    read_run(&film, "film", 4, 1);
    read_run(&other, "other", 4.5f, 0);
    T_EQ_I(a.n, 2);
    T_EQ_I(a.videos, 1);
    T_EQ_I(a.edits, 1);
    T_EQ_I(a.adapters, 1);
    T_NEAR(a.busy_s, 5.5, 0);
    T_OK(rs_content_compare(&others, &a, &same));
    T_EQ_I(others, 0);
    T_OK(rs_content_compare(&others, &a, &film));
    T_EQ_I(others, 1);
    T_FAILS(rs_content_compare(&others, &a, &other), INTERNAL,
            "a.h5: /stages/motion/adapter/q/A has other bits");
    same.n = 1;
    T_FAILS(rs_content_compare(&others, &a, &same), INTERNAL, "is in one of two runs only");
    T_FAILS(rs_content_read(&none, t_arena(), t_tmpdir()), INPUT, "published no archive");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_bus_bandwidth), T_CASE(t_spread_and_exposed), T_CASE(t_catalog_rates),
    T_CASE(t_patterns),      T_CASE(t_collectives),        T_CASE(t_wrong_elements_are_named),
    T_CASE(t_files),         T_CASE(t_files_on_ranks),     T_CASE(t_files_stop_and_fail_clean),
    T_CASE(t_contents),
};
RS_TEST_MAIN(k_cases)
