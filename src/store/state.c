#include "store/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"

#define PREFIX  "reshoot."
#define FORMAT  "reshoot.format"
#define VERSION "reshoot.version"
#define KEY     "reshoot.key"
#define STAGE   "reshoot.stage"
#define STEP    "reshoot.step"
#define SHA256  "reshoot.sha256"

static const char k_format[] = "reshoot state";

struct rs_state {
    rs_safetensors *file;
    rs_state_id id;
};

void rs_meta_add(rs_meta_list *l, rs_arena *a, const char *key, const char *value)
{
    l->items = rs_arena_grow(a, l->items, &l->cap, (size_t)l->n + 1, sizeof *l->items);
    l->items[l->n++] = (rs_meta){rs_arena_strdup(a, key), rs_arena_strdup(a, value)};
}

void rs_meta_add_i64(rs_meta_list *l, rs_arena *a, const char *key, int64_t value)
{
    rs_meta_add(l, a, key, rs_arena_printf(a, "%" PRId64, value));
}

void rs_meta_add_f64(rs_meta_list *l, rs_arena *a, const char *key, double value)
{
    rs_meta_add(l, a, key, rs_arena_printf(a, "%.17g", value));
}

static void hash_meta(rs_hash *h, const rs_meta *m)
{
    if (strcmp(m->key, SHA256) == 0)
        return;
    rs_hash_string(h, m->key);
    rs_hash_string(h, m->value);
}

static void hash_tensor(rs_hash *h, const char *name, rs_tensor t)
{
    rs_hash_string(h, name);
    rs_hash_string(h, rs_dtype_name(t.dtype));
    rs_hash_i64(h, t.ndim);
    for (int i = 0; i < t.ndim; i++)
        rs_hash_i64(h, t.shape[i]);
    size_t size = rs_dtype_size(t.dtype);
    size_t row = (size_t)rs_tensor_cols(t) * size;
    if (rs_tensor_contiguous(t)) {
        rs_hash_update(h, t.data, rs_tensor_bytes(t));
        return;
    }
    for (int64_t i = 0; i < rs_tensor_rows(t); i++)
        rs_hash_update(h, (const char *)t.data + (size_t)(i * t.ld) * size, row);
}

rs_status rs_state_save(const char *path, const rs_state_id *id, const rs_tensor_list *tensors,
                        const rs_meta_list *meta)
{
    rs_arena *a = rs_arena_create();
    rs_status st = RS_OK;
    rs_meta_list all = {0};
    char hex[RS_HASH_HEX];
    rs_meta_add(&all, a, FORMAT, k_format);
    rs_meta_add_i64(&all, a, VERSION, RS_STATE_VERSION);
    rs_meta_add(&all, a, KEY, id->key);
    rs_meta_add(&all, a, STAGE, id->stage);
    rs_meta_add_i64(&all, a, STEP, id->step);
    for (int64_t i = 0; meta && i < meta->n; i++) {
        RS_ASSERTF(strncmp(meta->items[i].key, PREFIX, strlen(PREFIX)) != 0,
                   "state value '%s' uses a reserved name", meta->items[i].key);
        rs_meta_add(&all, a, meta->items[i].key, meta->items[i].value);
    }
    rs_hash h;
    rs_hash_init(&h);
    for (int64_t i = 0; i < all.n; i++)
        hash_meta(&h, &all.items[i]);
    for (int64_t i = 0; i < tensors->n; i++)
        hash_tensor(&h, tensors->items[i].name, tensors->items[i].t);
    rs_hash_final_hex(&h, hex);
    rs_meta_add(&all, a, SHA256, hex);
    RS_TRY_OUT(rs_safetensors_write(path, tensors, all.items, (int)all.n));
out:
    rs_arena_destroy(&a);
    return st;
}

static rs_status check_format(const rs_safetensors *f)
{
    const char *format = rs_safetensors_metadata(f, FORMAT);
    const char *version = rs_safetensors_metadata(f, VERSION);
    int64_t number;
    if (!format || strcmp(format, k_format) != 0 || !version || !rs_parse_i64(&number, version))
        return RS_FAIL(FORMAT, "%s: a safetensors file, but not a state of reshoot",
                       rs_safetensors_path(f));
    if (number != RS_STATE_VERSION)
        return RS_FAIL(FORMAT, "%s: state of format version %s, this program reads version %d",
                       rs_safetensors_path(f), version, RS_STATE_VERSION);
    return RS_OK;
}

