/* How fast operations are, and what that makes of the stages: measured here in a moment, or of a
 * device by name. */
#ifndef RS_JOB_PLAN_RATES_H
#define RS_JOB_PLAN_RATES_H

#include "job/plan_sizes.h"
#include "sched/director.h"

typedef struct rs_plan_rates {
    const char *device;                          /* "cpu", or the name given */
    const char *source;                          /* of the numbers */
    double gemm, attention, attention_bwd, conv; /* FLOP/s */
    double
        link;   /* bytes/s that a rank gets from its neighbours; 0: not known, counted as at once */
    double bus; /* bytes/s between host and device, each way; 0: not known, as at once */
    int64_t memory;  /* bytes of the device; 0: the machine's */
    int value_bytes; /* of weights and activations */
} rs_plan_rates;

/* RS_USAGE lists the names. */
rs_status rs_plan_rates_named(rs_plan_rates *out, const char *name) RS_NODISCARD;
/* Of this device, on shapes like the model's; takes about 50 ms. */
rs_status rs_plan_rates_measure(rs_plan_rates *out, rs_device *d,
                                const rs_plan_sizes *z) RS_NODISCARD;

enum { RS_PLAN_WIDTHS = 4 };

/* Seconds of one task of every stage, and of one optimizer or sampling step (the mean of an
 * appearance stage's; 0: the stage has no steps), over a lane of cluster.lanes ranks (auto: one
 * rank). Gathers of sharded weights count where they take longer than what hides them, a block's
 * computation; exchanges of a lane count whole. A batch gathers once for all its jobs: what it
 * spares beyond that (weights that are read from a file, or packed, once) is not known here. Files,
 * media and what is bound by memory are left out. references: mean number of an edit that has any.
 */
typedef struct rs_plan_prediction {
    double task[RS_TASK_COUNT], step[RS_TASK_COUNT];
    double clip_step;                    /* a training step on the clip */
    double pass[RS_TASK_COUNT];          /* the mean pass of a step */
    double exposed[RS_TASK_COUNT];       /* of a step: waits for gathers */
    double together[RS_SCHED_BATCH + 1]; /* n appearances of a batch against n alone; n >= 1 */
    double wider[RS_TASK_COUNT][RS_PLAN_WIDTHS]; /* a task over 1, 2, 4, 8 ranks against one rank */
} rs_plan_prediction;

void rs_plan_predict(rs_plan_prediction *p, const rs_config *c, const rs_plan_sizes *z,
                     const rs_plan_rates *r, double references);
/* Of operations alone. */
double rs_plan_seconds(const rs_plan_rates *r, rs_flops f);

/* The sizes on a named device, with the home that is best among a copy per rank and gangs of up to
 * `ranks`: sharding must gain more than 5 % of a training step, or be needed to fit. */
rs_status rs_plan_sizes_on(rs_plan_sizes *z, const rs_config *c, const rs_catalog *catalog,
                           const rs_plan_rates *r, int64_t ranks, rs_arena *a) RS_NODISCARD;

#endif
