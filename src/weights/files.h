/* A component's weight files, looked at without loading them: what the mapped home of rs_wstream
 * would hold. */
#ifndef RS_WEIGHTS_FILES_H
#define RS_WEIGHTS_FILES_H

#include "device/device.h"
#include "weights/layout.h"

typedef struct rs_weight_files {
    bool present;   /* false: a configuration without weights; the rest assumes 16 bits */
    bool in_place;  /* every matrix of the blocks can be used in place */
    int64_t stored; /* bytes of the layout's tensors in the files */
    /* Device bytes of what cannot be used in place (all, where device memory is not the host's): */
    size_t outside; /* outside the blocks */
    size_t block;   /* largest block */
    size_t mapped;  /* the mapped home: both, with a ring of two blocks */
    size_t whole;   /* the resident home */
    size_t image;   /* largest block as a gang sends it: in the files' types, with padding */
    /* The same of all: outside the blocks, largest block. */
    size_t outside_whole, block_whole;
} rs_weight_files;

/* path: as for rs_wstream_open, whose errors these are
 * where there are weights. */
rs_status rs_weights_look(rs_weight_files *out, const rs_device *d, const char *path,
                          const rs_layout *layout) RS_NODISCARD;

#endif
