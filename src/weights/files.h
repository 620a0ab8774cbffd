/* A component's weight files, looked at without loading them: what the mapped home of rs_wstream
 * would hold. */
#ifndef RS_WEIGHTS_FILES_H
#define RS_WEIGHTS_FILES_H

#include "weights/layout.h"

typedef struct rs_weight_files {
    bool present;   /* false: a configuration without weights; the rest assumes no fp32 */
    bool in_place;  /* every tensor that counts is fp32 */
    int64_t stored; /* bytes of the layout's tensors in the files */
    size_t mapped;  /* device bytes of the mapped home on a CPU: what cannot be used in place */
} rs_weight_files;

/* path: as for rs_wstream_open, whose errors these are where there are weights. */
rs_status rs_weights_look(rs_weight_files *out, const char *path,
                          const rs_layout *layout) RS_NODISCARD;

#endif
