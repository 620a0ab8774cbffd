/* Small transposes in registers, for bodies compiled through vec.h: values go where they belong by
 * whole vectors, where one by one they would take an instruction each. */
#ifndef RS_KERNELS_VEC_TURN_H
#define RS_KERNELS_VEC_TURN_H

#include <string.h>

#include "kernels/vec/vec.h"

typedef float rs_v4 __attribute__((vector_size(16)));

RS_INLINE rs_v4 rs_v4_load(const float *p)
{
    rs_v4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

RS_INLINE void rs_v4_store(float *p, rs_v4 v)
{
    memcpy(p, &v, sizeof v);
}

/* Four rows of four values become their columns. */
RS_INLINE void rs_v4_turn(rs_v4 r[4])
{
    rs_v4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    rs_v4 b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    rs_v4 c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    rs_v4 d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/* Twelve values in a row, three of each of four pixels, as planes that are ld apart. */
RS_INLINE void rs_v4_split3(float *y, int64_t ld, const float *x)
{
    rs_v4 a = rs_v4_load(x), b = rs_v4_load(x + 4), c = rs_v4_load(x + 8);
    rs_v4 p = __builtin_shufflevector(b, c, 2, 5, 0, 3); /* b2 c1 b0 b3 */
    rs_v4 q = __builtin_shufflevector(a, b, 1, 4, 2, 5); /* a1 b0 a2 b1 */
    rs_v4_store(y, __builtin_shufflevector(a, p, 0, 3, 4, 5));
    rs_v4_store(y + ld,
                __builtin_shufflevector(q, __builtin_shufflevector(b, c, 3, 6, 3, 6), 0, 1, 4, 5));
    rs_v4_store(y + 2 * ld, __builtin_shufflevector(q, c, 2, 3, 4, 7));
}

/* And back. */
RS_INLINE void rs_v4_join3(float *y, const float *x, int64_t ld)
{
    rs_v4 r = rs_v4_load(x), g = rs_v4_load(x + ld), b = rs_v4_load(x + 2 * ld);
    rs_v4 low = __builtin_shufflevector(r, g, 0, 4, 1, 5);  /* r0 g0 r1 g1 */
    rs_v4 high = __builtin_shufflevector(r, g, 2, 6, 3, 7); /* r2 g2 r3 g3 */
    rs_v4 p = __builtin_shufflevector(b, low, 0, 6, 1, 7);  /* b0 r1 b1 g1 */
    rs_v4_store(y, __builtin_shufflevector(low, p, 0, 1, 4, 5));
    rs_v4_store(y + 4, __builtin_shufflevector(p, high, 3, 2, 4, 5));
    rs_v4 s = __builtin_shufflevector(b, high, 2, 6, 3, 7); /* b2 r3 b3 g3 */
    rs_v4_store(y + 8, __builtin_shufflevector(s, s, 0, 1, 3, 2));
}

#endif
