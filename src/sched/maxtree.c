#include "sched/maxtree.h"

#include <float.h>
#include <math.h>

#include "base/num.h"

rs_maxtree rs_maxtree_create(rs_arena *a, int64_t n)
{
    rs_maxtree t = {.leaves = 1};
    while (t.leaves < n)
        t.leaves *= 2;
    t.at = RS_NEW(a, double, 2 * t.leaves);
    for (int64_t i = 0; i < 2 * t.leaves; i++)
        t.at[i] = -INFINITY;
    return t;
}

void rs_maxtree_set(rs_maxtree *t, int64_t i, double value)
{
    RS_ASSERT(i >= 0 && i < t->leaves && !isnan(value));
    i += t->leaves;
    t->at[i] = value;
    for (i /= 2; i >= 1; i /= 2)
        t->at[i] = t->at[2 * i] > t->at[2 * i + 1] ? t->at[2 * i] : t->at[2 * i + 1];
}

double rs_maxtree_max(const rs_maxtree *t, int64_t lo, int64_t hi)
{
    double best = -INFINITY;
    for (lo += t->leaves, hi += t->leaves; lo < hi; lo /= 2, hi /= 2) {
        if (lo & 1)
            best = fmax(best, t->at[lo++]);
        if (hi & 1)
            best = fmax(best, t->at[--hi]);
    }
    return best;
}

/* Below `node`, which stands for the indices first <= i < first + n. */
static int64_t search(const rs_maxtree *t, int64_t node, int64_t first, int64_t n, int64_t lo,
                      int64_t hi, double bound)
{
    if (first >= hi || first + n <= lo || t->at[node] < bound)
        return -1;
    if (n == 1)
        return first;
    int64_t found = search(t, 2 * node, first, n / 2, lo, hi, bound);
    return found >= 0 ? found : search(t, 2 * node + 1, first + n / 2, n / 2, lo, hi, bound);
}

int64_t rs_maxtree_first(const rs_maxtree *t, int64_t lo, int64_t hi, double bound)
{
    return search(t, 1, 0, t->leaves, lo, hi, fmax(bound, -DBL_MAX));
}
