/* Tensors: chunks, filters, partial reads. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "store/archive_priv.h"

/* DEFLATE_MAX: no deflate stream expands more. */
enum { CHUNK_BYTES = 2 << 20, DEFLATE_MAX = 1100 };

/* Whole along the last indices; the first index that does not fit is cut into nearly equal parts.
 */
static void chunk_shape(hsize_t chunk[RS_MAX_DIM], rs_tensor t)
{
    int64_t below = (int64_t)rs_dtype_size(t.dtype); /* bytes of one entry of index i */
    for (int i = t.ndim - 1; i >= 0; i--) {
        int64_t fit = rs_max_i64(1, CHUNK_BYTES / below);
        int64_t parts = rs_ceil_div(t.shape[i], rs_min_i64(fit, t.shape[i]));
        chunk[i] = (hsize_t)rs_ceil_div(t.shape[i], parts);
        below *= (int64_t)chunk[i];
    }
}

static hid_t tensor_plan(rs_tensor t, int deflate)
{
    hsize_t chunk[RS_MAX_DIM];
    if (rs_tensor_bytes(t) >= RS_H5_COMPACT)
        chunk_shape(chunk, t);
    return rs_h5_dataset_plan(rs_tensor_bytes(t), rs_dtype_size(t.dtype), deflate, t.ndim, chunk);
}

static hid_t file_space(rs_tensor t)
{
    hsize_t dims[RS_MAX_DIM];
    for (int i = 0; i < t.ndim; i++)
        dims[i] = (hsize_t)t.shape[i];
    return H5Screate_simple(t.ndim, dims, NULL);
}

/* The tensor's memory: rows of ld elements of which the first are meant. Of the same rank as in the
 * file, or HDF5 maps chunks element by element. */
static hid_t memory_space(rs_tensor t)
{
    if (rs_tensor_contiguous(t))
        return file_space(t);
    rs_tensor wide = t;
    wide.shape[t.ndim - 1] = t.ld;
    hsize_t start[RS_MAX_DIM] = {0}, count[RS_MAX_DIM];
    for (int i = 0; i < t.ndim; i++)
        count[i] = (hsize_t)t.shape[i];
    hid_t space = file_space(wide);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    return space;
}

rs_status rs_archive_write_tensor(rs_archive *a, const char *object, rs_tensor t, int deflate)
{
    rs_status st = RS_OK;
    RS_ASSERTF(rs_has(t) && deflate >= 0 && deflate <= 9, "%s: bad tensor or deflate level",
               object);
    rs_h5_quiet();
    hid_t id = -1, type = rs_h5_type_of(t.dtype), space = file_space(t);
    hid_t memory = -1, links = rs_h5_link_plan(), plan = tensor_plan(t, deflate);
    RS_TRY_OUT(rs_h5_make_parents(a, object));
    RS_H5_OUT(IO, a, object,
              id = H5Dcreate2(a->file, object, type, space, links, plan, H5P_DEFAULT));
    if (rs_tensor_count(t) > 0) {
        memory = memory_space(t);
        RS_H5_OUT(IO, a, object, H5Dwrite(id, type, memory, space, H5P_DEFAULT, t.data));
    }
    herr_t closed = H5Dclose(id); /* writes what is left of the last chunks */
    id = -1;
    RS_H5_OUT(IO, a, object, closed);
out:
    rs_h5_drop(id);
    rs_h5_drop(plan);
    rs_h5_drop(links);
    rs_h5_drop(memory);
    rs_h5_drop(space);
    rs_h5_drop(type);
    return st;
}

/* ---- reading ---- */

static rs_status read_shape(rs_tensor *t, const rs_archive *a, const char *object, hid_t id)
{
    rs_status st = RS_OK;
    hid_t type = -1, space = -1;
    hsize_t dims[H5S_MAX_RANK];
    rs_dtype dtype = RS_DTYPE_U8;
    RS_H5_OUT(FORMAT, a, object, type = H5Dget_type(id));
    RS_H5_OUT(FORMAT, a, object, space = H5Dget_space(id));
    int ndim = H5Sget_simple_extent_dims(space, dims, NULL);
    if (ndim < 1 || ndim > RS_MAX_DIM || !rs_h5_dtype_of(&dtype, type)) {
        st = RS_FAIL(FORMAT, "%s: %s: not a tensor of a supported type", a->path, object);
        goto out;
    }
    int64_t shape[RS_MAX_DIM], bytes = (int64_t)rs_dtype_size(dtype);
    for (int i = 0; i < ndim; i++) {
        shape[i] = (int64_t)dims[i];
        if (!rs_mul_i64(&bytes, bytes, shape[i])) {
            st = RS_FAIL(FORMAT, "%s: %s: shape overflows", a->path, object);
            goto out;
        }
    }
    *t = rs_tensor_of(NULL, dtype, ndim, shape);
out:
    rs_h5_drop(space);
    rs_h5_drop(type);
    return st;
}

