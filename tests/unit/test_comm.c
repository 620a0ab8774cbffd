/* Communicators whose ranks are threads, and the serial one; MPI has the same table in tests/dist.
 */
// ctest: TIMEOUT 180
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fsio.h"
#include "base/log.h"
#include "comm/agree.h"
#include "comm/fault.h"
#include "comm/trace.h"
#include "comm/watchdog.h"
#include "harness/comm_cases.h"
#include "harness/test.h"

static rs_status table_rank(rs_comm *c, void *ctx)
{
    (void)ctx;
    return t_comm_run_table(c, NULL);
}

static void t_table_serial(void)
{
    rs_comm *c;
    T_OK(rs_comm_open(&c, NULL));
    T_EQ_S(rs_comm_backend(c), "serial");
    T_EQ_I(rs_comm_size(c), 1);
    T_OK(t_comm_run_table(c, NULL));
    rs_comm_close(&c);
    T_CHECK(c == NULL);
}

static void t_table_threads(void)
{
    static const int sizes[] = {1, 2, 3, 4, 8};
    for (int i = 0; i < 5; i++)
        T_OK(rs_comm_threads_run(sizes[i], table_rank, NULL, NULL));
}

/* Sums in small windows have the same bits. */
static void t_table_small_windows(void)
{
    T_OK(rs_comm_threads_run(3, table_rank, NULL, &(rs_comm_opts){.window_bytes = 1000}));
    T_OK(rs_comm_threads_run(8, table_rank, NULL, &(rs_comm_opts){.window_bytes = 400}));
}

static void t_launcher_variables(void)
{
    rs_comm *c;
    T_CHECK(rs_comm_launcher() == NULL);
    setenv("SLURM_PROCID", "0", 1); /* a batch script's own process has it */
    T_CHECK(rs_comm_launcher() == NULL);
    setenv("PMIX_RANK", "3", 1);
    T_EQ_S(rs_comm_launcher(), "PMIX_RANK");
    T_OK(rs_comm_open(&c, &(rs_comm_opts){.serial = true}));
    T_EQ_S(rs_comm_backend(c), "serial");
    rs_comm_close(&c);
    unsetenv("PMIX_RANK");
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    T_FAILS(rs_comm_open(&c, NULL), USAGE, "4 tasks without PMI");
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    T_OK(rs_comm_open(&c, NULL));
    rs_comm_close(&c);
    unsetenv("SLURM_STEP_NUM_TASKS");
    unsetenv("SLURM_PROCID");
}

/* Calls that do not belong together are named on every rank. */
static rs_status mismatch_rank(rs_comm *c, void *ctx)
{
    const char *want = ctx;
    size_t bytes[3] = {1, 2, 3};
    char data[16] = {0};
    rs_status st;
    if (strstr(want, "piece")) {
        bytes[2] = rs_comm_rank(c) == 1 ? 4 : 3;
        st = rs_comm_allgather(data, c, data + 10, bytes, "sizes");
    } else if (rs_comm_rank(c) == 1) {
        st = rs_comm_broadcast(data, c, 1, 0, NULL);
    } else {
        st = rs_comm_barrier(c, NULL);
    }
    C_CHECK(st == RS_PEER && strstr(rs_error_message(), want));
    return RS_OK;
}

static void t_mismatch_is_named(void)
{
    T_OK(rs_comm_threads_run(3, mismatch_rank, "rank 0 is in barrier, rank 1 in broadcast", NULL));
    T_OK(rs_comm_threads_run(3, mismatch_rank,
                             "piece of rank 2 has 3 bytes for rank 0, 4 for rank 1", NULL));
}

/* One rank ends: nobody waits for it for ever, nobody touches what it left open, and the first
 * error is told. */
typedef enum ending { END_FAILED, END_EARLY, END_OPEN } ending;
static rs_comm_request *g_left_open; /* never waited for: its rank is gone */

static rs_status end_here(rs_comm *c, ending how)
{
    size_t bytes[3] = {1, 1, 1};
    char *gone = rs_alloc(4, 1);
    rs_status st = how == END_FAILED ? RS_FAIL(FORMAT, "no good") : RS_OK;
    if (how == END_OPEN)
        st = rs_comm_iallgather(&g_left_open, gone, c, gone + 3, bytes, NULL);
    rs_dealloc(gone);
    return st;
}

