/* One rank of the tests in this folder; arguments: MODE ... (see the table at the end). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "comm/agree.h"
#include "comm/fault.h"
#include "comm/trace.h"
#include "comm/watchdog.h"
#include "harness/comm_cases.h"
#include "harness/lanes.h"
#include "job/world.h"
#include "ranks_host.h"

enum { STEPS = 4, RANKS_MAX = 16 };

typedef struct run {
    rs_comm *comm;
    char **args; /* behind the mode */
} run;

static double number(const char *text)
{
    double v = 0;
    if (!rs_parse_f64(&v, text))
        fprintf(stderr, "bad number %s\n", text);
    return v;
}

static void tell(const char *name)
{
    printf("%s\n", name);
    fflush(stdout);
}

/* table CHUNK WINDOW */
static rs_status run_table(run *r)
{
    rs_watchdog *dog;
    bool first = rs_comm_rank(r->comm) == 0;
    RS_TRY(rs_watchdog_start(&dog, r->comm, &(rs_watchdog_opts){.timeout_s = 60, .exit_code = 7}));
    RS_TRY(t_comm_run_table(r->comm, first ? tell : NULL));
    rs_watchdog_stop(&dog);
    if (first)
        printf("%s: %d cases on %d ranks\n", rs_comm_backend(r->comm), t_n_comm_cases,
               rs_comm_size(r->comm));
    return RS_OK;
}

static rs_status steps(rs_comm *c, char *message, size_t room, int *failed)
{
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    size_t bytes[RANKS_MAX];
    int got[RANKS_MAX];
    for (int i = 0; i < n; i++)
        bytes[i] = sizeof me;
    for (int step = 0; step < STEPS; step++) {
        rs_status st = rs_comm_agree(c, rs_comm_allgather(got, c, &me, bytes, "step"));
        *failed += st != RS_OK;
        if (st != RS_OK)
            snprintf(message, room, "%s", rs_error_message());
        C_CHECK(st != RS_OK || got[n - 1] == n - 1);
    }
    return RS_OK;
}

/* steps SPEC WARN TIMEOUT: every rank says what it saw. */
static rs_status run_steps(run *r)
{
    rs_fault *fault;
    rs_watchdog *dog;
    char message[512] = "nothing";
    int failed = 0;
    RS_TRY(rs_fault_add(&fault, r->comm, r->args[0]));
    RS_TRY(rs_watchdog_start(&dog, r->comm,
                             &(rs_watchdog_opts){.warn_s = number(r->args[1]),
                                                 .timeout_s = number(r->args[2]),
                                                 .exit_code = 7}));
    RS_TRY(steps(r->comm, message, sizeof message, &failed));
    printf("rank %d saw %d of %d steps fail: %s\n", rs_comm_rank(r->comm), failed, STEPS, message);
    rs_watchdog_stop(&dog);
    rs_comm_close(&r->comm);
    rs_fault_destroy(&fault);
    return RS_OK;
}

/* stopped RANK TIMEOUT: that rank is stopped by a signal, its watchdog with it. */
static rs_status run_stopped(run *r)
{
    rs_watchdog *dog;
    RS_TRY(rs_watchdog_start(&dog, r->comm,
                             &(rs_watchdog_opts){.timeout_s = number(r->args[1]), .exit_code = 7}));
    RS_TRY(rs_comm_barrier(r->comm, "all here"));
    if (rs_comm_rank(r->comm) == (int)number(r->args[0]))
        raise(SIGSTOP);
    RS_TRY(rs_comm_barrier(r->comm, "never"));
    rs_watchdog_stop(&dog);
    return RS_OK;
}

/* abort CODE */
static rs_status run_abort(run *r)
{
    if (rs_comm_rank(r->comm) == rs_comm_size(r->comm) - 1)
        rs_comm_abort(r->comm, (int)number(r->args[0]), "on purpose");
    return rs_comm_barrier(r->comm, "never");
}

static void keep_seconds(void *ctx, const rs_comm_event *e)
{
    if (e->what && strcmp(e->what, "moved by the thread") == 0)
        *(double *)ctx = e->seconds;
}

/* idle SECONDS TRACE: after how long a progress thread saw a gather done; JSON lines in
 * TRACE.<rank> */
