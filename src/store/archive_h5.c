/* HDF5 helpers: errors, property lists, element types. */
#include <stdio.h>
#include <string.h>

#include "store/archive_priv.h"

/* The innermost entry is the cause; those around it only say which call passed it on. */
static herr_t innermost(unsigned n, const H5E_error2_t *e, void *user)
{
    char *text = user;
    if (n == 0 && e->desc)
        snprintf(text, 512, "%s", e->desc);
    return 0;
}

/* The POSIX driver wraps the system's text in addresses and times: keep the text. */
static void shorten(char *text)
{
    static const char mark[] = "error message = '";
    char *from = strstr(text, mark);
    char *to = from ? strchr(from + sizeof mark - 1, '\'') : NULL;
    if (!to)
        return;
    *to = 0;
    from += sizeof mark - 1;
    memmove(text, from, strlen(from) + 1);
}

rs_status rs_h5_fail_at(rs_status st, const char *path, const char *object, const char *file,
                        int line, const char *func)
{
    char text[512] = "unknown HDF5 error";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
    H5Eclear2(H5E_DEFAULT);
    shorten(text);
    if (strcmp(object, "/") == 0)
        return rs_fail_at(st, file, line, func, "%s: %s", path, text);
    return rs_fail_at(st, file, line, func, "%s: %s: %s", path, object, text);
}

void rs_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void rs_h5_drop(hid_t id)
{
    if (id >= 0)
        H5Idec_ref(id);
}

hid_t rs_h5_link_plan(void)
{
    hid_t plan = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_char_encoding(plan, H5T_CSET_UTF8);
    return plan;
}

/* HDF5 would make missing groups itself, but with time stamps. */
rs_status rs_h5_make_parents(rs_archive *a, const char *object)
{
    rs_status st = RS_OK;
    rs_arena *arena = rs_arena_create();
    char *path = rs_arena_strdup(arena, object);
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        RS_TRY_OUT(rs_archive_make_group(a, path));
        *p = '/';
    }
out:
    rs_arena_destroy(&arena);
    return st;
}

hid_t rs_h5_dataset_plan(size_t bytes, size_t element, int deflate, int ndim, const hsize_t *chunk)
{
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(plan, false);
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    if (bytes < RS_H5_COMPACT) {
        H5Pset_layout(plan, H5D_COMPACT);
        return plan;
    }
    H5Pset_chunk(plan, ndim, chunk);
    if (element > 1)
        H5Pset_shuffle(plan);
    if (deflate > 0)
        H5Pset_deflate(plan, (unsigned)deflate);
    H5Pset_fletcher32(plan);
    return plan;
}

int64_t rs_h5_file_bytes(hid_t object)
{
    hsize_t bytes = 0;
    hid_t file = H5Iget_file_id(object);
    if (file >= 0)
        H5Fget_filesize(file, &bytes);
    rs_h5_drop(file);
    return (int64_t)bytes;
}

rs_status rs_h5_open_dataset(hid_t *out, const rs_archive *a, const char *object)
{
    rs_status st = RS_OK;
    if (!rs_archive_exists(a, object)) {
        st = RS_FAIL(FORMAT, "%s: %s: missing", a->path, object);
        goto out;
    }
    RS_H5_OUT(FORMAT, a, object, *out = H5Dopen2(a->file, object, H5P_DEFAULT));
out:
    return st;
}

hid_t rs_h5_string_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* A 16-bit float: sign bit 15, then exponent and mantissa. */
static hid_t half_type(size_t exponent_bits, size_t mantissa_bits, size_t bias)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, bias);
    return type;
}

/* h5py's boolean: an enumeration over int8. */
static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", &(signed char){0});
    H5Tenum_insert(type, "TRUE", &(signed char){1});
    return type;
}

hid_t rs_h5_type_of(rs_dtype t)
{
    switch (t) {
    case RS_DTYPE_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case RS_DTYPE_BF16:
        return half_type(8, 7, 127);
    case RS_DTYPE_F16:
        return half_type(5, 10, 15);
    case RS_DTYPE_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case RS_DTYPE_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case RS_DTYPE_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case RS_DTYPE_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case RS_DTYPE_BOOL:
        return bool_type();
    case RS_DTYPE_COUNT:
        break;
    }
    RS_ASSERTF(false, "no HDF5 type for dtype %d", (int)t);
    return -1;
}

bool rs_h5_dtype_of(rs_dtype *out, hid_t type)
{
    for (int t = 0; t < RS_DTYPE_COUNT; t++) {
        hid_t ours = rs_h5_type_of((rs_dtype)t);
        bool same = H5Tequal(ours, type) > 0;
        rs_h5_drop(ours);
        if (same) {
            *out = (rs_dtype)t;
            return true;
        }
    }
    return false;
}
