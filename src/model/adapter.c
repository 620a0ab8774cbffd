#include "model/adapter.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/hash.h"
#include "base/str.h"
#include "model/family.h"

enum { N_DEFAULT = 10, MAX_TARGETS = 64 };

const char *const *rs_adapter_default_targets(int *n_out)
{
    static const char *const k_default[N_DEFAULT] = {
        "attn1.to_q", "attn1.to_k", "attn1.to_v",     "attn1.to_out.0", "attn2.to_q",
        "attn2.to_k", "attn2.to_v", "attn2.to_out.0", "ffn.net.0.proj", "ffn.net.2"};
    *n_out = N_DEFAULT;
    return k_default;
}

/* Shape of the block weight that a target adapts; NULL if this model has none. */
static const rs_weight_row *target_row(const rs_denoiser *m, int target)
{
    const rs_layout *l = rs_denoiser_layout(m);
    int slot = rs_denoiser_family(m)->targets[target].slot;
    for (int64_t i = 0; i < l->n; i++)
        if (l->rows[i].block >= 0 && l->rows[i].slot == slot)
            return &l->rows[i];
    return NULL;
}

static rs_status mark_target(bool wanted[MAX_TARGETS], const rs_denoiser *m, const char *name)
{
    const rs_family *f = rs_denoiser_family(m);
    const char *names[MAX_TARGETS];
    for (int t = 0; t < f->n_targets; t++) {
        names[t] = f->targets[t].name;
        if (strcmp(names[t], name) != 0)
            continue;
        if (!target_row(m, t))
            return RS_FAIL(CONFIG, "LoRA target \"%s\": this model has no such layer", name);
        if (wanted[t])
            return RS_FAIL(CONFIG, "LoRA target \"%s\" is listed twice", name);
        wanted[t] = true;
        return RS_OK;
    }
    const char *near = rs_nearest(name, names, f->n_targets);
    return near ? RS_FAIL(CONFIG, "unknown LoRA target \"%s\"; did you mean \"%s\"?", name, near)
                : RS_FAIL(CONFIG, "unknown LoRA target \"%s\"", name);
}

static void name_items(rs_adapter *a, const rs_denoiser *m, const bool wanted[MAX_TARGETS])
{
    const rs_family *f = rs_denoiser_family(m);
    int blocks = rs_denoiser_layout(m)->blocks;
    int64_t per_block = 0;
    for (int t = 0; t < f->n_targets; t++)
        per_block += wanted[t];
    a->items = RS_NEW(a->arena, rs_lora, per_block * blocks);
    for (int b = 0; b < blocks; b++) {
        for (int t = 0; t < f->n_targets; t++) {
            if (!wanted[t])
                continue;
            const rs_weight_row *row = target_row(m, t);
            rs_lora *l = &a->items[a->n++];
            l->block = b;
            l->target = t;
            l->module = rs_arena_printf(a->arena, "blocks.%d.%s", b, f->targets[t].name);
            l->original = rs_arena_printf(a->arena, "blocks.%d.%s", b, f->targets[t].original);
            l->out = row->shape[0];
            l->in = row->shape[1];
        }
    }
}

static void bind_items(void *object, rs_carver *c)
{
    rs_adapter *a = object;
    for (int64_t i = 0; i < a->n; i++) {
        rs_lora *l = &a->items[i];
        rs_tensor *const pairs[4][2] = {
            {&l->a, &l->b}, {&l->ga, &l->gb}, {&l->ma, &l->mb}, {&l->va, &l->vb}};
        for (int k = 0; k < (a->trainable ? 4 : 1); k++) {
            *pairs[k][0] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(a->rank, l->in));
            *pairs[k][1] = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(l->out, a->rank));
        }
    }
    if (a->trainable)
        a->sums = rs_carve(c, RS_DTYPE_F32, RS_SHAPE(2 * a->n));
}

