#include "store/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsio.h"
#include "store/json.h"
#include "store/safetensors_priv.h"

#define EXT       ".safetensors"
#define INDEX_EXT ".safetensors.index.json"

struct rs_safetensors {
    rs_arena *arena;
    const char *path;
    st_file *files;
    int64_t n_files;
    st_entry **entries; /* of all files, header order */
    st_entry **sorted;  /* by name */
    int64_t n;
};

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static rs_status add_file(rs_safetensors *s, const char *path)
{
    RS_TRY(rs_st_file_open(&s->files[s->n_files], s->arena, path));
    s->n_files++;
    return RS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(st_entry *const *)a)->name, (*(st_entry *const *)b)->name);
}

/* One table over all files; a name in two shards is an error. */
static rs_status build_table(rs_safetensors *s)
{
    for (int64_t f = 0; f < s->n_files; f++)
        s->n += s->files[f].n;
    s->entries = RS_NEW(s->arena, st_entry *, s->n);
    int64_t k = 0;
    for (int64_t f = 0; f < s->n_files; f++) {
        for (int64_t i = 0; i < s->files[f].n; i++) {
            s->files[f].entries[i].file = f;
            s->entries[k++] = &s->files[f].entries[i];
        }
    }
    s->sorted = rs_arena_memdup(s->arena, s->entries, (size_t)s->n * sizeof *s->entries);
    if (s->n)
        qsort(s->sorted, (size_t)s->n, sizeof *s->sorted, by_name);
    for (int64_t i = 1; i < s->n; i++)
        if (by_name(&s->sorted[i - 1], &s->sorted[i]) == 0)
            return RS_FAIL(FORMAT, "%s: tensor '%s' is also in %s",
                           s->files[s->sorted[i]->file].path, s->sorted[i]->name,
                           rs_path_basename(s->files[s->sorted[i - 1]->file].path));
    return RS_OK;
}

static const st_entry *find_entry(const rs_safetensors *s, const char *name)
{
    st_entry key = {.name = name}, *p = &key;
    st_entry **hit = s->n ? bsearch(&p, s->sorted, (size_t)s->n, sizeof *s->sorted, by_name) : NULL;
    return hit ? *hit : NULL;
}

/* Open the shard that one weight_map line names, unless it is open already. */
static rs_status open_shard(rs_safetensors *s, const char *index, const char *tensor,
                            const char *file)
{
    if (strchr(file, '/') || file[0] == 0)
        return RS_FAIL(FORMAT, "%s: tensor '%s': bad file name '%s'", index, tensor, file);
    const char *path = rs_path_join(s->arena, rs_path_dirname(s->arena, index), file);
    for (int64_t i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].path, path) == 0)
            return RS_OK;
    if (rs_file_size(path) < 0)
        return RS_FAIL(IO, "%s: tensor '%s': missing file %s", index, tensor, file);
    RS_TRY(add_file(s, path));
    return RS_OK;
}

static rs_status check_index(const rs_safetensors *s, const char *index, const rs_json *map)
{
    for (rs_json_iter it = {0}; rs_json_next(map, &it);) {
        const char *file;
        RS_TRY(rs_json_as_string(&file, it.value));
        const st_entry *e = find_entry(s, it.key);
        if (!e || strcmp(rs_path_basename(s->files[e->file].path), file) != 0)
            return RS_FAIL(FORMAT, "%s: tensor '%s' is not in %s", index, it.key, file);
    }
    return RS_OK;
}

static rs_status open_index(rs_safetensors *s, const char *index)
{
    rs_status st = RS_OK;
    rs_json *doc = NULL;
    const rs_json *map;
    RS_TRY_OUT(rs_json_load(&doc, index));
    RS_TRY_OUT(rs_json_object(&map, doc, "weight_map"));
    if (rs_json_size(map) == 0) {
        st = RS_FAIL(FORMAT, "%s: weight_map is empty", index);
        goto out;
    }
    s->files = RS_NEW(s->arena, st_file, rs_json_size(map));
    for (rs_json_iter it = {0}; rs_json_next(map, &it);) {
        const char *file;
        RS_TRY_OUT(rs_json_as_string(&file, it.value));
        RS_TRY_OUT(open_shard(s, index, it.key, file));
    }
    RS_TRY_OUT(build_table(s));
    RS_TRY_OUT(check_index(s, index, map));
out:
    rs_json_destroy(&doc);
    return st;
}

static rs_status only_match(const char **out, rs_arena *a, const char *folder, const char *ext)
{
    char **names;
    int64_t n, found = 0;
    RS_TRY(rs_list_dir(&names, &n, a, folder));
    for (int64_t i = 0; i < n; i++) {
        if (!ends_with(names[i], ext))
            continue;
        if (found++)
            return RS_FAIL(FORMAT, "%s: several *%s files (%s, %s): name one", folder, ext,
                           rs_path_basename(*out), names[i]);
        *out = rs_path_join(a, folder, names[i]);
    }
    return RS_OK;
}

