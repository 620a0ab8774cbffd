/* Attributes and texts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/archive_priv.h"

/* ---- writing ---- */

static rs_status set(rs_archive *a, const char *object, const char *name, hid_t type,
                     const void *value)
{
    rs_status st = RS_OK;
    rs_h5_quiet();
    hid_t id = -1, space = H5Screate(H5S_SCALAR);
    if (H5Aexists_by_name(a->file, object, name, H5P_DEFAULT) > 0)
        RS_H5_OUT(IO, a, object, H5Adelete_by_name(a->file, object, name, H5P_DEFAULT));
    RS_H5_OUT(IO, a, object,
              id = H5Acreate_by_name(a->file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT,
                                     H5P_DEFAULT));
    RS_H5_OUT(IO, a, object, H5Awrite(id, type, value));
out:
    rs_h5_drop(id);
    rs_h5_drop(space);
    return st;
}

rs_status rs_archive_set_string(rs_archive *a, const char *object, const char *name,
                                const char *value)
{
    hid_t type = rs_h5_string_type(strlen(value) + 1);
    rs_status st = set(a, object, name, type, value);
    rs_h5_drop(type);
    return st;
}

rs_status rs_archive_set_i64(rs_archive *a, const char *object, const char *name, int64_t value)
{
    return set(a, object, name, H5T_STD_I64LE, &value);
}

rs_status rs_archive_set_f64(rs_archive *a, const char *object, const char *name, double value)
{
    return set(a, object, name, H5T_IEEE_F64LE, &value);
}

/* ---- reading ---- */

bool rs_archive_has(const rs_archive *a, const char *object, const char *name)
{
    rs_h5_quiet();
    return rs_archive_exists(a, object) &&
           H5Aexists_by_name(a->file, object, name, H5P_DEFAULT) > 0;
}

typedef struct attribute {
    hid_t id, type;
    H5T_class_t class;
} attribute;

static void drop(attribute *at)
{
    rs_h5_drop(at->type);
    rs_h5_drop(at->id);
}

/* A scalar attribute; the caller drops it, also on failure. */
static rs_status open_attribute(attribute *at, const rs_archive *a, const char *object,
                                const char *name)
{
    rs_status st = RS_OK;
    hid_t space = -1;
    *at = (attribute){-1, -1, H5T_NO_CLASS};
    if (!rs_archive_has(a, object, name))
        return RS_FAIL(FORMAT, "%s: %s: attribute '%s' is missing", a->path, object, name);
    RS_H5_OUT(FORMAT, a, object,
              at->id = H5Aopen_by_name(a->file, object, name, H5P_DEFAULT, H5P_DEFAULT));
    RS_H5_OUT(FORMAT, a, object, at->type = H5Aget_type(at->id));
    RS_H5_OUT(FORMAT, a, object, space = H5Aget_space(at->id));
    at->class = H5Tget_class(at->type);
    if (H5Sget_simple_extent_npoints(space) != 1)
        st = RS_FAIL(FORMAT, "%s: %s: attribute '%s' is no single value", a->path, object, name);
out:
    rs_h5_drop(space);
    return st;
}

static rs_status wrong_type(const rs_archive *a, const char *object, const char *name,
                            const char *want)
{
    return RS_FAIL(FORMAT, "%s: %s: attribute '%s' is not %s", a->path, object, name, want);
}

/* A string value through one of the two readers. Files of other writers have fixed-length strings.
 */
typedef herr_t read_fn(hid_t id, hid_t type, void *value);

static herr_t read_attribute(hid_t id, hid_t type, void *value)
{
    return H5Aread(id, type, value);
}

static herr_t read_dataset(hid_t id, hid_t type, void *value)
{
    return H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value);
}

static rs_status read_string(char **out, rs_arena *arena, const rs_archive *a, const char *object,
                             hid_t id, hid_t type, read_fn *read)
{
    rs_status st = RS_OK;
    size_t n = H5Tget_size(type);
    if (n > (size_t)rs_h5_file_bytes(id))
        return RS_FAIL(FORMAT, "%s: %s: string of %zu bytes", a->path, object, n);
    char *text = rs_arena_alloc(arena, n + 1, 1);
    RS_H5_OUT(FORMAT, a, object, read(id, type, text));
    *out = text;
out:
    return st;
}

rs_status rs_archive_get_string(char **out, rs_arena *arena, const rs_archive *a,
                                const char *object, const char *name)
{
    rs_status st = RS_OK;
    attribute at;
    RS_TRY_OUT(open_attribute(&at, a, object, name));
    if (at.class == H5T_STRING && H5Tis_variable_str(at.type) == 0)
        RS_TRY_OUT(read_string(out, arena, a, object, at.id, at.type, read_attribute));
    else
        st = wrong_type(a, object, name, "a string of fixed length");
out:
    drop(&at);
    return st;
}

