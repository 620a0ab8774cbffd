// ctest: TIMEOUT 600
// reshoot bench comm, io and catalog as an operator starts them: what they report, that wrong
// results end them, and that nothing is left behind.
#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/mpirun.h"
#include "harness/test.h"
#include "store/json.h"

/* mpirun's own text follows the document. */
static rs_json *parse(const char *out)
{
    rs_json *doc;
    const char *begin = strstr(out, "{\n"), *end = begin ? strstr(begin, "\n}\n") : NULL;
    T_CHECKF(end, "no document in: %s", out);
    T_OK(rs_json_parse(&doc, begin, (size_t)(end + 3 - begin), "output"));
    return doc;
}

static double number(const rs_json *o, const char *key)
{
    double v;
    T_OK(rs_json_f64(&v, o, key));
    return v;
}

static const char *text(const rs_json *o, const char *key)
{
    const char *v;
    T_OK(rs_json_string(&v, o, key));
    return v;
}

static const rs_json *array(const rs_json *o, const char *key, int64_t n)
{
    const rs_json *v;
    T_OK(rs_json_array(&v, o, key));
    T_EQ_I(rs_json_size(v), n);
    return v;
}

/* What every document says of where it was made. */
static void check_head(const rs_json *doc, const char *format, int ranks)
{
    const rs_json *machine, *libraries;
    T_EQ_S(text(doc, "format"), format);
    T_CHECK(strstr(text(doc, "program"), "reshoot ") == text(doc, "program"));
    T_CHECK(*text(doc, "commit"));
    T_OK(rs_json_object(&libraries, doc, "libraries"));
    T_CHECK(strstr(text(libraries, "mpi"), "MPI") && strstr(text(libraries, "hdf5"), "HDF5 1."));
    T_OK(rs_json_object(&machine, doc, "machine"));
    T_EQ_I(number(machine, "ranks"), ranks);
    const rs_json *host = rs_json_at(array(machine, "hosts", 1), 0);
    T_EQ_I(number(host, "ranks"), ranks);
    T_CHECK(number(host, "processors") >= 1 && *text(host, "name") && *text(host, "cpu"));
}

static void t_comm_on_ranks(void)
{
    static const char *const ops[] = {"allgather", "alltoall", "allreduce",
                                      "broadcast", "sendrecv", "overlap"};
    for (int n = 1; n <= 3; n++) {
        char *out;
        int rc = t_mpirun_reshoot(
            &out, n, "bench comm --min 8 --max 64K --factor 90 --iters 2 --sample 0 --json");
        T_CHECKF(rc == 0, "rc %d: %s", rc, out);
        rs_json *doc = parse(out);
        check_head(doc, "reshoot bench comm", n);
        const rs_json *rows = array(doc, "results", 6 * 3); /* 8, 720, 64800 bytes */
        for (int64_t i = 0; i < 6 * 3; i++) {
            const rs_json *row = rs_json_at(rows, i);
            T_EQ_S(text(row, "op"), ops[i / 3]);
            T_EQ_I(number(row, "verified_elements"), number(row, "bytes") / 4 * n);
            T_CHECK(number(row, "min_s") > 0 && number(row, "max_s") >= number(row, "median_s"));
            T_CHECK(i / 3 < 5 || number(row, "exposed_fraction") >= 0);
        }
        T_EQ_I(number(rs_json_at(rows, 7), "bytes"), 720);
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
    T_EQ_S(text(row, "kind"), kind);
    T_EQ_I(number(row, "ranks"), ranks);
    T_EQ_I(number(row, "files"), files);
    T_CHECK(number(row, "bytes") > 50000 && number(row, "disk_bytes") > 10000);
    for (int w = 0; w < 2; w++) {
        T_OK(rs_json_object(&side, row, w ? "write" : "read"));
        T_NEAR(number(side, "total_mbs") * number(side, "median_s") * 1e6,
               number(row, "bytes") * ranks, 1e-3);
        T_CHECK(number(side, "rank_mbs") > 0 && number(side, "files_per_s") > 0);
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
    rs_json *doc = parse(out);
    check_head(doc, "reshoot bench io", 2);
    const rs_json *rows = array(doc, "results", 8), *settings;
    for (int64_t i = 0; i < 8; i++)
        check_files(rs_json_at(rows, i), kinds[i / 2], (double)(1 + i % 2), i < 6 ? 1 : 20);
    T_OK(rs_json_object(&settings, doc, "settings"));
    T_CHECK(*text(settings, "filesystem"));
    rs_json_destroy(&doc);
    T_EQ_I(t_shell(&out, "ls -A %s | grep .", dir), 1); /* nothing is left */
}

/* A small disk that is full: a clear error, and nothing left behind. */
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

/* ---- catalog ---- */

static const char *world(void)
{
    static const char experiment[] = "name: bench\noutput: run\ncatalog: catalog/catalog.yaml\n"
                                     "model: {path: model}\n"
                                     "clip: {frames: 9, width: 64, height: 48}\n"
                                     "mask: {min_area: 4}\n"
                                     "lora: {rank: 4, alpha: 4}\n"
                                     "motion: {steps: 3, lr: 1.0e-3}\n"
                                     "appearance: {when: never}\n"
                                     "edit: {steps: 2}\n"
                                     "video: {preset: ultrafast}\n";
    const char *dir = t_tmpdir();
    char *out;
    int rc =
        t_shell(&out,
                T_BIN "/reshoot-world smallworld %s/catalog --count 3 --frames 9 --width 64 "
                      "--height 48 && " T_BIN "/reshoot-world model --preset tiny %s/model " T_SRC
                      "/datasets/smallmodel/tokenizer",
                dir, dir);
    T_CHECKF(rc == 0, "%s", out);
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "exp.yaml"), experiment,
                              sizeof experiment - 1));
    T_OK(rs_make_dirs(rs_path_join(t_arena(), dir, "runs")));
    return dir;
}

