/* reshoot export: a trained adapter of an archive as a safetensors file that other programs load
 * (spellings: wan21.md 7). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "model/family.h"
#include "store/archive.h"
#include "store/safetensors.h"
#include "store/schema_names.h"

typedef enum spelling { SPELL_DIFFUSERS, SPELL_ORIGINAL, SPELL_KOHYA, SPELLINGS } spelling;

static const char *const k_spellings[SPELLINGS] = {"diffusers", "original", "kohya"};

typedef struct export_opts {
    const char *stage, *edit, *format, *dtype, *family, *out;
} export_opts;

static const export_opts k_defaults = {
    .stage = "motion", .format = "diffusers", .dtype = "F32", .family = "wan21"};

static const rs_opt k_opts[] = {
    {"--out", RS_OPT_STRING, offsetof(export_opts, out), "X.safetensors", "file to write"},
    {"--stage", RS_OPT_STRING, offsetof(export_opts, stage), "STAGE",
     "motion (default) or appearance"},
    {"--edit", RS_OPT_STRING, offsetof(export_opts, edit), "ID", "edit of the appearance stage"},
    {"--format", RS_OPT_STRING, offsetof(export_opts, format), "F",
     "diffusers (default), original (also ComfyUI) or kohya"},
    {"--dtype", RS_OPT_STRING, offsetof(export_opts, dtype), "T", "F32 (default), BF16 or F16"},
    {"--family", RS_OPT_STRING, offsetof(export_opts, family), "NAME",
     "model family, for its module names: wan21"},
};

typedef struct exporter {
    rs_arena *a;
    const rs_archive *f;
    const rs_family *family;
    spelling spelling;
    rs_dtype dtype;
    int64_t rank;
    float scale; /* alpha / rank */
    double alpha;
    const char *mode; /* of an appearance adapter */
    rs_tensor_list out;
} exporter;

/* "blocks.3.attn1.to_q" in the wanted spelling, without the suffix of the factor. */
static rs_status spell(const char **out, exporter *e, const char *module)
{
    int block = 0, used = 0;
    if (sscanf(module, "blocks.%d.%n", &block, &used) < 1 || used == 0)
        return RS_FAIL(FORMAT, "%s: module \"%s\" is in no block", rs_archive_path(e->f), module);
    const rs_target *target = NULL;
    for (int i = 0; i < e->family->n_targets && !target; i++)
        if (strcmp(e->family->targets[i].name, module + used) == 0)
            target = &e->family->targets[i];
    if (!target)
        return RS_FAIL(FORMAT, "%s: family %s has no module \"%s\"", rs_archive_path(e->f),
                       e->family->name, module + used);
    if (e->spelling == SPELL_DIFFUSERS) {
        *out = rs_arena_printf(e->a, "transformer.%s", module);
    } else if (e->spelling == SPELL_ORIGINAL) {
        *out = rs_arena_printf(e->a, "diffusion_model.blocks.%d.%s", block, target->original);
    } else {
        char *name = rs_arena_printf(e->a, "lora_unet_blocks_%d_%s", block, target->original);
        for (char *c = name; *c; c++)
            if (*c == '.')
                *c = '_';
        *out = name;
    }
    return RS_OK;
}

static void add(exporter *e, const char *name, rs_tensor t, float scale)
{
    int64_t n = rs_tensor_count(t);
    for (int64_t i = 0; i < n; i++)
        rs_f32(t)[i] *= scale;
    rs_tensor stored = t;
    if (e->dtype != RS_DTYPE_F32) {
        void *data = rs_arena_alloc(e->a, (size_t)n, rs_dtype_size(e->dtype));
        rs_convert_from_f32(data, e->dtype, rs_f32(t), n);
        stored = rs_tensor_of(data, e->dtype, t.ndim, t.shape);
    }
    rs_tensor_list_add(&e->out, e->a, name, stored);
}

/* kohya's files carry alpha; the others mean alpha = rank, so that B takes the factor. */
static rs_status add_module(exporter *e, const char *group, const char *module)
{
    bool kohya = e->spelling == SPELL_KOHYA;
    const char *name = NULL, *object = rs_arena_printf(e->a, "%s/%s", group, module);
    rs_tensor a, b;
    RS_TRY(spell(&name, e, module));
    RS_TRY(rs_archive_read_tensor(&a, e->a, e->f, rs_arena_printf(e->a, "%s/" RS_DATA_A, object)));
    RS_TRY(rs_archive_read_tensor(&b, e->a, e->f, rs_arena_printf(e->a, "%s/" RS_DATA_B, object)));
    if (a.dtype != RS_DTYPE_F32 || b.dtype != RS_DTYPE_F32)
        return RS_FAIL(FORMAT, "%s: %s: factors are not F32", rs_archive_path(e->f), object);
    const char *suffix_a = kohya ? "lora_down" : "lora_A", *suffix_b = kohya ? "lora_up" : "lora_B";
    add(e, rs_arena_printf(e->a, "%s.%s.weight", name, suffix_a), a, 1);
    add(e, rs_arena_printf(e->a, "%s.%s.weight", name, suffix_b), b, kohya ? 1 : e->scale);
    if (kohya) {
        rs_tensor alpha = rs_tensor_new(e->a, RS_SHAPE(1));
        rs_f32(alpha)[0] = (float)e->alpha;
        add(e, rs_arena_printf(e->a, "%s.alpha", name), alpha, 1);
    }
    return RS_OK;
}

