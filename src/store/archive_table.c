/* Tables: a compound type with one member per column. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "store/archive_priv.h"

enum { COLUMNS_MAX = 256 };

/* Where a column lies in a packed row. */
typedef struct field {
    size_t at, bytes;
} field;

static size_t longest(const rs_table *t, int64_t column)
{
    size_t n = 1;
    for (int64_t r = 0; r < t->n_rows; r++) {
        const char *s = t->cells[r * t->n_columns + column].s;
        size_t len = strlen(s ? s : "") + 1;
        n = len > n ? len : n;
    }
    return n;
}

static hid_t column_type(rs_column_type type, size_t bytes)
{
    switch (type) {
    case RS_COLUMN_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case RS_COLUMN_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case RS_COLUMN_STRING:
        break;
    }
    return rs_h5_string_type(bytes);
}

static rs_status row_type(hid_t *out, field *fields, rs_archive *a, const char *object,
                          const rs_table *t)
{
    rs_status st = RS_OK;
    size_t at = 0;
    for (int64_t c = 0; c < t->n_columns; c++) {
        size_t bytes = t->columns[c].type == RS_COLUMN_STRING ? longest(t, c) : sizeof(rs_cell);
        fields[c] = (field){at, bytes};
        at += bytes;
    }
    RS_H5_OUT(IO, a, object, *out = H5Tcreate(H5T_COMPOUND, at));
    for (int64_t c = 0; c < t->n_columns; c++) {
        hid_t member = column_type(t->columns[c].type, fields[c].bytes);
        herr_t done = H5Tinsert(*out, t->columns[c].name, fields[c].at, member);
        rs_h5_drop(member);
        RS_H5_OUT(IO, a, object, done);
    }
out:
    return st;
}

static void pack_rows(uint8_t *rows, size_t row_bytes, const field *fields, const rs_table *t)
{
    for (int64_t r = 0; r < t->n_rows; r++) {
        for (int64_t c = 0; c < t->n_columns; c++) {
            const rs_cell *cell = &t->cells[r * t->n_columns + c];
            uint8_t *p = rows + (size_t)r * row_bytes + fields[c].at;
            if (t->columns[c].type != RS_COLUMN_STRING)
                memcpy(p, cell, sizeof *cell);
            else if (cell->s)
                memcpy(p, cell->s, strlen(cell->s));
        }
    }
}

rs_status rs_archive_write_table(rs_archive *a, const char *object, const rs_table *t)
{
    rs_status st = RS_OK;
    RS_ASSERT(t->n_columns >= 1 && t->n_columns <= COLUMNS_MAX && t->n_rows >= 0);
    rs_h5_quiet();
    rs_arena *arena = rs_arena_create();
    field *fields = RS_NEW(arena, field, t->n_columns);
    hsize_t n = (hsize_t)t->n_rows;
    hid_t id = -1, type = -1, space = H5Screate_simple(1, &n, NULL);
    hid_t links = rs_h5_link_plan(), plan = -1;
    RS_TRY_OUT(rs_h5_make_parents(a, object));
    RS_TRY_OUT(row_type(&type, fields, a, object, t));
    size_t row_bytes = H5Tget_size(type);
    plan = rs_h5_dataset_plan(row_bytes * (size_t)n, 1, 0, 1, &n);
    uint8_t *rows = rs_arena_alloc(arena, (size_t)t->n_rows, row_bytes);
    pack_rows(rows, row_bytes, fields, t);
    RS_H5_OUT(IO, a, object,
              id = H5Dcreate2(a->file, object, type, space, links, plan, H5P_DEFAULT));
    if (n)
        RS_H5_OUT(IO, a, object, H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows));
    herr_t closed = H5Dclose(id);
    id = -1;
    RS_H5_OUT(IO, a, object, closed);
out:
    rs_h5_drop(id);
    rs_h5_drop(plan);
    rs_h5_drop(links);
    rs_h5_drop(space);
    rs_h5_drop(type);
    rs_arena_destroy(&arena);
    return st;
}

/* ---- reading ---- */

