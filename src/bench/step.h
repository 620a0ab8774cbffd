/* One training or sampling step of a denoiser, timed. */
#ifndef RS_BENCH_STEP_H
#define RS_BENCH_STEP_H

#include "bench/process.h"
#include "bench/rates.h"
#include "bench/subject.h"
#include "model/sizes.h"

typedef struct rs_step_rate {
    int64_t tokens, blocks, params;
    int64_t steps;
    rs_kept kept;             /* of training */
    rs_spread wall, cpu;      /* seconds; cpu: of all threads of this process */
    rs_flops flops;           /* of a step */
    double loss;              /* training; of a sampling step the mean square of v */
    int64_t weight_bytes;     /* device bytes held for weights, beside the files */
    int64_t activation_bytes; /* of the binding */
    int64_t start_bytes;      /* resident in memory before the model was opened, 0: unknown */
    int64_t opened_bytes;     /* when everything was bound */
    int64_t peak_bytes;       /* most of it during the steps */
    int64_t device_bytes;     /* most that was held of the device's memory */
} rs_step_rate;

/* Opens the model and times `steps` steps after one that is not timed; with 0 steps that one.
 * pace: optional. RS_NUMERIC: a loss is not finite, or one step's loss, gradients or
 * output differ from the first one's in a bit. */
rs_status rs_step_measure(rs_step_rate *out, rs_device *d, const rs_subject_opts *o, int64_t steps,
                          const rs_pace *pace) RS_NODISCARD;

#endif
