/* reshoot bench comm: the collectives of a run over sizes, on the ranks that were started. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "bench/collective.h"
#include "cli/bench.h"
#include "comm/agree.h"
#include "comm/fault.h"
#include "comm/trace.h"

typedef struct comm_opts {
    const char *ops, *min, *max, *progress, *fault, *trace;
    int64_t factor, samples;
    double sample_ms, compute, watchdog;
    bool json;
} comm_opts;

static const comm_opts k_defaults = {.ops =
                                         "allgather,alltoall,allreduce,broadcast,sendrecv,overlap",
                                     .min = "8",
                                     .max = "64M",
                                     .progress = "calls",
                                     .factor = 2,
                                     .samples = 20,
                                     .sample_ms = 2,
                                     .compute = 1,
                                     .watchdog = 120};

static const rs_opt k_opts[] = {
    {"--ops", RS_OPT_STRING, offsetof(comm_opts, ops), "A,B",
     "of allgather, alltoall, allreduce, broadcast, sendrecv, overlap; all"},
    {"--min", RS_OPT_STRING, offsetof(comm_opts, min), "BYTES", "smallest size: 8"},
    {"--max", RS_OPT_STRING, offsetof(comm_opts, max), "BYTES", "largest size: 64M"},
    {"--factor", RS_OPT_INT, offsetof(comm_opts, factor), "N", "from one size to the next: 2"},
    {"--iters", RS_OPT_INT, offsetof(comm_opts, samples), "N", "timed samples per size: 20"},
    {"--sample", RS_OPT_FLOAT, offsetof(comm_opts, sample_ms), "MS",
     "a sample is as many calls in a row as last this long: 2"},
    {"--compute", RS_OPT_FLOAT, offsetof(comm_opts, compute), "R",
     "overlap: the loop lasts R times the gather: 1"},
    {"--progress", RS_OPT_STRING, offsetof(comm_opts, progress), "WHO",
     "overlap: data are moved by calls in the loop, or by a thread: calls"},
    {"--json", RS_OPT_FLAG, offsetof(comm_opts, json), NULL, "machine-readable, with the machine"},
    {"--trace", RS_OPT_STRING, offsetof(comm_opts, trace), "FILE",
     "every call of rank N as a JSON line in FILE.N (traced calls are slower)"},
    {"--watchdog", RS_OPT_FLOAT, offsetof(comm_opts, watchdog), "S",
     "a rank that waits for another longer than this ends it: 120"},
    {"--fault", RS_OPT_STRING, offsetof(comm_opts, fault), "SPEC",
     "misbehave on purpose (src/comm/fault.h), to see it noticed"},
};

typedef struct plan {
    rs_comm_bench_op ops[RS_COMM_BENCH_COUNT];
    int64_t n_ops, min, max;
    rs_collective_opts collective;
} plan;

typedef struct comm_bench {
    const comm_opts *o;
    plan plan;
    rs_arena *a;
    rs_world world;
    rs_bench_site site;
    rs_jsonw *json; /* rank 0 with --json */
} comm_bench;

static rs_status parse_ops(plan *p, rs_arena *a, const char *text)
{
    const char *names[RS_COMM_BENCH_COUNT];
    char **words;
    int64_t n;
    for (int i = 0; i < RS_COMM_BENCH_COUNT; i++)
        names[i] = rs_comm_bench_name((rs_comm_bench_op)i);
    RS_TRY(rs_bench_words(&words, &n, a, "--ops", text));
    if (n > RS_COMM_BENCH_COUNT)
        return RS_FAIL(USAGE, "--ops: more than there are");
    for (int64_t i = 0; i < n; i++) {
        const char *near = rs_nearest(words[i], names, RS_COMM_BENCH_COUNT);
        if (!rs_comm_bench_find(&p->ops[p->n_ops++], words[i]))
            return near ? RS_FAIL(USAGE, "--ops: unknown \"%s\"; did you mean \"%s\"?", words[i],
                                  near)
                        : RS_FAIL(USAGE, "--ops: unknown \"%s\"; see reshoot bench comm --help",
                                  words[i]);
    }
    return RS_OK;
}

