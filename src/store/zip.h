/* Private to src/store: the directory of a ZIP file in memory (APPNOTE 6.3.9), as torch.save writes
 * it: stored entries only, ZIP64 where sizes or offsets need it. Data stay where they are. */
#ifndef RS_STORE_ZIP_H
#define RS_STORE_ZIP_H

#include "base/arena.h"
#include "store/mapped.h"

typedef struct rs_zip_entry {
    const char *name; /* zero-terminated copy */
    const uint8_t *data;
    size_t bytes;
} rs_zip_entry;

typedef struct rs_zip {
    rs_zip_entry *entries; /* directory order */
    rs_zip_entry **sorted; /* by name */
    int64_t n;
} rs_zip;

/* RS_FORMAT names `path` and the entry: no or broken directory, compressed or encrypted entries,
 * ranges outside the file, repeated names. */
rs_status rs_zip_read(rs_zip *z, rs_arena *a, rs_map map, const char *path) RS_NODISCARD;
const rs_zip_entry *rs_zip_find(const rs_zip *z, const char *name); /* or NULL */

#endif
