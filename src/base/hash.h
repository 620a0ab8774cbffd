/* Content hash: SHA-256 (FIPS 180-4) for keys and checksums, and a 64-bit mixer for random streams.
 */
#ifndef RS_BASE_HASH_H
#define RS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { RS_HASH_HEX = 65 }; /* 64 hex digits and a terminating zero */

typedef struct rs_hash {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t buffer[64];
} rs_hash;

void rs_hash_init(rs_hash *h);
void rs_hash_update(rs_hash *h, const void *data, size_t bytes);
/* Length-prefixed, so that ("ab","c") and ("a","bc") differ. */
void rs_hash_string(rs_hash *h, const char *s);
void rs_hash_i64(rs_hash *h, int64_t v);
void rs_hash_f64(rs_hash *h, double v);
void rs_hash_final(rs_hash *h, uint8_t out[32]);
void rs_hash_final_hex(rs_hash *h, char out[RS_HASH_HEX]);

/* Whole file. RS_IO names the file. */
rs_status rs_hash_file(char out[RS_HASH_HEX], const char *path) RS_NODISCARD;
/* For weight files: size, first and last 64 KiB and 64 evenly spaced 4 KiB samples; milliseconds
 * for a 65 GB model. */
rs_status rs_hash_file_sampled(char out[RS_HASH_HEX], const char *path) RS_NODISCARD;

/* First 8 bytes of SHA-256(s): identity of a name in random streams. */
uint64_t rs_hash64_string(const char *s);
/* splitmix64-style mix of two words (Steele et al., OOPSLA 2014). */
uint64_t rs_hash64_mix(uint64_t a, uint64_t b);

#endif