static rs_status parse(plan *p, rs_arena *a, const comm_opts *o)
{
    RS_TRY(parse_ops(p, a, o->ops));
    RS_TRY(rs_bench_size(&p->min, "--min", o->min));
    RS_TRY(rs_bench_size(&p->max, "--max", o->max));
    if (p->max < p->min)
        return RS_FAIL(USAGE, "--max %s is less than --min %s", o->max, o->min);
    if (o->factor < 2 || o->factor > 1024)
        return RS_FAIL(USAGE, "--factor must be 2..1024, got %lld", (long long)o->factor);
    if (o->samples < 1 || o->samples > 100000)
        return RS_FAIL(USAGE, "--iters must be 1..100000, got %lld", (long long)o->samples);
    if (!(o->sample_ms >= 0) || o->sample_ms > 60000)
        return RS_FAIL(USAGE, "--sample must be 0..60000 ms");
    if (!(o->compute > 0) || o->compute > 1000)
        return RS_FAIL(USAGE, "--compute must be above 0, at most 1000");
    if (!(o->watchdog > 0))
        return RS_FAIL(USAGE, "--watchdog must be above 0");
    if (strcmp(o->progress, "calls") != 0 && strcmp(o->progress, "thread") != 0)
        return RS_FAIL(USAGE, "--progress: \"%s\" is neither calls nor thread", o->progress);
    p->collective = (rs_collective_opts){.samples = o->samples,
                                         .sample_s = o->sample_ms * 1e-3,
                                         .compute = o->compute,
                                         .progress_thread = o->progress[0] == 't'};
    return RS_OK;
}

/* ---- what is shown ---- */

static void begin_table(const comm_bench *b)
{
    rs_out("%s, %s\nverified before and after; times of a call, busbw as nccl-tests\n\n",
           rs_bench_site_text(b->a, &b->site), rs_comm_mpi_library(b->a));
    rs_out("%-10s %12s %6s %11s %11s %11s %8s %8s  %s\n", "op", "bytes", "calls", "min us",
           "median us", "max us", "algbw", "busbw", "GB/s");
}

static void print_row(const rs_collective_rate *r)
{
    rs_out("%-10s %12lld %6lld %11.2f %11.2f %11.2f %8.3f %8.3f", rs_comm_bench_name(r->op),
           (long long)r->bytes, (long long)r->calls, r->s.min * 1e6, r->s.median * 1e6,
           r->s.max * 1e6, r->algbw * 1e-9, r->busbw * 1e-9);
    if (r->op == RS_BENCH_OVERLAP)
        rs_out("  loop %.2f us, both %.2f us, exposed %.0f%%", r->compute_s * 1e6, r->both_s * 1e6,
               r->exposed_fraction * 100);
    rs_out("\n");
    fflush(stdout);
}

static void begin_json(comm_bench *b)
{
    rs_jsonw *w = b->json = rs_jsonw_create(b->a, true);
    rs_bench_json_head(w, b->a, "reshoot bench comm", &b->site);
    rs_jsonw_object(w, "settings");
    rs_jsonw_i64(w, "min", b->plan.min);
    rs_jsonw_i64(w, "max", b->plan.max);
    rs_jsonw_i64(w, "factor", b->o->factor);
    rs_jsonw_i64(w, "samples", b->o->samples);
    rs_jsonw_f64(w, "sample_s", b->plan.collective.sample_s);
    rs_jsonw_f64(w, "compute", b->o->compute);
    rs_jsonw_string(w, "progress", b->o->progress);
    rs_jsonw_string(w, "fault", b->o->fault);
    rs_jsonw_end(w);
    rs_jsonw_array(w, "results");
}

