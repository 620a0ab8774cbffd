/* reshoot probe: loads named tensors, runs one component, writes named tensors. */
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/probe.h"

static const rs_probe_component *const k_components[] = {
    &rs_probe_dit,      &rs_probe_dit_grad,    &rs_probe_train,      &rs_probe_sample,
    &rs_probe_schedule, &rs_probe_vae_encode,  &rs_probe_vae_decode, &rs_probe_text,
    &rs_probe_image,    &rs_probe_image_embed, &rs_probe_tokens,
};
enum { N_COMPONENTS = sizeof k_components / sizeof k_components[0] };

bool rs_probe_has(const rs_probe *p, const char *name)
{
    return rs_safetensors_find(p->in, name) != NULL;
}

rs_status rs_probe_input(rs_tensor *out, rs_probe *p, const char *name, int ndim,
                         const int64_t *want)
{
    char text[RS_TENSOR_TEXT];
    const rs_tensor *t = rs_safetensors_find(p->in, name);
    if (!t)
        return RS_FAIL(INPUT, "input \"%s\" is missing", name);
    bool fits = t->ndim == ndim;
    for (int i = 0; fits && i < ndim && want; i++)
        fits = want[i] <= 0 || t->shape[i] == want[i];
    if (!fits) {
        rs_strbuf need = rs_strbuf_on(p->arena);
        for (int i = 0; i < ndim; i++)
            if (want && want[i] > 0)
                rs_strbuf_printf(&need, "%s%lld", i ? "," : "", (long long)want[i]);
            else
                rs_strbuf_printf(&need, "%s?", i ? "," : "");
        return RS_FAIL(INPUT, "input \"%s\" is %s, want [%s]", name, rs_tensor_text(text, *t),
                       need.data);
    }
    *out = rs_tensor_new(p->arena, t->ndim, t->shape);
    rs_convert_to_f32(rs_f32(*out), t->data, t->dtype, rs_tensor_count(*t));
    return RS_OK;
}

double rs_probe_scalar(const rs_probe *p, const char *name, double otherwise)
{
    const rs_tensor *t = rs_safetensors_find(p->in, name);
    if (!t || rs_tensor_count(*t) != 1)
        return otherwise;
    if (t->dtype == RS_DTYPE_F64) {
        double v;
        memcpy(&v, t->data, sizeof v);
        return v;
    }
    float f;
    rs_convert_to_f32(&f, t->data, t->dtype, 1);
    return (double)f;
}

static const rs_probe_component *find_component(const char *name, rs_status *st)
{
    const char *names[N_COMPONENTS];
    for (int i = 0; i < N_COMPONENTS; i++) {
        names[i] = k_components[i]->name;
        if (strcmp(name, names[i]) == 0)
            return k_components[i];
    }
    const char *near = rs_nearest(name, names, N_COMPONENTS);
    *st = near ? RS_FAIL(USAGE, "unknown component \"%s\"; did you mean \"%s\"?", name, near)
               : RS_FAIL(USAGE, "unknown component \"%s\"; see reshoot probe --help", name);
    return NULL;
}

static rs_status probe_files(rs_probe *p, const rs_probe_component *c, const char *in,
                             const char *out, const rs_device_opts *opts)
{
    rs_status st = RS_OK;
    rs_safetensors *file = NULL;
    RS_TRY_OUT(rs_safetensors_open(&file, in));
    p->in = file;
    RS_TRY_OUT(rs_device_open(&p->dev, opts));
    st = c->run(p);
    if (st != RS_OK) {
        if (st == RS_INPUT)
            rs_error_context("%s", in);
        goto out;
    }
    RS_TRY_OUT(rs_safetensors_write(out, &p->out, NULL, 0));
out:
    rs_device_destroy(&p->dev);
    rs_safetensors_close(&file);
    return st;
}

typedef struct probe_opts {
    const char *component, *in, *out, *sampler, *precision;
    int64_t threads, steps;
    double shift, guidance;
} probe_opts;

static const probe_opts k_defaults = {
    .precision = "fp32", .sampler = "euler", .steps = 30, .shift = 5.0, .guidance = 5.0};

static const rs_opt k_opts[] = {
    {"--component", RS_OPT_STRING, offsetof(probe_opts, component), "C", "what to run (below)"},
    {"--in", RS_OPT_STRING, offsetof(probe_opts, in), "X.safetensors", "named input tensors"},
    {"--out", RS_OPT_STRING, offsetof(probe_opts, out), "Y.safetensors", "where the results go"},
    {"--threads", RS_OPT_INT, offsetof(probe_opts, threads), "N", "CPU threads; 0: all"},
    {"--precision", RS_OPT_STRING, offsetof(probe_opts, precision), "P",
     "of large products: fp32 or bf16"},
    {"--sampler", RS_OPT_STRING, offsetof(probe_opts, sampler), "S", "as edit.sampler: euler"},
    {"--steps", RS_OPT_INT, offsetof(probe_opts, steps), "N", "sampling steps: 30"},
    {"--shift", RS_OPT_FLOAT, offsetof(probe_opts, shift), "X", "timestep shift: 5"},
    {"--guidance", RS_OPT_FLOAT, offsetof(probe_opts, guidance), "G", "guidance scale: 5"},
};

static rs_status run(const rs_call *call)
{
    const probe_opts *o = call->opts;
    rs_status st = RS_OK;
    if (!o->component || !o->in || !o->out)
        return RS_FAIL(
            USAGE,
            "usage: reshoot probe MODEL --component C --in X.safetensors --out Y.safetensors");
    if (o->threads < 0 || o->threads > 1024)
        return RS_FAIL(USAGE, "--threads must be 0..1024, got %lld", (long long)o->threads);
    rs_device_opts device = {.threads = rs_i32(o->threads)};
    if (!rs_precision_find(&device.precision, o->precision))
        return RS_FAIL(USAGE, "--precision must be fp32 or bf16, got \"%s\"", o->precision);
    const rs_probe_component *c = find_component(o->component, &st);
    if (!c)
        return st;
    rs_probe p = {.model_dir = call->positional.items[0],
                  .arena = call->arena,
                  .sampler = o->sampler,
                  .steps = o->steps,
                  .shift = o->shift,
                  .guidance = o->guidance};
    return probe_files(&p, c, o->in, o->out, &device);
}

static void more(void)
{
    rs_out("\ncomponents (inputs -> outputs):\n");
    for (int i = 0; i < N_COMPONENTS; i++)
        rs_out("\n%s\n%s", k_components[i]->name, k_components[i]->help);
}

const rs_command rs_cmd_probe = {
    .name = "probe",
    .summary = "run one component on given tensors, to compare with PyTorch",
    .args = "MODEL --component C --in X.safetensors --out Y.safetensors [options]",
    .about = "Runs one component of the model directory MODEL on the tensors of X and writes the\n"
             "results to Y, to hold reshoot against PyTorch. Inputs may be F32, BF16, F16 or F64;\n"
             "outputs are F32.\n",
    .more = more,
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, probe_opts),
    .defaults = &k_defaults,
    .run = run,
};
