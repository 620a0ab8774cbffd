/* Is an archive whole? Everything in it is read, so that HDF5 checks every checksum, and held
 * against SCHEMA.md: groups, datasets, types, shapes that must agree, keys, finite numbers, stages
 * and results of every edit. */
#ifndef RS_STORE_ARCHIVE_VERIFY_H
#define RS_STORE_ARCHIVE_VERIFY_H

#include "base/arena.h"
#include "base/status.h"
#include "store/archive.h"

typedef struct rs_verdict {
    rs_arena *arena;
    const char **problems; /* one line each: "<file>: <object>: <what>" */
    int64_t n;
    size_t cap;
    int64_t objects; /* datasets read */
    int64_t bytes;   /* of their contents */
} rs_verdict;

/* A video's archive or a catalog index. For an index the archives and movies that it names must be
 * there and say the same; their contents are not read. Problems are added to `v`; a file that
 * cannot be opened as an archive is one. */
void rs_archive_verify(rs_verdict *v, const char *path);
/* Add a problem that the caller found. */
void rs_verdict_add(rs_verdict *v, const char *fmt, ...) RS_PRINTF(2, 3);

#endif
