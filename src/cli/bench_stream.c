/* reshoot bench stream: what it costs that ranks share the weights. */
#include <string.h>

#include "bench/process.h"
#include "bench/stream.h"
#include "cli/bench.h"
#include "comm/agree.h"

typedef struct stream_opts {
    int64_t tokens, steps, rank, threads;
    double watchdog;
    bool json;
} stream_opts;

static const stream_opts k_defaults = {
    .tokens = 1024, .steps = 7, .rank = 16, .threads = 0, .watchdog = 600};

static const rs_opt k_opts[] = {
    {"--tokens", RS_OPT_INT, offsetof(stream_opts, tokens), "N", "of a training step: 1024"},
    {"--steps", RS_OPT_INT, offsetof(stream_opts, steps), "N", "timed, of each home: 7"},
    {"--rank", RS_OPT_INT, offsetof(stream_opts, rank), "R", "of the adapter: 16"},
    {"--threads", RS_OPT_INT, offsetof(stream_opts, threads), "N",
     "per rank: an even share of the cores"},
    {"--json", RS_OPT_FLAG, offsetof(stream_opts, json), NULL, "machine-readable"},
    {"--watchdog", RS_OPT_FLOAT, offsetof(stream_opts, watchdog), "S",
     "a rank that waits for another longer than this ends it: 600"},
};

static void print_text(rs_arena *a, const rs_bench_site *s, const char *model,
                       const rs_stream_rate *r, int ranks)
{
    rs_out("%s\n%s: %lld blocks, %.1f M parameters; %lld tokens; losses and gradients equal bit "
           "for bit\n\n",
           rs_bench_site_text(a, s), model, (long long)r->blocks, (double)r->params * 1e-6,
           (long long)r->tokens);
    rs_out("%-8s %10s %10s %10s   %s\n", "home", "min s", "median s", "max s",
           "MB of weights held");
    rs_out("%-8s %10.4f %10.4f %10.4f   %.2f\n", "mapped", r->mapped.min, r->mapped.median,
           r->mapped.max, (double)r->mapped_bytes * 1e-6);
    rs_out("%-8s %10.4f %10.4f %10.4f   %.2f\n", "sharded", r->sharded.min, r->sharded.median,
           r->sharded.max, (double)r->sharded_bytes * 1e-6);
    rs_out("\nsharded over mapped, step by step: %.3f (median)\n", r->ratio);
    rs_out("rank 0 of %d: read %.2f MB of blocks; a step gathers %.2f MB in %.4f s, waits %.4f s "
           "for blocks, %.4f s for the gang\n",
           ranks, (double)r->bytes_read * 1e-6, r->gathered_step * 1e-6, r->gather_s, r->exposed_s,
           r->boundary_s);
    rs_out("memory of rank 0, both homes open: %.1f MB at most\n",
           (double)rs_process_memory("VmHWM") * 1e-6);
}

static void write_spread(rs_jsonw *w, const char *key, rs_spread s)
{
    rs_jsonw_object(w, key);
    rs_jsonw_f64(w, "min_s", s.min);
    rs_jsonw_f64(w, "median_s", s.median);
    rs_jsonw_f64(w, "max_s", s.max);
    rs_jsonw_end(w);
}

static void print_json(rs_arena *a, const rs_bench_site *s, const char *model,
                       const rs_stream_rate *r)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_bench_json_head(w, a, "reshoot bench stream", s);
    rs_jsonw_string(w, "model", model);
    rs_jsonw_i64(w, "tokens", r->tokens);
    rs_jsonw_i64(w, "blocks", r->blocks);
    rs_jsonw_i64(w, "parameters", r->params);
    write_spread(w, "mapped", r->mapped);
    write_spread(w, "sharded", r->sharded);
    rs_jsonw_f64(w, "ratio", r->ratio);
    rs_jsonw_i64(w, "mapped_bytes", r->mapped_bytes);
    rs_jsonw_i64(w, "sharded_bytes", r->sharded_bytes);
    rs_jsonw_i64(w, "bytes_read", r->bytes_read);
    rs_jsonw_f64(w, "gathered_per_step", r->gathered_step);
    rs_jsonw_f64(w, "gather_s", r->gather_s);
    rs_jsonw_f64(w, "exposed_s", r->exposed_s);
    rs_jsonw_f64(w, "boundary_s", r->boundary_s);
    rs_jsonw_end(w);
    rs_out("%s\n", rs_jsonw_text(w));
}

static rs_status run_world(const rs_call *call, rs_world *w)
{
    const stream_opts *o = call->opts;
    int cores = 0;
    rs_bench_site site;
    rs_stream_rate rate;
    RS_TRY(rs_world_watch(w, o->watchdog));
    RS_TRY(rs_comm_agree(w->comm, rs_world_cores(&cores, w)));
    RS_TRY(rs_bench_site_find(&site, call->arena, w));
    rs_stream_opts s = {.model = call->positional.items[0],
                        .tokens = o->tokens,
                        .steps = o->steps,
                        .rank = o->rank,
                        .threads = o->threads ? o->threads : cores};
    RS_TRY(rs_stream_measure(&rate, w->comm, &s));
    if (rs_world_leads(w) && o->json)
        print_json(call->arena, &site, s.model, &rate);
    else if (rs_world_leads(w))
        print_text(call->arena, &site, s.model, &rate, w->size);
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    const stream_opts *o = call->opts;
    rs_world w;
    if (o->tokens < 1 || o->tokens > 10000000)
        return RS_FAIL(USAGE, "--tokens must be 1..10000000, got %lld", (long long)o->tokens);
    if (o->steps < 1 || o->steps > 100000)
        return RS_FAIL(USAGE, "--steps must be 1..100000, got %lld", (long long)o->steps);
    if (o->threads < 0 || o->threads > 4096)
        return RS_FAIL(USAGE, "--threads must be 0..4096, got %lld", (long long)o->threads);
    if (!(o->watchdog > 0))
        return RS_FAIL(USAGE, "--watchdog must be above 0");
    RS_TRY(rs_world_open(&w));
    rs_status st = run_world(call, &w);
    if (st == RS_PEER) /* no collective ends any more, closing neither */
        rs_comm_abort(w.comm, rs_status_exit_code(st), rs_error_message());
    rs_world_close(&w);
    return st;
}

const rs_command rs_bench_stream = {
    .name = "bench stream",
    .summary = "training steps with weights shared by a gang, against a copy per rank",
    .args = "MODEL [options]",
    .about =
        "Opens the model's transformer twice: mapped, and sharded over all started ranks, who\n"
        "gather each block while the one before computes. Losses and gradients must be equal bit\n"
        "for bit; then steps of both are timed in turns. MB of weights held: what the stream "
        "keeps\n"
        "beside the files; of fp32 files a mapping keeps nothing. read: what this rank took from\n"
        "the file for its parts. waits: what computing did not hide.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, stream_opts),
    .defaults = &k_defaults,
    .run = run,
};
