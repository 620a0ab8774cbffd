/* reshoot probe: loads named tensors, runs one component, writes named tensors. */
#include <string.h>

#include "base/num.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/probe.h"

static const rs_probe_component *const k_components[] = {
    &rs_probe_schedule,
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
                             const char *out, int64_t threads)
{
    rs_status st = RS_OK;
    rs_safetensors *file = NULL;
    rs_device_opts opts = {.threads = rs_i32(threads)};
    RS_TRY_OUT(rs_safetensors_open(&file, in));
    p->in = file;
    RS_TRY_OUT(rs_device_open(&p->dev, &opts));
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

static rs_status run(int argc, char **argv)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    const char *component = NULL, *in = NULL, *out = NULL;
    int64_t threads = 0;
    rs_probe p = {.arena = a, .sampler = "euler", .steps = 30, .shift = 5.0, .guidance = 5.0};
    const rs_opt opts[] = {
        {"--component", RS_OPT_STRING, &component},
        {"--in", RS_OPT_STRING, &in},
        {"--out", RS_OPT_STRING, &out},
        {"--threads", RS_OPT_INT, &threads},
        {"--sampler", RS_OPT_STRING, &p.sampler},
        {"--steps", RS_OPT_INT, &p.steps},
        {"--shift", RS_OPT_FLOAT, &p.shift},
        {"--guidance", RS_OPT_FLOAT, &p.guidance},
    };
    rs_opt_list positional = {0};
    RS_TRY_OUT(rs_opt_parse(argc, argv, opts, (int)(sizeof opts / sizeof opts[0]), &positional, a));
    if (positional.n != 1 || !component || !in || !out) {
        st = RS_FAIL(
            USAGE,
            "usage: reshoot probe MODEL --component C --in X.safetensors --out Y.safetensors");
        goto out;
    }
    if (threads < 0 || threads > 1024) {
        st = RS_FAIL(USAGE, "--threads must be 0..1024, got %lld", (long long)threads);
        goto out;
    }
    p.model_dir = positional.items[0];
    const rs_probe_component *c = find_component(component, &st);
    if (c)
        st = probe_files(&p, c, in, out, threads);
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status help(void)
{
    rs_out(
        "usage: reshoot probe MODEL --component C --in X.safetensors --out Y.safetensors\n"
        "                     [--threads N] [--sampler S --steps N --shift X --guidance G]\n\n"
        "Runs one component of the model directory MODEL on the tensors of X and writes the "
        "results to Y,\n"
        "to hold reshoot against PyTorch. Inputs may be F32, BF16, F16 or F64; outputs are F32.\n\n"
        "components (inputs -> outputs):\n");
    for (int i = 0; i < N_COMPONENTS; i++)
        rs_out("\n%s\n%s", k_components[i]->name, k_components[i]->help);
    return RS_OK;
}

const rs_command rs_cmd_probe = {
    .name = "probe",
    .summary = "run one component on given tensors, to compare with PyTorch",
    .help = help,
    .run = run,
};
