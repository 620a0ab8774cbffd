/* How much of a gather hides behind arithmetic: the loop alone, the gather alone, and both
 * together. The same measure as the "overlap" of MPI benchmarks (OSU, IMB-NBC), told as its
 * complement. */
#include "base/log.h"
#include "base/num.h"
#include "bench/collective_priv.h"
#include "bench/pattern.h"
#include "comm/agree.h"
#include "comm/progress.h"

/* SLICE_S: between two looks at the data; what a block of a small model takes. */
#define SLICE_S    1e-4
#define PROGRESS_S 5e-5
enum { LANES = 64, ROUNDS = 64 };

typedef struct loop {
    float x[LANES];
    int64_t units;  /* of the whole loop */
    int64_t slices; /* that it is cut into */
} loop;

/* A few hundred nanoseconds of arithmetic that stays in registers and in the nearest cache. */
static void unit(loop *l)
{
    for (int k = 0; k < ROUNDS; k++)
        for (int i = 0; i < LANES; i++)
            l->x[i] = l->x[i] * 0.999f + 0.5f;
}

static void compute(loop *l, int64_t units)
{
    for (int64_t i = 0; i < units; i++)
        unit(l);
    /* the result is used, so the work cannot be left out */
    __asm__ volatile("" : : "m"(l->x) : "memory");
}

static double time_loop(loop *l, int64_t units)
{
    double since = rs_now();
    compute(l, units);
    return rs_now() - since;
}

/* As many units as take `seconds`, and as many slices as look for data often enough. */
static void fit(loop *l, double seconds)
{
    int64_t units = 16;
    double s = 0;
    while ((s = time_loop(l, units)) < 1e-3)
        units *= 2;
    l->units = rs_max_i64((int64_t)((double)units * seconds / s), 1);
    l->slices = rs_max_i64(1, rs_min_i64(l->units, (int64_t)(seconds / SLICE_S)));
}

static void compute_in_slices(loop *l, rs_collective *t, bool look)
{
    for (int64_t i = 0; i < l->slices; i++) {
        compute(l, l->units * (i + 1) / l->slices - l->units * i / l->slices);
        if (look)
            rs_comm_progress(t->comm);
    }
}

/* Collective. Seconds of the loop, with a gather beside it or not. */
static rs_status sample(double *s, loop *l, rs_collective *t, bool gather)
{
    rs_comm_request *r;
    RS_TRY(rs_comm_barrier(t->comm, "sample"));
    double since = rs_now();
    if (gather)
        RS_TRY(rs_comm_iallgather(&r, t->dst, t->comm, t->src, t->dst_bytes, RS_BENCH_WHAT));
    compute_in_slices(l, t, gather && !t->o->progress_thread);
    rs_status st = gather ? rs_comm_wait(&r) : RS_OK;
    *s = rs_now() - since;
    return rs_comm_agree(t->comm, st);
}

static rs_status median(double *s, loop *l, rs_collective *t, bool gather)
{
    int64_t n = t->o->samples;
    double *v = RS_NEW(t->a, double, n);
    for (int64_t i = 0; i < n; i++)
        RS_TRY(sample(&v[i], l, t, gather));
    RS_TRY(rs_collective_slowest(v, n, t->comm));
    *s = rs_spread_of(v, n, t->a).median;
    return RS_OK;
}

/* The data that came in beside the loop, checked as any other. */
static rs_status verify(loop *l, rs_collective *t)
{
    double s;
    rs_collective_fill(t);
    RS_TRY(sample(&s, l, t, true));
    rs_status st = rs_comm_agree(t->comm, rs_collective_check(t));
    if (st != RS_OK)
        rs_error_context("allgather of %lld bytes beside a loop",
                         (long long)t->n_dst * (long long)sizeof *t->dst);
    return st;
}

rs_status rs_collective_overlap(rs_collective_rate *r, rs_collective *t)
{
    loop *l = RS_NEW(t->a, loop, 1);
    rs_progress *thread = NULL;
    rs_status st = RS_OK;
    fit(l, r->s.median * t->o->compute);
    if (t->o->progress_thread)
        RS_TRY_OUT(rs_comm_agree(t->comm, rs_progress_start(&thread, t->comm, PROGRESS_S)));
    RS_TRY_OUT(verify(l, t));
    RS_TRY_OUT(median(&r->compute_s, l, t, false));
    RS_TRY_OUT(median(&r->both_s, l, t, true));
    r->exposed_fraction = rs_exposed_fraction(r->s.median, r->compute_s, r->both_s);
    r->exposed_s = r->both_s > r->compute_s ? r->both_s - r->compute_s : 0;
out:
    rs_progress_stop(&thread);
    return st;
}
