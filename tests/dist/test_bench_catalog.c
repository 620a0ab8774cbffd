// ctest: TIMEOUT 600
// reshoot bench catalog, which starts the ranks itself: figures that follow from each other,
// adapters that must be equal, and runs that fail or are stopped.
#include <string.h>

#include "base/fsio.h"
#include "harness/benches.h"
#include "harness/mpirun.h"
#include "harness/test.h"

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
                   "240 " T_BIN "/reshoot bench catalog --dir %s/runs --launch 'mpirun "
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
    rs_json *doc = t_json(out);
    t_bench_head(doc, "reshoot bench catalog", 1);
    const rs_json *rows = t_array(doc, "results", 6), *first = rs_json_at(rows, 0);
    for (int64_t i = 0; i < 6; i++) {
        const rs_json *row = rs_json_at(rows, i);
        double ranks = (double)(1 + i % 3), seconds = t_number(row, "median_s");
        T_EQ_I(t_number(row, "ranks"), ranks);
        T_EQ_I(t_number(row, "videos"), 3);
        T_EQ_I(t_number(row, "edits"), 3);
        T_CHECK(t_number(row, "verified_adapter_tensors") >= 3 * 2);
        T_EQ_I(t_number(row, "verified_adapter_tensors"),
               t_number(first, "verified_adapter_tensors"));
        T_EQ_I(t_number(row, "other_tensors_that_differ"), 0);
        T_NEAR(t_number(row, "videos_per_hour"), 3 * 3600 / seconds, 1e-6);
        T_NEAR(t_number(row, "efficiency") * ranks * seconds, t_number(first, "median_s"), 1e-9);
        T_CHECK(t_number(row, "busy") > 0 && t_number(row, "busy") < 1);
        t_array(row, "seconds", 2);
        const char *set;
        T_OK(rs_json_as_string(&set, rs_json_at(t_array(row, "set", 1), 0)));
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

static void t_catalog_is_not_a_rank(void)
{
    char *out;
    T_EQ_I(t_mpirun_reshoot(&out, 2, "bench catalog"), 2);
    T_CHECKF(strstr(out, "reshoot: bench catalog starts the ranks itself: run it without mpirun"),
             "%s", out);
}

/* A signal ends it as it does a run, and nothing is left: no file, no rank. */
static void t_catalog_stopped(void)
{
    const char *dir = world();
    char *out;
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    int rc = t_shell(
        &out,
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; timeout "
        "--foreground --preserve-status -k 30 -s TERM 3 " T_BIN
        "/reshoot bench catalog %s/exp.yaml --dir "
        "%s/runs --ranks 2 --cold --set motion.steps=1000000 --launch 'mpirun --oversubscribe "
        "--bind-to none --mca pml ob1 --mca btl self,vader -n {ranks}'",
        dir, dir);
    T_CHECKF(rc == 75 && strstr(out, "reshoot: stopped while mpirun was running"), "rc %d: %s", rc,
             out);
    nothing_is_left(dir);
    T_EQ_I(t_signal(0, 99, "", rs_path_join(t_arena(), dir, "runs")), 0);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_catalog_over_ranks),     T_CASE(t_catalog_notices_other_adapters),
    T_CASE(t_catalog_run_that_fails), T_CASE(t_catalog_by_itself),
    T_CASE(t_catalog_launcher),       T_CASE(t_catalog_is_not_a_rank),
    T_CASE(t_catalog_stopped),
};
RS_TEST_MAIN(k_cases)