/* Which file a folder stands for (the list in the header). */
static rs_status pick_file(const char **out, rs_arena *a, const char *folder)
{
    static const char *const stems[] = {"diffusion_pytorch_model", "model", "adapter_model"};
    static const char *const exts[] = {EXT, INDEX_EXT};
    for (size_t e = 0; e < 2; e++) {
        for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++) {
            *out = rs_path_join(a, folder, rs_arena_printf(a, "%s%s", stems[i], exts[e]));
            if (rs_file_size(*out) >= 0)
                return RS_OK;
        }
    }
    *out = NULL;
    RS_TRY(only_match(out, a, folder, INDEX_EXT));
    if (!*out)
        RS_TRY(only_match(out, a, folder, EXT));
    if (!*out)
        return RS_FAIL(IO, "%s: no *.safetensors file in this folder", folder);
    return RS_OK;
}

rs_status rs_safetensors_open(rs_safetensors **out, const char *path)
{
    rs_status st = RS_OK;
    rs_arena *a = rs_arena_create();
    rs_safetensors *s = RS_NEW(a, rs_safetensors, 1);
    s->arena = a;
    s->path = rs_arena_strdup(a, path);
    const char *file = s->path;
    if (rs_path_is_dir(path))
        RS_TRY_OUT(pick_file(&file, a, path));
    if (ends_with(file, ".index.json")) {
        RS_TRY_OUT(open_index(s, file));
    } else {
        s->files = RS_NEW(a, st_file, 1);
        RS_TRY_OUT(add_file(s, file));
        RS_TRY_OUT(build_table(s));
    }
    *out = s;
    return RS_OK;
out:
    rs_safetensors_close(&s);
    return st;
}

void rs_safetensors_close(rs_safetensors **s)
{
    if (!s || !*s)
        return;
    for (int64_t i = 0; i < (*s)->n_files; i++)
        rs_st_file_close(&(*s)->files[i]);
    rs_arena *a = (*s)->arena;
    rs_arena_destroy(&a);
    *s = NULL;
}

const rs_tensor *rs_safetensors_find(const rs_safetensors *s, const char *name)
{
    const st_entry *e = find_entry(s, name);
    return e ? &e->t : NULL;
}

int64_t rs_safetensors_count(const rs_safetensors *s)
{
    return s->n;
}

static const st_entry *entry_at(const rs_safetensors *s, int64_t i)
{
    RS_ASSERT(i >= 0 && i < s->n);
    return s->entries[i];
}

const char *rs_safetensors_name(const rs_safetensors *s, int64_t i)
{
    return entry_at(s, i)->name;
}

const rs_tensor *rs_safetensors_at(const rs_safetensors *s, int64_t i)
{
    return &entry_at(s, i)->t;
}

rs_status rs_safetensors_get(rs_tensor *out, const rs_safetensors *s, const char *name, int ndim,
                             const int64_t *shape)
{
    const st_entry *e = find_entry(s, name);
    if (!e)
        return RS_FAIL(MODEL, "%s: missing tensor '%s'", s->path, name);
    rs_tensor want = rs_tensor_of(NULL, e->t.dtype, ndim, shape);
    if (!rs_tensor_same_shape(e->t, want)) {
        char got_text[RS_TENSOR_TEXT], want_text[RS_TENSOR_TEXT];
        return RS_FAIL(MODEL, "%s: tensor '%s' is %s, expected %s", s->files[e->file].path, name,
                       rs_tensor_text(got_text, e->t), rs_tensor_text(want_text, want));
    }
    *out = e->t;
    return RS_OK;
}

const char *rs_safetensors_path(const rs_safetensors *s)
{
    return s->path;
}

int64_t rs_safetensors_file_count(const rs_safetensors *s)
{
    return s->n_files;
}

const char *rs_safetensors_file(const rs_safetensors *s, int64_t i)
{
    RS_ASSERT(i >= 0 && i < s->n_files);
    return s->files[i].path;
}

int64_t rs_safetensors_metadata_count(const rs_safetensors *s)
{
    int64_t n = 0;
    for (int64_t f = 0; f < s->n_files; f++)
        n += s->files[f].n_meta;
    return n;
}

rs_meta rs_safetensors_metadata_at(const rs_safetensors *s, int64_t i)
{
    RS_ASSERT(i >= 0 && i < rs_safetensors_metadata_count(s));
    int64_t f = 0;
    for (; i >= s->files[f].n_meta; f++)
        i -= s->files[f].n_meta;
    return s->files[f].meta[i];
}

const char *rs_safetensors_metadata(const rs_safetensors *s, const char *key)
{
    for (int64_t f = 0; f < s->n_files; f++)
        for (int64_t i = 0; i < s->files[f].n_meta; i++)
            if (strcmp(s->files[f].meta[i].key, key) == 0)
                return s->files[f].meta[i].value;
    return NULL;
}
