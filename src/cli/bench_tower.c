/* reshoot bench tower: VAE, text encoder and image encoder of a model directory. */
#include <string.h>

#include "base/num.h"
#include "bench/tower.h"
#include "cli/bench.h"

typedef struct tower_opts {
    const char *precision, *parts;
    int64_t frames, height, width, rows, runs, threads;
    bool paced, json;
} tower_opts;

static const tower_opts k_defaults = {.precision = "fp32",
                                      .parts = "vae-encode,vae-decode,text,image",
                                      .frames = 9,
                                      .height = 112,
                                      .width = 208,
                                      .rows = 512,
                                      .runs = 5};

#define AT(field) offsetof(tower_opts, field)
static const rs_opt k_opts[] = {
    {"--parts", RS_OPT_STRING, AT(parts), "LIST", "vae-encode,vae-decode,text,image: all"},
    {"--frames", RS_OPT_INT, AT(frames), "N", "of the clip: 9"},
    {"--height", RS_OPT_INT, AT(height), "N", "112"},
    {"--width", RS_OPT_INT, AT(width), "N", "208"},
    {"--text", RS_OPT_INT, AT(rows), "N", "rows of the prompt: 512"},
    {"--runs", RS_OPT_INT, AT(runs), "N", "timed, after one that is not: 5"},
    {"--precision", RS_OPT_STRING, AT(precision), "P", "of large products: fp32 or bf16"},
    {"--threads", RS_OPT_INT, AT(threads), "N", "CPU threads; 0: all"},
    {"--paced", RS_OPT_FLAG, AT(paced), NULL,
     "each step waits for a line of standard input, and tells its seconds"},
    {"--json", RS_OPT_FLAG, AT(json), NULL, "machine-readable, with the machine"},
};

static void print_text(const char *name, const rs_tower_rate *r)
{
    rs_out("%-11s %9.4f %9.4f %9.4f %9.3f %10.1f %8.1f %8.1f %9.1f %9.1f\n", name, r->wall.min,
           r->wall.median, r->wall.max, r->cpu.median, r->flops * 1e-9,
           r->flops * 1e-9 / r->wall.median, r->flops * 1e-9 / r->cpu.median,
           (double)r->opened_bytes * 1e-6, (double)r->peak_bytes * 1e-6);
}

static void write_json(rs_jsonw *w, const char *name, const rs_tower_rate *r)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "part", name);
    rs_jsonw_f64(w, "wall_min_s", r->wall.min);
    rs_jsonw_f64(w, "wall_median_s", r->wall.median);
    rs_jsonw_f64(w, "cpu_median_s", r->cpu.median);
    rs_jsonw_f64(w, "flops", r->flops);
    rs_jsonw_i64(w, "start_bytes", r->start_bytes);
    rs_jsonw_i64(w, "opened_bytes", r->opened_bytes);
    rs_jsonw_i64(w, "peak_bytes", r->peak_bytes);
    rs_jsonw_end(w);
}

static rs_status find_tower(rs_tower *out, const char *name)
{
    for (int t = 0; t < RS_TOWER_COUNT; t++)
        if (strcmp(name, rs_tower_name((rs_tower)t)) == 0) {
            *out = (rs_tower)t;
            return RS_OK;
        }
    return RS_FAIL(USAGE, "--parts: unknown \"%s\"; see reshoot bench tower --help", name);
}

static rs_status measure(const rs_call *call, rs_device *d, rs_jsonw *w)
{
    const tower_opts *o = call->opts;
    rs_tower_opts t = {.model = call->positional.items[0],
                       .frames = o->frames,
                       .height = o->height,
                       .width = o->width,
                       .rows = o->rows,
                       .runs = o->runs,
                       .pace = rs_bench_pace(o->paced)};
    char **names;
    int64_t n;
    RS_TRY(rs_bench_words(&names, &n, call->arena, "--parts", o->parts));
    if (!w)
        rs_out("%s, %d threads\n%-11s %9s %9s %9s %9s %10s %8s %8s %9s %9s\n",
               rs_bench_cpu(call->arena), rs_device_threads(d), "part", "min s", "median s",
               "max s", "cpu s", "GFLOP", "GFLOP/s", "per core", "MB open", "MB peak");
    for (int64_t i = 0; i < n; i++) {
        rs_tower which;
        rs_tower_rate r;
        RS_TRY(find_tower(&which, names[i]));
        RS_TRY(rs_tower_measure(&r, d, which, &t));
        if (w)
            write_json(w, names[i], &r);
        else
            print_text(names[i], &r);
    }
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    const tower_opts *o = call->opts;
    rs_device *d = NULL;
    rs_jsonw *w = NULL;
    rs_device_opts opts = {.threads = rs_i32(o->threads)};
    RS_TRY(rs_bench_precision(&opts.precision, o->precision));
    RS_TRY(rs_bench_in_range("--frames", o->frames, 1, 100000));
    RS_TRY(rs_bench_in_range("--height", o->height, 8, 1 << 16));
    RS_TRY(rs_bench_in_range("--width", o->width, 8, 1 << 16));
    RS_TRY(rs_bench_in_range("--text", o->rows, 1, 512));
    RS_TRY(rs_bench_in_range("--runs", o->runs, 1, 100000));
    RS_TRY(rs_bench_in_range("--threads", o->threads, 0, 1024));
    RS_TRY(rs_device_open(&d, &opts));
    if (o->json)
        w = rs_bench_json_results(call->arena, "reshoot bench tower", rs_device_threads(d));
    rs_status st = measure(call, d, w);
    if (w && st == RS_OK)
        rs_bench_json_print(w);
    rs_device_destroy(&d);
    return st;
}

const rs_command rs_bench_tower = {
    .name = "bench tower",
    .summary = "the VAE and the encoders of a model directory",
    .args = "MODEL [options]",
    .about = "Times encoding and decoding a clip, a prompt and an image, with inputs by rule.\n"
             "Every run must give the first one's bits. cpu s: process time, of all threads;\n"
             "GFLOP: nominal, every tap of every convolution at every place; MB open and MB peak:\n"
             "resident before the first run, and most during the runs.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, tower_opts),
    .defaults = &k_defaults,
    .run = run,
};
