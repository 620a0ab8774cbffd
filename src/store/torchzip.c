#include "store/torchzip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "store/mapped.h"
#include "store/pickle.h"
#include "store/zip.h"

enum { PICKLE_MAX = 16 << 20, NEST_MAX = 16, VALUES_MAX = 1 << 20, COPY_MAX = 4 };

typedef struct tz_entry {
    const char *name;
    rs_tensor t;
    void *copy; /* owned; NULL when the tensor lies in the mapping */
} tz_entry;

struct rs_torchzip {
    rs_arena *arena;
    const char *path;
    rs_map map;
    rs_zip zip;
    const char *root; /* "archive/": folder of data.pkl inside the ZIP */
    tz_entry *entries;
    tz_entry **sorted; /* by name */
    size_t n, cap;
    uint64_t copied; /* bytes */
    size_t visited;  /* pickled values seen: a small cyclic pickle must not run for ever */
};

static int by_name(const void *a, const void *b)
{
    return strcmp((*(tz_entry *const *)a)->name, (*(tz_entry *const *)b)->name);
}

static const rs_zip_entry *find_pickle(rs_torchzip *z)
{
    static const char name[] = "data.pkl";
    for (int64_t i = 0; i < z->zip.n; i++) {
        const rs_zip_entry *e = &z->zip.entries[i];
        const char *slash = strchr(e->name, '/');
        const char *base = slash ? slash + 1 : e->name;
        if (strcmp(base, name) != 0)
            continue;
        z->root = rs_arena_strndup(z->arena, e->name, (size_t)(base - e->name));
        return e;
    }
    return NULL;
}

static rs_status check_byteorder(const rs_torchzip *z)
{
    const char *name = rs_arena_printf(z->arena, "%sbyteorder", z->root);
    const rs_zip_entry *e = rs_zip_find(&z->zip, name);
    if (e && (e->bytes != 6 || memcmp(e->data, "little", 6) != 0))
        return RS_FAIL(FORMAT, "%s: data are not little-endian", z->path);
    return RS_OK;
}

static rs_tensor dense_tensor(const rs_pv_tensor *p)
{
    int64_t one = 1;
    return p->ndim ? rs_tensor_of(NULL, p->dtype, p->ndim, p->shape)
                   : rs_tensor_of(NULL, p->dtype, 1, &one);
}

/* Elements of the tensor, and one past the last storage element that it reads (0 for no elements);
 * false on overflow. */
static bool extent(const rs_pv_tensor *p, int64_t *count, int64_t *end)
{
    *count = 1;
    for (int i = 0; i < p->ndim; i++)
        if (!rs_mul_i64(count, *count, p->shape[i]))
            return false;
    *end = 0;
    if (*count == 0)
        return true;
    int64_t last = p->offset;
    for (int i = 0; i < p->ndim; i++) {
        int64_t span;
        if (!rs_mul_i64(&span, p->shape[i] - 1, p->stride[i]) ||
            __builtin_add_overflow(last, span, &last))
            return false;
    }
    return !__builtin_add_overflow(last, (int64_t)1, end);
}

static bool is_contiguous(const rs_pv_tensor *p)
{
    int64_t want = 1;
    for (int i = p->ndim - 1; i >= 0; want *= p->shape[i--])
        if (p->shape[i] != 1 && p->stride[i] != want)
            return false;
    return true;
}

/* Copy a strided tensor row-major into dst. */
static void copy_strided(uint8_t *dst, const uint8_t *src, const rs_pv_tensor *p, int64_t count)
{
    size_t size = rs_dtype_size(p->dtype);
    int64_t index[RS_MAX_DIM] = {0};
    for (int64_t k = 0; k < count; k++) {
        int64_t at = 0;
        for (int i = 0; i < p->ndim; i++)
            at += index[i] * p->stride[i];
        memcpy(dst + (size_t)k * size, src + (size_t)at * size, size);
        for (int i = p->ndim - 1; i >= 0 && ++index[i] == p->shape[i]; i--)
            index[i] = 0;
    }
}

