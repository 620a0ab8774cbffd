// bench: files as a run writes them, and the contents of runs: what is not as it must be is
// noticed.
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "base/fsio.h"
#include "bench/content.h"
#include "bench/io_file.h"
#include "harness/test.h"
#include "store/archive.h"

static void make(rs_io_files *f, rs_io_kind kind, int rank, int64_t bytes)
{
    const char *dir = rs_path_join(t_arena(), t_tmpdir(), rs_io_kind_name(kind));
    T_OK(rs_make_dirs(dir));
    rs_io_files_make(f, t_arena(), kind, dir, rank, bytes, 3);
}

static void flip_byte(const char *path, int64_t at)
{
    char *data;
    size_t bytes;
    T_OK(rs_read_file(&data, &bytes, t_arena(), path));
    T_CHECK(at < (int64_t)bytes);
    data[at] ^= 1;
    T_OK(rs_write_file_atomic(path, data, bytes));
}

static void t_files(void)
{
    for (int kind = 0; kind < RS_IO_KIND_COUNT; kind++) {
        rs_io_files mine, other;
        make(&mine, kind, 0, 40000);
        make(&other, kind, 1, 40000);
        T_EQ_I(mine.n, kind == RS_IO_SMALL ? 3 : 1);
        T_OK(rs_io_files_write(&mine));
        T_OK(rs_io_files_read(&mine, true));
        rs_io_files_forget(&mine);
        T_OK(rs_io_files_read(&mine, true));
        T_CHECK(rs_io_files_size(&mine) > (kind == RS_IO_FRAMES ? 10000 : 3 * 4096));
        /* a file that is whole, but of somebody else */
        T_OK(rs_io_files_read(&other, false));
        T_FAILS(rs_io_files_read(&other, true), FORMAT, "element ");
        /* one that is not whole: the product's own checksum */
        const char *last = rs_io_file_path(&mine, t_arena(), mine.n - 1);
        flip_byte(last, rs_file_size(last) / 2);
        T_FAILS(rs_io_files_read(&mine, false), FORMAT, rs_path_basename(last));
    }
}

static rs_status time_files(rs_comm *c, void *ctx)
{
    rs_io_opts o = {.folder = ctx, .bytes = 50000, .files = 4, .samples = 3};
    for (int kind = 0; kind < RS_IO_KIND_COUNT; kind++)
        for (int active = 1; active <= rs_comm_size(c); active++) {
            rs_io_rate r;
            if (kind < RS_IO_CHECKPOINT && active > 1)
                continue; /* HDF5 need not bear threads; tests/dist has ranks that are processes */
            RS_TRY(rs_io_time(&r, c, (rs_io_kind)kind, active, &o));
            double total = (double)(r.bytes * active);
            bool small = kind == RS_IO_SMALL;
            if (r.ranks != active || r.files != (small ? 4 : 1) ||
                r.bytes != (small                  ? 4 * 4096
                            : kind == RS_IO_FRAMES ? 5 * 48 * 64 * 3
                                                   : 12 * 4096) ||
                r.disk_bytes < 4096 || !(r.write.s.min > 0) || !(r.read.s.min > 0) ||
                fabs(r.write.total_rate * r.write.s.median / total - 1) > 1e-12 ||
                fabs(r.read.file_rate * r.read.s.median / (double)(r.files * active) - 1) > 1e-12)
                return RS_FAIL(NUMERIC, "%s on %d ranks is reported wrong",
                               rs_io_kind_name((rs_io_kind)kind), active);
        }
    return RS_OK;
}

static int64_t entries(const char *folder)
{
    char *text;
    T_EQ_I(t_shell(&text, "find %s -mindepth 1 | wc -l", folder), 0);
    int64_t n = -1;
    text[strcspn(text, "\n")] = 0;
    T_CHECK(sscanf(text, "%" SCNd64, &n) == 1);
    return n;
}

static void t_files_on_ranks(void)
{
    char *dir = rs_arena_strdup(t_arena(), t_tmpdir());
    T_OK(rs_comm_threads_run(3, time_files, dir, NULL));
    T_EQ_I(entries(dir), 0);
}

