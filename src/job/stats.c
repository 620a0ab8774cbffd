#include "job/stats.h"

#include <math.h>
#include <stddef.h>

static double value(const double *a, const double *b, int64_t i)
{
    return b ? a[i] - b[i] : a[i];
}

/* Two passes: the deviation of nearly equal values keeps its digits. */
static rs_stat stat_of(const double *a, const double *b, int64_t n)
{
    rs_stat s = {.mean = NAN, .se = NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = value(a, b, i);
        s.infinite += isinf(v) != 0;
        s.n += isfinite(v) != 0;
        sum += isfinite(v) ? v : 0;
    }
    if (s.n > 0)
        s.mean = sum / (double)s.n;
    if (s.n < 2)
        return s;
    for (int64_t i = 0; i < n; i++) {
        double v = value(a, b, i);
        if (isfinite(v))
            squares += (v - s.mean) * (v - s.mean);
    }
    s.se = sqrt(squares / (double)(s.n - 1) / (double)s.n);
    return s;
}

rs_stat rs_stat_of(const double *v, int64_t n)
{
    return stat_of(v, NULL, n);
}

rs_stat rs_stat_paired(const double *a, const double *b, int64_t n)
{
    return stat_of(a, b, n);
}

bool rs_stat_above(rs_stat s, double bound)
{
    return s.n >= 2 && s.mean - 2.0 * s.se > bound;
}
