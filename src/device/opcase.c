/* Making a case real and running it once. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fp8.h"
#include "base/num.h"
#include "base/rng.h"
#include "device/opcase_priv.h"

/* NaNs that no arithmetic makes. */
static const uint32_t POISON = 0x7fc00badu;
static const uint16_t POISON_BF16 = 0x7fadu;
static const uint8_t POISON_FP8 = 0x7fu;

static const void *poison_of(size_t size)
{
    return size == 1   ? (const void *)&POISON_FP8
           : size == 2 ? (const void *)&POISON_BF16
                       : (const void *)&POISON;
}

typedef void run_fn(rs_device *d, const void *args);
#define OP(name, folder)                                                                           \
    static void run_##name(rs_device *d, const void *args)                                         \
    {                                                                                              \
        rs_op_##name(d, args);                                                                     \
    }                                                                                              \
    _Static_assert(sizeof(rs_##name##_args) <= RS_OPPLAN_ARGS, "RS_OPPLAN_ARGS is too small");
#include "kernels/OPS.def"
#undef OP

static const struct {
    const rs_opspec *spec;
    run_fn *run;
} OPS[] = {
#define OP(name, folder) {&rs_opspec_##name, run_##name},
#include "kernels/OPS.def"
#undef OP
};

int rs_opspec_count(void)
{
    return RS_COUNT_OF(OPS);
}

const rs_opspec *rs_opspec_at(int i)
{
    RS_ASSERT(i >= 0 && i < RS_COUNT_OF(OPS));
    return OPS[i].spec;
}

const rs_opspec *rs_opspec_find(const char *op)
{
    for (int i = 0; i < RS_COUNT_OF(OPS); i++)
        if (strcmp(OPS[i].spec->op, op) == 0)
            return OPS[i].spec;
    return NULL;
}

void rs_opcase_call(const rs_opspec *spec, rs_device *d, const void *args)
{
    for (int i = 0; i < RS_COUNT_OF(OPS); i++)
        if (strcmp(OPS[i].spec->op, spec->op) == 0)
            OPS[i].run(d, args);
}

const char *rs_opcase_dims(char out[RS_OPCASE_DIMS], const rs_opcase *c)
{
    int n = 0;
    out[0] = 0;
    for (int i = 0; i < RS_COUNT_OF(c->dim) && c->dim[i] && n < RS_OPCASE_DIMS - 24; i++)
        n += snprintf(out + n, (size_t)(RS_OPCASE_DIMS - n), "%s%lld", i ? "x" : "",
                      (long long)c->dim[i]);
    return out;
}

const char *rs_opstore_name(rs_opstore store)
{
    static const char *const NAMES[] = {"", "mixed", "bf16", "back", "model"};
    return NAMES[store];
}

static rs_dtype stored_dtype(rs_opkind kind, rs_opstore store)
{
    bool bf16 = kind == RS_KIND_BRANCH   ? store != RS_STORE_FP32 && store != RS_STORE_BACK
                : kind == RS_KIND_STREAM ? store == RS_STORE_BACK || store == RS_STORE_BF16
                                         : store == RS_STORE_BF16 || store == RS_STORE_MODEL;
    return bf16 ? RS_DTYPE_BF16 : RS_DTYPE_F32;
}

static void apply_store(rs_opplan *p, rs_opstore store)
{
    for (int i = 0; i < p->n && store != RS_STORE_FP32; i++)
        if (p->t[i].kind != RS_KIND_FIXED)
            rs_opfield(p->args, &p->t[i])->dtype = stored_dtype(p->t[i].kind, store);
}

static rs_opkind kind_of(const rs_opplan *p, const char *name, size_t len)
{
    for (int i = 0; i < p->n; i++)
        if (strncmp(p->t[i].name, name, len) == 0 && p->t[i].name[len] == 0)
            return p->t[i].kind;
    return RS_KIND_FIXED;
}

bool rs_opcase_stored(rs_opcase *out, const rs_opspec *spec, const rs_opcase *c, rs_opstore store)
{
    rs_opplan plan = {0};
    bool has[RS_KIND_MATRIX + 1] = {false};
    *out = *c;
    out->store = store;
    spec->make(&plan, c);
    for (int i = 0; i < plan.n; i++)
        has[plan.t[i].kind] = true;
    if (store == RS_STORE_FP32)
        return true;
    if (c->fine && stored_dtype(RS_KIND_STREAM, store) == RS_DTYPE_BF16)
        return false;
    if (!has[RS_KIND_BRANCH] || (store == RS_STORE_BACK && !spec->converts))
        return false;
    if (store != RS_STORE_BF16 && !has[RS_KIND_STREAM] && !has[RS_KIND_MATRIX])
        return false;
    if (store == RS_STORE_MODEL && (!has[RS_KIND_STREAM] || !has[RS_KIND_MATRIX]))
        return false;
    const char *eq = c->alias ? strchr(c->alias, '=') : NULL;
    return !eq || stored_dtype(kind_of(&plan, c->alias, (size_t)(eq - c->alias)), store) ==
                      stored_dtype(kind_of(&plan, eq + 1, strlen(eq + 1)), store);
}

const char *rs_opinstance_title(const rs_opinstance *in)
{
    char dims[RS_OPCASE_DIMS];
    const char *store = rs_opstore_name(in->c->store);
    return rs_arena_printf(in->arena, "op %s, case %s (%s%s%s)", in->spec->op, in->c->name,
                           rs_opcase_dims(dims, in->c), *store ? ", " : "", store);
}

rs_tensor *rs_opfield(void *args, const rs_optensor *t)
{
    return (rs_tensor *)(void *)((char *)args + t->offset);
}

int rs_opinstance_find(const rs_opinstance *in, const char *name, bool needed)
{
    for (int i = 0; i < in->plan->n; i++)
        if (strcmp(in->plan->t[i].name, name) == 0)
            return i;
    RS_ASSERTF(!needed, "op %s, case %s: no tensor '%s'", in->spec->op, in->c->name, name);
    return -1;
}

double rs_optensor_tolerance(const rs_optensor *t, rs_dtype stored)
{
    double fp32 = 0x1p-24 * (t->steps + sqrt(t->reduction));
    return stored == RS_DTYPE_BF16 ? fp32 + 0x1p-8 /* 8 significant bits */
           : stored == RS_DTYPE_U8 ? fp32 + 0x1p-4 /* 4 */
                                   : fp32;
}

double rs_opelement(const void *data, size_t size, int64_t e)
{
    if (size == 1)
        return (double)rs_f32_from_fp8(((const uint8_t *)data)[e]);
    return size == 2 ? (double)rs_f32_from_bf16(((const uint16_t *)data)[e])
                     : (double)((const float *)data)[e];
}

/* "y=x": y lies on x. */
static void resolve_alias(rs_opinstance *in)
{
    for (int i = 0; i < in->plan->n; i++)
        in->buf[i].on = i;
    if (!in->c->alias)
        return;
    char *out = rs_arena_strdup(in->arena, in->c->alias), *eq = strchr(out, '=');
    RS_ASSERTF(eq, "alias '%s' is not out=in", in->c->alias);
    *eq = 0;
    int y = rs_opinstance_find(in, out, true), x = rs_opinstance_find(in, eq + 1, true);
    RS_ASSERTF(in->buf[y].elements == in->buf[x].elements &&
                   in->buf[y].shape.dtype == in->buf[x].shape.dtype,
               "%s: shapes differ", in->c->alias);
    in->buf[y].on = x;
}

static void round_to_stored(rs_tensor t, bool bf16)
{
    double *x = rs_f64(t);
    int64_t rows = rs_tensor_rows(t), cols = rs_tensor_cols(t);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            float f = (float)x[i * t.ld + j];
            x[i * t.ld + j] = (double)(bf16 ? rs_f32_from_bf16(rs_bf16_from_f32(f)) : f);
        }
}

/* Double (or id) data of tensor i; the fill is a function of op, case and tensor name. */
static void make_ref_tensor(rs_opinstance *in, int i)
{
    const rs_optensor *t = &in->plan->t[i];
    rs_tensor *r = rs_opfield(in->ref, t);
    const rs_opbuffer *b = &in->buf[i];
    float *fill = RS_NEW(in->arena, float, b->elements);
    const char *name = rs_arena_printf(in->arena, "%s.%s.%s", in->spec->op, in->c->name, t->name);
    if (t->ids) {
        rs_fill_rule(fill, name, 0, b->elements, 0.5, 0.5);
        int32_t *ids = RS_NEW(in->arena, int32_t, b->elements);
        for (int64_t j = 0; j < b->elements; j++)
            ids[j] = (int32_t)rs_min_i64((int64_t)((double)fill[j] * (double)t->ids), t->ids - 1);
        r->data = ids;
        return;
    }
    double *x = RS_NEW(in->arena, double, b->elements);
    if (t->role != RS_OUT) {
        rs_fill_rule(fill, name, 0, b->elements, t->scale, t->shift);
        for (int64_t j = 0; j < b->elements; j++)
            x[j] = (double)fill[j];
    }
    r->dtype = RS_DTYPE_F64;
    r->data = x;
}

/* Element e of the image, guards counted. */
static void put_element(const rs_opbuffer *b, int64_t e, float f)
{
    uint16_t h = rs_bf16_from_f32(f);
    memcpy((char *)b->image + (size_t)e * b->size, b->size == 2 ? (const void *)&h : &f, b->size);
}

static void make_image(rs_opinstance *in, int i)
{
    const rs_optensor *t = &in->plan->t[i];
    rs_opbuffer *b = &in->buf[i];
    rs_tensor r = *rs_opfield(in->ref, t);
    b->size = rs_dtype_size(b->shape.dtype);
    b->bytes = (size_t)(b->elements + 2 * RS_OPCASE_GUARD) * b->size;
    b->image = rs_arena_alloc(in->arena, b->bytes, 1);
    for (size_t j = 0; j < b->bytes / b->size; j++)
        memcpy((char *)b->image + j * b->size, poison_of(b->size), b->size);
    if (t->role == RS_OUT)
        return;
    int64_t rows = rs_tensor_rows(r), cols = rs_tensor_cols(r);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < cols; col++) {
            int64_t e = row * r.ld + col;
            float f = t->ids ? 0 : (float)rs_f64(r)[e];
            if (t->ids)
                memcpy(&f, (int32_t *)r.data + e, 4);
            put_element(b, RS_OPCASE_GUARD + e, f);
        }
}

