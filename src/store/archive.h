/* Archives: one HDF5 file per video, and the catalog that links them. What is in them is in
 * SCHEMA.md, the names are in schema_names.h; this interface knows only paths, tensors, texts,
 * tables and attributes.
 *
 * A new archive is put together in memory and appears at its path, complete and on disk, by
 * rs_archive_commit; an archive that exists is never changed, only replaced. Serial HDF5, file
 * format of 1.10 (its metadata have checksums), no file locks; equal content written in equal order
 * gives equal bytes.
 *
 * `object` is an absolute path inside the archive ("/stages/motion"); "/" is the root. Groups on
 * the way are made. One archive, one thread at a time. Errors are one line, "<file>: <object>:
 * <what>": RS_IO when writing, RS_FORMAT when reading. HDF5 itself prints nothing. */
#ifndef RS_STORE_ARCHIVE_H
#define RS_STORE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/tensor.h"

typedef struct rs_archive rs_archive;

enum { RS_ARCHIVE_VERSION = 1 };

/* "HDF5 1.10.8": the library this program runs with, in the arena. */
const char *rs_archive_library(rs_arena *arena);

/* Begin a new archive that will replace `path`; sets the root attributes "format" and "version". */
rs_status rs_archive_create(rs_archive **out, const char *path) RS_NODISCARD;
/* Write to a temporary beside it, fsync, rename into place. Ends the archive whatever happens; on
 * failure `path` is untouched and the temporary is gone. */
rs_status rs_archive_commit(rs_archive **a) RS_NODISCARD;
/* Drop an archive that was not committed; accepts NULL. For cleanup paths. */
void rs_archive_abandon(rs_archive **a);

/* May several threads use archives at a time, each its own? Not with every HDF5 library. */
bool rs_archive_threads(void);

/* Read-only. RS_IO: missing. RS_FORMAT: no HDF5 file, truncated, no reshoot archive, other version.
 */
rs_status rs_archive_open(rs_archive **out, const char *path) RS_NODISCARD;
void rs_archive_close(rs_archive **a);            /* of a read-only archive; accepts NULL */
const char *rs_archive_path(const rs_archive *a); /* the final path */

/* ---- groups and links ---- */

typedef enum rs_archive_kind {
    RS_ARCHIVE_NONE, /* nothing there, or a link to something missing */
    RS_ARCHIVE_GROUP,
    RS_ARCHIVE_TENSOR,
    RS_ARCHIVE_TEXT,
    RS_ARCHIVE_TABLE,
    RS_ARCHIVE_OTHER /* something this program did not write */
} rs_archive_kind;

rs_archive_kind rs_archive_kind_of(const rs_archive *a, const char *object);
bool rs_archive_exists(const rs_archive *a, const char *object);
rs_status rs_archive_make_group(rs_archive *a, const char *group) RS_NODISCARD; /* fine if there */
/* Names of a group's members (dangling links too), sorted bytewise; arena-owned. */
rs_status rs_archive_list(char ***names, int64_t *n, rs_arena *arena, const rs_archive *a,
                          const char *group) RS_NODISCARD;
/* Copy a group with everything below it, or one dataset, with all attributes. */
rs_status rs_archive_copy(rs_archive *dst, const char *dst_object, const rs_archive *src,
                          const char *src_object) RS_NODISCARD;
/* `object` in this archive stands for `target` in `file` (relative: to this archive's folder). The
 * file need not exist. */
rs_status rs_archive_link(rs_archive *a, const char *object, const char *file,
                          const char *target) RS_NODISCARD;

/* ---- attributes of any object ---- */

rs_status rs_archive_set_string(rs_archive *a, const char *object, const char *name,
                                const char *value) RS_NODISCARD; /* UTF-8, below 64 KB */
rs_status rs_archive_set_i64(rs_archive *a, const char *object, const char *name,
                             int64_t value) RS_NODISCARD;
rs_status rs_archive_set_f64(rs_archive *a, const char *object, const char *name,
                             double value) RS_NODISCARD;
bool rs_archive_has(const rs_archive *a, const char *object, const char *name);
/* Required attributes: absent or of another type is RS_FORMAT. f64 accepts integers. */
rs_status rs_archive_get_string(char **out, rs_arena *arena, const rs_archive *a,
                                const char *object, const char *name) RS_NODISCARD;
rs_status rs_archive_get_i64(int64_t *out, const rs_archive *a, const char *object,
                             const char *name) RS_NODISCARD;
rs_status rs_archive_get_f64(double *out, const rs_archive *a, const char *object,
                             const char *name) RS_NODISCARD;
/* Sorted names of an object's attributes; any of their values as text. */
rs_status rs_archive_list_attributes(char ***names, int64_t *n, rs_arena *arena,
                                     const rs_archive *a, const char *object) RS_NODISCARD;
rs_status rs_archive_get_as_text(char **out, rs_arena *arena, const rs_archive *a,
                                 const char *object, const char *name) RS_NODISCARD;

/* ---- texts: UTF-8 string datasets of any length ---- */

rs_status rs_archive_write_text(rs_archive *a, const char *object, const char *text) RS_NODISCARD;
rs_status rs_archive_read_text(char **out, rs_arena *arena, const rs_archive *a,
                               const char *object) RS_NODISCARD;

/* ---- tensors ---- */

/* Element types on disk are little-endian; BF16 and F16 are 2-byte HDF5 floats (16 bits: sign 15,
 * exponent 8 or 5 bits, mantissa 7 or 10), BOOL is h5py's boolean. Everything has a checksum that
 * reading checks: data below 4 KiB lie in the object header, larger ones in chunks (about 2 MiB,
 * whole along the last indices) that are byte-shuffled, optionally deflated, and end with a
 * fletcher32. */
enum { RS_ARCHIVE_DEFLATE = 1 }; /* usual level: frames and masks */
/* t: rows may be strided; deflate: 0 (off) to 9. */
rs_status rs_archive_write_tensor(rs_archive *a, const char *object, rs_tensor t,
                                  int deflate) RS_NODISCARD;
/* Shape and type, data NULL. */
rs_status rs_archive_tensor_info(rs_tensor *out, const rs_archive *a,
                                 const char *object) RS_NODISCARD;
rs_status rs_archive_read_tensor(rs_tensor *out, rs_arena *arena, const rs_archive *a,
                                 const char *object) RS_NODISCARD;
/* Entries lo <= i < hi of the first index. RS_FORMAT also when the range is not inside the tensor.
 */
rs_status rs_archive_read_slice(rs_tensor *out, rs_arena *arena, const rs_archive *a,
                                const char *object, int64_t lo, int64_t hi) RS_NODISCARD;

/* ---- tables: one compound row per record ---- */

typedef enum rs_column_type { RS_COLUMN_STRING, RS_COLUMN_I64, RS_COLUMN_F64 } rs_column_type;

typedef struct rs_column {
    const char *name;
    rs_column_type type;
} rs_column;

typedef union rs_cell {
    const char *s;
    int64_t i;
    double f;
} rs_cell;

typedef struct rs_table {
    const rs_column *columns;
    int64_t n_columns;    /* >= 1 */
    const rs_cell *cells; /* row-major: cells[row * n_columns + column] */
    int64_t n_rows;
} rs_table;

/* Strings are stored at a fixed length, that of the longest in the column. */
rs_status rs_archive_write_table(rs_archive *a, const char *object, const rs_table *t) RS_NODISCARD;
rs_status rs_archive_read_table(rs_table *out, rs_arena *arena, const rs_archive *a,
                                const char *object) RS_NODISCARD;

#endif