static rs_status ending_rank(rs_comm *c, void *ctx)
{
    ending how = *(ending *)ctx;
    char data[3], mine = 1;
    size_t bytes[3] = {1, 1, 1};
    if (rs_comm_rank(c) == 1)
        return end_here(c, how);
    if (how == END_OPEN) /* until it is gone */
        C_CHECK(rs_comm_receive(&mine, c, 1, 1, 0) == RS_PEER);
    rs_status st = rs_comm_allgather(data, c, &mine, bytes, NULL);
    C_CHECK(st == RS_PEER && strstr(rs_error_message(), "rank 1 has ended"));
    st = rs_comm_receive(&mine, c, 1, 1, 0);
    C_CHECK(st == RS_PEER && strstr(rs_error_message(), "rank 1 has ended"));
    return st;
}

static void t_ended_rank_frees_the_others(void)
{
    ending how = END_FAILED;
    T_FAILS(rs_comm_threads_run(3, ending_rank, &how, NULL), FORMAT, "rank 1: no good");
    how = END_EARLY;
    T_FAILS(rs_comm_threads_run(3, ending_rank, &how, NULL), PEER, "rank 1 has ended");
    how = END_OPEN;
    T_FAILS(rs_comm_threads_run(3, ending_rank, &how, NULL), PEER, "rank 1 has ended");
}

/* ctx of the fault cases: what one rank saw. */
typedef struct fault_run {
    const char *spec;
    double warn_s, timeout_s;
    int failed[4];  /* steps by rank */
    char last[256]; /* rank 0's agreed message */
    double seconds;
} fault_run;

static rs_status steps(rs_comm *c, fault_run *f)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    size_t bytes[4];
    int got[4];
    for (int r = 0; r < n; r++)
        bytes[r] = sizeof me;
    for (int step = 0; step < 4; step++) {
        rs_status st = rs_comm_agree(c, rs_comm_allgather(got, c, &me, bytes, "step"));
        if (st == RS_PEER)
            return st;
        f->failed[me] += st != RS_OK;
        if (me == 0 && st != RS_OK)
            strncpy(f->last, rs_error_message(), sizeof f->last - 1);
    }
    return RS_OK;
}

static rs_status fault_rank(rs_comm *c, void *ctx)
{
    fault_run *f = ctx;
    rs_fault *fault = NULL;
    rs_watchdog *dog = NULL;
    rs_watchdog_opts o = {.warn_s = f->warn_s, .timeout_s = f->timeout_s, .exit_code = 7};
    RS_TRY(rs_fault_add(&fault, c, f->spec));
    RS_TRY(rs_watchdog_start(&dog, c, &o));
    double since = rs_now();
    rs_status st = steps(c, f);
    if (rs_comm_rank(c) == 0)
        f->seconds = rs_now() - since;
    rs_watchdog_stop(&dog);
    if (st == RS_OK)
        st = rs_comm_barrier(c, "end"); /* nobody is in a call with another rank's fault */
    rs_fault_destroy(&fault);
    return st;
}

static void t_fault_fail_is_agreed_on(void)
{
    fault_run f = {.spec = "rank=1,op=allgather,call=3,do=fail", .timeout_s = 60};
    T_OK(rs_comm_threads_run(3, fault_rank, &f, NULL)); /* agree gathers too: 3 is step 1 */
    T_EQ_I(f.failed[0], 1);
    T_EQ_I(f.failed[1], 1);
    T_EQ_I(f.failed[2], 1);
    T_CHECKF(strstr(f.last, "rank 1: allgather (step), call ") == f.last &&
                 strstr(f.last, "fault on purpose (rank=1,op=allgather,call=3,do=fail)"),
             "message: %s", f.last);
}

static void t_fault_delay_is_waited_for(void)
{
    fault_run f = {.spec = "rank=1,op=allgather,call=1,do=delay:0.2s;rank=1,call=5,do=delay:100ms",
                   .timeout_s = 60};
    T_OK(rs_comm_threads_run(2, fault_rank, &f, NULL));
    T_EQ_I(f.failed[0], 0);
    T_CHECKF(f.seconds >= 0.29, "took %g s", f.seconds);
}

