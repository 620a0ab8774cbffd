#include "bench/io.h"

#include "base/fsio.h"
#include "base/log.h"
#include "base/num.h"
#include "bench/io_file.h"
#include "comm/agree.h"

typedef struct io_bench {
    rs_comm *comm;
    const rs_io_opts *o;
    rs_io_files files;
    const char *folder; /* of this rank */
    bool works;         /* this rank does */
    int active;
    rs_arena *a;
} io_bench;

typedef rs_status io_step(const rs_io_files *f);

static rs_status read_only(const rs_io_files *f)
{
    return rs_io_files_read(f, false);
}

static rs_status read_compare(const rs_io_files *f)
{
    return rs_io_files_read(f, true);
}

/* Collective. One step of all ranks that work, at the same time; *s: seconds of this rank, 0 where
 * it waits. */
static rs_status together(double *s, io_bench *b, io_step *step)
{
    RS_TRY(rs_comm_barrier(b->comm, "sample"));
    double since = rs_now();
    rs_status st = b->works ? step(&b->files) : RS_OK;
    *s = b->works ? rs_now() - since : 0;
    if (st == RS_OK && b->o->stop && *b->o->stop)
        st = RS_FAIL(STOPPED, "stopped");
    return rs_comm_agree(b->comm, st);
}

/* Collective. Written, forgotten, read, and read again to compare. */
static rs_status sample(double *write_s, double *read_s, io_bench *b)
{
    double ignored;
    RS_TRY(together(write_s, b, rs_io_files_write));
    if (b->works)
        rs_io_files_forget(&b->files);
    RS_TRY(together(read_s, b, read_only));
    return together(&ignored, b, read_compare);
}

/* Collective. From the seconds of this rank, n samples. */
static rs_status sum_up(rs_io_side *out, io_bench *b, const rs_io_rate *r, const double *mine,
                        int64_t n)
{
    int ranks = rs_comm_size(b->comm);
    size_t *bytes = RS_NEW(b->a, size_t, ranks);
    double *all = RS_NEW(b->a, double, ranks *n), *slowest = RS_NEW(b->a, double, n);
    for (int i = 0; i < ranks; i++)
        bytes[i] = i < b->active ? (size_t)n * sizeof *mine : 0; /* in the order of the ranks */
    RS_TRY(rs_comm_allgather(all, b->comm, mine, bytes, "times"));
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < b->active; k++)
            slowest[i] = all[k * n + i] > slowest[i] ? all[k * n + i] : slowest[i];
    rs_spread each = rs_spread_of(all, b->active * n, b->a);
    out->s = rs_spread_of(slowest, n, b->a);
    out->s.min = each.min;
    out->rank_rate = (double)r->bytes / each.median;
    out->total_rate = (double)(r->bytes * b->active) / out->s.median;
    out->file_rate = (double)(r->files * b->active) / out->s.median;
    return RS_OK;
}

static rs_status make_files(io_bench *b, rs_io_kind kind)
{
    int rank = rs_comm_rank(b->comm);
    b->folder = rs_arena_printf(b->a, "%s/rank-%d", b->o->folder, rank);
    if (!b->works)
        return RS_OK;
    RS_TRY(rs_make_dirs(b->folder));
    rs_io_files_make(&b->files, b->a, kind, b->folder, rank, b->o->bytes, b->o->files);
    return RS_OK;
}

/* The first sample warms up and is the check before the timing. */
static rs_status measure(rs_io_rate *r, io_bench *b)
{
    int64_t n = b->o->samples;
    double *w = RS_NEW(b->a, double, n), *d = RS_NEW(b->a, double, n);
    RS_TRY(sample(&w[0], &d[0], b));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(sample(&w[i], &d[i], b));
    int64_t sizes[3] = {(int64_t)rs_tensor_bytes(b->files.data) * b->files.n, b->files.n,
                        b->works ? rs_io_files_size(&b->files) : 0};
    RS_TRY(rs_comm_broadcast(sizes, b->comm, sizeof sizes, 0, "sizes"));
    r->bytes = sizes[0];
    r->files = sizes[1];
    r->disk_bytes = sizes[2];
    RS_TRY(sum_up(&r->write, b, r, w, n));
    return sum_up(&r->read, b, r, d, n);
}

rs_status rs_io_time(rs_io_rate *out, rs_comm *c, rs_io_kind kind, int active, const rs_io_opts *o)
{
    RS_ASSERT(active >= 1 && active <= rs_comm_size(c) && o->samples >= 1 && o->files >= 1);
    io_bench b = {.comm = c,
                  .o = o,
                  .active = active,
                  .works = rs_comm_rank(c) < active,
                  .a = rs_arena_create()};
    *out = (rs_io_rate){.kind = kind, .ranks = active};
    rs_status st = rs_comm_agree(c, make_files(&b, kind));
    if (st == RS_OK)
        st = measure(out, &b);
    const char *message = rs_arena_strdup(b.a, rs_error_message());
    if (b.works && rs_remove_tree(b.folder) != RS_OK)
        RS_LOG(WARN, "%s is left behind: %s", b.folder, rs_error_message());
    if (st != RS_OK)
        st = rs_fail_at(st, __FILE__, __LINE__, __func__, "%s", message);
    rs_arena_destroy(&b.a);
    return st;
}
