/* reshoot bench op: rates of this machine. Every case is verified against its double-precision
 * reference before it is timed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/str.h"
#include "cli/bench.h"
#include "device/opcase.h"

typedef struct bench_opts {
    bool json, all;
    const char *only;
    int64_t threads;
    double seconds;
} bench_opts;

static const bench_opts k_defaults = {.seconds = 0.5};

static const rs_opt k_opts[] = {
    {"--case", RS_OPT_STRING, offsetof(bench_opts, only), "CASE", "only the case of this name"},
    {"--all", RS_OPT_FLAG, offsetof(bench_opts, all), NULL,
     "small cases too, not only those of real size"},
    {"--json", RS_OPT_FLAG, offsetof(bench_opts, json), NULL, "machine-readable, with the machine"},
    {"--threads", RS_OPT_INT, offsetof(bench_opts, threads), "N", "CPU threads; 0: all"},
    {"--seconds", RS_OPT_FLOAT, offsetof(bench_opts, seconds), "S", "time per case: 0.5"},
};

typedef struct bench {
    const bench_opts *o;
    rs_arena *arena;
    rs_device *dev;
    rs_peak peak;
    rs_jsonw *json; /* NULL: a table */
    int64_t run, failed;
    const char *reason; /* of the first failure */
} bench;

static void begin_table(bench *b)
{
    rs_out("%s, %d of %ld processors; %.1f GFLOP/s", rs_bench_cpu(b->arena),
           rs_device_threads(b->dev), sysconf(_SC_NPROCESSORS_ONLN), b->peak.gflops);
    if (b->peak.gflops_bf16 > 0)
        rs_out(", of bf16 operands %.1f", b->peak.gflops_bf16);
    rs_out(", %.1f GB/s measured\n\n", b->peak.gbs);
    rs_out("%-15s %-19s %-17s %9s %8s %8s %8s %6s %5s %8s %5s\n", "op", "case", "dims", "ms", "p10",
           "p90", "GFLOP/s", "GB/s", "floor", "per core", "peak");
}

static void begin_json(bench *b)
{
    b->json = rs_jsonw_create(b->arena, true);
    rs_bench_json_head(b->json, b->arena, "reshoot bench op", NULL);
    rs_jsonw_object(b->json, "machine");
    rs_jsonw_string(b->json, "cpu", rs_bench_cpu(b->arena));
    rs_jsonw_i64(b->json, "processors", sysconf(_SC_NPROCESSORS_ONLN));
    rs_jsonw_i64(b->json, "threads", rs_device_threads(b->dev));
    rs_jsonw_string(b->json, "backend", rs_device_backend(b->dev));
    rs_jsonw_f64(b->json, "peak_gflops", b->peak.gflops);
    rs_jsonw_f64(b->json, "peak_bf16_gflops", b->peak.gflops_bf16);
    rs_jsonw_f64(b->json, "peak_gbs", b->peak.gbs);
    rs_jsonw_end(b->json);
    rs_jsonw_array(b->json, "results");
}

/* What one core gave while it worked for this process, of what one core can do: other load counts
 * neither here nor, in the best of its samples, in the peak. */
static double of_peak(const bench *b, const rs_opcase_timing *t)
{
    return t->flops / t->process * 1e-9 / (t->peak / rs_device_threads(b->dev));
}

static void print_row(const bench *b, const rs_opspec *spec, const rs_opcase *c, const char *dims,
                      const rs_opcase_timing *t)
{
    rs_out("%-15s %-19s %-17s %9.3f %8.3f %8.3f %8.1f %6.1f %4.0f%% %8.1f %4.0f%%\n", spec->op,
           c->name, dims, t->median * 1e3, t->p10 * 1e3, t->p90 * 1e3, t->gflops, t->gbs,
           t->reached * 100, t->flops / t->process * 1e-9, of_peak(b, t) * 100);
    fflush(stdout);
}

static void write_row(const bench *b, const rs_opspec *spec, const rs_opcase *c, const char *dims,
                      const rs_opcase_timing *t, rs_status st)
{
    rs_jsonw *w = b->json;
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "op", spec->op);
    rs_jsonw_string(w, "case", c->name);
    rs_jsonw_string(w, "dims", dims);
    rs_jsonw_bool(w, "verified", st == RS_OK);
    if (st == RS_OK) {
        rs_jsonw_f64(w, "flops", t->flops);
        rs_jsonw_f64(w, "bytes", t->bytes);
        rs_jsonw_i64(w, "samples", t->reps);
        rs_jsonw_f64(w, "median_s", t->median);
        rs_jsonw_f64(w, "p10_s", t->p10);
        rs_jsonw_f64(w, "p90_s", t->p90);
        rs_jsonw_f64(w, "gflops", t->gflops);
        rs_jsonw_f64(w, "gbs", t->gbs);
        rs_jsonw_f64(w, "floor_s", t->floor);
        rs_jsonw_f64(w, "fraction_of_floor", t->reached);
        rs_jsonw_f64(w, "process_s", t->process);
        rs_jsonw_f64(w, "fraction_of_peak_per_core", of_peak(b, t));
    } else {
        rs_jsonw_string(w, "error", rs_error_message());
    }
    rs_jsonw_end(w);
}