static rs_status stop_files(rs_comm *c, void *ctx)
{
    static const volatile sig_atomic_t stopped = 1;
    rs_io_opts o = {.folder = ctx, .bytes = 5000, .files = 1, .samples = 1};
    rs_io_rate r;
    o.stop = rs_comm_rank(c) == 1 ? &stopped : NULL;
    return rs_io_time(&r, c, RS_IO_CHECKPOINT, 2, &o) == RS_STOPPED
               ? RS_OK
               : RS_FAIL(NUMERIC, "rank %d goes on", rs_comm_rank(c));
}

static void t_files_stop_and_fail_clean(void)
{
    char *dir = rs_arena_strdup(t_arena(), t_tmpdir());
    T_OK(rs_comm_threads_run(2, stop_files, dir, NULL));
    T_EQ_I(entries(dir), 0);
    /* no folder can be made where a file is */
    T_OK(rs_write_file_atomic(rs_path_join(t_arena(), dir, "rank-1"), "x", 1));
    T_FAILS(rs_comm_threads_run(2, time_files, dir, NULL), IO, "rank-1");
    T_CHECK(!rs_path_exists(rs_path_join(t_arena(), dir, "rank-0")));
}

/* ---- contents of runs ---- */

static void write_run(const char *run, float value, float frames, double seconds)
{
    const char *path = rs_arena_printf(t_arena(), "%s/archive/a.h5", run);
    float x[4] = {1, 2, 3, value}, y[4] = {frames, 0, 0, 0};
    rs_tensor adapter = rs_tensor_of(x, RS_DTYPE_F32, RS_SHAPE(2, 2));
    rs_tensor film = rs_tensor_of(y, RS_DTYPE_F32, RS_SHAPE(4));
    rs_archive *f;
    T_OK(rs_make_dirs(rs_path_dirname(t_arena(), path)));
    T_OK(rs_archive_create(&f, path));
    T_OK(rs_archive_write_tensor(f, "/stages/motion/adapter/q/A", adapter, 0));
    T_OK(rs_archive_set_f64(f, "/stages/motion", "seconds", seconds));
    T_OK(rs_archive_make_group(f, "/stages/edit/red"));
    T_OK(rs_archive_set_f64(f, "/stages/edit/red", "seconds", 2));
    T_OK(rs_archive_write_tensor(f, "/edits/red/frames", film, 0));
    T_OK(rs_archive_make_group(f, "/edits/failed"));
    T_OK(rs_archive_commit(&f));
}

static void read_run(rs_content *c, const char *name, float value, float frames)
{
    const char *run = rs_path_join(t_arena(), t_tmpdir(), name);
    write_run(run, value, frames, 3.5);
    T_OK(rs_content_read(c, t_arena(), run));
}

static void t_contents(void)
{
    rs_content a, same, film, other, none;
    int64_t others;
    read_run(&a, "a", 4, 0);
    read_run(&same, "same", 4, 0);
    read_run(&film, "film", 4, 1);
    read_run(&other, "other", 4.5f, 0);
    T_EQ_I(a.n, 2);
    T_EQ_I(a.videos, 1);
    T_EQ_I(a.edits, 1);
    T_EQ_I(a.adapters, 1);
    T_NEAR(a.busy_s, 5.5, 0);
    T_OK(rs_content_compare(&others, &a, &same));
    T_EQ_I(others, 0);
    T_OK(rs_content_compare(&others, &a, &film));
    T_EQ_I(others, 1);
    T_FAILS(rs_content_compare(&others, &a, &other), INTERNAL,
            "a.h5: /stages/motion/adapter/q/A has other bits");
    same.n = 1;
    T_FAILS(rs_content_compare(&others, &a, &same), INTERNAL, "is in one of two runs only");
    T_FAILS(rs_content_read(&none, t_arena(), t_tmpdir()), INPUT, "published no archive");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_files),
    T_CASE(t_files_on_ranks),
    T_CASE(t_files_stop_and_fail_clean),
    T_CASE(t_contents),
};
RS_TEST_MAIN(k_cases)
