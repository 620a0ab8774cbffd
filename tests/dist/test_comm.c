/* Communicators over MPI: the table of tests/harness/comm_cases.c, and what happens when ranks
 * fail, hang or die. */
// ctest: TIMEOUT 600
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "harness/mpirun.h"
#include "harness/test.h"

static void table(int n, int chunk, int window)
{
    char *out, want[64];
    int rc = t_mpirun(&out, n, "table %d %d", chunk, window);
    snprintf(want, sizeof want, "mpi: 14 cases on %d ranks", n);
    T_CHECKF(rc == 0 && strstr(out, want), "rc %d: %s", rc, out);
}

static void t_table_1_rank(void)
{
    table(1, 0, 0);
}

static void t_table_2_ranks(void)
{
    table(2, 0, 0);
}

static void t_table_3_ranks(void)
{
    table(3, 0, 0);
}

static void t_table_4_ranks(void)
{
    table(4, 0, 0);
}

/* What a message of 2 GiB and more goes through, with sizes that a test can afford. */
static void t_table_in_chunks(void)
{
    table(2, 1000, 1000);
    table(3, 97, 400);
    table(4, 4096, 400);
}

/* mpirun is never left hanging: its own limit is 240 s. */
static int steps(char **out, int n, const char *spec, double warn, double timeout)
{
    double since = rs_now();
    int rc = t_mpirun(out, n, "steps '%s' %g %g", spec, warn, timeout);
    T_CHECKF(rs_now() - since < 80, "took %.0f s: %s", rs_now() - since, *out);
    return rc;
}

static void t_failing_call_is_agreed_on(void)
{
    char *out, want[256];
    int rc = steps(&out, 3, "rank=1,op=allgather,call=3,do=fail", 0, 60);
    T_CHECKF(rc == 0, "rc %d: %s", rc, out);
    for (int r = 0; r < 3; r++) {
        snprintf(want, sizeof want,
                 "rank %d saw 1 of 4 steps fail: rank 1: allgather (step), call 4 of world: fault "
                 "on purpose (rank=1,op=allgather,call=3,do=fail)",
                 r);
        T_CHECKF(strstr(out, want), "no \"%s\" in: %s", want, out);
    }
}

static void t_late_rank_is_warned_of(void)
{
    char *out;
    int rc = steps(&out, 2, "rank=1,op=allgather,call=3,do=delay:3s", 1, 60);
    T_CHECKF(rc == 0 && strstr(out, "W rank 0 of 2: waited 1.") &&
                 strstr(out, "s in allgather (step), call 4 of world; rank 1 has not arrived"),
             "rc %d: %s", rc, out);
    T_CHECKF(strstr(out, "rank 0 saw 0 of 4 steps fail") &&
                 strstr(out, "rank 1 saw 0 of 4 steps fail"),
             "%s", out);
}

static void t_hanging_rank_is_named(void)
{
    char *out;
    int rc = steps(&out, 3, "rank=1,op=allgather,call=3,do=hang", 0, 2);
    T_CHECKF(rc == 7, "rc %d: %s", rc, out);
    T_CHECKF(strstr(out,
                    "s in allgather (step), call 4 of world; rank 1 has not arrived (it is not "
                    "in a call; its last one here was allgather, call 3)"),
             "%s", out);
    T_CHECKF(!strstr(out, "rank 0 has not") && !strstr(out, "rank 2 has not"), "%s", out);
}

static void t_killed_rank_ends_the_world(void)
{
    char *out;
    int rc = steps(&out, 3, "rank=2,op=allgather,call=2,do=kill", 0, 60);
    T_CHECKF(rc != 0 && rc != 124, "rc %d: %s", rc, out);
    T_CHECKF(!strstr(out, "steps fail"), "%s", out);
}

static void t_stopped_rank_does_not_answer(void)
{
    char *out;
    int rc = t_mpirun(&out, 3, "stopped 0 2");
    T_CHECKF(rc == 7 &&
                 strstr(out, "s in barrier (never), call 3 of world; rank 0 does not answer"),
             "rc %d: %s", rc, out);
}

