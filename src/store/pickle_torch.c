/* What torch.save pickles: storages, tensors, parameters. */
#include <string.h>

#include "store/pickle_priv.h"

static const struct {
    const char *name;
    rs_dtype dtype;
} k_storages[] = {
    {"torch.FloatStorage", RS_DTYPE_F32}, {"torch.BFloat16Storage", RS_DTYPE_BF16},
    {"torch.HalfStorage", RS_DTYPE_F16},  {"torch.DoubleStorage", RS_DTYPE_F64},
    {"torch.LongStorage", RS_DTYPE_I64},  {"torch.IntStorage", RS_DTYPE_I32},
    {"torch.ByteStorage", RS_DTYPE_U8},   {"torch.BoolStorage", RS_DTYPE_BOOL},
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

rs_status rs_pickle_global(rs_pv **out, pickle *p, const char *module, const char *name)
{
    static const char *const known[] = {
        "collections.OrderedDict",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.Size",
        "torch.device",
    };
    /* Values such as torch.float32 that are stored by name and never called. */
    static const char *const dtypes[] = {"float32", "float16", "bfloat16", "float64",
                                         "int64",   "int32",   "uint8",    "bool"};
    rs_pv *v = rs_pickle_value(p, RS_PV_GLOBAL);
    v->text = rs_arena_printf(p->arena, "%s.%s", module, name);
    bool ok = strcmp(module, "torch") == 0 && ends_with(name, "Storage");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        ok = ok || strcmp(v->text, known[i]) == 0;
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        ok = ok || (strcmp(module, "torch") == 0 && strcmp(name, dtypes[i]) == 0);
    if (!ok)
        return PICKLE_FAIL(p, "'%s' has no place in a tensor file", v->text);
    *out = v;
    return RS_OK;
}

rs_status rs_pickle_persistent(rs_pv **out, pickle *p, const rs_pv *id)
{
    bool ok = id->kind == RS_PV_TUPLE && id->n == 5 && id->items[0]->kind == RS_PV_STRING &&
              strcmp(id->items[0]->text, "storage") == 0 && id->items[1]->kind == RS_PV_GLOBAL &&
              id->items[2]->kind == RS_PV_STRING && id->items[4]->kind == RS_PV_INT;
    if (!ok)
        return PICKLE_FAIL(p, "bad persistent id (no storage)");
    rs_pv *v = rs_pickle_value(p, RS_PV_STORAGE);
    v->text = id->items[2]->text;
    v->number = id->items[4]->number;
    for (size_t i = 0; i < sizeof k_storages / sizeof k_storages[0]; i++) {
        if (strcmp(k_storages[i].name, id->items[1]->text) == 0) {
            v->dtype = k_storages[i].dtype;
            *out = v;
            return RS_OK;
        }
    }
    return PICKLE_FAIL(p, "unsupported storage type '%s'", id->items[1]->text);
}

static rs_status read_dims(int64_t dims[RS_MAX_DIM], int *n, pickle *p, const rs_pv *v)
{
    if (v->kind != RS_PV_TUPLE && v->kind != RS_PV_LIST)
        return PICKLE_FAIL(p, "tensor shape or stride is no tuple");
    if (v->n > RS_MAX_DIM)
        return PICKLE_FAIL(p, "tensor has %zu dimensions, at most %d are supported", v->n,
                           RS_MAX_DIM);
    for (size_t i = 0; i < v->n; i++) {
        if (v->items[i]->kind != RS_PV_INT || v->items[i]->number < 0)
            return PICKLE_FAIL(p, "tensor shape or stride is no list of counts");
        dims[i] = v->items[i]->number;
    }
    *n = (int)v->n;
    return RS_OK;
}

/* _rebuild_tensor[_v2](storage, offset, size, stride, ...) */
static rs_status rebuild_tensor(rs_pv **out, pickle *p, const rs_pv *args)
{
    if (args->n < 4 || args->items[0]->kind != RS_PV_STORAGE || args->items[1]->kind != RS_PV_INT)
        return PICKLE_FAIL(p, "bad arguments of _rebuild_tensor");
    const rs_pv *storage = args->items[0];
    rs_pv *v = rs_pickle_value(p, RS_PV_TENSOR);
    rs_pv_tensor *t = v->tensor = RS_NEW(p->arena, rs_pv_tensor, 1);
    int strides;
    t->storage = storage->text;
    t->dtype = storage->dtype;
    t->storage_elements = storage->number;
    t->offset = args->items[1]->number;
    RS_TRY(read_dims(t->shape, &t->ndim, p, args->items[2]));
    RS_TRY(read_dims(t->stride, &strides, p, args->items[3]));
    if (strides != t->ndim)
        return PICKLE_FAIL(p, "tensor has %d dimensions but %d strides", t->ndim, strides);
    *out = v;
    return RS_OK;
}

rs_status rs_pickle_reduce(rs_pv **out, pickle *p, const rs_pv *callable, const rs_pv *args)
{
    if (callable->kind != RS_PV_GLOBAL || args->kind != RS_PV_TUPLE)
        return PICKLE_FAIL(p, "bad call");
    const char *f = callable->text;
    if (strcmp(f, "collections.OrderedDict") == 0 && args->n == 0) {
        *out = rs_pickle_value(p, RS_PV_DICT);
        return RS_OK;
    }
    if (strcmp(f, "torch._utils._rebuild_tensor") == 0 ||
        strcmp(f, "torch._utils._rebuild_tensor_v2") == 0)
        return rebuild_tensor(out, p, args);
    if (strcmp(f, "torch._utils._rebuild_parameter") == 0 ||
        strcmp(f, "torch._utils._rebuild_parameter_with_state") == 0) { /* (data, ...) */
        if (args->n < 1 || args->items[0]->kind != RS_PV_TENSOR)
            return PICKLE_FAIL(p, "bad arguments of _rebuild_parameter");
        *out = args->items[0];
        return RS_OK;
    }
    if (strcmp(f, "torch.Size") == 0 && args->n == 1) {
        *out = args->items[0];
        return RS_OK;
    }
    if (strcmp(f, "torch.device") == 0) {
        *out = rs_pickle_value(p, RS_PV_OTHER);
        return RS_OK;
    }
    return PICKLE_FAIL(p, "bad call of '%s'", f);
}
