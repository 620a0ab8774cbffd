/* Write, read and metadata rates of a folder, with the files of a run: archives, states and
 * checkpoints as the product writes them. */
#ifndef RS_BENCH_IO_H
#define RS_BENCH_IO_H

#include <signal.h>

#include "bench/rates.h"
#include "comm/comm.h"

#define RS_IO_KINDS(X)                                                                             \
    X(FRAMES, "frames")         /* archive: a clip's frames, deflated, fletcher32 */               \
    X(TENSORS, "tensors")       /* archive: fp32 tensors, shuffled, fletcher32 */                  \
    X(CHECKPOINT, "checkpoint") /* state file: fp32 tensors with a SHA-256 */                      \
    X(SMALL, "small")           /* many states of 4 KiB: what a file costs by itself */

typedef enum rs_io_kind {
#define RS_IO_KIND_ENUM(name, text) RS_IO_##name,
    RS_IO_KINDS(RS_IO_KIND_ENUM)
#undef RS_IO_KIND_ENUM
        RS_IO_KIND_COUNT
} rs_io_kind;

const char *rs_io_kind_name(rs_io_kind kind);
bool rs_io_kind_find(rs_io_kind *kind, const char *name);

typedef struct rs_io_opts {
    const char *folder;                /* exists; files go to <folder>/rank-<r> */
    int64_t bytes;                     /* of data per rank and sample, >= 1 */
    int64_t files;                     /* SMALL: files per rank and sample, >= 1 */
    int64_t samples;                   /* >= 1 */
    const volatile sig_atomic_t *stop; /* NULL: none */
} rs_io_opts;

/* One direction. Seconds of a sample: min, max of all ranks and samples; median over the samples,
 * of which each counts as its slowest rank. */
typedef struct rs_io_side {
    rs_spread s;
    double rank_rate;  /* bytes/s of one rank: data / its own time, median over ranks and samples */
    double total_rate; /* bytes/s of all ranks together, from s.median */
    double file_rate;  /* files/s of all ranks together, likewise */
} rs_io_side;

typedef struct rs_io_rate {
    rs_io_kind kind;
    int ranks;     /* that worked */
    int64_t bytes; /* of data per rank and sample: what was asked for, in whole frames or floats */
    int64_t disk_bytes; /* of the files they became, rank 0's */
    int64_t files;      /* per rank and sample */
    rs_io_side write;   /* until it survives a crash: fsync, rename, fsync of the folder */
    rs_io_side read;    /* and check; the page cache of this machine was asked to forget the data */
} rs_io_rate;

/* Collective. Ranks 0 to active-1 work at the same time, the others wait. Every sample is read back
 * and compared with what was written. RS_IO, RS_FORMAT: names rank and file. RS_STOPPED. What it
 * writes is removed again, also when it fails. */
rs_status rs_io_time(rs_io_rate *out, rs_comm *c, rs_io_kind kind, int active,
                     const rs_io_opts *o) RS_NODISCARD;

#endif
