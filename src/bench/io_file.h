/* The files of one rank in one sample of rs_io_time: made, read back, compared. Private to
 * src/bench and its test. */
#ifndef RS_BENCH_IO_FILE_H
#define RS_BENCH_IO_FILE_H

#include "base/tensor.h"
#include "bench/io.h"

typedef struct rs_io_files {
    rs_io_kind kind;
    const char *folder; /* exists */
    int64_t n;          /* files */
    rs_tensor data;     /* of each */
    rs_arena *a;
} rs_io_files;

/* data: of this rank, unlike any other's; `bytes` for all files together. */
void rs_io_files_make(rs_io_files *f, rs_arena *a, rs_io_kind kind, const char *folder, int rank,
                      int64_t bytes, int64_t n);
const char *rs_io_file_path(const rs_io_files *f, rs_arena *a, int64_t i);
/* Write all of them, durably. */
rs_status rs_io_files_write(const rs_io_files *f) RS_NODISCARD;
/* Read all of them as a run would: RS_FORMAT when a checksum does not hold. With `compare` every
 * element is held against data: RS_FORMAT names file and element. */
rs_status rs_io_files_read(const rs_io_files *f, bool compare) RS_NODISCARD;
/* Ask the system to forget what it has of them in memory, as far as it does that. */
void rs_io_files_forget(const rs_io_files *f);
int64_t rs_io_files_size(const rs_io_files *f); /* on disk */

#endif
