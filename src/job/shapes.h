/* Shape classes of appearances: those with as many references and frames take the same steps and
 * end together, so that they may be of one batch. */
#ifndef RS_JOB_SHAPES_H
#define RS_JOB_SHAPES_H

#include <stdint.h>

#include "base/arena.h"

typedef struct rs_shapes {
    int64_t (*items)[2]; /* (n) references, frames; of the arena that was given */
    size_t cap;
    int n;
} rs_shapes;

/* Number of the class, from 0; a new one where there was none. */
int rs_shapes_find(rs_shapes *s, rs_arena *a, int64_t references, int64_t frames);

#endif
