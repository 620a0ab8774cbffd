/* reshoot bench step: one training step, and one forward of sampling, of a transformer of any size.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/num.h"
#include "base/str.h"
#include "bench/step.h"
#include "cli/bench.h"
#include "model/synth_dit.h"

typedef struct step_opts {
    const char *precision, *model, *pass, *grid, *keep, *home, *dir, *dtype;
    bool random, paced, json;
    int64_t dim, heads, ffn, blocks, image_dim;
    int64_t tokens, steps, rank, text_rows, threads;
} step_opts;

static const step_opts k_defaults = {.pass = "both",
                                     .keep = "store",
                                     .home = "auto",
                                     .dtype = "bf16",
                                     .precision = "fp32",
                                     .dim = 384,
                                     .blocks = 2,
                                     .tokens = 1024,
                                     .steps = 5,
                                     .rank = 16,
                                     .text_rows = 512};

#define AT(field) offsetof(step_opts, field)
static const rs_opt k_opts[] = {
    {"--model", RS_OPT_STRING, AT(model), "MODEL",
     "a model directory, or with --random-weights wan21-14b or wan21-1.3b"},
    {"--random-weights", RS_OPT_FLAG, AT(random), NULL,
     "weights by rule, written to --dir and removed"},
    {"--dir", RS_OPT_STRING, AT(dir), "DIR", "where to write them: $TMPDIR or /tmp"},
    {"--dtype", RS_OPT_STRING, AT(dtype), "TYPE", "of the weights written: bf16, f32"},
    {"--dim", RS_OPT_INT, AT(dim), "D", "width, without --model: 384"},
    {"--heads", RS_OPT_INT, AT(heads), "N", "12"},
    {"--ffn", RS_OPT_INT, AT(ffn), "D", "width of the feed-forward: 4 times the width"},
    {"--blocks", RS_OPT_INT, AT(blocks), "L", "2; with a MODEL's name fewer than it has"},
    {"--image", RS_OPT_INT, AT(image_dim), "D", "image to video, with image rows of this width"},
    {"--tokens", RS_OPT_INT, AT(tokens), "N", "at least so many, in four frames: 1024"},
    {"--grid", RS_OPT_STRING, AT(grid), "F,H,W", "tokens along each axis, instead of --tokens"},
    {"--pass", RS_OPT_STRING, AT(pass), "PASS", "train, sample or both"},
    {"--keep", RS_OPT_STRING, AT(keep), "WHAT",
     "of the blocks for the backward: store, attention or recompute"},
    {"--home", RS_OPT_STRING, AT(home), "HOME", "of the weights: auto, mapped or resident"},
    {"--steps", RS_OPT_INT, AT(steps), "N", "timed, after one that is not: 5; 0: that one alone"},
    {"--rank", RS_OPT_INT, AT(rank), "R", "of the adapter: 16"},
    {"--text", RS_OPT_INT, AT(text_rows), "N", "true rows of the prompt: 512"},
    {"--precision", RS_OPT_STRING, AT(precision), "P", "of large products: fp32 or bf16"},
    {"--threads", RS_OPT_INT, AT(threads), "N", "CPU threads; 0: all"},
    {"--paced", RS_OPT_FLAG, AT(paced), NULL,
     "each step waits for a line of standard input, and tells its seconds"},
    {"--json", RS_OPT_FLAG, AT(json), NULL, "machine-readable, with the machine"},
};

/* Index of a word in a list up to NULL. */
static rs_status word_of(int *out, const char *option, const char *word, const char *const *words)
{
    for (*out = 0; words[*out]; ++*out)
        if (strcmp(words[*out], word) == 0)
            return RS_OK;
    return RS_FAIL(USAGE, "%s: unknown \"%s\"; see reshoot bench step --help", option, word);
}

