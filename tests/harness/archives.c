#include "harness/archives.h"

#include <hdf5.h>
#include <string.h>

#include "base/fsio.h"
#include "harness/test.h"

char *t_archive_path(const char *name)
{
    return rs_path_join(t_arena(), t_tmpdir(), name);
}

rs_archive *t_archive_create(const char *name)
{
    rs_archive *a = NULL;
    T_OK(rs_archive_create(&a, t_archive_path(name)));
    return a;
}

rs_archive *t_archive_reopen(rs_archive *a)
{
    rs_archive *b = NULL;
    char *path = rs_arena_strdup(t_arena(), rs_archive_path(a));
    T_OK(rs_archive_commit(&a));
    T_CHECK(!a);
    T_OK(rs_archive_open(&b, path));
    return b;
}

/* Any bytes: every bit pattern must survive, NaN payloads included. */
rs_tensor t_pattern(rs_dtype dtype, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_of(NULL, dtype, ndim, shape);
    size_t n = rs_tensor_bytes(t);
    uint8_t *p = rs_arena_alloc(t_arena(), n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = dtype == RS_DTYPE_BOOL ? (uint8_t)(i % 3 == 0) : (uint8_t)(i * 167 + i / 251 * 13);
    t.data = p;
    return t;
}

bool t_same_tensor(rs_tensor a, rs_tensor b)
{
    return a.dtype == b.dtype && rs_tensor_same_shape(a, b) &&
           memcmp(a.data, b.data, rs_tensor_bytes(a)) == 0;
}

void t_no_hdf5_objects(void)
{
    T_EQ_I(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}
