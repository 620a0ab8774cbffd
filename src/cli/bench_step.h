/* What `reshoot bench step` prints. */
#ifndef RS_CLI_BENCH_STEP_H
#define RS_CLI_BENCH_STEP_H

#include "bench/step.h"
#include "cli/bench.h"
#include "device/peak.h"

typedef struct rs_bench_steps {
    rs_arena *arena;
    rs_jsonw *json; /* NULL: a table */
    bool cpu;       /* else memory is the device's, and there is a floor */
    double flops;   /* a second, that products reach on the device at best; 0 on the CPU */
    int shown;      /* rows with figures */
} rs_bench_steps;

/* On which device: what it can do at best is measured here, but on the CPU. */
rs_status rs_bench_steps_begin(rs_bench_steps *s, rs_device *d, bool json) RS_NODISCARD;
void rs_bench_steps_row(rs_bench_steps *s, const char *pass, const rs_step_rate *r);
/* A row without figures: what was to be kept has no room. */
void rs_bench_steps_no_room(rs_bench_steps *s, const char *pass, const char *keep, const char *why);
void rs_bench_steps_end(rs_bench_steps *s);

#endif
