/* reshoot bench catalog: its settings, points and results. Private to src/cli. */
#ifndef RS_CLI_BENCH_CATALOG_H
#define RS_CLI_BENCH_CATALOG_H

#include "bench/catalog.h"
#include "cli/bench.h"

typedef struct rs_catalog_opts {
    const char *dir, *model, *launch, *ranks, *gang;
    rs_opt_list sets, vary;
    int64_t videos, threads, repeat;
    double timeout;
    bool json, cold, keep;
} rs_catalog_opts;

/* One place in the product of rank counts and varied settings. */
typedef struct rs_catalog_point {
    int64_t ranks;
    const char **sets; /* "KEY=VALUE" of what is varied */
    int64_t n_sets;
    const char *skipped;                     /* why it is not run, or NULL */
    double *seconds;                         /* of each repetition */
    int64_t videos, edits, adapters, others; /* others: tensors beside adapters that differ */
    double busy_s;                           /* of the stages of all repetitions */
    rs_catalog_rate rate;                    /* of the median repetition */
} rs_catalog_point;

typedef struct rs_catalog_bench {
    const rs_catalog_opts *o;
    rs_arena *a;
    rs_bench_site site;
    const char *program; /* reshoot itself */
    const char *folder;  /* of everything that the benchmark makes */
    const char *experiment;
    char **launch; /* words; n_launch 0: mpirun or srun for more than one rank */
    int64_t n_launch;
    const char **args; /* of every run */
    int64_t n_args;
    rs_catalog_point *points;
    int64_t n_points;
    const volatile sig_atomic_t *stop;
} rs_catalog_bench;

/* The points, in the order in which they are run: ranks within settings. RS_USAGE. */
rs_status rs_catalog_points(rs_catalog_bench *b) RS_NODISCARD;
/* A catalog of the small world and an experiment for it in b->folder. RS_USAGE: no model or no
 * generator beside the program. */
rs_status rs_catalog_make_world(rs_catalog_bench *b) RS_NODISCARD;

void rs_catalog_table_head(const rs_catalog_bench *b);
void rs_catalog_table_row(const rs_catalog_bench *b, const rs_catalog_point *p);
void rs_catalog_json(const rs_catalog_bench *b); /* everything, at the end */

#endif