void rs_opinstance_make(rs_opinstance *in, const rs_opspec *spec, const rs_opcase *c)
{
    *in = (rs_opinstance){.arena = rs_arena_create(), .spec = spec, .c = c};
    in->plan = RS_NEW(in->arena, rs_opplan, 1);
    spec->make(in->plan, c);
    apply_store(in->plan, c->store);
    for (int i = 0; i < in->plan->n; i++) {
        rs_tensor t = *rs_opfield(in->plan->args, &in->plan->t[i]);
        in->buf[i] = (rs_opbuffer){.shape = t, .elements = rs_tensor_rows(t) * t.ld};
    }
    resolve_alias(in);
    in->ref = rs_arena_memdup(in->arena, in->plan->args, RS_OPPLAN_ARGS);
    for (int i = 0; i < in->plan->n; i++)
        make_ref_tensor(in, i);
    if (spec->prepare)
        spec->prepare(c, in->ref);
    for (int i = 0; i < in->plan->n; i++) {
        if (!in->plan->t[i].ids)
            round_to_stored(*rs_opfield(in->ref, &in->plan->t[i]),
                            in->buf[i].shape.dtype == RS_DTYPE_BF16);
        make_image(in, i);
    }
}

void rs_opinstance_free(rs_opinstance *in)
{
    rs_arena_destroy(&in->arena);
}

