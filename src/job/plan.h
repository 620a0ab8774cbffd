/* What a run will need, before it starts: memory from sizes alone; seconds from measured ones, and
 * how they spread over ranks from a simulation with the code that will schedule them. */
#ifndef RS_JOB_PLAN_H
#define RS_JOB_PLAN_H

#include "job/plan_rates.h"
#include "sched/sim.h"

/* Seconds of one task of a stage. */
typedef struct rs_plan_cost {
    double mean, cv; /* cv: standard deviation / mean; NAN where the cost is not known */
    int64_t n;       /* measured tasks behind it; 0: given as numbers, or not known */
} rs_plan_cost;

typedef struct rs_plan_costs {
    const char *from; /* file or folder; NULL: predicted */
    rs_plan_cost stage[RS_TASK_COUNT];
} rs_plan_costs;

typedef struct rs_plan_opts {
    const char *config; /* experiment file */
    const char *const *sets;
    int64_t n_sets;
    const char *costs;  /* JSON file, or folder of a finished run; NULL: not known */
    const char *device; /* by name; NULL: this machine */
    int64_t copies;     /* the catalog, repeated to so many videos; 0: as it is */
    int64_t ranks;      /* side by side, of which */
    int64_t per_node;   /* share a machine */
} rs_plan_opts;

typedef struct rs_plan {
    rs_config *cfg;
    rs_catalog *catalog;
    rs_arena *arena;
    rs_plan_sizes sizes;
    rs_plan_rates rates;
    rs_plan_prediction predicted; /* from sizes and rates */
    int64_t per_node;             /* ranks of a machine */
    rs_plan_costs costs;    /* measured; the predicted ones where no measured ones were given */
    rs_sched_video *videos; /* after copying; unknown seconds are 0 */
    int64_t n_videos, n_edits;
    int64_t tasks[RS_TASK_COUNT];    /* of all videos, by stage */
    double step_s[RS_TASK_COUNT];    /* seconds per optimizer or sampling step; NAN: not known */
    double between_s[RS_TASK_COUNT]; /* between saved states; 0: not known or not saved */
    bool costs_known;                /* of every stage that the catalog has, publish excepted */
    const char *first_unknown;       /* stage, NULL if costs_known */
} rs_plan;

/* RS_CONFIG / RS_MODEL: problems of the experiment; RS_IO / RS_FORMAT: of the costs. Fini is due
 * whatever the status. */
rs_status rs_plan_init(rs_plan *p, const rs_plan_opts *o) RS_NODISCARD;
void rs_plan_fini(rs_plan *p);

/* The catalog on so many ranks: the plan's work with its costs, its gangs (of the weights, else of
 * a node) and lanes. RS_USAGE where the costs given leave some out, or lanes do not divide the
 * ranks.
 */
rs_status rs_plan_sim_opts(rs_sim_opts *o, const rs_plan *p, int64_t ranks) RS_NODISCARD;
/* cluster.lanes auto: the widest lane that the model's heads and tokens allow; else 1. */
int rs_plan_widest(const rs_config *c, const rs_plan_sizes *z);

/* ---- parts ---- */

/* From JSON (docs/plan.md): RS_FORMAT names file and member. From the archives of a run's folder:
 * every stage that is done there counts. */
rs_status rs_plan_read_costs(rs_plan_costs *c, rs_arena *a, const char *path) RS_NODISCARD;

#endif
