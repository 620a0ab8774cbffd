/* The compression of SHA-256 (FIPS 180-4, 6.2.2). Private to base. */
#ifndef RS_BASE_SHA256_H
#define RS_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `blocks` blocks of 64 bytes into the state: by the processor's SHA instructions where it has
 * them. */
void rs_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);
/* The same in plain C; equal results. */
void rs_sha256_blocks_plain(uint32_t state[8], const uint8_t *data, size_t blocks);
bool rs_sha256_has_instructions(void);

#endif
