/* What the benchmarks of `reshoot bench` share: the list, where they ran, sizes and lists in
 * options. Private to src/cli. */
#ifndef RS_CLI_BENCH_H
#define RS_CLI_BENCH_H

#include <stdint.h>

#include "bench/process.h"
#include "cli/cli.h"
#include "device/device.h"
#include "job/world.h"
#include "store/json_writer.h"

extern const rs_command rs_bench_op, rs_bench_comm, rs_bench_io, rs_bench_catalog, rs_bench_stream,
    rs_bench_info, rs_bench_step, rs_bench_tower;

/* "model name" of the first processor, or "unknown". */
const char *rs_bench_cpu(rs_arena *a);

/* Where a benchmark ran. */
typedef struct rs_bench_host {
    const char *name, *cpu;
    int64_t processors, ranks;
} rs_bench_host;

typedef struct rs_bench_site {
    const rs_world *world;
    const rs_bench_host *hosts; /* in the order of their first ranks */
    int64_t n_hosts;
} rs_bench_site;

/* Collective. In the arena. */
rs_status rs_bench_site_find(rs_bench_site *s, rs_arena *a, const rs_world *w) RS_NODISCARD;
/* "4 ranks (mpi) on n1 (2 of them, 8 processors), n2 (2 of them, 8 processors)". */
const char *rs_bench_site_text(rs_arena *a, const rs_bench_site *s);
/* Begins the root object: format, version, program, commit, compiler, libraries, and the machine:
 * of one process (s NULL), or of a world. */
void rs_bench_json_head(rs_jsonw *w, rs_arena *a, const char *format, const rs_bench_site *s);

/* The same for one process, and the start of "results"; its end, and the whole text printed. */
rs_jsonw *rs_bench_json_results(rs_arena *a, const char *format, int threads);
void rs_bench_json_print(rs_jsonw *w);

/* `--paced`: a step begins with a line of standard input (RS_USAGE at its end) and ends with "step
 * WALL CPU" on standard output. NULL where it is not asked for. */
const rs_pace *rs_bench_pace(bool paced);
/* "fp32" or "bf16". RS_USAGE. */
rs_status rs_bench_precision(rs_precision *out, const char *text) RS_NODISCARD;
/* RS_USAGE unless lo <= v <= hi. */
rs_status rs_bench_in_range(const char *option, int64_t v, int64_t lo, int64_t hi) RS_NODISCARD;
/* Bytes: a whole number with K, M or G (1024 each) behind it or not. RS_USAGE names the option. */
rs_status rs_bench_size(int64_t *out, const char *option, const char *text) RS_NODISCARD;
/* "1,2,4": whole numbers from lo to hi, in the arena. */
rs_status rs_bench_numbers(int64_t **out, int64_t *n, rs_arena *a, const char *option,
                           const char *text, int64_t lo, int64_t hi) RS_NODISCARD;
/* The parts of text between commas, none empty. */
rs_status rs_bench_words(char ***out, int64_t *n, rs_arena *a, const char *option,
                         const char *text) RS_NODISCARD;

/* This program's file, and any path, from the root. In the arena. RS_IO. */
rs_status rs_bench_program(const char **out, rs_arena *a) RS_NODISCARD;
rs_status rs_bench_absolute(const char **out, rs_arena *a, const char *path) RS_NODISCARD;

#endif
