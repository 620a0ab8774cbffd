#include "store/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "store/archive_priv.h"
#include "store/schema_names.h"

static rs_archive *new_archive(const char *path)
{
    rs_h5_quiet();
    rs_arena *arena = rs_arena_create();
    rs_archive *a = RS_NEW(arena, rs_archive, 1);
    a->arena = arena;
    a->path = rs_arena_strdup(arena, path);
    a->file = -1;
    return a;
}

static void destroy(rs_archive **a)
{
    rs_arena *arena = (*a)->arena;
    rs_arena_destroy(&arena);
    *a = NULL;
}

static hid_t access_plan(void)
{
    hid_t plan = H5Pcreate(H5P_FILE_ACCESS);
    /* 1.10 gives all metadata checksums; HDF5 crashes on damaged ones of the older formats */
    H5Pset_libver_bounds(plan, H5F_LIBVER_V110, H5F_LIBVER_V110);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(plan, false, true); /* locks fail on many cluster file systems; we rename */
#endif
    return plan;
}

/* Every id that this module opens it closes in the same call. */
static void check_balance(const rs_archive *a)
{
    ssize_t open = H5Fget_obj_count(a->file, H5F_OBJ_ALL | H5F_OBJ_LOCAL);
    RS_ASSERTF(open == 1, "%s: %lld HDF5 objects left open", a->path, (long long)open - 1);
}

/* No times, so that equal content gives equal bytes. All links lie in the group's object header,
 * whose checksum is checked first: HDF5 1.10 crashes on damaged heaps of large groups. Only
 * catalog.h5 has groups for which that would be too slow (it takes the square of their links), and
 * it can be made again. */
static void group_plan(hid_t plan)
{
    enum { LINKS = 4096 };
    H5Pset_obj_track_times(plan, false);
    H5Pset_link_phase_change(plan, LINKS, LINKS - 1);
}

/* A new archive lies in memory until it is whole: HDF5 cannot close what it cannot write, so a full
 * disk would leave it broken for the rest of the process. */
rs_status rs_archive_create(rs_archive **out, const char *path)
{
    rs_status st = RS_OK;
    rs_archive *a = new_archive(path);
    hid_t access = access_plan(), plan = H5Pcreate(H5P_FILE_CREATE);
    rs_h5_in_memory(access, &a->image);
    group_plan(plan); /* of the root group */
    a->writing = true;
    if (!rs_path_is_dir(rs_path_dirname(a->arena, path))) {
        st = RS_FAIL(IO, "%s: there is no such folder", path);
        goto out;
    }
    RS_H5_OUT(IO, a, "/", a->file = H5Fcreate(path, H5F_ACC_TRUNC, plan, access));
    RS_TRY_OUT(rs_archive_set_string(a, "/", RS_ATTR_FORMAT, RS_ARCHIVE_FORMAT));
    RS_TRY_OUT(rs_archive_set_i64(a, "/", RS_ATTR_VERSION, RS_ARCHIVE_VERSION));
    *out = a;
    a = NULL;
out:
    rs_h5_drop(plan);
    rs_h5_drop(access);
    rs_archive_abandon(&a);
    return st;
}

rs_status rs_archive_commit(rs_archive **pa)
{
    rs_status st = RS_OK;
    rs_archive *a = *pa;
    RS_ASSERTF(a->writing, "%s: commit of a read-only archive", a->path);
    rs_h5_quiet();
    check_balance(a);
    herr_t closed = H5Fclose(a->file);
    a->file = -1;
    RS_H5_OUT(IO, a, "/", closed);
    RS_TRY_OUT(rs_write_file_atomic(a->path, a->image.bytes, rs_h5_image_size(&a->image)));
out:
    rs_archive_abandon(pa);
    return st;
}

void rs_archive_abandon(rs_archive **a)
{
    if (!a || !*a)
        return;
    RS_ASSERTF((*a)->writing, "%s: abandoned a read-only archive", (*a)->path);
    rs_h5_quiet();
    rs_h5_drop((*a)->file);
    rs_dealloc((*a)->image.bytes);
    destroy(a);
}

