// ctest: TIMEOUT 600
// reshoot bench comm and io as an operator starts them: what they report, that wrong results end
// them, and that nothing is left behind.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/benches.h"
#include "harness/mpirun.h"
#include "harness/test.h"

static void t_comm_on_ranks(void)
{
    static const char *const ops[] = {"allgather", "alltoall", "allreduce",
                                      "broadcast", "sendrecv", "overlap"};
    for (int n = 1; n <= 3; n++) {
        char *out;
        int rc = t_mpirun_reshoot(
            &out, n, "bench comm --min 8 --max 64K --factor 90 --iters 2 --sample 0 --json");
        T_CHECKF(rc == 0, "rc %d: %s", rc, out);
        rs_json *doc = t_json(out);
        t_bench_head(doc, "reshoot bench comm", n);
        const rs_json *rows = t_array(doc, "results", 6 * 3); /* 8, 720, 64800 bytes */
        for (int64_t i = 0; i < 6 * 3; i++) {
            const rs_json *row = rs_json_at(rows, i);
            T_EQ_S(t_text(row, "op"), ops[i / 3]);
            T_EQ_I(t_number(row, "verified_elements"), t_number(row, "bytes") / 4 * n);
            T_CHECK(t_number(row, "min_s") > 0 &&
                    t_number(row, "max_s") >= t_number(row, "median_s"));
            T_CHECK(i / 3 < 5 || t_number(row, "exposed_fraction") >= 0);
        }
        T_EQ_I(t_number(rs_json_at(rows, 7), "bytes"), 720);
        rs_json_destroy(&doc);
    }
}

static void t_comm_notices_a_wrong_element(void)
{
    char *out;
    int rc = t_mpirun_reshoot(&out, 3,
                              "bench comm --ops broadcast,alltoall --min 1200 --max 1200 --iters 2 "
                              "--fault op=alltoall,rank=2,what=benchmark,do=corrupt");
    T_EQ_I(rc, 1);
    T_CHECKF(strstr(out, "\nbroadcast "), "%s", out);
    T_CHECKF(!strstr(out, "\nalltoall  "), "a wrong result was timed: %s", out);
    T_CHECKF(strstr(out, "reshoot: alltoall of 1200 bytes on 3 ranks: rank 2: element 150 is 0x"),
             "%s", out);
}

static void t_comm_trace(void)
{
    char *out, *data;
    size_t bytes;
    const char *trace = rs_path_join(t_arena(), t_tmpdir(), "trace");
    int rc = t_mpirun_reshoot(
        &out, 2, "bench comm --ops sendrecv --min 4K --max 4K --iters 3 --sample 0 --trace %s",
        trace);
    T_CHECKF(rc == 0, "rc %d: %s", rc, out);
    for (int r = 0; r < 2; r++) {
        T_OK(rs_read_file(&data, &bytes, t_arena(), rs_arena_printf(t_arena(), "%s.%d", trace, r)));
        int calls = 0;
        for (const char *at = data; (at = strstr(at, "\"benchmark\"")); at++)
            calls++;
        T_EQ_I(calls, 1 + 2 + 3 + 1); /* verified, calibrated, timed, verified */
    }
}

static void check_files(const rs_json *row, const char *kind, double ranks, double files)
{
    const rs_json *side;
    T_EQ_S(t_text(row, "kind"), kind);
    T_EQ_I(t_number(row, "ranks"), ranks);
    T_EQ_I(t_number(row, "files"), files);
    T_CHECK(t_number(row, "bytes") > 50000 && t_number(row, "disk_bytes") > 10000);
    for (int w = 0; w < 2; w++) {
        T_OK(rs_json_object(&side, row, w ? "write" : "read"));
        T_NEAR(t_number(side, "total_mbs") * t_number(side, "median_s") * 1e6,
               t_number(row, "bytes") * ranks, 1e-3);
        T_CHECK(t_number(side, "rank_mbs") > 0 && t_number(side, "files_per_s") > 0);
    }
}