static rs_status run_idle(run *r)
{
    rs_trace *trace;
    double seconds = 1e9;
    char path[512];
    snprintf(path, sizeof path, "%s.%d", r->args[1], rs_comm_rank(r->comm));
    RS_TRY(rs_trace_add(&trace, r->comm,
                        &(rs_trace_opts){.fn = keep_seconds, .ctx = &seconds, .path = path}));
    RS_TRY(t_comm_progress_case(r->comm, number(r->args[0])));
    printf("rank %d: %s\n", rs_comm_rank(r->comm),
           seconds < 0.9 * number(r->args[0]) ? "in time" : "late");
    rs_comm_close(&r->comm);
    return rs_trace_destroy(&trace);
}

/* lead SECONDS LIMIT: rank 0 is busy for longer than the watchdog lets a rank wait in a collective
 */
static rs_status run_lead(run *r)
{
    rs_world w = {.comm = r->comm, .rank = rs_comm_rank(r->comm), .size = rs_comm_size(r->comm)};
    RS_TRY(rs_world_watch(&w, number(r->args[1])));
    if (rs_world_leads(&w))
        usleep((useconds_t)(number(r->args[0]) * 1e6));
    RS_TRY(rs_world_await_lead(&w));
    RS_TRY(rs_comm_barrier(r->comm, "together again"));
    rs_watchdog_stop(&w.watchdog);
    return RS_OK;
}

/* lanes DIR HALVES: a model, whether guidance runs on two halves; hashes of every rank's results.
 */
static rs_status run_lanes(run *r)
{
    t_lane_result x;
    t_lane_case k = t_lane_case_small(r->args[0]);
    k.halves = number(r->args[1]) != 0;
    RS_TRY(t_lane_run(&x, r->comm, &k));
    char line[600];
    snprintf(line, sizeof line, "rank %d: %s %s %s %s %s\n", rs_comm_rank(r->comm), x.velocity,
             x.step, x.gradients, x.trained, x.sampled);
    fputs(line, stdout);
    return RS_OK;
}

/* lane-speed DIR F H W REPEATS: least seconds of passes, and bytes per rank. */
static rs_status run_lane_speed(run *r)
{
    t_lane_speed x;
    t_lane_case k = {.dir = r->args[0],
                     .F = (int64_t)number(r->args[1]),
                     .H = (int64_t)number(r->args[2]),
                     .W = (int64_t)number(r->args[3]),
                     .kept = RS_KEPT_ALL};
    RS_TRY(t_lane_time(&x, r->comm, &k, (int)number(r->args[4])));
    if (rs_comm_rank(r->comm) == 0)
        printf("%d ranks, %lld tokens: best of %d: step %.3f s (process time of the busiest rank "
               "%.3f s), sampling pass %.3f s, activations %.1f MiB, loss %.9g\n",
               rs_comm_size(r->comm), (long long)(k.F * k.H * k.W / 4), (int)number(r->args[4]),
               x.step, x.work, x.forward, (double)x.bytes / 0x1p20, (double)x.loss);
    return RS_OK;
}

/* host DIR HOW */
static rs_status run_host(run *r)
{
    return ranks_host(r->comm, r->args[0], r->args[1]);
}

static const struct {
    const char *name;
    int n_args;
    rs_status (*fn)(run *r);
} k_modes[] = {{"table", 2, run_table},     {"steps", 3, run_steps},
               {"stopped", 2, run_stopped}, {"abort", 1, run_abort},
               {"idle", 2, run_idle},       {"lead", 2, run_lead},
               {"lanes", 2, run_lanes},     {"lane-speed", 5, run_lane_speed},
               {"host", 2, run_host}};

static rs_status run_mode(run *r, int argc, char **argv)
{
    for (size_t i = 0; i < sizeof k_modes / sizeof k_modes[0]; i++)
        if (argc == 2 + k_modes[i].n_args && strcmp(argv[1], k_modes[i].name) == 0)
            return k_modes[i].fn(r);
    return RS_FAIL(USAGE, "bad arguments");
}

int main(int argc, char **argv)
{
    rs_comm_opts o = {0};
    run r = {.args = argv + 2};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "table") == 0) {
        o.chunk_bytes = (size_t)number(argv[2]);
        o.window_bytes = (size_t)number(argv[3]);
    }
    rs_status st = rs_comm_open(&r.comm, &o);
    if (st == RS_OK)
        st = run_mode(&r, argc, argv);
    if (st != RS_OK) {
        fprintf(stderr, "FAILED: %s\n", rs_error_message());
        if (r.comm)
            rs_comm_abort(r.comm, 1, rs_error_message());
        return 1;
    }
    rs_comm_close(&r.comm);
    return 0;
}