/* bench catalog starts mpirun itself. */
static int bench_catalog(char **out, const char *dir, const char *more)
{
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    return t_shell(out,
                   "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout -k 5 "
                   "120 " T_BIN "/reshoot bench catalog --dir %s/runs --launch 'mpirun "
                   "--oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -n "
                   "{ranks}' %s",
                   dir, more);
}

static void nothing_is_left(const char *dir)
{
    char *out;
    T_CHECKF(t_shell(&out, "ls -A %s/runs | grep .", dir) == 1, "left behind: %s", out);
}

static void t_catalog_over_ranks(void)
{
    const char *dir = world();
    char *out;
    int rc = bench_catalog(&out, dir,
                           rs_arena_printf(t_arena(),
                                           "%s/exp.yaml --ranks 1,2,3 --vary "
                                           "checkpoint.every=1,50 --repeat 2 --json",
                                           dir));
    T_CHECKF(rc == 0, "rc %d: %s", rc, out);
    rs_json *doc = parse(out);
    check_head(doc, "reshoot bench catalog", 1);
    const rs_json *rows = array(doc, "results", 6), *first = rs_json_at(rows, 0);
    for (int64_t i = 0; i < 6; i++) {
        const rs_json *row = rs_json_at(rows, i);
        double ranks = (double)(1 + i % 3), seconds = number(row, "median_s");
        T_EQ_I(number(row, "ranks"), ranks);
        T_EQ_I(number(row, "videos"), 3);
        T_EQ_I(number(row, "edits"), 3);
        T_CHECK(number(row, "verified_adapter_tensors") >= 3 * 2);
        T_EQ_I(number(row, "verified_adapter_tensors"), number(first, "verified_adapter_tensors"));
        T_EQ_I(number(row, "other_tensors_that_differ"), 0);
        T_NEAR(number(row, "videos_per_hour"), 3 * 3600 / seconds, 1e-6);
        T_NEAR(number(row, "efficiency") * ranks * seconds, number(first, "median_s"), 1e-9);
        T_CHECK(number(row, "busy") > 0 && number(row, "busy") < 1);
        array(row, "seconds", 2);
        const char *set;
        T_OK(rs_json_as_string(&set, rs_json_at(array(row, "set", 1), 0)));
        T_EQ_S(set, i < 3 ? "checkpoint.every=1" : "checkpoint.every=50");
    }
    rs_json_destroy(&doc);
    nothing_is_left(dir);
}