rs_status rs_adapter_create(rs_adapter **out, rs_denoiser *m, int64_t rank, float alpha,
                            const char *const *targets, int n_targets, bool trainable)
{
    rs_status st = RS_OK;
    bool wanted[MAX_TARGETS] = {false};
    RS_ASSERT(rs_denoiser_family(m)->n_targets <= MAX_TARGETS);
    if (rank < 1 || rank > 65536)
        return RS_FAIL(CONFIG, "LoRA rank %lld is out of range", (long long)rank);
    if (!(alpha > 0) || !isfinite(alpha))
        return RS_FAIL(CONFIG, "LoRA alpha %g is out of range", (double)alpha);
    if (n_targets < 1)
        return RS_FAIL(CONFIG, "LoRA: no target layers");
    for (int i = 0; i < n_targets; i++)
        RS_TRY(mark_target(wanted, m, targets[i]));
    rs_adapter *a = rs_alloc(1, sizeof *a);
    a->dev = rs_denoiser_device(m);
    a->arena = rs_arena_create();
    a->family = rs_denoiser_family(m);
    a->rank = rank;
    a->alpha = alpha;
    a->trainable = trainable;
    name_items(a, m, wanted);
    if (rs_denoiser_described(m)) {
        rs_carver plan = {0};
        bind_items(a, &plan);
        a->pool.bytes = plan.used;
    } else {
        RS_TRY_OUT(rs_pool_bind(&a->pool, a->dev, bind_items, a));
        rs_device_zero(a->dev, a->pool.memory, a->pool.bytes);
    }
    *out = a;
    a = NULL;
out:
    rs_adapter_destroy(&a);
    return st;
}

void rs_adapter_destroy(rs_adapter **a)
{
    if (!a || !*a)
        return;
    rs_adapter *s = *a;
    rs_pool_release(&s->pool);
    rs_arena_destroy(&s->arena);
    rs_dealloc(s);
    *a = NULL;
}

void rs_adapter_init(rs_adapter *a, uint64_t seed, uint64_t job)
{
    rs_arena *scratch = rs_arena_create();
    rs_device_zero(a->dev, a->pool.memory, a->pool.bytes);
    for (int64_t i = 0; i < a->n; i++) {
        rs_lora *l = &a->items[i];
        rs_arena_mark mark = rs_arena_get_mark(scratch);
        const char *name = rs_arena_printf(scratch, "%s.lora_A.weight", l->module);
        rs_rng r =
            rs_rng_stream(seed, rs_hash64_mix(job, rs_hash64_string(name)), RS_RNG_LORA_INIT, 0);
        rs_tensor host = rs_tensor_new(scratch, RS_SHAPE(a->rank, l->in));
        float bound = (float)(1.0 / sqrt((double)l->in));
        rs_rng_fill_uniform(rs_f32(host), &r, 0, rs_tensor_count(host), -bound, bound);
        rs_device_put(a->dev, l->a.data, host.data, rs_tensor_bytes(host));
        rs_arena_release(scratch, mark);
    }
    rs_arena_destroy(&scratch);
}

int64_t rs_adapter_params(const rs_adapter *a)
{
    int64_t n = 0;
    for (int64_t i = 0; i < a->n; i++)
        n += a->rank * (a->items[i].in + a->items[i].out);
    return n;
}

static void export_one(const rs_adapter *a, rs_tensor_list *out, rs_arena *arena, rs_tensor t,
                       const char *before, const char *module, const char *after)
{
    if (!rs_has(t))
        return;
    rs_tensor host = rs_tensor_new(arena, t.ndim, t.shape);
    rs_device_get(a->dev, host.data, t.data, rs_tensor_bytes(t));
    rs_tensor_list_add(out, arena, rs_arena_printf(arena, "%s%s%s", before, module, after), host);
}

void rs_adapter_export(const rs_adapter *a, rs_tensor_list *out, rs_arena *arena, bool state,
                       bool grads)
{
    for (int64_t i = 0; i < a->n; i++) {
        const rs_lora *l = &a->items[i];
        export_one(a, out, arena, l->a, "", l->module, ".lora_A.weight");
        export_one(a, out, arena, l->b, "", l->module, ".lora_B.weight");
        if (state) {
            export_one(a, out, arena, l->ma, "", l->module, ".m_A");
            export_one(a, out, arena, l->va, "", l->module, ".v_A");
            export_one(a, out, arena, l->mb, "", l->module, ".m_B");
            export_one(a, out, arena, l->vb, "", l->module, ".v_B");
        }
        if (grads) {
            export_one(a, out, arena, l->ga, "grad.", l->module, ".lora_A.weight");
            export_one(a, out, arena, l->gb, "grad.", l->module, ".lora_B.weight");
        }
    }
}
