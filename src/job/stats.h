/* Means with their standard errors, over the pairs of a catalog. */
#ifndef RS_JOB_STATS_H
#define RS_JOB_STATS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rs_stat {
    int64_t n;        /* finite values: these count */
    int64_t infinite; /* such as the PSNR of equal frames: have no mean, and do not count */
    double mean;      /* NAN when n is 0 */
    double se;        /* of the mean: sample deviation (n-1) / sqrt(n); NAN when n < 2 */
} rs_stat;

/* NAN is no value. */
rs_stat rs_stat_of(const double *v, int64_t n);
/* Of a[i] - b[i], over the i where both are finite. */
rs_stat rs_stat_paired(const double *a, const double *b, int64_t n);
/* Is the mean above `bound` beyond chance: mean - 2 se > bound? False when n < 2. */
bool rs_stat_above(rs_stat s, double bound);

#endif