static void t_io_on_ranks(void)
{
    static const char *const kinds[] = {"frames", "tensors", "checkpoint", "small"};
    char *out;
    const char *dir = t_tmpdir();
    int rc = t_mpirun_reshoot(
        &out, 2, "bench io --dir %s --size 64K --files 20 --iters 2 --ranks 1,2 --json", dir);
    T_CHECKF(rc == 0, "rc %d: %s", rc, out);
    rs_json *doc = t_json(out);
    t_bench_head(doc, "reshoot bench io", 2);
    const rs_json *rows = t_array(doc, "results", 8), *settings;
    for (int64_t i = 0; i < 8; i++)
        check_files(rs_json_at(rows, i), kinds[i / 2], (double)(1 + i % 2), i < 6 ? 1 : 20);
    T_OK(rs_json_object(&settings, doc, "settings"));
    T_CHECK(*t_text(settings, "filesystem"));
    rs_json_destroy(&doc);
    T_EQ_I(t_shell(&out, "ls -A %s | grep .", dir), 1); /* nothing is left */
}

/* A small disk that is full: a clear error, and nothing left behind. */
static void t_stream_on_ranks(void)
{
    static const int k_ranks[] = {1, 2, 4};
    const char *dir = t_tmpdir();
    char *out;
    double read = 0;
    for (int i = 0; i < 3; i++) {
        T_CHECKF(t_mpirun_reshoot(&out, k_ranks[i],
                                  "bench stream " T_SRC "/datasets/smallworld/model --tokens 30 "
                                  "--steps 2 --threads 1 --json") == 0,
                 "%s", out);
        rs_json *doc = t_json(out);
        t_bench_head(doc, "reshoot bench stream", k_ranks[i]);
        T_NEAR(t_number(doc, "tokens"), 4 * 3 * 3, 0);
        T_CHECK(t_number(doc, "ratio") > 0);
        read = i ? read : t_number(doc, "bytes_read");
        /* rank 0's share of all blocks, cut at multiples of 64 bytes */
        T_NEAR(t_number(doc, "bytes_read"), read / k_ranks[i], 64 * 6);
        T_CHECK((t_number(doc, "gathered_per_step") > 0) == (k_ranks[i] > 1));
        rs_json_destroy(&doc);
    }
    T_EQ_I(t_mpirun_reshoot(&out, 2, "bench stream %s/model --steps 0", dir), 2);
    T_EQ_I(t_mpirun_reshoot(&out, 2, "bench stream %s/nothing", dir), 2);
}

static void t_io_on_a_full_disk(void)
{
    char *out;
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), "disk");
    T_OK(rs_make_dirs(dir));
    if (t_shell(&out, "mount -t tmpfs -o size=256k none %s", dir) != 0)
        rs_test_skip("cannot mount a small tmpfs: %s", out);
    int rc = t_mpirun_reshoot(&out, 2, "bench io --dir %s --size 1M --kinds checkpoint", dir);
    char *left;
    int empty = t_shell(&left, "ls -A %s | grep .", dir);
    T_EQ_I(t_shell(NULL, "umount %s", dir), 0);
    T_CHECKF(rc == 3 && strstr(out, "checkpoint-0.safetensors") && strstr(out, "No space left"),
             "rc %d: %s", rc, out);
    T_CHECKF(empty == 1, "left behind: %s", left);
}

/* A signal ends it, and nothing is left. */
static void t_io_stopped(void)
{
    const char *dir = t_tmpdir();
    char *out;
    int rc = t_shell(&out,
                     "timeout --foreground --preserve-status -k 30 -s TERM 2 " T_BIN
                     "/reshoot bench io --dir %s --size 2M --iters 100000",
                     dir);
    T_CHECKF(rc == 75 && strstr(out, "reshoot: stopped"), "rc %d: %s", rc, out);
    T_EQ_I(t_shell(&out, "ls -A %s | grep .", dir), 1);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_comm_on_ranks),   T_CASE(t_comm_notices_a_wrong_element),
    T_CASE(t_comm_trace),      T_CASE(t_io_on_ranks),
    T_CASE(t_stream_on_ranks), T_CASE(t_io_on_a_full_disk),
    T_CASE(t_io_stopped),
};
RS_TEST_MAIN(k_cases)
