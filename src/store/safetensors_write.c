#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "store/json_writer.h"
#include "store/safetensors.h"

enum { DATA_ALIGN = 8 };

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static rs_status check_names(rs_arena *a, const char *path, const rs_tensor_list *l)
{
    const char **names = RS_NEW(a, const char *, l->n);
    for (int64_t i = 0; i < l->n; i++)
        names[i] = l->items[i].name;
    if (l->n)
        qsort(names, (size_t)l->n, sizeof *names, by_name);
    for (int64_t i = 0; i < l->n; i++) {
        if (strcmp(names[i], "__metadata__") == 0)
            return RS_FAIL(INPUT, "%s: no tensor can be named '__metadata__'", path);
        if (i && strcmp(names[i - 1], names[i]) == 0)
            return RS_FAIL(INPUT, "%s: two tensors are named '%s'", path, names[i]);
    }
    return RS_OK;
}

static const char *header_text(rs_arena *a, const rs_tensor_list *l, const rs_meta *meta,
                               int n_meta)
{
    rs_jsonw *w = rs_jsonw_create(a, false);
    rs_jsonw_object(w, NULL);
    if (n_meta) {
        rs_jsonw_object(w, "__metadata__");
        for (int i = 0; i < n_meta; i++)
            rs_jsonw_string(w, meta[i].key, meta[i].value);
        rs_jsonw_end(w);
    }
    int64_t at = 0;
    for (int64_t i = 0; i < l->n; i++) {
        rs_tensor t = l->items[i].t;
        rs_jsonw_object(w, l->items[i].name);
        rs_jsonw_string(w, "dtype", rs_dtype_name(t.dtype));
        rs_jsonw_array(w, "shape");
        for (int d = 0; d < t.ndim; d++)
            rs_jsonw_i64(w, NULL, t.shape[d]);
        rs_jsonw_end(w);
        rs_jsonw_array(w, "data_offsets");
        rs_jsonw_i64(w, NULL, at);
        at += (int64_t)rs_tensor_bytes(t);
        rs_jsonw_i64(w, NULL, at);
        rs_jsonw_end(w);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
    return rs_jsonw_text(w);
}

static bool write_tensor(FILE *f, rs_tensor t)
{
    size_t bytes = rs_tensor_bytes(t);
    if (bytes == 0)
        return true;
    if (rs_tensor_contiguous(t))
        return fwrite(t.data, 1, bytes, f) == bytes;
    size_t size = rs_dtype_size(t.dtype);
    size_t row = (size_t)rs_tensor_cols(t) * size;
    const char *p = t.data;
    for (int64_t i = 0; i < rs_tensor_rows(t); i++, p += (size_t)t.ld * size)
        if (fwrite(p, 1, row, f) != row)
            return false;
    return true;
}

static bool write_all(FILE *f, const char *header, const rs_tensor_list *l)
{
    static const char spaces[DATA_ALIGN + 1] = "        ";
    size_t length = strlen(header);
    size_t padded = (length + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
    unsigned char le[8];
    for (int i = 0; i < 8; i++)
        le[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    bool ok = fwrite(le, 1, sizeof le, f) == sizeof le;
    ok = ok && fwrite(header, 1, length, f) == length;
    ok = ok && fwrite(spaces, 1, padded - length, f) == padded - length;
    for (int64_t i = 0; ok && i < l->n; i++)
        ok = write_tensor(f, l->items[i].t);
    return ok;
}

rs_status rs_safetensors_write(const char *path, const rs_tensor_list *tensors, const rs_meta *meta,
                               int n_meta)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    const char *temp = NULL;
    RS_TRY_OUT(check_names(a, path, tensors));
    const char *header = header_text(a, tensors, meta, n_meta);
    temp = rs_atomic_temp(a, path);
    FILE *f = fopen(temp, "wb");
    if (!f) {
        st = RS_FAIL(IO, "%s: cannot create: %s", path, strerror(errno));
        temp = NULL;
        goto out;
    }
    bool ok = write_all(f, header, tensors);
    int error = errno;
    if (fclose(f) != 0 && ok) {
        error = errno;
        ok = false;
    }
    if (!ok) {
        st = RS_FAIL(IO, "%s: write failed: %s", path, strerror(error));
        goto out;
    }
    RS_TRY_OUT(rs_atomic_commit(temp, path));
out:
    if (st != RS_OK && temp)
        unlink(temp);
    rs_arena_destroy(&a);
    return st;
}

/* First tensor of the shard after the one that begins at `first`. */
static int64_t shard_end(const rs_tensor_list *l, int64_t first, size_t shard_bytes)
{
    size_t sum = 0;
    int64_t i = first;
    for (; i < l->n; i++) {
        size_t bytes = rs_tensor_bytes(l->items[i].t);
        if (i > first && bytes > shard_bytes - (sum < shard_bytes ? sum : shard_bytes))
            break;
        sum += bytes;
    }
    return i;
}

static const char *index_text(rs_arena *a, const rs_tensor_list *l, const char *const *file_of)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    int64_t total = 0;
    for (int64_t i = 0; i < l->n; i++)
        total += (int64_t)rs_tensor_bytes(l->items[i].t);
    rs_jsonw_object(w, NULL);
    rs_jsonw_object(w, "metadata");
    rs_jsonw_i64(w, "total_size", total);
    rs_jsonw_end(w);
    rs_jsonw_object(w, "weight_map");
    for (int64_t i = 0; i < l->n; i++)
        rs_jsonw_string(w, l->items[i].name, file_of[i]);
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    return rs_jsonw_text(w);
}

rs_status rs_safetensors_write_sharded(const char *folder, const char *stem,
                                       const rs_tensor_list *tensors, const rs_meta *meta,
                                       int n_meta, size_t shard_bytes)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    const char **file_of = RS_NEW(a, const char *, tensors->n);
    int64_t shards = 0;
    for (int64_t i = 0; i < tensors->n; shards++)
        i = shard_end(tensors, i, shard_bytes);
    if (shards <= 1) {
        const char *name = rs_arena_printf(a, "%s.safetensors", stem);
        RS_TRY_OUT(rs_safetensors_write(rs_path_join(a, folder, name), tensors, meta, n_meta));
        goto out;
    }
    RS_TRY_OUT(check_names(a, folder, tensors));
    for (int64_t i = 0, k = 1; i < tensors->n; k++) {
        int64_t end = shard_end(tensors, i, shard_bytes);
        const char *name =
            rs_arena_printf(a, "%s-%05" PRId64 "-of-%05" PRId64 ".safetensors", stem, k, shards);
        rs_tensor_list part = {.items = tensors->items + i, .n = end - i};
        RS_TRY_OUT(rs_safetensors_write(rs_path_join(a, folder, name), &part, meta, n_meta));
        for (; i < end; i++)
            file_of[i] = name;
    }
    const char *text = index_text(a, tensors, file_of);
    const char *index =
        rs_path_join(a, folder, rs_arena_printf(a, "%s.safetensors.index.json", stem));
    RS_TRY_OUT(rs_write_file_atomic(index, text, strlen(text)));
out:
    rs_arena_destroy(&a);
    return st;
}