static void write_row(rs_jsonw *w, const rs_collective_rate *r)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "op", rs_comm_bench_name(r->op));
    rs_jsonw_i64(w, "bytes", r->bytes);
    rs_jsonw_i64(w, "verified_elements", r->checked);
    rs_jsonw_i64(w, "calls_per_sample", r->calls);
    rs_jsonw_f64(w, "min_s", r->s.min);
    rs_jsonw_f64(w, "median_s", r->s.median);
    rs_jsonw_f64(w, "max_s", r->s.max);
    rs_jsonw_f64(w, "algbw_gbs", r->algbw * 1e-9);
    rs_jsonw_f64(w, "busbw_gbs", r->busbw * 1e-9);
    if (r->op == RS_BENCH_OVERLAP) {
        rs_jsonw_f64(w, "compute_s", r->compute_s);
        rs_jsonw_f64(w, "both_s", r->both_s);
        rs_jsonw_f64(w, "exposed_s", r->exposed_s);
        rs_jsonw_f64(w, "exposed_fraction", r->exposed_fraction);
    }
    rs_jsonw_end(w);
}

/* ---- the run ---- */

static rs_status run_sizes(comm_bench *b, rs_comm_bench_op op)
{
    for (int64_t bytes = b->plan.min; bytes <= b->plan.max; bytes *= b->o->factor) {
        rs_collective_rate r;
        RS_TRY(rs_collective_time(&r, b->world.comm, op, bytes, &b->plan.collective));
        if (b->json)
            write_row(b->json, &r);
        else if (rs_world_leads(&b->world))
            print_row(&r);
        if (bytes > b->plan.max / b->o->factor)
            break;
    }
    return RS_OK;
}

static rs_status run_world(comm_bench *b)
{
    RS_TRY(rs_world_watch(&b->world, b->o->watchdog));
    RS_TRY(rs_bench_site_find(&b->site, b->a, &b->world));
    if (rs_world_leads(&b->world) && b->o->json)
        begin_json(b);
    else if (rs_world_leads(&b->world))
        begin_table(b);
    for (int64_t i = 0; i < b->plan.n_ops; i++)
        RS_TRY(run_sizes(b, b->plan.ops[i]));
    if (b->json) {
        rs_jsonw_end(b->json);
        rs_jsonw_end(b->json);
        rs_out("%s\n", rs_jsonw_text(b->json));
    }
    return RS_OK;
}

/* Faults and traces hold for every call from here on. */
static rs_status run_decorated(comm_bench *b)
{
    rs_fault *fault = NULL;
    rs_trace *trace = NULL;
    rs_trace_opts t = {0};
    rs_status st = RS_OK;
    if (b->o->trace)
        t.path = rs_arena_printf(b->a, "%s.%d", b->o->trace, b->world.rank);
    if (b->o->trace)
        st = rs_trace_add(&trace, b->world.comm, &t);
    RS_TRY_OUT(rs_comm_agree(b->world.comm, st));
    if (b->o->fault)
        RS_TRY_OUT(rs_fault_add(&fault, b->world.comm, b->o->fault)); /* the same on all ranks */
    st = run_world(b);
    if (st == RS_PEER) /* no collective ends any more, closing neither */
        rs_comm_abort(b->world.comm, rs_status_exit_code(st), rs_error_message());
out:
    rs_world_close(&b->world);
    rs_fault_destroy(&fault);
    if (trace) {
        rs_status closed = rs_trace_destroy(&trace);
        st = st == RS_OK ? closed : st;
    }
    return st;
}

static rs_status run(const rs_call *call)
{
    comm_bench b = {.o = call->opts, .a = call->arena};
    RS_TRY(parse(&b.plan, b.a, b.o));
    RS_TRY(rs_world_open(&b.world));
    return run_decorated(&b);
}

const rs_command rs_bench_comm = {
    .name = "bench comm",
    .summary = "collectives between ranks: latency and bandwidth over sizes (under mpirun)",
    .args = "[options]",
    .about =
        "Times what the ranks of a run exchange; start it as the run will be:\n"
        "  mpirun -n 8 reshoot bench comm        srun --mpi=pmix -n 64 reshoot bench comm\n"
        "Every element of every result is held against the formula of the inputs, before and\n"
        "after it is timed; a wrong one ends it with its rank and index, exit code 1. algbw and\n"
        "busbw are those of nccl-tests (doc/PERFORMANCE.md there). overlap is a gather beside a\n"
        "compute loop: exposed is the part of it that the loop did not hide.\n",
    .n_min = 0,
    .n_max = 0,
    RS_COMMAND_OPTS(k_opts, comm_opts),
    .defaults = &k_defaults,
    .run = run,
};