static rs_status find_storage(const uint8_t **out, const rs_torchzip *z, const char *name,
                              const rs_pv_tensor *p)
{
    const rs_zip_entry *e =
        rs_zip_find(&z->zip, rs_arena_printf(z->arena, "%sdata/%s", z->root, p->storage));
    if (!e)
        return RS_FAIL(FORMAT, "%s: tensor '%s': storage 'data/%s' is missing", z->path, name,
                       p->storage);
    int64_t bytes;
    if (!rs_mul_i64(&bytes, p->storage_elements, (int64_t)rs_dtype_size(p->dtype)) ||
        (uint64_t)bytes != e->bytes)
        return RS_FAIL(
            FORMAT, "%s: tensor '%s': storage 'data/%s' has %zu bytes, expected %" PRId64 " x %zu",
            z->path, name, p->storage, e->bytes, p->storage_elements, rs_dtype_size(p->dtype));
    *out = e->data;
    return RS_OK;
}

static rs_status bind_tensor(tz_entry *e, rs_torchzip *z, const rs_pv_tensor *p)
{
    const uint8_t *storage = NULL;
    int64_t count = 0, end = 0;
    RS_TRY(find_storage(&storage, z, e->name, p));
    if (p->offset < 0 || !extent(p, &count, &end) || end > p->storage_elements)
        return RS_FAIL(FORMAT, "%s: tensor '%s': lies outside its storage of %" PRId64 " elements",
                       z->path, e->name, p->storage_elements);
    if (count > p->storage_elements)
        return RS_FAIL(FORMAT, "%s: tensor '%s': more elements than its storage (expanded tensor)",
                       z->path, e->name);
    e->t = dense_tensor(p);
    if (count == 0)
        return RS_OK;
    size_t size = rs_dtype_size(p->dtype);
    const uint8_t *data = storage + (size_t)p->offset * size;
    e->t.data = (void *)(uintptr_t)data;
    if (is_contiguous(p) && (uintptr_t)data % size == 0)
        return RS_OK;
    z->copied += (uint64_t)count * size;
    if (z->copied / COPY_MAX > z->map.bytes)
        return RS_FAIL(FORMAT, "%s: tensor '%s': strided tensors need %d times the file's size",
                       z->path, e->name, COPY_MAX);
    e->copy = rs_alloc_large((size_t)count * size);
    if (!e->copy)
        return RS_FAIL(NOMEM, "%s: tensor '%s': no memory for a contiguous copy", z->path, e->name);
    copy_strided(e->copy, data, p, count);
    e->t.data = e->copy;
    return RS_OK;
}

static rs_status add_tensor(rs_torchzip *z, const char *name, const rs_pv_tensor *p)
{
    z->entries = rs_arena_grow(z->arena, z->entries, &z->cap, z->n + 1, sizeof *z->entries);
    tz_entry *e = &z->entries[z->n++];
    *e = (tz_entry){.name = name[0] ? name : "tensor"};
    RS_TRY(bind_tensor(e, z, p));
    return RS_OK;
}

static rs_status flatten(rs_torchzip *z, const char *prefix, const rs_pv *v, int depth);

static rs_status flatten_member(rs_torchzip *z, const char *prefix, const rs_pv *key, size_t index,
                                const rs_pv *v, int depth)
{
    char number[24];
    const char *name = number;
    if (key && key->kind == RS_PV_STRING)
        name = key->text;
    else if (key && key->kind != RS_PV_INT)
        return RS_OK;
    else
        snprintf(number, sizeof number, "%" PRId64, key ? key->number : (int64_t)index);
    bool tensors = v->kind == RS_PV_TENSOR || v->kind == RS_PV_DICT || v->kind == RS_PV_LIST ||
                   v->kind == RS_PV_TUPLE;
    if (!tensors)
        return RS_OK;
    const char *full = rs_arena_printf(z->arena, "%s%s%s", prefix, prefix[0] ? "." : "", name);
    RS_TRY(flatten(z, full, v, depth + 1));
    return RS_OK;
}

