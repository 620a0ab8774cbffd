/* What the archives of a run hold, in hashes: to tell whether two runs came to the same bits. */
#ifndef RS_BENCH_CONTENT_H
#define RS_BENCH_CONTENT_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/status.h"

typedef struct rs_content_item {
    const char *archive; /* file name */
    const char *object;  /* a tensor of /stages or /edits */
    char hash[RS_HASH_HEX];
    bool adapter; /* a matrix of a trained adapter */
} rs_content_item;

typedef struct rs_content {
    rs_arena *arena;
    rs_content_item *items; /* by archive and object */
    int64_t n;
    size_t cap;
    int64_t videos, edits, adapters; /* archives, edits that are done, matrices */
    double busy_s;                   /* of all stages, as the archives record them */
} rs_content;

/* Read every <output>/archive/<video>.h5. RS_IO, RS_FORMAT: one that cannot be read. RS_INPUT:
 * there is none, or none holds an adapter. The result's strings are in the arena. */
rs_status rs_content_read(rs_content *c, rs_arena *a, const char *output) RS_NODISCARD;

/* The first adapter matrix of b that is not that of a, or is missing in one of them: RS_INTERNAL
 * with archive and object. Of all other tensors *others counts those that differ. */
rs_status rs_content_compare(int64_t *others, const rs_content *a,
                             const rs_content *b) RS_NODISCARD;

#endif