static rs_status check(const step_opts *o)
{
    RS_TRY(rs_bench_in_range("--dim", o->dim, 8, 1 << 16));
    RS_TRY(rs_bench_in_range("--heads", o->heads, 0, o->dim));
    RS_TRY(rs_bench_in_range("--ffn", o->ffn, 0, 1 << 20));
    RS_TRY(rs_bench_in_range("--blocks", o->blocks, 1, 1000));
    RS_TRY(rs_bench_in_range("--image", o->image_dim, 0, 1 << 16));
    RS_TRY(rs_bench_in_range("--tokens", o->tokens, 1, 10000000));
    RS_TRY(rs_bench_in_range("--steps", o->steps, 0, 100000));
    RS_TRY(rs_bench_in_range("--rank", o->rank, 1, 4096));
    RS_TRY(rs_bench_in_range("--text", o->text_rows, 1, 512));
    RS_TRY(rs_bench_in_range("--threads", o->threads, 0, 1024));
    if (o->model && !o->random && !rs_path_is_dir(o->model))
        return RS_FAIL(USAGE, "--model: no directory %s; a model's name wants --random-weights",
                       o->model);
    return RS_OK;
}

static rs_status subject_of(rs_subject_opts *s, rs_arena *a, const step_opts *o)
{
    static const char *const keeps[] = {"store", "attention", "recompute", NULL};
    const rs_kept kept[] = {RS_KEPT_ALL, RS_KEPT_ATTENTION, {0}};
    static const char *const homes[] = {"auto", "resident", "mapped", NULL};
    int keep, home;
    *s = (rs_subject_opts){.rank = o->rank, .text_rows = o->text_rows};
    RS_TRY(word_of(&keep, "--keep", o->keep, keeps));
    RS_TRY(word_of(&home, "--home", o->home, homes));
    s->denoiser.kept = kept[keep];
    s->denoiser.home = (rs_weight_home)(RS_HOME_AUTO + home);
    rs_subject_grid(s->grid, o->tokens);
    if (o->grid) {
        int64_t *g, n;
        RS_TRY(rs_bench_numbers(&g, &n, a, "--grid", o->grid, 1, 4096));
        if (n != 3)
            return RS_FAIL(USAGE, "--grid wants three numbers such as 1,30,52");
        memcpy(s->grid, g, sizeof s->grid);
    }
    return RS_OK;
}

/* Writes the model; *dir is to be removed whatever the status. */
static rs_status make_model(const char **dir, rs_arena *a, const step_opts *o)
{
    static const char *const types[] = {"bf16", "f32", NULL};
    int type;
    rs_dit_shape s = {.dim = o->dim,
                      .heads = o->heads ? o->heads : 12,
                      .ffn = o->ffn ? o->ffn : 4 * o->dim,
                      .blocks = o->blocks,
                      .in_channels = o->image_dim ? 36 : 16,
                      .text_dim = 4096,
                      .image_dim = o->image_dim};
    RS_TRY(word_of(&type, "--dtype", o->dtype, types));
    if (o->model && !rs_dit_shape_find(&s, o->model))
        return RS_FAIL(USAGE, "--model: no size \"%s\" is known; wan21-14b and wan21-1.3b are",
                       o->model);
    if (o->model && o->blocks != k_defaults.blocks)
        s.blocks = rs_min_i64(s.blocks, o->blocks);
    const char *base = o->dir ? o->dir : getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char *made = rs_arena_printf(a, "%s/reshoot-step-XXXXXX", base);
    if (!mkdtemp(made))
        return RS_FAIL(IO, "%s: cannot make a folder there", base);
    *dir = made;
    return rs_synth_dit(made, &s, type == 0 ? RS_DTYPE_BF16 : RS_DTYPE_F32);
}

static void print_text(const char *pass, const rs_step_rate *r)
{
    double gflop = rs_flops_total(r->flops) * 1e-9;
    rs_out("%-7s %9.4f %9.4f %9.4f %9.3f %10.1f %8.1f %8.1f %9.1f %9.1f %9.1f  %.6g\n", pass,
           r->wall.min, r->wall.median, r->wall.max, r->cpu.median, gflop, gflop / r->wall.median,
           gflop / r->cpu.median, (double)r->opened_bytes * 1e-6, (double)r->peak_bytes * 1e-6,
           (double)r->activation_bytes * 1e-6, r->loss);
}

static void write_spread(rs_jsonw *w, const char *key, rs_spread s)
{
    rs_jsonw_object(w, key);
    rs_jsonw_f64(w, "min", s.min);
    rs_jsonw_f64(w, "median", s.median);
    rs_jsonw_f64(w, "max", s.max);
    rs_jsonw_end(w);
}