/* Chunks that were never written would read as zeros: count them. */
static rs_status check_chunks(const rs_archive *a, const char *object, hid_t id, hid_t plan,
                              rs_tensor t)
{
    rs_status st = RS_OK;
    hid_t space = -1;
    hsize_t chunk[RS_MAX_DIM], there = 0, want = 1;
    if (H5Pget_layout(plan) != H5D_CHUNKED || rs_tensor_count(t) == 0)
        return RS_OK;
    H5Pget_chunk(plan, RS_MAX_DIM, chunk);
    for (int i = 0; i < t.ndim; i++)
        want *= ((hsize_t)t.shape[i] + chunk[i] - 1) / chunk[i];
    RS_H5_OUT(FORMAT, a, object, space = H5Dget_space(id));
    RS_H5_OUT(FORMAT, a, object, H5Dget_num_chunks(id, space, &there));
    if (there != want)
        st = RS_FAIL(FORMAT, "%s: %s: %llu of %llu chunks are missing", a->path, object,
                     (unsigned long long)(want - there), (unsigned long long)want);
out:
    rs_h5_drop(space);
    return st;
}

/* A damaged header must not make us allocate what the file (behind a link, another one) cannot
 * hold. */
static rs_status check_size(const rs_archive *a, const char *object, hid_t id, rs_tensor t)
{
    rs_status st = RS_OK;
    hid_t plan = -1;
    int64_t stored = rs_min_i64((int64_t)H5Dget_storage_size(id), rs_h5_file_bytes(id));
    if (rs_tensor_bytes(t) / DEFLATE_MAX > (size_t)stored) {
        char text[RS_TENSOR_TEXT];
        st = RS_FAIL(FORMAT, "%s: %s: %" PRId64 " bytes cannot hold %s", a->path, object, stored,
                     rs_tensor_text(text, t));
        goto out;
    }
    RS_H5_OUT(FORMAT, a, object, plan = H5Dget_create_plist(id));
    RS_TRY_OUT(check_chunks(a, object, id, plan, t));
out:
    rs_h5_drop(plan);
    return st;
}

rs_status rs_archive_tensor_info(rs_tensor *out, const rs_archive *a, const char *object)
{
    rs_status st = RS_OK;
    hid_t id = -1;
    RS_TRY_OUT(rs_h5_open_dataset(&id, a, object));
    RS_TRY_OUT(read_shape(out, a, object, id));
out:
    rs_h5_drop(id);
    return st;
}

/* Entries [lo, hi) of the first index; hi < 0 stands for all. */
static rs_status read_range(rs_tensor *out, rs_arena *arena, const rs_archive *a,
                            const char *object, int64_t lo, int64_t hi)
{
    rs_status st = RS_OK;
    hid_t id = -1, space = -1, memory = -1, type = -1;
    rs_tensor t = {0};
    RS_TRY_OUT(rs_h5_open_dataset(&id, a, object));
    RS_TRY_OUT(read_shape(&t, a, object, id));
    RS_TRY_OUT(check_size(a, object, id, t));
    int64_t all = t.shape[0];
    hi = hi < 0 ? all : hi;
    if (lo < 0 || lo > hi || hi > all) {
        st = RS_FAIL(FORMAT, "%s: %s: range %" PRId64 "..%" PRId64 " of %" PRId64, a->path, object,
                     lo, hi, all);
        goto out;
    }
    t.shape[0] = hi - lo;
    t = rs_tensor_of(NULL, t.dtype, t.ndim, t.shape);
    t.data = rs_arena_alloc(arena, (size_t)rs_tensor_count(t), rs_dtype_size(t.dtype));
    if (rs_tensor_count(t) > 0) {
        hsize_t start[RS_MAX_DIM] = {(hsize_t)lo}, count[RS_MAX_DIM];
        for (int i = 0; i < t.ndim; i++)
            count[i] = (hsize_t)t.shape[i];
        type = rs_h5_type_of(t.dtype);
        memory = file_space(t);
        RS_H5_OUT(FORMAT, a, object, space = H5Dget_space(id));
        RS_H5_OUT(FORMAT, a, object,
                  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL));
        RS_H5_OUT(FORMAT, a, object, H5Dread(id, type, memory, space, H5P_DEFAULT, t.data));
    }
    *out = t;
out:
    rs_h5_drop(type);
    rs_h5_drop(memory);
    rs_h5_drop(space);
    rs_h5_drop(id);
    return st;
}

rs_status rs_archive_read_tensor(rs_tensor *out, rs_arena *arena, const rs_archive *a,
                                 const char *object)
{
    return read_range(out, arena, a, object, 0, -1);
}

rs_status rs_archive_read_slice(rs_tensor *out, rs_arena *arena, const rs_archive *a,
                                const char *object, int64_t lo, int64_t hi)
{
    if (hi < 0)
        return RS_FAIL(FORMAT, "%s: %s: range ends at %" PRId64, a->path, object, hi);
    return read_range(out, arena, a, object, lo, hi);
}