static void t_hang_is_named_by_the_watchdog(void)
{
    fault_run f = {.spec = "rank=1,op=allgather,call=3,do=hang", .warn_s = 0.2, .timeout_s = 1};
    T_FAILS(rs_comm_threads_run(3, fault_rank, &f, NULL), PEER, " s in allgather (step), call ");
    T_CHECKF(strstr(rs_error_message(), "rank 1 has not arrived (it is not in a call; its last one "
                                        "here was allgather, call "),
             "message: %s", rs_error_message());
    T_CHECKF(!strstr(rs_error_message(), "rank 2 has not") &&
                 !strstr(rs_error_message(), "rank 0 has not"),
             "message: %s", rs_error_message());
    T_CHECKF(f.seconds >= 1 && f.seconds < 20, "took %g s", f.seconds);
}

/* Waiting for a message is named too, with what its sender does instead. */
static rs_status message_rank(rs_comm *c, void *ctx)
{
    (void)ctx;
    rs_watchdog *dog;
    int got;
    RS_TRY(rs_watchdog_start(&dog, c, &(rs_watchdog_opts){.timeout_s = 0.5, .exit_code = 7}));
    rs_status st = rs_comm_rank(c) == 0 ? rs_comm_receive(&got, c, sizeof got, 1, 3)
                                        : rs_comm_barrier(c, "wrong");
    rs_watchdog_stop(&dog);
    return st;
}

static void t_lost_message_is_named(void)
{
    T_FAILS(rs_comm_threads_run(2, message_rank, NULL, NULL), PEER, "aborted: waited ");
    const char *m = rs_error_message();
    T_CHECKF(strstr(m, "in receive of world, peer rank 1; rank 1: it waits in barrier (wrong)") ||
                 strstr(m, "in barrier (wrong), call 2 of world; rank 0 has not arrived (it waits "
                           "in receive of world, peer rank 1"),
             "message: %s", m);
}

static void t_fault_specs_are_checked(void)
{
    static const char *const bad[] = {"do=explode",
                                      "rank=1",
                                      "rank=4,do=fail",
                                      "rank=-1,do=fail",
                                      "call=0,do=fail",
                                      "op=gather,do=fail",
                                      "do=delay:3",
                                      "do=delay:-1s",
                                      "do=kill",
                                      "do=corrupt:1",
                                      "what=,do=fail",
                                      "do=fail,colour=1",
                                      "do",
                                      "do=fail;x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fault_run f = {.spec = bad[i], .timeout_s = 60};
        T_FAILS(rs_comm_threads_run(2, fault_rank, &f, NULL), USAGE, "fault \"");
    }
}

/* What the trace of rank 0 is told. */
typedef struct told {
    int events;
    rs_comm_event e[32];
    char what[32][32];
    char path[512];
} told;

static void tell(void *ctx, const rs_comm_event *e)
{
    told *t = ctx;
    RS_ASSERT(t->events < 32);
    snprintf(t->what[t->events], 32, "%s", e->what ? e->what : "");
    t->e[t->events++] = *e;
}

static rs_status traced(rs_comm *c, rs_trace *t)
{
    float x[100] = {0};
    size_t bytes[2] = {4, 8};
    char data[12], mine[8] = {0};
    rs_comm_request *r;
    rs_comm *part;
    int me = rs_comm_rank(c);
    RS_TRY(rs_comm_barrier(c, "say \"so\""));
    RS_TRY(rs_comm_iallgather(&r, data, c, mine, bytes, "block"));
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    RS_TRY(rs_comm_wait(&r));
    RS_TRY(rs_comm_allreduce(x, c, x, 100, RS_COMM_F32, RS_COMM_SUM, "sum"));
    RS_TRY(rs_comm_split(&part, c, me, 0, "mine"));
    RS_TRY(rs_comm_barrier(part, NULL));
    rs_comm_close(&part);
    RS_TRY(rs_comm_send(c, mine, 3, 1 - me, 0));
    RS_TRY(rs_comm_receive(mine, c, 3, 1 - me, 0));
    rs_comm_total b = rs_trace_total(t, RS_COMM_BARRIER), s = rs_trace_total(t, RS_COMM_ALLREDUCE);
    C_CHECK(b.calls == 2 && b.bytes == 0 && b.failed == 0 && s.calls == 1 && s.bytes == 400);
    C_CHECK(rs_trace_total(t, RS_COMM_ALLTOALL).calls == 0); /* a part of a call is not a call */
    return RS_OK;
}

