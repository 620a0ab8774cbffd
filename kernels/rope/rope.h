/* 3D rotary position embedding, interleaved pairs (wan21.md 1.4).
 *
 *   head dim D = 2*(pf + ph + pw) pairs for (frame, height, width); axis with real dim d = 2p:
 *   freq_j = 10000^(-2j/d), angle = index*freq_j; (re,im) -> (re cos - im sin, re sin + im cos)
 * Rows are tokens s = (f*Hp + h)*Wp + w, those from `first` on. cos/sin tables are made in double,
 * stored fp32, one per axis: table_f (F, pf, 2), table_h (Hp, ph, 2), table_w (Wp, pw, 2), last
 * index (cos, sin). In place allowed. bwd rotates by the negative angle (the transpose). */
#ifndef RS_KERNELS_ROPE_H
#define RS_KERNELS_ROPE_H

#include "kernels/kernel.h"

typedef struct rs_rope_fwd_args {
    rs_tensor y; /* (S, N*D) (ld) */
    rs_tensor x; /* (S, N*D) (ld) */
    rs_tensor table_f;
    rs_tensor table_h;
    rs_tensor table_w;
    int64_t heads;
    int64_t first; /* token of row 0 */
} rs_rope_fwd_args;

typedef rs_rope_fwd_args rs_rope_bwd_args; /* y = dx, x = dy */

/* Host helper: fill one axis table (n, pairs, 2). */
void rs_rope_table(rs_tensor table);
void rs_ref_rope_table(rs_tensor table); /* F64 */

#endif
