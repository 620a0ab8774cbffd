/* Values by index with "the first one that is large enough", in O(log n): which ready task is the
 * best that still fits, which waiting gang still has the time. */
#ifndef RS_SCHED_MAXTREE_H
#define RS_SCHED_MAXTREE_H

#include <stdint.h>

#include "base/arena.h"

typedef struct rs_maxtree {
    int64_t leaves; /* a power of two */
    double *at;     /* [2 * leaves]: node i is the larger of 2 i and 2 i + 1; root 1 */
} rs_maxtree;

/* n values, all -infinity (absent). */
rs_maxtree rs_maxtree_create(rs_arena *a, int64_t n);
/* -infinity: absent. */
void rs_maxtree_set(rs_maxtree *t, int64_t i, double value);
/* The largest value of lo <= i < hi; -infinity when all are absent. */
double rs_maxtree_max(const rs_maxtree *t, int64_t lo, int64_t hi);
/* The first i of lo <= i < hi that is present and has a value >= bound, or -1. */
int64_t rs_maxtree_first(const rs_maxtree *t, int64_t lo, int64_t hi, double bound);

#endif
