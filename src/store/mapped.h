/* Private to src/store: a read-only memory mapping of a whole file. The bytes stay valid until
 * closed; a file that shrinks while mapped is the operating system's SIGBUS, as for any mapping. */
#ifndef RS_STORE_MAPPED_H
#define RS_STORE_MAPPED_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct rs_map {
    const uint8_t *data; /* page aligned; NULL for an empty file */
    size_t bytes;
} rs_map;

rs_status rs_map_open(rs_map *m, const char *path) RS_NODISCARD; /* RS_IO names the file */
void rs_map_close(rs_map *m);                                    /* zeroes it; fine when empty */

/* Little-endian words from any address. */
uint16_t rs_le16(const uint8_t *p);
uint32_t rs_le32(const uint8_t *p);
uint64_t rs_le64(const uint8_t *p);

#endif
