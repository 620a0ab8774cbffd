/* Adapter tensors by name, in the spellings that the ecosystems use (wan21.md 7). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/adapter.h"
#include "model/family.h"

enum { NAME = 512, MAX_TARGETS = 64 };

typedef enum part { PART_A, PART_B, PART_ALPHA, PART_MA, PART_VA, PART_MB, PART_VB } part;
enum { PARTS = PART_VB + 1 };

static const struct {
    const char *suffix;
    part part;
} k_suffixes[] = {
    {".lora_A.weight", PART_A},
    {".lora_B.weight", PART_B},
    {".lora_down.weight", PART_A},
    {".lora_up.weight", PART_B},
    {".lora_A.default.weight", PART_A},
    {".lora_B.default.weight", PART_B},
    {".alpha", PART_ALPHA},
    {".m_A", PART_MA},
    {".v_A", PART_VA},
    {".m_B", PART_MB},
    {".v_B", PART_VB},
};
static const char *const k_prefixes[] = {"transformer.", "diffusion_model.", "base_model.model.",
                                         "model."};

/* What a tensor's name says. */
typedef struct place {
    int block, target;
    part part;
} place;

static bool split_suffix(char module[NAME], part *p, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof k_suffixes / sizeof k_suffixes[0]; i++) {
        size_t m = strlen(k_suffixes[i].suffix);
        if (n > m && n - m < NAME && strcmp(name + n - m, k_suffixes[i].suffix) == 0) {
            memcpy(module, name, n - m);
            module[n - m] = 0;
            *p = k_suffixes[i].part;
            return true;
        }
    }
    return false;
}

static const char *strip_prefixes(const char *name)
{
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < sizeof k_prefixes / sizeof k_prefixes[0]; i++) {
            size_t n = strlen(k_prefixes[i]);
            if (strncmp(name, k_prefixes[i], n) == 0) {
                name += n;
                again = true;
            }
        }
    }
    return name;
}

/* "self_attn.k_img" as kohya spells it: "self_attn_k_img". */
static bool same_underscored(const char *kohya, const char *dotted)
{
    for (; *kohya && *dotted; kohya++, dotted++)
        if (*kohya != (*dotted == '.' ? '_' : *dotted))
            return false;
    return *kohya == *dotted;
}

/* "blocks.3.rest" or "lora_unet_blocks_3_rest": block and a pointer to the rest. */
static const char *split_block(const char *module, int *block, bool *kohya)
{
    static const char under[] = "lora_unet_blocks_", dots[] = "blocks.";
    *kohya = strncmp(module, under, sizeof under - 1) == 0;
    if (!*kohya && strncmp(module, dots, sizeof dots - 1) != 0)
        return NULL;
    const char *s = module + (*kohya ? sizeof under : sizeof dots) - 1;
    int n = 0, value = 0;
    for (; s[n] >= '0' && s[n] <= '9' && n < 6; n++)
        value = value * 10 + (s[n] - '0');
    if (n == 0 || s[n] != (*kohya ? '_' : '.'))
        return NULL;
    *block = value;
    return s + n + 1;
}

static bool parse_name(place *out, const rs_family *f, const char *name)
{
    char module[NAME];
    bool kohya;
    if (!split_suffix(module, &out->part, strip_prefixes(name)))
        return false;
    const char *rest = split_block(module, &out->block, &kohya);
    for (int t = 0; rest && t < f->n_targets; t++) {
        const rs_target *k = &f->targets[t];
        bool same = kohya ? same_underscored(rest, k->original) || same_underscored(rest, k->name)
                          : strcmp(rest, k->original) == 0 || strcmp(rest, k->name) == 0;
        if (same) {
            out->target = t;
            return true;
        }
    }
    return false;
}

/* The input's tensors, found per item. */
typedef struct source {
    const rs_named_tensor *parts[PARTS];
} source;

static rs_lora *item_of(rs_adapter *a, int block, int target)
{
    for (int64_t i = 0; i < a->n; i++)
        if (a->items[i].block == block && a->items[i].target == target)
            return &a->items[i];
    return NULL;
}

static rs_status sort_tensors(source *sources, rs_adapter *a, const rs_tensor_list *in, bool state)
{
    for (int64_t i = 0; i < in->n; i++) {
        place p;
        const char *name = in->items[i].name;
        rs_lora *l = parse_name(&p, a->family, name) ? item_of(a, p.block, p.target) : NULL;
        if (!l)
            return RS_FAIL(MODEL, "adapter: tensor \"%s\" belongs to no layer of this adapter",
                           name);
        if (p.part > PART_ALPHA && !state)
            continue;
        const rs_named_tensor **at = &sources[l - a->items].parts[p.part];
        if (*at)
            return RS_FAIL(MODEL, "adapter: tensors \"%s\" and \"%s\" are the same factor",
                           (*at)->name, name);
        *at = &in->items[i];
    }
    return RS_OK;
}

static rs_tensor destination(const rs_lora *l, part p)
{
    const rs_tensor all[PARTS] = {
        [PART_A] = l->a,   [PART_B] = l->b,   [PART_MA] = l->ma,
        [PART_VA] = l->va, [PART_MB] = l->mb, [PART_VB] = l->vb,
    };
    return all[p];
}

