/* Latent video <-> token rows (wan21.md 1.2 points 2 and 8).
 * for a patch of (1,2,2):
 *   patchify:   tokens[(f*Hp+h)*Wp+w][(c*2+ph)*2+pw] = x[c][f][2h+ph][2w+pw]   channel outermost
 *   unpatchify: x[c][f][2h+ph][2w+pw] = tokens[(f*Hp+h)*Wp+w][(ph*2+pw)*C + c] channel innermost
 * The gradient of unpatchify is `inverse` of it: tokens from x with the same index map. General
 * patch sizes (pt,ph,pw) follow the same order: feature ((c*pt+t)*ph+y)*pw+x, and
 * ((t*ph+y)*pw+x)*C+c. */
#ifndef RS_KERNELS_PATCH_H
#define RS_KERNELS_PATCH_H

#include "kernels/kernel.h"

typedef struct rs_patchify_args {
    rs_tensor tokens; /* (S, C*pt*ph*pw) (ld) out */
    rs_tensor x;      /* (C,F,H,W) in */
    int64_t patch[3];
} rs_patchify_args;

typedef struct rs_unpatchify_args {
    rs_tensor x;      /* (C,F,H,W): out, or in when inverse */
    rs_tensor tokens; /* (S, pt*ph*pw*C): in, or out when inverse */
    int64_t patch[3];
    bool inverse;
} rs_unpatchify_args;

#endif