static void run_case(bench *b, const rs_opspec *spec, const rs_opcase *c)
{
    rs_opcase_timing t;
    char dims[RS_OPCASE_DIMS];
    rs_status st = rs_opcase_time(&t, spec, c, b->dev, &b->peak, b->o->seconds);
    rs_opcase_dims(dims, c);
    b->run++;
    if (b->json)
        write_row(b, spec, c, dims, &t, st);
    else if (st == RS_OK)
        print_row(b, spec, c, dims, &t);
    else
        rs_out("%-15s %-16s %-17s FAILED: %s\n", spec->op, c->name, dims, rs_error_message());
    if (st == RS_OK)
        return;
    if (b->failed++ == 0)
        b->reason = rs_arena_strdup(b->arena, rs_error_message());
}

/* On devices that take BF16 activations also the variants with those. */
static void run_stored(bench *b, const rs_opspec *spec, const rs_opcase *c)
{
    bool cpu = strcmp(rs_device_backend(b->dev), "cpu") == 0;
    for (int s = RS_STORE_FP32; s < (cpu ? RS_STORE_FP32 + 1 : RS_STORES); s++) {
        rs_opcase stored;
        if (!rs_opcase_stored(&stored, spec, c, (rs_opstore)s))
            continue;
        if (s != RS_STORE_FP32)
            stored.name =
                rs_arena_printf(b->arena, "%s.%s", c->name, rs_opstore_name((rs_opstore)s));
        run_case(b, spec, &stored);
    }
}

static bool chosen(const bench_opts *o, const rs_opcase *c)
{
    return o->only ? strcmp(o->only, c->name) == 0 : c->large || o->all;
}

static rs_status find_op(const rs_opspec **out, const char *name)
{
    const char *names[256];
    int n = rs_opspec_count();
    RS_ASSERT(n <= 256);
    *out = rs_opspec_find(name);
    if (*out)
        return RS_OK;
    for (int i = 0; i < n; i++)
        names[i] = rs_opspec_at(i)->op;
    const char *near = rs_nearest(name, names, n);
    return near ? RS_FAIL(USAGE, "unknown op \"%s\"; did you mean \"%s\"?", name, near)
                : RS_FAIL(USAGE, "unknown op \"%s\"; see reshoot bench op --help", name);
}

static rs_status bench_ops(bench *b, const rs_opspec *only)
{
    RS_TRY(rs_peak_measure(&b->peak, b->dev));
    if (b->o->json)
        begin_json(b);
    else
        begin_table(b);
    for (int i = 0; i < rs_opspec_count(); i++) {
        const rs_opspec *spec = rs_opspec_at(i);
        for (int k = 0; (!only || spec == only) && k < spec->n; k++)
            if (chosen(b->o, &spec->cases[k]))
                run_stored(b, spec, &spec->cases[k]);
    }
    if (b->json) {
        rs_jsonw_end(b->json);
        rs_jsonw_end(b->json);
        rs_out("%s\n", rs_jsonw_text(b->json));
    }
    if (b->run == 0)
        return RS_FAIL(USAGE, "bench: no such case; --all shows the small ones too");
    if (b->failed)
        return RS_FAIL(NUMERIC, "bench: %lld of %lld cases failed, first: %s", (long long)b->failed,
                       (long long)b->run, b->reason);
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    const bench_opts *o = call->opts;
    const rs_opspec *only = NULL;
    if (o->threads < 0 || o->threads > 1024)
        return RS_FAIL(USAGE, "--threads must be 0..1024, got %lld", (long long)o->threads);
    if (!(o->seconds > 0) || o->seconds > 3600)
        return RS_FAIL(USAGE, "--seconds must be above 0, at most 3600");
    if (call->positional.n > 0)
        RS_TRY(find_op(&only, call->positional.items[0]));
    bench b = {.o = o, .arena = call->arena};
    rs_device_opts opts = {.threads = rs_i32(o->threads)};
    RS_TRY(rs_device_open(&b.dev, &opts));
    rs_status st = bench_ops(&b, only);
    rs_device_destroy(&b.dev);
    return st;
}

static void more(void)
{
    rs_out("\nops:\n ");
    int column = 1;
    for (int i = 0; i < rs_opspec_count(); i++) {
        const char *name = rs_opspec_at(i)->op;
        int n = (int)strlen(name) + 1;
        if (column + n > 96) {
            rs_out("\n ");
            column = 1;
        }
        rs_out(" %s", name);
        column += n;
    }
    rs_out("\n");
}

const rs_command rs_bench_op = {
    .name = "bench op",
    .summary = "rates of every operation on this machine, verified before they are timed",
    .args = "[NAME] [options]",
    .about = "Times the operations that the models are made of, at real sizes or at all sizes of\n"
             "their case tables. Every case is first held against its double-precision reference.\n"
             "ms is the median of the samples; floor is the part of the time that arithmetic or\n"
             "memory traffic alone would take at the measured peak (above 100 %: it stayed in a\n"
             "cache). per core and peak are GFLOP/s by process time, which other load does not\n"
             "count in, and their part of what a core reaches in registers.\n",
    .more = more,
    .n_min = 0,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, bench_opts),
    .defaults = &k_defaults,
    .run = run,
};