bool rs_archive_threads(void)
{
    hbool_t safe = false;
    return H5is_library_threadsafe(&safe) >= 0 && safe;
}

static rs_status check_version(const rs_archive *a)
{
    char *format = NULL;
    int64_t version = 0;
    if (!rs_archive_has(a, "/", RS_ATTR_FORMAT))
        return RS_FAIL(FORMAT, "%s: an HDF5 file, but not a %s", a->path, RS_ARCHIVE_FORMAT);
    RS_TRY(rs_archive_get_string(&format, a->arena, a, "/", RS_ATTR_FORMAT));
    if (strcmp(format, RS_ARCHIVE_FORMAT) != 0)
        return RS_FAIL(FORMAT, "%s: an HDF5 file, but not a %s", a->path, RS_ARCHIVE_FORMAT);
    RS_TRY(rs_archive_get_i64(&version, a, "/", RS_ATTR_VERSION));
    if (version != RS_ARCHIVE_VERSION)
        return RS_FAIL(FORMAT, "%s: archive of version %lld, this program reads version %d",
                       a->path, (long long)version, RS_ARCHIVE_VERSION);
    return RS_OK;
}

rs_status rs_archive_open(rs_archive **out, const char *path)
{
    rs_status st = RS_OK;
    hid_t access = -1;
    rs_archive *a = new_archive(path);
    if (rs_file_size(path) < 0) {
        st = RS_FAIL(IO, "%s: cannot open: %s", path,
                     rs_path_exists(path) ? "not a regular file" : strerror(ENOENT));
        goto out;
    }
    access = access_plan();
    if (H5Fis_hdf5(path) <= 0) {
        st = RS_FAIL(FORMAT, "%s: not an HDF5 file", path);
        goto out;
    }
    RS_H5_OUT(FORMAT, a, "/", a->file = H5Fopen(path, H5F_ACC_RDONLY, access));
    RS_TRY_OUT(check_version(a));
    *out = a;
    a = NULL;
out:
    rs_h5_drop(access);
    rs_archive_close(&a);
    return st;
}

void rs_archive_close(rs_archive **a)
{
    if (!a || !*a)
        return;
    RS_ASSERTF(!(*a)->writing, "%s: neither committed nor abandoned", (*a)->path);
    rs_h5_quiet();
    if ((*a)->file >= 0)
        check_balance(*a);
    rs_h5_drop((*a)->file);
    destroy(a);
}

const char *rs_archive_library(rs_arena *arena)
{
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    return rs_arena_printf(arena, "HDF5 %u.%u.%u", major, minor, release);
}

const char *rs_archive_path(const rs_archive *a)
{
    return a->path;
}

/* Every link on the way exists, and the last one leads to an object. */
bool rs_archive_exists(const rs_archive *a, const char *object)
{
    rs_h5_quiet();
    RS_ASSERTF(object[0] == '/', "archive object '%s' is no absolute path", object);
    if (object[1] == 0)
        return true;
    rs_arena *arena = rs_arena_create();
    char *path = rs_arena_strdup(arena, object);
    bool there = true;
    for (char *p = path + 1; there; p++) {
        if (*p && *p != '/')
            continue;
        char keep = *p;
        *p = 0;
        there = H5Lexists(a->file, path, H5P_DEFAULT) > 0 &&
                H5Oexists_by_name(a->file, path, H5P_DEFAULT) > 0;
        *p = keep;
        if (!keep)
            break;
    }
    rs_arena_destroy(&arena);
    return there;
}