static rs_status flatten(rs_torchzip *z, const char *prefix, const rs_pv *v, int depth)
{
    if (v->kind == RS_PV_TENSOR)
        return add_tensor(z, prefix, v->tensor);
    if (depth > NEST_MAX)
        return RS_FAIL(FORMAT, "%s: dicts nested deeper than %d", z->path, NEST_MAX);
    size_t step = v->kind == RS_PV_DICT ? 2 : 1;
    for (size_t i = 0; i < v->n; i += step) {
        if (++z->visited > VALUES_MAX)
            return RS_FAIL(FORMAT, "%s: more than %d values", z->path, VALUES_MAX);
        const rs_pv *key = step == 2 ? v->items[i] : NULL;
        RS_TRY(flatten_member(z, prefix, key, i, v->items[i + step - 1], depth));
    }
    return RS_OK;
}

static rs_status sort_names(rs_torchzip *z)
{
    z->sorted = RS_NEW(z->arena, tz_entry *, z->n);
    for (size_t i = 0; i < z->n; i++)
        z->sorted[i] = &z->entries[i];
    if (z->n)
        qsort(z->sorted, z->n, sizeof *z->sorted, by_name);
    for (size_t i = 1; i < z->n; i++)
        if (by_name(&z->sorted[i - 1], &z->sorted[i]) == 0)
            return RS_FAIL(FORMAT, "%s: two tensors are named '%s'", z->path, z->sorted[i]->name);
    return RS_OK;
}

static rs_status read_all(rs_torchzip *z)
{
    RS_TRY(rs_map_open(&z->map, z->path));
    if (z->map.bytes >= 2 && z->map.data[0] == 0x80 && z->map.data[1] <= 5)
        return RS_FAIL(FORMAT, "%s: legacy torch format, save it again with torch 1.6 or newer",
                       z->path);
    RS_TRY(rs_zip_read(&z->zip, z->arena, z->map, z->path));
    const rs_zip_entry *pickle = find_pickle(z);
    if (!pickle)
        return RS_FAIL(FORMAT, "%s: no data.pkl in this ZIP file", z->path);
    if (pickle->bytes > PICKLE_MAX)
        return RS_FAIL(FORMAT, "%s: data.pkl has %zu bytes, at most %d are read", z->path,
                       pickle->bytes, PICKLE_MAX);
    RS_TRY(check_byteorder(z));
    rs_pv *top;
    const char *origin = rs_arena_printf(z->arena, "%s: data.pkl", z->path);
    RS_TRY(rs_pickle_read(&top, z->arena, pickle->data, pickle->bytes, origin));
    RS_TRY(flatten(z, "", top, 0));
    RS_TRY(sort_names(z));
    return RS_OK;
}

rs_status rs_torchzip_open(rs_torchzip **out, const char *path)
{
    rs_arena *a = rs_arena_create();
    rs_torchzip *z = RS_NEW(a, rs_torchzip, 1);
    z->arena = a;
    z->path = rs_arena_strdup(a, path);
    rs_status st = read_all(z);
    if (st != RS_OK) {
        rs_torchzip_close(&z);
        return rs_relay_at(st, __FILE__, __LINE__, __func__);
    }
    *out = z;
    return RS_OK;
}

void rs_torchzip_close(rs_torchzip **z)
{
    if (!z || !*z)
        return;
    for (size_t i = 0; i < (*z)->n; i++)
        rs_dealloc((*z)->entries[i].copy);
    rs_map_close(&(*z)->map);
    rs_arena *a = (*z)->arena;
    rs_arena_destroy(&a);
    *z = NULL;
}

const rs_tensor *rs_torchzip_find(const rs_torchzip *z, const char *name)
{
    tz_entry key = {.name = name}, *p = &key;
    tz_entry **hit = z->n ? bsearch(&p, z->sorted, z->n, sizeof *z->sorted, by_name) : NULL;
    return hit ? &(*hit)->t : NULL;
}

int64_t rs_torchzip_count(const rs_torchzip *z)
{
    return (int64_t)z->n;
}

const char *rs_torchzip_name(const rs_torchzip *z, int64_t i)
{
    RS_ASSERT(i >= 0 && i < rs_torchzip_count(z));
    return z->entries[i].name;
}

const rs_tensor *rs_torchzip_at(const rs_torchzip *z, int64_t i)
{
    RS_ASSERT(i >= 0 && i < rs_torchzip_count(z));
    return &z->entries[i].t;
}

const char *rs_torchzip_path(const rs_torchzip *z)
{
    return z->path;
}