static rs_status trace_rank(rs_comm *c, void *ctx)
{
    told *t = ctx;
    rs_trace *trace;
    rs_trace_opts o = {0};
    if (rs_comm_rank(c) == 0)
        o = (rs_trace_opts){.fn = tell, .ctx = t, .path = t->path};
    RS_TRY(rs_trace_add(&trace, c, &o));
    rs_status st = traced(c, trace);
    RS_TRY(rs_trace_destroy(&trace));
    return st;
}

static void t_trace_tells_calls(void)
{
    static const rs_comm_op ops[] = {RS_COMM_BARRIER, RS_COMM_ALLGATHER, RS_COMM_ALLREDUCE,
                                     RS_COMM_SPLIT,   RS_COMM_BARRIER,   RS_COMM_SEND,
                                     RS_COMM_RECEIVE};
    static const size_t bytes[] = {0, 12, 400, 0, 0, 3, 3};
    static const int64_t number[] = {1, 2, 3, 4, 1, 0, 0};
    told t = {0};
    snprintf(t.path, sizeof t.path, "%s/trace.jsonl", t_tmpdir());
    T_OK(rs_comm_threads_run(2, trace_rank, &t, NULL));
    T_EQ_I(t.events, 7);
    for (int i = 0; i < 7; i++) {
        T_EQ_I(t.e[i].op, ops[i]);
        T_EQ_I(t.e[i].bytes, bytes[i]);
        T_EQ_I(t.e[i].number, number[i]);
    }
    T_EQ_S(t.what[1], "block");
    T_CHECK(t.e[1].seconds >= 0.05 && t.e[1].wait_s < t.e[1].seconds);
    char *text, *out;
    size_t n;
    T_OK(rs_read_file(&text, &n, t_arena(), t.path));
    T_CHECKF(strstr(text, "{\"rank\":0,\"op\":\"barrier\",\"comm\":\"world\",\"what\":\"say  so \","
                          "\"call\":1,\"bytes\":0,\"start\":") == text,
             "first line: %s", text);
    T_EQ_I(t_shell(&out,
                   "python3 -c 'import json,sys; print(len([json.loads(l) for l in "
                   "open(sys.argv[1])]))' %s",
                   t.path),
           0);
    T_EQ_S(out, "7\n");
}

static rs_status idle_rank(rs_comm *c, void *ctx)
{
    told *t = ctx;
    rs_trace *trace;
    rs_trace_opts o = {0};
    if (rs_comm_rank(c) == 0)
        o = (rs_trace_opts){.fn = tell, .ctx = t};
    RS_TRY(rs_trace_add(&trace, c, &o));
    rs_status st = t_comm_progress_case(c, 2);
    RS_TRY(rs_trace_destroy(&trace));
    return st;
}

/* The gather is seen to be done long before the caller looks. */
static void t_progress_thread_sees_the_end(void)
{
    told t = {0};
    T_OK(rs_comm_threads_run(3, idle_rank, &t, NULL));
    T_EQ_I(t.events, 2);
    T_EQ_S(t.what[1], "moved by the thread");
    T_CHECKF(t.e[1].seconds < 1.8, "seen after %g s", t.e[1].seconds);
}

static const rs_test_case cases[] = {
    T_CASE(t_table_serial),
    T_CASE(t_table_threads),
    T_CASE(t_table_small_windows),
    T_CASE(t_launcher_variables),
    T_CASE(t_mismatch_is_named),
    T_CASE(t_ended_rank_frees_the_others),
    T_CASE(t_fault_fail_is_agreed_on),
    T_CASE(t_fault_delay_is_waited_for),
    T_CASE(t_hang_is_named_by_the_watchdog),
    T_CASE(t_lost_message_is_named),
    T_CASE(t_fault_specs_are_checked),
    T_CASE(t_trace_tells_calls),
    T_CASE(t_progress_thread_sees_the_end),
};
RS_TEST_MAIN(cases)
