/* Throughput of a whole catalog: `reshoot run`, started as an operator would, timed from outside.
 */
#ifndef RS_BENCH_CATALOG_H
#define RS_BENCH_CATALOG_H

#include <signal.h>

#include "bench/content.h"

/* One run. */
typedef struct rs_catalog_run {
    const char *const *launch; /* words in front of the program, "{ranks}" in them is replaced */
    int64_t n_launch;          /* 0: none, which is one rank */
    const char *program;       /* reshoot */
    const char *experiment;    /* its file */
    const char *const *args;   /* further arguments of `reshoot run` */
    int64_t n_args;
    const char *output; /* folder of this run; must not exist */
    int64_t ranks;
    double timeout_s;
    const volatile sig_atomic_t *stop;
} rs_catalog_run;

/* Seconds of the whole command. RS_STOPPED; RS_INTERNAL: time was up; else the status of the run's
 * exit code (RS_CONFIG, RS_JOBS, RS_INTERNAL) with what it said last. */
rs_status rs_catalog_time(double *seconds, rs_arena *a, const rs_catalog_run *r) RS_NODISCARD;

typedef struct rs_catalog_rate {
    double seconds, videos_per_hour;
    double speedup;    /* in videos per hour, against the first point */
    double efficiency; /* speedup / (ranks / the first point's ranks) */
    double busy;       /* share of ranks * seconds that stages took */
} rs_catalog_rate;

/* busy_s: seconds of all stages in `sum_s` seconds of runs; seconds: the run that counts. */
rs_catalog_rate rs_catalog_rate_of(int64_t videos, int64_t ranks, double seconds, double busy_s,
                                   double sum_s);
/* Fills speedup and efficiency. */
void rs_catalog_rate_against(rs_catalog_rate *r, int64_t ranks, const rs_catalog_rate *first,
                             int64_t first_ranks);

#endif
