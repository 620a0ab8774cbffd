/* What `reshoot-world` makes of the small world. */
#ifndef RS_SMALLWORLD_SMALLWORLD_H
#define RS_SMALLWORLD_SMALLWORLD_H

#include "base/status.h"
#include "datasets/smallworld/clip.h"

typedef struct sw_dump_opts {
    int64_t first_seed, count, frames, width, height;
} sw_dump_opts;

/* count clips of consecutive seeds, as flat files for training: see dump.c. */
rs_status sw_dump(const char *folder, const sw_dump_opts *o) RS_NODISCARD;

typedef struct sw_catalog_opts {
    int64_t first_seed; /* SW_HELD_OUT or more for clips that no model was trained on */
    int64_t count, frames, width, height;
} sw_catalog_opts;

/* <out>/catalog.yaml and what it names: `count` clips with one edit each, by turns a recolouring, a
 * retexturing and a larger outline; every second clip turns its back. Each edit has its truth and
 * three references. */
rs_status sw_catalog(const char *out, const sw_catalog_opts *o) RS_NODISCARD;

#endif
