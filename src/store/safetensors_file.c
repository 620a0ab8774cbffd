/* One safetensors file: header checks. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "store/json.h"
#include "store/safetensors_priv.h"

enum { LENGTH_BYTES = 8, HEADER_MAX = 100000000 }; /* the limit of the reference implementation */

static rs_status read_shape(st_entry *e, const char *path, const rs_json *spec, int64_t *bytes)
{
    const rs_json *dims;
    RS_TRY(rs_json_array(&dims, spec, "shape"));
    int64_t n = rs_json_size(dims);
    if (n > RS_MAX_DIM)
        return RS_FAIL(FORMAT, "%s: tensor '%s': %" PRId64 " dimensions, at most %d are supported",
                       path, e->name, n, RS_MAX_DIM);
    int64_t shape[RS_MAX_DIM] = {1};
    *bytes = (int64_t)rs_dtype_size(e->t.dtype);
    for (int64_t i = 0; i < n; i++) {
        RS_TRY(rs_json_as_i64(&shape[i], rs_json_at(dims, i)));
        if (shape[i] < 0)
            return RS_FAIL(FORMAT, "%s: tensor '%s': negative dimension %" PRId64, path, e->name,
                           shape[i]);
        if (!rs_mul_i64(bytes, *bytes, shape[i]))
            return RS_FAIL(FORMAT, "%s: tensor '%s': shape overflows", path, e->name);
    }
    e->t = rs_tensor_of(NULL, e->t.dtype, n ? (int)n : 1, shape);
    return RS_OK;
}

static rs_status read_offsets(st_entry *e, const char *path, const rs_json *spec, int64_t data)
{
    const rs_json *pair;
    RS_TRY(rs_json_array(&pair, spec, "data_offsets"));
    if (rs_json_size(pair) != 2)
        return RS_FAIL(FORMAT, "%s: tensor '%s': data_offsets is not a pair", path, e->name);
    RS_TRY(rs_json_as_i64(&e->begin, rs_json_at(pair, 0)));
    RS_TRY(rs_json_as_i64(&e->end, rs_json_at(pair, 1)));
    if (e->begin < 0 || e->end < e->begin)
        return RS_FAIL(FORMAT, "%s: tensor '%s': bad data_offsets [%" PRId64 ", %" PRId64 "]", path,
                       e->name, e->begin, e->end);
    if (e->end > data)
        return RS_FAIL(FORMAT,
                       "%s: tensor '%s': data_offsets end at %" PRId64 " but the file has %" PRId64
                       " bytes of data (truncated?)",
                       path, e->name, e->end, data);
    return RS_OK;
}

static rs_status read_entry(st_entry *e, const char *path, const rs_json *spec, int64_t data)
{
    if (rs_json_type_of(spec) != RS_JSON_OBJECT)
        return RS_FAIL(FORMAT, "%s: tensor '%s': header entry is not an object", path, e->name);
    const char *dtype;
    int64_t bytes = 0;
    RS_TRY(rs_json_string(&dtype, spec, "dtype"));
    if (!rs_dtype_parse(&e->t.dtype, dtype, strlen(dtype)))
        return RS_FAIL(FORMAT, "%s: tensor '%s': unknown dtype '%s'", path, e->name, dtype);
    RS_TRY(read_shape(e, path, spec, &bytes));
    RS_TRY(read_offsets(e, path, spec, data));
    if (e->end - e->begin != bytes) {
        char text[RS_TENSOR_TEXT];
        return RS_FAIL(FORMAT,
                       "%s: tensor '%s': %s needs %" PRId64 " bytes, data_offsets give %" PRId64,
                       path, e->name, rs_tensor_text(text, e->t), bytes, e->end - e->begin);
    }
    return RS_OK;
}

static rs_status read_meta(st_file *f, rs_arena *a, const rs_json *map)
{
    if (rs_json_type_of(map) != RS_JSON_OBJECT)
        return RS_FAIL(FORMAT, "%s: __metadata__ is not an object", f->path);
    f->meta = RS_NEW(a, rs_meta, rs_json_size(map));
    for (rs_json_iter it = {0}; rs_json_next(map, &it);) {
        const char *value;
        RS_TRY(rs_json_as_string(&value, it.value));
        f->meta[f->n_meta++] = (rs_meta){rs_arena_strdup(a, it.key), rs_arena_strdup(a, value)};
    }
    return RS_OK;
}