static const char *part_name(part p)
{
    static const char *const k_names[PARTS] = {".lora_A.weight", ".lora_B.weight", ".alpha", ".m_A",
                                               ".v_A",           ".m_B",           ".v_B"};
    return k_names[p];
}

static rs_status check_sources(const source *sources, const rs_adapter *a, bool state)
{
    char have[RS_TENSOR_TEXT], want[RS_TENSOR_TEXT];
    for (int64_t i = 0; i < a->n; i++) {
        for (int p = 0; p < (state ? PARTS : PART_ALPHA); p++) {
            if (p == PART_ALPHA)
                continue;
            const rs_named_tensor *t = sources[i].parts[p];
            rs_tensor to = destination(&a->items[i], (part)p);
            if (!t)
                return RS_FAIL(MODEL, "adapter: tensor \"%s%s\" is missing", a->items[i].module,
                               part_name((part)p));
            if (!rs_tensor_same_shape(t->t, to))
                return RS_FAIL(MODEL, "adapter: tensor \"%s\" is %s; expected %s", t->name,
                               rs_tensor_text(have, t->t), rs_tensor_text(want, to));
        }
        const rs_named_tensor *alpha = sources[i].parts[PART_ALPHA];
        if (alpha && rs_tensor_count(alpha->t) != 1)
            return RS_FAIL(MODEL, "adapter: tensor \"%s\" is %s; expected one value", alpha->name,
                           rs_tensor_text(have, alpha->t));
    }
    return RS_OK;
}

/* 0 where there is none: kohya's meaning of a missing alpha too. */
static float alpha_of(const source *s)
{
    float alpha = 0;
    if (s->parts[PART_ALPHA])
        rs_convert_to_f32(&alpha, s->parts[PART_ALPHA]->t.data, s->parts[PART_ALPHA]->t.dtype, 1);
    return alpha;
}

static void load(const rs_adapter *a, rs_tensor to, rs_tensor from, float scale, rs_arena *scratch)
{
    rs_arena_mark mark = rs_arena_get_mark(scratch);
    int64_t n = rs_tensor_count(to);
    float *host = RS_NEW(scratch, float, n);
    rs_convert_to_f32(host, from.data, from.dtype, n);
    for (int64_t i = 0; i < n && scale != 1.0f; i++)
        host[i] *= scale;
    rs_device_put(a->dev, to.data, host, (size_t)n * sizeof *host);
    rs_arena_release(scratch, mark);
}

rs_status rs_adapter_import(rs_adapter *a, const rs_tensor_list *in, bool state)
{
    rs_status st = RS_OK;
    rs_arena *scratch = rs_arena_create();
    source *sources = RS_NEW(scratch, source, a->n);
    RS_ASSERTF(!state || a->trainable, "adapter: no moments to import into");
    RS_TRY_OUT(sort_tensors(sources, a, in, state));
    RS_TRY_OUT(check_sources(sources, a, state));
    for (int64_t i = 0; i < a->n; i++) {
        float alpha = alpha_of(&sources[i]);
        for (int p = 0; p < (state ? PARTS : PART_ALPHA); p++) {
            if (p == PART_ALPHA)
                continue;
            float scale = p == PART_B && alpha != 0 ? alpha / a->alpha : 1.0f;
            load(a, destination(&a->items[i], (part)p), sources[i].parts[p]->t, scale, scratch);
        }
    }
out:
    rs_arena_destroy(&scratch);
    return st;
}

/* Rank, alpha and targets that the tensors speak of. */
static rs_status survey(const rs_family *f, const rs_tensor_list *in, bool wanted[MAX_TARGETS],
                        int64_t *rank, float *alpha)
{
    for (int64_t i = 0; i < in->n; i++) {
        place p;
        const rs_named_tensor *t = &in->items[i];
        if (!parse_name(&p, f, t->name))
            return RS_FAIL(MODEL, "adapter: tensor \"%s\" belongs to no layer of this model",
                           t->name);
        wanted[p.target] = true;
        if (p.part == PART_A)
            *rank = t->t.shape[0];
        if (p.part == PART_ALPHA && *alpha == 0 && rs_tensor_count(t->t) == 1)
            rs_convert_to_f32(alpha, t->t.data, t->t.dtype, 1);
    }
    if (*rank == 0)
        return RS_FAIL(MODEL, "adapter: no lora_A tensor");
    return RS_OK;
}

rs_status rs_adapter_create_from(rs_adapter **out, rs_denoiser *m, const rs_tensor_list *in,
                                 float alpha, bool trainable)
{
    const rs_family *f = rs_denoiser_family(m);
    const char *targets[MAX_TARGETS];
    bool wanted[MAX_TARGETS] = {false};
    int64_t rank = 0;
    int n = 0;
    RS_TRY(survey(f, in, wanted, &rank, &alpha));
    for (int t = 0; t < f->n_targets; t++)
        if (wanted[t])
            targets[n++] = f->targets[t].name;
    rs_adapter *a = NULL;
    RS_TRY(rs_adapter_create(&a, m, rank, alpha > 0 ? alpha : (float)rank, targets, n, trainable));
    rs_status st = rs_adapter_import(a, in, false);
    if (st != RS_OK) {
        rs_adapter_destroy(&a);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = a;
    return RS_OK;
}
