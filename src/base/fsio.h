/* Files: whole reads, atomic durable replacement, directories. All paths are plain C strings;
 * errors name the path. */
#ifndef RS_BASE_FSIO_H
#define RS_BASE_FSIO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

bool rs_path_exists(const char *path);
bool rs_path_is_dir(const char *path);
/* Size of a regular file, -1 if there is none. */
int64_t rs_file_size(const char *path);
/* Both exist and the first was modified after the second, or in the same instant. */
bool rs_path_newer(const char *path, const char *than);
/* `name` when absolute or base empty, else "<base>/<name>". */
char *rs_path_join(rs_arena *a, const char *base, const char *name);
char *rs_path_dirname(rs_arena *a, const char *path);
const char *rs_path_basename(const char *path); /* points into path */

rs_status rs_make_dirs(const char *path) RS_NODISCARD; /* mkdir -p */
/* Regular-file names in a folder, sorted bytewise, without "." files; n names, arena-owned. */
rs_status rs_list_dir(char ***names, int64_t *n, rs_arena *a, const char *path) RS_NODISCARD;
/* Remove a file or a whole tree; missing is fine. */
rs_status rs_remove_tree(const char *path) RS_NODISCARD;

/* Whole file into the arena, zero-terminated; *bytes without the zero. */
rs_status rs_read_file(char **data, size_t *bytes, rs_arena *a, const char *path) RS_NODISCARD;

/* Name of the temporary that stands for `path` until rs_atomic_commit: same folder,
 * ".<name>.tmp.<digits>", other digits with every call, on whatever host. */
char *rs_atomic_temp(rs_arena *a, const char *path);
/* fsync(temp), rename(temp, path) inside the thread's fence (base/fence.h), fsync(folder): after
 * return the new content survives a crash. */
rs_status rs_atomic_commit(const char *temp, const char *path) RS_NODISCARD;
/* temp + write + commit in one; the temporary is removed on failure. */
rs_status rs_write_file_atomic(const char *path, const void *data, size_t bytes) RS_NODISCARD;
/* The same without waiting for the disk: readers see the old or the new whole file, but after a
 * crash of the machine it may be torn. For records that are written every second. */
rs_status rs_write_file_quick(const char *path, const void *data, size_t bytes) RS_NODISCARD;
/* Names of the folders in a folder, sorted bytewise, without "." ones; arena-owned. */
rs_status rs_list_folders(char ***names, int64_t *n, rs_arena *a, const char *path) RS_NODISCARD;
/* Remove temporaries that were left behind in a folder: those of the file `name`, or with NULL all
 * of them. Nobody else may be writing what they stand for (a process id says nothing of another
 * host). Inside the thread's fence.
 */
rs_status rs_atomic_sweep(const char *folder, const char *name) RS_NODISCARD;

#endif