static void write_json(rs_jsonw *w, const char *pass, const rs_step_rate *r)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "pass", pass);
    rs_jsonw_i64(w, "tokens", r->tokens);
    rs_jsonw_i64(w, "blocks", r->blocks);
    rs_jsonw_i64(w, "parameters", r->params);
    rs_jsonw_i64(w, "steps", r->steps);
    write_spread(w, "wall_s", r->wall);
    write_spread(w, "cpu_s", r->cpu);
    rs_jsonw_f64(w, "flops_gemm", r->flops.gemm);
    rs_jsonw_f64(w, "flops_attention", r->flops.attention + r->flops.attention_bwd);
    rs_jsonw_f64(w, "loss", r->loss);
    rs_jsonw_i64(w, "weight_bytes", r->weight_bytes);
    rs_jsonw_i64(w, "activation_bytes", r->activation_bytes);
    rs_jsonw_i64(w, "start_bytes", r->start_bytes);
    rs_jsonw_i64(w, "opened_bytes", r->opened_bytes);
    rs_jsonw_i64(w, "peak_bytes", r->peak_bytes);
    rs_jsonw_end(w);
}

/* The passes asked for, one after the other. */
static rs_status measure(const rs_call *call, rs_subject_opts *s, rs_device *d, rs_jsonw *w)
{
    static const char *const passes[] = {"both", "train", "sample", NULL};
    const step_opts *o = call->opts;
    int which;
    RS_TRY(word_of(&which, "--pass", o->pass, passes));
    if (!w)
        rs_out("%s, %d threads\n%-7s %9s %9s %9s %9s %10s %8s %8s %9s %9s %9s  %s\n",
               rs_bench_cpu(call->arena), rs_device_threads(d), "pass", "min s", "median s",
               "max s", "cpu s", "GFLOP", "GFLOP/s", "per core", "MB open", "MB peak", "MB acts",
               "loss");
    for (int k = 1; k <= 2; k++) {
        rs_step_rate r;
        if (which != 0 && which != k)
            continue;
        s->training = k == 1;
        RS_TRY(rs_step_measure(&r, d, s, o->steps, rs_bench_pace(o->paced)));
        if (w)
            write_json(w, passes[k], &r);
        else
            print_text(passes[k], &r);
    }
    return RS_OK;
}

static rs_status run_on(const rs_call *call, rs_subject_opts *s)
{
    const step_opts *o = call->opts;
    rs_device *d = NULL;
    rs_jsonw *w = NULL;
    rs_device_opts opts = {.threads = rs_i32(o->threads)};
    RS_TRY(rs_bench_precision(&opts.precision, o->precision));
    RS_TRY(rs_device_open(&d, &opts));
    if (o->json)
        w = rs_bench_json_results(call->arena, "reshoot bench step", rs_device_threads(d));
    rs_status st = measure(call, s, d, w);
    if (w && st == RS_OK)
        rs_bench_json_print(w);
    rs_device_destroy(&d);
    return st;
}

static rs_status run(const rs_call *call)
{
    const step_opts *o = call->opts;
    rs_subject_opts s;
    const char *made = NULL;
    rs_status st = RS_OK;
    RS_TRY(check(o));
    RS_TRY(subject_of(&s, call->arena, o));
    if (!o->model || o->random)
        st = make_model(&made, call->arena, o);
    s.model = made ? made : o->model;
    if (st == RS_OK)
        st = run_on(call, &s);
    if (made) {
        rs_status removed = rs_remove_tree(made);
        st = st == RS_OK ? removed : st;
    }
    return st;
}

const rs_command rs_bench_step = {
    .name = "bench step",
    .summary = "a training step and a sampling pass of a transformer of any size",
    .args = "[options]",
    .about =
        "Times whole steps: forward, loss and the gradients of a LoRA adapter on the default\n"
        "linears, and a forward alone, with inputs by rule. Without a model directory one with\n"
        "weights by rule is written and removed. Every step must give the first one's bits.\n"
        "cpu s: process time, of all threads; GFLOP: of matrix products and attention; MB open:\n"
        "resident before the first step; MB peak: most during the steps (mapped weights count);\n"
        "MB acts: buffers of the pass.\n",
    .n_min = 0,
    .n_max = 0,
    RS_COMMAND_OPTS(k_opts, step_opts),
    .defaults = &k_defaults,
    .run = run,
};
