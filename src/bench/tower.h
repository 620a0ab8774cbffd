/* VAE and encoders of a model directory, timed on inputs by rule. */
#ifndef RS_BENCH_TOWER_H
#define RS_BENCH_TOWER_H

#include "bench/process.h"
#include "bench/rates.h"
#include "device/device.h"

typedef enum rs_tower {
    RS_TOWER_ENCODE,
    RS_TOWER_DECODE,
    RS_TOWER_TEXT,
    RS_TOWER_IMAGE,
    RS_TOWER_COUNT
} rs_tower;

typedef struct rs_tower_opts {
    const char *model;             /* directory */
    int64_t frames, height, width; /* of the clip */
    int64_t rows;                  /* of the prompt */
    int64_t runs;                  /* timed, after one that is not */
    const rs_pace *pace;           /* optional */
} rs_tower_opts;

typedef struct rs_tower_rate {
    rs_spread wall, cpu;  /* seconds */
    double flops;         /* nominal, of a run */
    int64_t start_bytes;  /* resident before the model was opened, 0: unknown */
    int64_t opened_bytes; /* when it was open */
    int64_t peak_bytes;   /* most of it during the runs */
} rs_tower_rate;

const char *rs_tower_name(rs_tower t); /* "vae-encode" */
/* Errors as the models' own; RS_NUMERIC: two runs differ in a bit, or a value is not finite. */
rs_status rs_tower_measure(rs_tower_rate *out, rs_device *d, rs_tower which,
                           const rs_tower_opts *o) RS_NODISCARD;

#endif
