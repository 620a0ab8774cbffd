#include "base/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

rs_tensor rs_tensor_of(void *data, rs_dtype dtype, int ndim, const int64_t *shape)
{
    RS_ASSERT(ndim >= 1 && ndim <= RS_MAX_DIM);
    rs_tensor t = {.data = data, .ndim = ndim, .dtype = dtype};
    for (int i = 0; i < ndim; i++)
        t.shape[i] = shape[i];
    t.ld = shape[ndim - 1];
    return t;
}

int64_t rs_tensor_count(rs_tensor t)
{
    int64_t n = 1;
    for (int i = 0; i < t.ndim; i++)
        n *= t.shape[i];
    return n;
}

int64_t rs_tensor_rows(rs_tensor t)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < t.ndim; i++)
        n *= t.shape[i];
    return n;
}

int64_t rs_tensor_cols(rs_tensor t)
{
    return t.ndim ? t.shape[t.ndim - 1] : 1;
}

size_t rs_tensor_bytes(rs_tensor t)
{
    return (size_t)rs_tensor_count(t) * rs_dtype_size(t.dtype);
}

bool rs_tensor_contiguous(rs_tensor t)
{
    return t.ndim == 0 || t.ld == t.shape[t.ndim - 1] || rs_tensor_rows(t) <= 1;
}

bool rs_tensor_same_shape(rs_tensor a, rs_tensor b)
{
    return a.ndim == b.ndim && memcmp(a.shape, b.shape, (size_t)a.ndim * sizeof a.shape[0]) == 0;
}

rs_tensor rs_tensor_reshape(rs_tensor t, int ndim, const int64_t *shape)
{
    rs_tensor r = rs_tensor_of(t.data, t.dtype, ndim, shape);
    RS_ASSERT(rs_tensor_contiguous(t) && rs_tensor_count(r) == rs_tensor_count(t));
    return r;
}

static void *at(rs_tensor t, int64_t element)
{
    return t.data ? (char *)t.data + (size_t)element * rs_dtype_size(t.dtype) : NULL;
}

rs_tensor rs_tensor_rows_view(rs_tensor t, int64_t lo, int64_t hi)
{
    RS_ASSERT(lo >= 0 && lo <= hi && hi <= rs_tensor_rows(t));
    rs_tensor r = {.data = at(t, lo * t.ld), .ndim = 2, .dtype = t.dtype, .ld = t.ld};
    r.shape[0] = hi - lo;
    r.shape[1] = rs_tensor_cols(t);
    return r;
}

rs_tensor rs_tensor_cols_view(rs_tensor t, int64_t lo, int64_t hi)
{
    RS_ASSERT(lo >= 0 && lo <= hi && hi <= rs_tensor_cols(t));
    rs_tensor r = {.data = at(t, lo), .ndim = 2, .dtype = t.dtype, .ld = t.ld};
    r.shape[0] = rs_tensor_rows(t);
    r.shape[1] = hi - lo;
    return r;
}

rs_tensor rs_tensor_slice(rs_tensor t, int64_t lo, int64_t hi)
{
    RS_ASSERT(rs_tensor_contiguous(t) && lo >= 0 && lo <= hi && hi <= t.shape[0]);
    rs_tensor r = t;
    r.shape[0] = 1;
    r.data = at(t, lo * rs_tensor_count(r));
    r.shape[0] = hi - lo;
    if (t.ndim == 1)
        r.ld = hi - lo;
    return r;
}

const char *rs_tensor_text(char out[RS_TENSOR_TEXT], rs_tensor t)
{
    int n = snprintf(out, RS_TENSOR_TEXT, "%s[", rs_dtype_name(t.dtype));
    for (int i = 0; i < t.ndim && n < RS_TENSOR_TEXT - 2; i++)
        n += snprintf(out + n, RS_TENSOR_TEXT - (size_t)n, "%s%lld", i ? "," : "",
                      (long long)t.shape[i]);
    if (n < RS_TENSOR_TEXT - 1)
        snprintf(out + n, RS_TENSOR_TEXT - (size_t)n, "]");
    return out;
}

rs_tensor rs_tensor_new(rs_arena *a, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, RS_DTYPE_F32, ndim, shape);
    t.data = rs_arena_alloc(a, (size_t)rs_tensor_count(t), sizeof(float));
    return t;
}

rs_tensor rs_carve(rs_carver *c, rs_dtype dtype, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, dtype, ndim, shape);
    size_t bytes = (rs_tensor_bytes(t) + 63) / 64 * 64;
    if (c->base) {
        RS_ASSERTF(c->used + bytes <= c->cap, "carver overflow: %zu + %zu > %zu", c->used, bytes,
                   c->cap);
        t.data = c->base + c->used;
    }
    c->used += bytes;
    return t;
}

void rs_tensor_list_add(rs_tensor_list *l, rs_arena *a, const char *name, rs_tensor t)
{
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)l->n + 1, sizeof *l->items);
    l->items[l->n++] = (rs_named_tensor){rs_arena_strdup(a, name), t};
}

const rs_tensor *rs_tensor_list_find(const rs_tensor_list *l, const char *name)
{
    for (int64_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].name, name) == 0)
            return &l->items[i].t;
    return NULL;
}
