#include "bench/rates.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

rs_spread rs_spread_of(const double *v, int64_t n, rs_arena *a)
{
    RS_ASSERT(n >= 1);
    rs_arena_mark mark = rs_arena_get_mark(a);
    double *s = rs_arena_memdup(a, v, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, by_value);
    rs_spread r = {s[0], (s[(n - 1) / 2] + s[n / 2]) / 2, s[n - 1]};
    rs_arena_release(a, mark);
    return r;
}

static const char *const k_names[] = {
#define RS_COMM_BENCH_NAME(name, text) text,
    RS_COMM_BENCHES(RS_COMM_BENCH_NAME)
#undef RS_COMM_BENCH_NAME
};

const char *rs_comm_bench_name(rs_comm_bench_op op)
{
    return k_names[op];
}

bool rs_comm_bench_find(rs_comm_bench_op *op, const char *name)
{
    for (int i = 0; i < RS_COMM_BENCH_COUNT; i++)
        if (strcmp(k_names[i], name) == 0) {
            *op = (rs_comm_bench_op)i;
            return true;
        }
    return false;
}

double rs_busbw_factor(rs_comm_bench_op op, int ranks)
{
    double n = ranks;
    if (ranks == 1)
        return 0;
    switch (op) {
    case RS_BENCH_ALLREDUCE:
        return 2 * (n - 1) / n;
    case RS_BENCH_ALLGATHER:
    case RS_BENCH_ALLTOALL:
    case RS_BENCH_OVERLAP:
        return (n - 1) / n;
    case RS_BENCH_BROADCAST:
    case RS_BENCH_SENDRECV:
    case RS_COMM_BENCH_COUNT:
        break;
    }
    return 1;
}

double rs_exposed_fraction(double gather_s, double compute_s, double both_s)
{
    double exposed = (both_s - compute_s) / gather_s;
    if (!(gather_s > 0) || exposed <= 0)
        return 0;
    return exposed < 1 ? exposed : 1;
}