static rs_status read_column(rs_column *column, field *f, rs_arena *arena, const rs_archive *a,
                             const char *object, hid_t type, unsigned i)
{
    char *name = H5Tget_member_name(type, i);
    column->name = rs_arena_strdup(arena, name ? name : "");
    H5free_memory(name);
    hid_t member = H5Tget_member_type(type, i);
    *f = (field){H5Tget_member_offset(type, i), H5Tget_size(member)};
    bool ok = true;
    if (H5Tequal(member, H5T_STD_I64LE) > 0)
        column->type = RS_COLUMN_I64;
    else if (H5Tequal(member, H5T_IEEE_F64LE) > 0)
        column->type = RS_COLUMN_F64;
    else if (H5Tget_class(member) == H5T_STRING && H5Tis_variable_str(member) == 0)
        column->type = RS_COLUMN_STRING;
    else
        ok = false;
    rs_h5_drop(member);
    if (!ok)
        return RS_FAIL(FORMAT, "%s: %s: column '%s' has an unsupported type", a->path, object,
                       column->name);
    return RS_OK;
}

static void unpack_rows(rs_cell *cells, rs_arena *arena, const uint8_t *rows, size_t row_bytes,
                        const field *fields, const rs_table *t)
{
    for (int64_t r = 0; r < t->n_rows; r++) {
        for (int64_t c = 0; c < t->n_columns; c++) {
            const uint8_t *p = rows + (size_t)r * row_bytes + fields[c].at;
            rs_cell *cell = &cells[r * t->n_columns + c];
            if (t->columns[c].type == RS_COLUMN_STRING)
                cell->s = rs_arena_strndup(arena, (const char *)p, fields[c].bytes);
            else
                memcpy(cell, p, sizeof *cell);
        }
    }
}

static rs_status read_rows(rs_table *t, rs_arena *arena, const rs_archive *a, const char *object,
                           hid_t id, hid_t type)
{
    rs_status st = RS_OK;
    int members = H5Tget_nmembers(type);
    size_t row_bytes = H5Tget_size(type);
    if (members < 1 || members > COLUMNS_MAX)
        return RS_FAIL(FORMAT, "%s: %s: a table of %d columns", a->path, object, members);
    size_t bytes; /* rows are stored as they are */
    if (!rs_mul_size(&bytes, (size_t)t->n_rows, row_bytes) || bytes > (size_t)rs_h5_file_bytes(id))
        return RS_FAIL(FORMAT, "%s: %s: %" PRId64 " rows do not fit the file", a->path, object,
                       t->n_rows);
    rs_column *columns = RS_NEW(arena, rs_column, members);
    field *fields = RS_NEW(arena, field, members);
    t->columns = columns;
    t->n_columns = members;
    for (int i = 0; i < members; i++)
        RS_TRY(read_column(&columns[i], &fields[i], arena, a, object, type, (unsigned)i));
    uint8_t *rows = rs_arena_alloc(arena, bytes, 1);
    rs_cell *cells = RS_NEW(arena, rs_cell, t->n_rows * t->n_columns);
    if (t->n_rows)
        RS_H5_OUT(FORMAT, a, object, H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows));
    unpack_rows(cells, arena, rows, row_bytes, fields, t);
    t->cells = cells;
out:
    return st;
}

rs_status rs_archive_read_table(rs_table *out, rs_arena *arena, const rs_archive *a,
                                const char *object)
{
    rs_status st = RS_OK;
    hid_t id = -1, type = -1, space = -1;
    rs_table t = {0};
    RS_TRY_OUT(rs_h5_open_dataset(&id, a, object));
    if (rs_archive_kind_of(a, object) != RS_ARCHIVE_TABLE) {
        st = RS_FAIL(FORMAT, "%s: %s: not a table", a->path, object);
        goto out;
    }
    RS_H5_OUT(FORMAT, a, object, type = H5Dget_type(id));
    RS_H5_OUT(FORMAT, a, object, space = H5Dget_space(id));
    t.n_rows = (int64_t)H5Sget_simple_extent_npoints(space);
    RS_TRY_OUT(read_rows(&t, arena, a, object, id, type));
    *out = t;
out:
    rs_h5_drop(space);
    rs_h5_drop(type);
    rs_h5_drop(id);
    return st;
}
