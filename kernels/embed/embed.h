/* y[i] = table[ids[i]]; ids are I32, each in [0, rows of table). */
#ifndef RS_KERNELS_EMBED_H
#define RS_KERNELS_EMBED_H

#include "kernels/kernel.h"

typedef struct rs_embed_args {
    rs_tensor y;     /* (L,C) */
    rs_tensor table; /* (V,C) */
    rs_tensor ids;   /* (L) I32 */
} rs_embed_args;

#endif