/* Every function that is called in src/comm has a wrapper in ranks_mpi.c, which tells of calls by
 * the watchdog's thread; here it warns, is answered, and ends the world. */
static void t_watchdog_makes_no_mpi_calls(void)
{
    char *out, *missing;
    T_EQ_I(
        t_shell(&missing,
                "cd '%s' && grep -ohE '\\bMPI_[A-Z][a-z_]+ ?\\(' src/comm/*.[ch] | "
                "sed 's/MPI_//; s/ *(//' | sort -u | while read -r f; do "
                "[ $f = Abort ] || grep -q \"NOTED($f,\" tests/dist/ranks_mpi.c || echo $f; done",
                RS_SOURCE_DIR),
        0);
    T_CHECKF(missing[0] == 0, "no wrapper of: %s", missing);
    int rc = steps(&out, 3, "rank=1,op=allgather,call=3,do=hang", 1, 3);
    bool ended = strstr(out, "E rank 0 of 3: waited 3.") || strstr(out, "E rank 2 of 3: waited 3.");
    T_CHECKF(rc == 7 && strstr(out, "W rank 0 of 3: waited 1.") && ended &&
                 strstr(out, "rank 1 has not arrived (it is not in a call"),
             "rc %d: %s", rc, out); /* whoever of those that wait is first */
    T_CHECKF(!strstr(out, "the watchdog called"), "%s", out);
}

/* The launcher is never told: who hears of the end from the watchdog leaves by itself. */
static void t_the_end_does_not_need_mpi(void)
{
    char *out;
    setenv("T_ABORT_HANGS", "1", 1);
    int rc = steps(&out, 2, "rank=1,op=allgather,call=3,do=hang", 0, 2);
    unsetenv("T_ABORT_HANGS");
    T_CHECKF(rc == 7 && strstr(out, "E rank 0 of 2: waited 2.") && strstr(out, ",1]\n") &&
                 strstr(out, "Exit code:    7"),
             "rc %d: %s", rc, out);
}

static void t_abort_gives_the_exit_code(void)
{
    char *out;
    int rc = t_mpirun(&out, 3, "abort 42");
    T_CHECKF(rc == 42 && strstr(out, "E rank 2 of 3: on purpose"), "rc %d: %s", rc, out);
}

static void t_progress_thread_moves_data(void)
{
    char *out, *lines;
    int rc = t_mpirun(&out, 2, "idle 2 %s/trace", t_tmpdir());
    T_CHECKF(rc == 0 && strstr(out, "rank 0: in time") && strstr(out, "rank 1: in time"),
             "rc %d: %s", rc, out);
    T_EQ_I(t_shell(&lines, "cat %s/trace.0 %s/trace.1", t_tmpdir(), t_tmpdir()), 0);
    T_CHECKF(strstr(lines,
                    "{\"rank\":1,\"op\":\"allgather\",\"comm\":\"world\",\"what\":\"moved by "
                    "the thread\",\"call\":2,\"bytes\":600000,"),
             "%s", lines);
}

static const rs_test_case cases[] = {
    T_CASE(t_table_1_rank),
    T_CASE(t_table_2_ranks),
    T_CASE(t_table_3_ranks),
    T_CASE(t_table_4_ranks),
    T_CASE(t_table_in_chunks),
    T_CASE(t_failing_call_is_agreed_on),
    T_CASE(t_late_rank_is_warned_of),
    T_CASE(t_hanging_rank_is_named),
    T_CASE(t_killed_rank_ends_the_world),
    T_CASE(t_stopped_rank_does_not_answer),
    T_CASE(t_watchdog_makes_no_mpi_calls),
    T_CASE(t_the_end_does_not_need_mpi),
    T_CASE(t_abort_gives_the_exit_code),
    T_CASE(t_progress_thread_moves_data),
};
RS_TEST_MAIN(cases)