static void t_catalog_notices_other_adapters(void)
{
    const char *dir = world();
    char *out;
    int rc = bench_catalog(&out, dir,
                           rs_arena_printf(t_arena(),
                                           "%s/exp.yaml --ranks 1 --cold --vary "
                                           "motion.lr=1.0e-3,1.1e-3",
                                           dir));
    T_EQ_I(rc, 1);
    T_CHECKF(strstr(out, "results differ: clip-00.h5: /stages/motion/adapter/"), "%s", out);
    T_CHECKF(strstr(out, "motion.lr=1.0e-3 ") && !strstr(out, "motion.lr=1.1e-3 "),
             "a wrong result was counted: %s", out);
    nothing_is_left(dir);
}

/* A run that fails is told with its own words, and the others do not hide it. */
static void t_catalog_run_that_fails(void)
{
    const char *dir = world();
    char *out;
    const char *exp = rs_arena_printf(t_arena(), "%s/exp.yaml --ranks 2 --cold ", dir);
    T_EQ_I(bench_catalog(&out, dir, rs_arena_printf(t_arena(), "%s --vary a.b=1,2", exp)), 2);
    T_CHECKF(strstr(out, "the run on 2 ranks: rank 0: --set a.b: unknown setting"), "%s", out);
    T_EQ_I(t_shell(NULL, "rm -r %s/catalog/clip-01/masks", dir), 0);
    T_EQ_I(bench_catalog(&out, dir, exp), 3);
    T_CHECKF(strstr(out, "the run on 2 ranks: rank 0: 1 of 3 edits failed"), "%s", out);
    nothing_is_left(dir);
}

/* Without an experiment: a catalog of its own. */
static void t_catalog_by_itself(void)
{
    const char *dir = t_tmpdir();
    char *out;
    T_OK(rs_make_dirs(rs_path_join(t_arena(), dir, "runs")));
    int rc = bench_catalog(
        &out, dir, "--videos 1 --ranks 1 --cold --set motion.steps=1 --set edit.steps=1 --keep");
    T_CHECKF(rc == 0 && strstr(out, "100.0%"), "rc %d: %s", rc, out);
    T_EQ_I(t_shell(NULL, "test -f %s/runs/reshoot-bench-*/run-0.0/archive/clip-00.h5", dir), 0);
}

/* What the launcher is given; gangs that do not divide the ranks are left out. */
static void t_catalog_launcher(void)
{
    const char *dir = t_tmpdir();
    const char *script = rs_path_join(t_arena(), dir, "launch.sh");
    const char *line = rs_arena_printf(t_arena(), "echo \"$@\" >>%s/log\nexit 7\n", dir);
    char *out;
    T_OK(rs_write_file_atomic(script, line, strlen(line)));
    const char *args = rs_arena_printf(t_arena(),
                                       "bench catalog x.yaml --dir %s --launch 'sh %s "
                                       "-np={ranks}' --threads 3 --set seed=4 ",
                                       dir, script);
    T_EQ_I(t_reshoot(&out, "%s --ranks 3,4 --gang 2", args), 1);
    T_CHECKF(strstr(out, "\n    3  cluster.gang=2 skipped: gangs of 2 do not divide 3 ranks"), "%s",
             out);
    T_CHECKF(strstr(out, "the run on 4 ranks ended with exit code 7, signal 0: nothing"), "%s",
             out);
    T_EQ_I(t_shell(&out, "cat %s/log", dir), 0);
    T_CHECKF(strstr(out, "-np=4 /") == out && strstr(out, "/reshoot run x.yaml --set output=/"),
             "%s", out);
    T_CHECKF(strstr(out, "/warm-up --set log.level=warn --set cluster.threads=3 --set seed=4 --set "
                         "cluster.gang=2 --only ingest\n"),
             "%s", out);
    T_EQ_I(t_reshoot(&out, "%s --ranks 1,3 --gang 2", args), 2);
    T_CHECKF(strstr(out, "nothing to run: gangs of 2 do not divide 1 ranks"), "%s", out);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_comm_on_ranks),
    T_CASE(t_comm_notices_a_wrong_element),
    T_CASE(t_comm_trace),
    T_CASE(t_io_on_ranks),
    T_CASE(t_io_on_a_full_disk),
    T_CASE(t_catalog_over_ranks),
    T_CASE(t_catalog_notices_other_adapters),
    T_CASE(t_catalog_run_that_fails),
    T_CASE(t_catalog_by_itself),
    T_CASE(t_catalog_launcher),
};
RS_TEST_MAIN(k_cases)
