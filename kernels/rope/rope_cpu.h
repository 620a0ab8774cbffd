/* Rotation of a row, for bodies compiled through vec.h that have just made it or are about to read
 * it. */
#ifndef RS_KERNELS_ROPE_ROPE_CPU_H
#define RS_KERNELS_ROPE_ROPE_CPU_H

#include "kernels/rope/rope.h"
#include "kernels/vec/vec.h"

RS_INLINE void rs_v_rope_expand(float *cc, float *ss, const float *axis, int64_t pairs, float sign)
{
    for (int64_t j = 0; j < pairs; j++) {
        cc[2 * j] = cc[2 * j + 1] = axis[2 * j];
        ss[2 * j] = -sign * axis[2 * j + 1];
        ss[2 * j + 1] = sign * axis[2 * j + 1];
    }
}

/* Floats of a head. */
RS_INLINE int64_t rs_v_rope_head(const rs_rope_fwd_args *a)
{
    return 2 * (a->table_f.shape[1] + a->table_h.shape[1] + a->table_w.shape[1]);
}

/* The three axis rows of row r's token over a whole head, (c,c) and (-s,s) per pair; sign -1
 * rotates back. */
RS_INLINE void rs_v_rope_factors(float *cc, float *ss, const rs_rope_fwd_args *a, int64_t r,
                                 float sign)
{
    int64_t pf = a->table_f.shape[1], ph = a->table_h.shape[1], pw = a->table_w.shape[1];
    int64_t hp = a->table_h.shape[0], wp = a->table_w.shape[0], s = a->first + r;
    rs_v_rope_expand(cc, ss, rs_f32(a->table_f) + s / (hp * wp) * pf * 2, pf, sign);
    cc += 2 * pf;
    ss += 2 * pf;
    rs_v_rope_expand(cc, ss, rs_f32(a->table_h) + s / wp % hp * ph * 2, ph, sign);
    rs_v_rope_expand(cc + 2 * ph, ss + 2 * ph, rs_f32(a->table_w) + s % wp * pw * 2, pw, sign);
}

/* y = x*(c,c) + swap(x)*(-s,s) over a head of d floats; y may be x. */
RS_INLINE void rs_v_rotate(float *y, const float *x, const float *cc, const float *ss, int64_t d)
{
    RS_IVDEP
    for (int64_t i = 0; i < d; i += 2) {
        float re = x[i] * cc[i] + x[i + 1] * ss[i];
        float im = x[i + 1] * cc[i + 1] + x[i] * ss[i + 1];
        y[i] = re;
        y[i + 1] = im;
    }
}

#endif
