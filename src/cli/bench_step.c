/* reshoot bench step: one training step, and one forward of sampling, of a transformer of any size.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/bench_step.h"
#include "device/select.h"
#include "model/synth_dit.h"

typedef struct step_opts {
    const char *precision, *model, *pass, *grid, *keep, *home, *dir, *dtype, *backend, *gemm_table;
    bool random, paced, json;
    int64_t dim, heads, ffn, blocks, image_dim;
    int64_t tokens, steps, rank, text_rows, threads;
} step_opts;

static const step_opts k_defaults = {.pass = "both",
                                     .keep = "store",
                                     .home = "auto",
                                     .dtype = "bf16",
                                     .backend = "auto",
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
     "of the blocks for the backward: store, attention, recompute, fit; or several of them"},
    {"--home", RS_OPT_STRING, AT(home), "HOME", "of the weights: auto, mapped, resident or host"},
    {"--steps", RS_OPT_INT, AT(steps), "N", "timed, after one that is not: 5; 0: that one alone"},
    {"--rank", RS_OPT_INT, AT(rank), "R", "of the adapter: 16"},
    {"--text", RS_OPT_INT, AT(text_rows), "N", "true rows of the prompt: 512"},
    {"--precision", RS_OPT_STRING, AT(precision), "P", "of large products: fp32 or bf16"},
    {"--backend", RS_OPT_STRING, AT(backend), "NAME", "cpu, cuda or auto"},
    {"--gemm-table", RS_OPT_STRING, AT(gemm_table), "FILE", "cuda: what bench op --record wrote"},
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
    static const char *const homes[] = {"auto", "resident", "mapped", "host", NULL};
    int home;
    *s = (rs_subject_opts){.rank = o->rank, .text_rows = o->text_rows};
    RS_TRY(word_of(&home, "--home", o->home, homes));
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

typedef struct bench {
    const step_opts *o;
    rs_device_opts device;
    rs_subject_opts subject;
    rs_bench_steps show;
    rs_status no_room; /* of the last row without figures */
} bench;

/* A device of its own, so that its peak is this row's. */
static rs_status row(bench *b, const char *pass, const char *keep)
{
    rs_device *d;
    rs_step_rate r;
    RS_TRY(rs_device_open(&d, &b->device));
    rs_status st = rs_step_measure(&r, d, &b->subject, b->o->steps, rs_bench_pace(b->o->paced));
    rs_device_destroy(&d);
    if (st == RS_NOMEM) {
        rs_bench_steps_no_room(&b->show, pass, keep, rs_error_message());
        b->no_room = st;
        return RS_OK;
    }
    RS_TRY(st);
    rs_bench_steps_row(&b->show, pass, &r);
    return RS_OK;
}

/* The passes asked for, and of training every policy, one after the other. */
static rs_status rows(bench *b, rs_arena *a)
{
    static const char *const passes[] = {"both", "train", "sample", NULL};
    static const char *const keeps[] = {"store", "attention", "recompute", "fit", NULL};
    const rs_kept kept[] = {RS_KEPT_ALL, RS_KEPT_ATTENTION, {0}, {0}};
    char **words;
    int64_t n;
    int which, keep;
    RS_TRY(word_of(&which, "--pass", b->o->pass, passes));
    RS_TRY(rs_bench_words(&words, &n, a, "--keep", b->o->keep));
    b->subject.training = true;
    for (int64_t i = 0; i < n && which != 2; i++) {
        RS_TRY(word_of(&keep, "--keep", words[i], keeps));
        b->subject.denoiser.kept = kept[keep];
        b->subject.fit = keep == 3;
        RS_TRY(row(b, passes[1], words[i]));
    }
    b->subject.training = false;
    if (which != 1)
        RS_TRY(row(b, passes[2], "-"));
    return b->show.shown > 0 ? RS_OK : RS_FAIL(NOMEM, "bench step: nothing of it has room here");
}

static rs_status begin(bench *b)
{
    rs_device *d;
    RS_TRY(rs_device_open(&d, &b->device));
    rs_status st = rs_bench_steps_begin(&b->show, d, b->o->json);
    rs_device_destroy(&d);
    return st;
}

static rs_status measure(bench *b, rs_arena *a)
{
    RS_TRY(rs_bench_precision(&b->device.precision, b->o->precision));
    RS_TRY(rs_device_choose(&b->device.backend, NULL, b->o->backend, a));
    b->device.gemm_table = b->o->gemm_table;
    RS_TRY(begin(b));
    rs_status st = rows(b, a);
    if (st == RS_OK)
        rs_bench_steps_end(&b->show);
    return st;
}

static rs_status run(const rs_call *call)
{
    const step_opts *o = call->opts;
    bench b = {.o = o, .device = {.threads = rs_i32(o->threads)}, .show = {.arena = call->arena}};
    const char *made = NULL;
    rs_status st = RS_OK;
    RS_TRY(check(o));
    RS_TRY(subject_of(&b.subject, call->arena, o));
    if (!o->model || o->random)
        st = make_model(&made, call->arena, o);
    b.subject.model = made ? made : o->model;
    if (st == RS_OK)
        st = measure(&b, call->arena);
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
        "fit stores as many blocks as the device has room for. cpu s: process time, of all "
        "threads;\n"
        "GFLOP: of matrix products and attention; MB open: resident before the first step; MB\n"
        "peak: most during the steps (mapped weights count); MB acts: buffers of the pass. On a\n"
        "GPU memory is the device's, and floor is the part of the time that the arithmetic would\n"
        "take at the measured rate of large products.\n",
    .n_min = 0,
    .n_max = 0,
    RS_COMMAND_OPTS(k_opts, step_opts),
    .defaults = &k_defaults,
    .run = run,
};