static int by_offset(const void *pa, const void *pb)
{
    const st_entry *a = *(const st_entry *const *)pa, *b = *(const st_entry *const *)pb;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* The tensors must tile the data section: no overlap, no hole, nothing after the last. */
static rs_status check_tiling(const st_file *f, rs_arena *a, int64_t data)
{
    const st_entry **order = RS_NEW(a, const st_entry *, f->n);
    for (int64_t i = 0; i < f->n; i++)
        order[i] = &f->entries[i];
    if (f->n)
        qsort(order, (size_t)f->n, sizeof *order, by_offset);
    int64_t at = 0;
    for (int64_t i = 0; i < f->n; at = order[i++]->end) {
        const st_entry *e = order[i];
        if (e->begin < at)
            return RS_FAIL(FORMAT, "%s: tensor '%s' overlaps tensor '%s' in the file", f->path,
                           e->name, order[i - 1]->name);
        if (e->begin > at)
            return RS_FAIL(FORMAT, "%s: tensor '%s': %" PRId64 " unused bytes before its data",
                           f->path, e->name, e->begin - at);
    }
    if (at != data)
        return RS_FAIL(FORMAT, "%s: %" PRId64 " unused bytes after the last tensor", f->path,
                       data - at);
    return RS_OK;
}

/* Point the tensors into the mapping; copy those that their type could not be read from in place.
 */
static rs_status bind_data(st_file *f, const uint8_t *base)
{
    int64_t copied = 0;
    for (int64_t i = 0; i < f->n; i++) {
        st_entry *e = &f->entries[i];
        const uint8_t *p = base + e->begin;
        size_t bytes = (size_t)(e->end - e->begin);
        e->t.data = (void *)(uintptr_t)p;
        if (bytes == 0 || (uintptr_t)p % rs_dtype_size(e->t.dtype) == 0)
            continue;
        e->copy = rs_alloc_large(bytes);
        if (!e->copy)
            return RS_FAIL(NOMEM,
                           "%s: tensor '%s' is misaligned and %zu bytes for a copy are not "
                           "to be had",
                           f->path, e->name, bytes);
        e->t.data = memcpy(e->copy, p, bytes);
        copied += (int64_t)bytes;
    }
    if (copied)
        RS_LOG(DETAIL, "%s: %" PRId64 " bytes of misaligned tensors copied into memory", f->path,
               copied);
    return RS_OK;
}

static rs_status read_header(st_file *f, rs_arena *a, const rs_json *header, int64_t data)
{
    if (rs_json_type_of(header) != RS_JSON_OBJECT)
        return RS_FAIL(FORMAT, "%s: header is not a JSON object", f->path);
    f->entries = RS_NEW(a, st_entry, rs_json_size(header));
    for (rs_json_iter it = {0}; rs_json_next(header, &it);) {
        if (strcmp(it.key, "__metadata__") == 0) {
            RS_TRY(read_meta(f, a, it.value));
            continue;
        }
        st_entry *e = &f->entries[f->n++];
        e->name = rs_arena_strdup(a, it.key);
        RS_TRY(read_entry(e, f->path, it.value, data));
    }
    return check_tiling(f, a, data);
}

rs_status rs_st_file_open(st_file *f, rs_arena *a, const char *path)
{
    rs_status st = RS_OK;
    rs_json *header = NULL;
    *f = (st_file){.path = rs_arena_strdup(a, path)};
    RS_TRY(rs_map_open(&f->map, path));
    if (f->map.bytes < LENGTH_BYTES) {
        st = RS_FAIL(FORMAT, "%s: %zu bytes are too short for a safetensors file", path,
                     f->map.bytes);
        goto out;
    }
    uint64_t length = rs_le64(f->map.data);
    size_t room = f->map.bytes - LENGTH_BYTES;
    if (length > room || length > HEADER_MAX) {
        st = RS_FAIL(FORMAT,
                     "%s: header length %" PRIu64 " %s (%zu bytes; truncated, or not safetensors)",
                     path, length, length > room ? "exceeds the file" : "is absurd", f->map.bytes);
        goto out;
    }
    const char *origin = rs_arena_printf(a, "%s: header", path);
    RS_TRY_OUT(
        rs_json_parse(&header, (const char *)f->map.data + LENGTH_BYTES, (size_t)length, origin));
    RS_TRY_OUT(read_header(f, a, header, (int64_t)(room - length)));
    RS_TRY_OUT(bind_data(f, f->map.data + LENGTH_BYTES + length));
out:
    rs_json_destroy(&header);
    if (st != RS_OK)
        rs_st_file_close(f);
    return st;
}

void rs_st_file_close(st_file *f)
{
    for (int64_t i = 0; i < f->n; i++) {
        rs_dealloc(f->entries[i].copy);
        f->entries[i].copy = NULL;
    }
    rs_map_close(&f->map);
}