static rs_status read_mode(exporter *e, const char *group)
{
    char *mode = RS_MODE_CONTINUE; /* of archives that do not say */
    if (rs_archive_has(e->f, group, RS_ATTR_MODE))
        RS_TRY(rs_archive_get_string(&mode, e->a, e->f, group, RS_ATTR_MODE));
    e->mode = mode;
    return RS_OK;
}

static rs_status read_adapter(exporter *e, const char *group)
{
    char **modules;
    int64_t n;
    if (rs_archive_kind_of(e->f, group) != RS_ARCHIVE_GROUP)
        return RS_FAIL(INPUT, "%s: there is no %s", rs_archive_path(e->f), group);
    RS_TRY(read_mode(e, group));
    RS_TRY(rs_archive_get_i64(&e->rank, e->f, group, RS_ATTR_RANK));
    RS_TRY(rs_archive_get_f64(&e->alpha, e->f, group, RS_ATTR_ALPHA));
    if (e->rank < 1)
        return RS_FAIL(FORMAT, "%s: %s: rank %lld", rs_archive_path(e->f), group,
                       (long long)e->rank);
    e->scale = (float)(e->alpha / (double)e->rank);
    RS_TRY(rs_archive_list(&modules, &n, e->a, e->f, group));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(add_module(e, group, modules[i]));
    return RS_OK;
}

static rs_status parse(exporter *e, const export_opts *o)
{
    int found = 0;
    while (found < SPELLINGS && strcmp(k_spellings[found], o->format) != 0)
        found++;
    if (found == SPELLINGS)
        return RS_FAIL(USAGE, "--format: unknown format \"%s\"; known: diffusers, original, kohya",
                       o->format);
    e->spelling = (spelling)found;
    if (!rs_dtype_parse(&e->dtype, o->dtype, strlen(o->dtype)) ||
        (e->dtype != RS_DTYPE_F32 && e->dtype != RS_DTYPE_BF16 && e->dtype != RS_DTYPE_F16))
        return RS_FAIL(USAGE, "--dtype: \"%s\" is none of F32, BF16, F16", o->dtype);
    e->family = rs_family_find(o->family);
    if (!e->family)
        return RS_FAIL(USAGE, "--family: unknown family \"%s\"", o->family);
    bool motion = strcmp(o->stage, "motion") == 0;
    if (!motion && strcmp(o->stage, "appearance") != 0)
        return RS_FAIL(USAGE, "--stage: \"%s\" has no adapter; motion and appearance have",
                       o->stage);
    if (motion == (o->edit != NULL))
        return RS_FAIL(USAGE, motion ? "--edit: the motion stage belongs to all edits"
                                     : "--stage appearance needs --edit ID");
    return RS_OK;
}

/* What the adapter does, since its name does not say. */
static const char *content(const exporter *e, const export_opts *o)
{
    if (!o->edit)
        return "motion";
    return strcmp(e->mode, RS_MODE_SEPARATE) == 0 ? "appearance; to be used with the motion adapter"
                                                  : "motion and appearance";
}

static rs_status write_file(exporter *e, const export_opts *o)
{
    const char *what = o->edit ? rs_arena_printf(e->a, "%s/%s", o->stage, o->edit) : o->stage;
    rs_meta meta[] = {{"format", "pt"},
                      {"reshoot_stage", what},
                      {"reshoot_content", content(e, o)},
                      {"ss_network_module", "networks.lora_wan"},
                      {"ss_network_dim", rs_arena_printf(e->a, "%lld", (long long)e->rank)},
                      {"ss_network_alpha", rs_arena_printf(e->a, "%g", e->alpha)}};
    RS_TRY(rs_safetensors_write(o->out, &e->out, meta, e->spelling == SPELL_KOHYA ? 6 : 3));
    rs_out("%s: %lld tensors, rank %lld, %s: %s\n", o->out, (long long)e->out.n, (long long)e->rank,
           rs_dtype_name(e->dtype), content(e, o));
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    const export_opts *o = call->opts;
    exporter e = {.a = call->arena};
    rs_archive *f = NULL;
    rs_status st = RS_OK;
    if (!o->out)
        return RS_FAIL(USAGE, "usage: reshoot export ARCHIVE --out X.safetensors [options]");
    RS_TRY(parse(&e, o));
    RS_TRY(rs_archive_open(&f, call->positional.items[0]));
    e.f = f;
    const char *group = rs_arena_printf(e.a, RS_GROUP_STAGES "/%s%s%s/" RS_MEMBER_ADAPTER, o->stage,
                                        o->edit ? "/" : "", o->edit ? o->edit : "");
    RS_TRY_OUT(read_adapter(&e, group));
    RS_TRY_OUT(write_file(&e, o));
out:
    rs_archive_close(&f);
    return st;
}

const rs_command rs_cmd_export = {
    .name = "export",
    .summary = "a trained adapter of an archive as safetensors for other programs",
    .args = "ARCHIVE --out X.safetensors [options]",
    .about =
        "Writes the LoRA factors of one stage under the names that Diffusers, ComfyUI and\n"
        "musubi-tuner read. diffusers and original files mean alpha = rank: there B is\n"
        "multiplied by alpha/rank. kohya files carry alpha.\n\n"
        "An appearance adapter of mode continue holds the motion too and is used alone; one of\n"
        "mode separate is used together with the motion adapter. The last line printed says\n"
        "which it is.\n",
    .n_min = 1,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, export_opts),
    .defaults = &k_defaults,
    .run = run,
};