static rs_archive_kind dataset_kind(hid_t dataset)
{
    rs_dtype dtype;
    hid_t type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    H5T_class_t class = H5Tget_class(type);
    int ndim = H5Sget_simple_extent_ndims(space);
    rs_archive_kind kind = RS_ARCHIVE_OTHER;
    bool fixed = class == H5T_STRING && H5Tis_variable_str(type) == 0;
    if (fixed && H5Sget_simple_extent_npoints(space) == 1)
        kind = RS_ARCHIVE_TEXT;
    else if (class == H5T_COMPOUND && ndim == 1)
        kind = RS_ARCHIVE_TABLE;
    else if (ndim >= 1 && ndim <= RS_MAX_DIM && rs_h5_dtype_of(&dtype, type))
        kind = RS_ARCHIVE_TENSOR;
    rs_h5_drop(space);
    rs_h5_drop(type);
    return kind;
}

rs_archive_kind rs_archive_kind_of(const rs_archive *a, const char *object)
{
    if (!rs_archive_exists(a, object))
        return RS_ARCHIVE_NONE;
    hid_t id = H5Oopen(a->file, object, H5P_DEFAULT);
    H5I_type_t type = id >= 0 ? H5Iget_type(id) : H5I_BADID;
    rs_archive_kind kind = RS_ARCHIVE_OTHER;
    if (type == H5I_GROUP)
        kind = RS_ARCHIVE_GROUP;
    else if (type == H5I_DATASET)
        kind = dataset_kind(id);
    rs_h5_drop(id);
    return kind;
}

rs_status rs_archive_make_group(rs_archive *a, const char *group)
{
    rs_status st = RS_OK;
    if (rs_archive_kind_of(a, group) == RS_ARCHIVE_GROUP)
        return RS_OK;
    hid_t id = -1, links = rs_h5_link_plan(), plan = H5Pcreate(H5P_GROUP_CREATE);
    group_plan(plan);
    RS_TRY_OUT(rs_h5_make_parents(a, group));
    RS_H5_OUT(IO, a, group, id = H5Gcreate2(a->file, group, links, plan, H5P_DEFAULT));
out:
    rs_h5_drop(id);
    rs_h5_drop(plan);
    rs_h5_drop(links);
    return st;
}

typedef struct name_list {
    rs_arena *arena;
    char **names;
    size_t n, cap;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    (void)group;
    (void)info;
    name_list *l = user;
    l->names = rs_arena_grow(l->arena, l->names, &l->cap, l->n + 1, sizeof *l->names);
    l->names[l->n++] = rs_arena_strdup(l->arena, name);
    return 0;
}

rs_status rs_archive_list(char ***names, int64_t *n, rs_arena *arena, const rs_archive *a,
                          const char *group)
{
    rs_status st = RS_OK;
    name_list l = {.arena = arena};
    rs_h5_quiet();
    RS_H5_OUT(FORMAT, a, group,
              H5Literate_by_name(a->file, group, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &l,
                                 H5P_DEFAULT));
    *names = l.names;
    *n = (int64_t)l.n;
out:
    return st;
}

rs_status rs_archive_copy(rs_archive *dst, const char *dst_object, const rs_archive *src,
                          const char *src_object)
{
    rs_status st = RS_OK;
    hid_t links = rs_h5_link_plan();
    if (!rs_archive_exists(src, src_object)) {
        st = RS_FAIL(FORMAT, "%s: %s: missing", src->path, src_object);
        goto out;
    }
    RS_TRY_OUT(rs_h5_make_parents(dst, dst_object));
    herr_t copied = H5Ocopy(src->file, src_object, dst->file, dst_object, H5P_DEFAULT, links);
    RS_H5_OUT(IO, dst, dst_object, copied);
out:
    rs_h5_drop(links);
    return st;
}

rs_status rs_archive_link(rs_archive *a, const char *object, const char *file, const char *target)
{
    rs_status st = RS_OK;
    rs_h5_quiet();
    hid_t links = rs_h5_link_plan();
    RS_TRY_OUT(rs_h5_make_parents(a, object));
    RS_H5_OUT(IO, a, object, H5Lcreate_external(file, target, a->file, object, links, H5P_DEFAULT));
out:
    rs_h5_drop(links);
    return st;
}