char *rs_opinstance_ref_args(const rs_opinstance *in)
{
    char *args = rs_arena_memdup(in->arena, in->ref, RS_OPPLAN_ARGS);
    for (int i = 0; i < in->plan->n; i++)
        if (in->plan->t[i].role != RS_IN) {
            rs_tensor *t = rs_opfield(args, &in->plan->t[i]);
            t->data = rs_arena_memdup(in->arena, t->data, (size_t)in->buf[i].elements * 8);
        }
    return args;
}

rs_status rs_opoperands_make(rs_opoperands *o, const rs_opinstance *in, rs_device *d)
{
    rs_status st = RS_OK;
    *o = (rs_opoperands){0};
    memcpy(o->args, in->plan->args, RS_OPPLAN_ARGS);
    for (int i = 0; i < in->plan->n; i++) {
        const rs_opbuffer *b = &in->buf[i];
        if (b->on != i)
            continue;
        RS_TRY_OUT(rs_device_alloc(d, &o->memory[i], b->bytes));
        rs_device_put(d, o->memory[i], b->image, b->bytes);
    }
    for (int i = 0; i < in->plan->n; i++)
        rs_opfield(o->args, &in->plan->t[i])->data =
            (char *)o->memory[in->buf[i].on] + RS_OPCASE_GUARD * in->buf[i].size;
out:
    if (st != RS_OK)
        rs_opoperands_free(o, d);
    return st;
}

void rs_opoperands_free(rs_opoperands *o, rs_device *d)
{
    for (int i = 0; i < RS_OPPLAN_TENSORS; i++)
        rs_device_free(d, o->memory[i]);
    *o = (rs_opoperands){0};
}

rs_status rs_opcase_run(rs_opinstance *in, rs_device *d, void *result[RS_OPPLAN_TENSORS])
{
    rs_status st = RS_OK;
    rs_opoperands o;
    RS_TRY(rs_opoperands_make(&o, in, d));
    rs_opcase_call(in->spec, d, o.args);
    RS_TRY_OUT(rs_device_check(d));
    for (int i = 0; i < in->plan->n; i++) {
        int on = in->buf[i].on;
        result[i] = rs_arena_alloc(in->arena, in->buf[i].bytes, 1);
        rs_device_get(d, result[i], o.memory[on], in->buf[on].bytes);
    }
out:
    rs_opoperands_free(&o, d);
    return st;
}