static rs_status check_sha256(const rs_safetensors *f)
{
    rs_hash h;
    char hex[RS_HASH_HEX];
    rs_hash_init(&h);
    for (int64_t i = 0; i < rs_safetensors_metadata_count(f); i++) {
        rs_meta m = rs_safetensors_metadata_at(f, i);
        hash_meta(&h, &m);
    }
    for (int64_t i = 0; i < rs_safetensors_count(f); i++)
        hash_tensor(&h, rs_safetensors_name(f, i), *rs_safetensors_at(f, i));
    rs_hash_final_hex(&h, hex);
    const char *want = rs_safetensors_metadata(f, SHA256);
    if (!want || strcmp(hex, want) != 0)
        return RS_FAIL(FORMAT, "%s: contents do not match their SHA-256 (torn or changed state)",
                       rs_safetensors_path(f));
    return RS_OK;
}

static rs_status read_identity(rs_state *s)
{
    RS_TRY(rs_state_meta_string(&s->id.key, s, KEY));
    RS_TRY(rs_state_meta_string(&s->id.stage, s, STAGE));
    RS_TRY(rs_state_meta_i64(&s->id.step, s, STEP));
    return RS_OK;
}

rs_status rs_state_load(rs_state **out, const char *path)
{
    rs_status st = RS_OK;
    rs_state *s = rs_alloc(1, sizeof *s);
    st = rs_safetensors_open(&s->file, path);
    if (st == RS_FORMAT)
        rs_error_context("torn or foreign state file");
    RS_TRY_OUT(st);
    RS_TRY_OUT(check_format(s->file));
    RS_TRY_OUT(check_sha256(s->file));
    RS_TRY_OUT(read_identity(s));
    *out = s;
    s = NULL;
out:
    rs_state_close(&s);
    return st;
}

void rs_state_close(rs_state **s)
{
    if (!s || !*s)
        return;
    rs_safetensors_close(&(*s)->file);
    rs_dealloc(*s);
    *s = NULL;
}

rs_state_id rs_state_identity(const rs_state *s)
{
    return s->id;
}

int64_t rs_state_count(const rs_state *s)
{
    return rs_safetensors_count(s->file);
}

const char *rs_state_name(const rs_state *s, int64_t i)
{
    return rs_safetensors_name(s->file, i);
}

const rs_tensor *rs_state_at(const rs_state *s, int64_t i)
{
    return rs_safetensors_at(s->file, i);
}

const rs_tensor *rs_state_find(const rs_state *s, const char *name)
{
    return rs_safetensors_find(s->file, name);
}

rs_status rs_state_get(rs_tensor *out, const rs_state *s, const char *name, int ndim,
                       const int64_t *shape)
{
    rs_status st = rs_safetensors_get(out, s->file, name, ndim, shape);
    return st == RS_MODEL ? rs_relay_at(RS_FORMAT, __FILE__, __LINE__, __func__) : st;
}

/* i-th entry that is not one of ours; NULL after the last. */
static const rs_meta *user_meta(rs_meta *m, const rs_state *s, int64_t i)
{
    for (int64_t k = 0; k < rs_safetensors_metadata_count(s->file); k++) {
        *m = rs_safetensors_metadata_at(s->file, k);
        if (strncmp(m->key, PREFIX, strlen(PREFIX)) != 0 && i-- == 0)
            return m;
    }
    return NULL;
}

int64_t rs_state_meta_count(const rs_state *s)
{
    rs_meta m;
    int64_t n = 0;
    while (user_meta(&m, s, n))
        n++;
    return n;
}

rs_meta rs_state_meta_at(const rs_state *s, int64_t i)
{
    rs_meta m;
    RS_ASSERT(i >= 0 && user_meta(&m, s, i));
    return m;
}

const char *rs_state_meta(const rs_state *s, const char *key)
{
    return rs_safetensors_metadata(s->file, key);
}

rs_status rs_state_meta_string(const char **out, const rs_state *s, const char *key)
{
    *out = rs_state_meta(s, key);
    if (!*out)
        return RS_FAIL(FORMAT, "%s: state lacks the value '%s'", rs_safetensors_path(s->file), key);
    return RS_OK;
}

rs_status rs_state_meta_i64(int64_t *out, const rs_state *s, const char *key)
{
    const char *text = NULL;
    RS_TRY(rs_state_meta_string(&text, s, key));
    if (!rs_parse_i64(out, text))
        return RS_FAIL(FORMAT, "%s: state value '%s' is no integer: '%s'",
                       rs_safetensors_path(s->file), key, text);
    return RS_OK;
}

rs_status rs_state_meta_f64(double *out, const rs_state *s, const char *key)
{
    const char *text = NULL;
    RS_TRY(rs_state_meta_string(&text, s, key));
    if (!rs_parse_f64(out, text))
        return RS_FAIL(FORMAT, "%s: state value '%s' is no number: '%s'",
                       rs_safetensors_path(s->file), key, text);
    return RS_OK;
}