rs_status rs_archive_get_i64(int64_t *out, const rs_archive *a, const char *object,
                             const char *name)
{
    rs_status st = RS_OK;
    attribute at;
    RS_TRY_OUT(open_attribute(&at, a, object, name));
    if (at.class == H5T_INTEGER)
        RS_H5_OUT(FORMAT, a, object, H5Aread(at.id, H5T_NATIVE_INT64, out));
    else
        st = wrong_type(a, object, name, "an integer");
out:
    drop(&at);
    return st;
}

rs_status rs_archive_get_f64(double *out, const rs_archive *a, const char *object, const char *name)
{
    rs_status st = RS_OK;
    attribute at;
    RS_TRY_OUT(open_attribute(&at, a, object, name));
    if (at.class == H5T_INTEGER || at.class == H5T_FLOAT)
        RS_H5_OUT(FORMAT, a, object, H5Aread(at.id, H5T_NATIVE_DOUBLE, out));
    else
        st = wrong_type(a, object, name, "a number");
out:
    drop(&at);
    return st;
}

typedef struct name_list {
    rs_arena *arena;
    char **names;
    size_t n, cap;
} name_list;

static herr_t add_name(hid_t object, const char *name, const H5A_info_t *info, void *user)
{
    (void)object;
    (void)info;
    name_list *l = user;
    l->names = rs_arena_grow(l->arena, l->names, &l->cap, l->n + 1, sizeof *l->names);
    l->names[l->n++] = rs_arena_strdup(l->arena, name);
    return 0;
}

rs_status rs_archive_list_attributes(char ***names, int64_t *n, rs_arena *arena,
                                     const rs_archive *a, const char *object)
{
    rs_status st = RS_OK;
    name_list l = {.arena = arena};
    rs_h5_quiet();
    RS_H5_OUT(FORMAT, a, object,
              H5Aiterate_by_name(a->file, object, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &l,
                                 H5P_DEFAULT));
    *names = l.names;
    *n = (int64_t)l.n;
out:
    return st;
}

rs_status rs_archive_get_as_text(char **out, rs_arena *arena, const rs_archive *a,
                                 const char *object, const char *name)
{
    attribute at;
    int64_t i = 0;
    double f = 0;
    rs_status st = open_attribute(&at, a, object, name);
    H5T_class_t class = at.class;
    drop(&at);
    RS_TRY(st);
    if (class == H5T_INTEGER) {
        RS_TRY(rs_archive_get_i64(&i, a, object, name));
        *out = rs_arena_printf(arena, "%" PRId64, i);
    } else if (class == H5T_FLOAT) {
        RS_TRY(rs_archive_get_f64(&f, a, object, name));
        *out = rs_arena_printf(arena, "%.9g", f);
    } else {
        RS_TRY(rs_archive_get_string(out, arena, a, object, name));
    }
    return RS_OK;
}

/* ---- texts ---- */

rs_status rs_archive_write_text(rs_archive *a, const char *object, const char *text)
{
    rs_status st = RS_OK;
    rs_h5_quiet();
    size_t bytes = strlen(text) + 1;
    hsize_t one = 1;
    hid_t id = -1, type = rs_h5_string_type(bytes), links = rs_h5_link_plan();
    hid_t plan = rs_h5_dataset_plan(bytes, 1, 0, 1, &one);
    hid_t space = bytes < RS_H5_COMPACT ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &one, NULL);
    RS_TRY_OUT(rs_h5_make_parents(a, object));
    RS_H5_OUT(IO, a, object,
              id = H5Dcreate2(a->file, object, type, space, links, plan, H5P_DEFAULT));
    RS_H5_OUT(IO, a, object, H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text));
    herr_t closed = H5Dclose(id);
    id = -1;
    RS_H5_OUT(IO, a, object, closed);
out:
    rs_h5_drop(id);
    rs_h5_drop(space);
    rs_h5_drop(plan);
    rs_h5_drop(links);
    rs_h5_drop(type);
    return st;
}

rs_status rs_archive_read_text(char **out, rs_arena *arena, const rs_archive *a, const char *object)
{
    rs_status st = RS_OK;
    hid_t id = -1, type = -1;
    RS_TRY_OUT(rs_h5_open_dataset(&id, a, object));
    if (rs_archive_kind_of(a, object) != RS_ARCHIVE_TEXT) {
        st = RS_FAIL(FORMAT, "%s: %s: not a text", a->path, object);
        goto out;
    }
    RS_H5_OUT(FORMAT, a, object, type = H5Dget_type(id));
    RS_TRY_OUT(read_string(out, arena, a, object, id, type, read_dataset));
out:
    rs_h5_drop(type);
    rs_h5_drop(id);
    return st;
}
