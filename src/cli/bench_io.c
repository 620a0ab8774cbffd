/* reshoot bench io: what a folder takes and gives, with the files of a run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "bench/io.h"
#include "cli/bench.h"
#include "cli/signals.h"
#include "comm/agree.h"
#include "store/archive.h"

enum { POINTS_MAX = 64 };

typedef struct io_opts {
    const char *dir, *size, *ranks, *kinds;
    int64_t files, samples;
    double watchdog;
    bool json;
} io_opts;

static const io_opts k_defaults = {.dir = ".",
                                   .size = "64M",
                                   .kinds = "frames,tensors,checkpoint,small",
                                   .files = 100,
                                   .samples = 5,
                                   .watchdog = 600};

static const rs_opt k_opts[] = {
    {"--dir", RS_OPT_STRING, offsetof(io_opts, dir), "DIR", "the folder under test: ."},
    {"--size", RS_OPT_STRING, offsetof(io_opts, size), "BYTES", "data per rank and file: 64M"},
    {"--files", RS_OPT_INT, offsetof(io_opts, files), "N", "small: files per rank: 100"},
    {"--ranks", RS_OPT_STRING, offsetof(io_opts, ranks), "N,M",
     "so many of the started ranks at the same time; all of them"},
    {"--kinds", RS_OPT_STRING, offsetof(io_opts, kinds), "A,B",
     "of frames, tensors, checkpoint, small; all"},
    {"--iters", RS_OPT_INT, offsetof(io_opts, samples), "N", "timed samples: 5"},
    {"--json", RS_OPT_FLAG, offsetof(io_opts, json), NULL, "machine-readable, with the machine"},
    {"--watchdog", RS_OPT_FLOAT, offsetof(io_opts, watchdog), "S",
     "a rank that waits for another longer than this ends it: 600"},
};

typedef struct io_bench {
    const io_opts *o;
    rs_arena *a;
    rs_world world;
    rs_bench_site site;
    rs_io_opts io;
    rs_io_kind kinds[RS_IO_KIND_COUNT];
    int64_t n_kinds, *ranks, n_ranks;
    rs_jsonw *json; /* rank 0 with --json */
} io_bench;

static rs_status parse(io_bench *b)
{
    char **words;
    int64_t n;
    RS_TRY(rs_bench_size(&b->io.bytes, "--size", b->o->size));
    RS_TRY(rs_bench_words(&words, &n, b->a, "--kinds", b->o->kinds));
    for (int64_t i = 0; i < n; i++)
        if (b->n_kinds == RS_IO_KIND_COUNT || !rs_io_kind_find(&b->kinds[b->n_kinds++], words[i]))
            return RS_FAIL(USAGE,
                           "--kinds: \"%s\" is not one of frames, tensors, checkpoint, small",
                           words[i]);
    if (b->o->files < 1 || b->o->files > 1000000)
        return RS_FAIL(USAGE, "--files must be 1..1000000, got %lld", (long long)b->o->files);
    if (b->o->samples < 1 || b->o->samples > 100000)
        return RS_FAIL(USAGE, "--iters must be 1..100000, got %lld", (long long)b->o->samples);
    if (!(b->o->watchdog > 0))
        return RS_FAIL(USAGE, "--watchdog must be above 0");
    b->io.files = b->o->files;
    b->io.samples = b->o->samples;
    return RS_OK;
}

/* How many ranks work at a time: what was asked for, among those there are. */
static rs_status parse_ranks(io_bench *b)
{
    if (b->o->ranks)
        return rs_bench_numbers(&b->ranks, &b->n_ranks, b->a, "--ranks", b->o->ranks, 1,
                                b->world.size);
    b->ranks = RS_NEW(b->a, int64_t, 1);
    b->ranks[0] = b->world.size;
    b->n_ranks = 1;
    return RS_OK;
}

/* "ext4", or the number that statfs gives. */
static const char *filesystem(rs_arena *a, const char *path)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {{0xEF53, "ext"},       {0x58465342, "xfs"},    {0x9123683E, "btrfs"},
                 {0x01021994, "tmpfs"}, {0x6969, "nfs"},        {0x0BD00BD0, "lustre"},
                 {0x47504653, "gpfs"},  {0x19830326, "beegfs"}, {0x794C7630, "overlay"},
                 {0x00C36400, "ceph"},  {0x2FC12FC1, "zfs"},    {0x65735546, "fuse"}};
    struct statfs s;
    if (statfs(path, &s) != 0)
        return "unknown";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((unsigned long)s.f_type == known[i].magic)
            return known[i].name;
    return rs_arena_printf(a, "0x%lx", (unsigned long)s.f_type);
}

/* ---- what is shown ---- */

static void begin_table(const io_bench *b)
{
    rs_out("%s, %s\n%s (%s); every sample read back and compared\n\n",
           rs_bench_site_text(b->a, &b->site), rs_archive_library(b->a), b->o->dir,
           filesystem(b->a, b->o->dir));
    rs_out("%-10s %5s %11s %11s | %26s | %26s\n", "kind", "ranks", "MB a rank", "MB on disk",
           "write: MB/s a rank, total", "read: MB/s a rank, total");
}

static void print_row(const rs_io_rate *r)
{
    rs_out("%-10s %5d %11.3f %11.3f", rs_io_kind_name(r->kind), r->ranks, (double)r->bytes * 1e-6,
           (double)r->disk_bytes * 1e-6);
    if (r->kind == RS_IO_SMALL)
        rs_out(" | %14s %9.0f/s | %14s %9.0f/s\n", "files", r->write.file_rate, "files",
               r->read.file_rate);
    else
        rs_out(" | %14.1f %11.1f | %14.1f %11.1f\n", r->write.rank_rate * 1e-6,
               r->write.total_rate * 1e-6, r->read.rank_rate * 1e-6, r->read.total_rate * 1e-6);
    fflush(stdout);
}

static void begin_json(io_bench *b)
{
    rs_jsonw *w = b->json = rs_jsonw_create(b->a, true);
    rs_bench_json_head(w, b->a, "reshoot bench io", &b->site);
    rs_jsonw_object(w, "settings");
    rs_jsonw_string(w, "dir", b->o->dir);
    rs_jsonw_string(w, "filesystem", filesystem(b->a, b->o->dir));
    rs_jsonw_i64(w, "bytes", b->io.bytes);
    rs_jsonw_i64(w, "files", b->io.files);
    rs_jsonw_i64(w, "samples", b->io.samples);
    rs_jsonw_end(w);
    rs_jsonw_array(w, "results");
}

static void write_side(rs_jsonw *w, const char *key, const rs_io_side *s)
{
    rs_jsonw_object(w, key);
    rs_jsonw_f64(w, "min_s", s->s.min);
    rs_jsonw_f64(w, "median_s", s->s.median);
    rs_jsonw_f64(w, "max_s", s->s.max);
    rs_jsonw_f64(w, "rank_mbs", s->rank_rate * 1e-6);
    rs_jsonw_f64(w, "total_mbs", s->total_rate * 1e-6);
    rs_jsonw_f64(w, "files_per_s", s->file_rate);
    rs_jsonw_end(w);
}

static void write_row(rs_jsonw *w, const rs_io_rate *r)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "kind", rs_io_kind_name(r->kind));
    rs_jsonw_i64(w, "ranks", r->ranks);
    rs_jsonw_i64(w, "bytes", r->bytes);
    rs_jsonw_i64(w, "disk_bytes", r->disk_bytes);
    rs_jsonw_i64(w, "files", r->files);
    write_side(w, "write", &r->write);
    write_side(w, "read", &r->read);
    rs_jsonw_end(w);
}

/* ---- the run ---- */

static rs_status run_points(io_bench *b)
{
    for (int64_t k = 0; k < b->n_kinds; k++)
        for (int64_t i = 0; i < b->n_ranks; i++) {
            rs_io_rate r;
            RS_TRY(rs_io_time(&r, b->world.comm, b->kinds[k], (int)b->ranks[i], &b->io));
            if (b->json)
                write_row(b->json, &r);
            else if (rs_world_leads(&b->world))
                print_row(&r);
        }
    if (b->json) {
        rs_jsonw_end(b->json);
        rs_jsonw_end(b->json);
        rs_out("%s\n", rs_jsonw_text(b->json));
    }
    return RS_OK;
}

static rs_status make_folder(const io_bench *b)
{
    if (!rs_path_is_dir(b->o->dir))
        return RS_FAIL(USAGE, "--dir %s: no such folder", b->o->dir);
    return rs_make_dirs(b->io.folder);
}

/* One folder of this benchmark for all ranks, named by rank 0; on each host where it is not shared.
 */
static rs_status run_in_folder(io_bench *b)
{
    const char *name =
        rs_arena_printf(b->a, "reshoot-bench-%s-%ld", b->site.hosts[0].name, (long)getpid());
    RS_TRY(rs_world_share(&name, 1, b->a, &b->world));
    b->io.folder = rs_path_join(b->a, b->o->dir, name);
    RS_TRY(rs_comm_agree(b->world.comm, make_folder(b)));
    rs_status st = run_points(b);
    if (st == RS_PEER)
        return st;
    RS_TRY(rs_comm_barrier(b->world.comm, "clean up"));
    if (rmdir(b->io.folder) != 0 && errno != ENOENT) /* one rank of those that share it */
        RS_LOG(WARN, "%s is left behind: %s", b->io.folder, strerror(errno));
    return st;
}

static rs_status run_world(io_bench *b)
{
    RS_TRY(rs_world_watch(&b->world, b->o->watchdog));
    RS_TRY(parse_ranks(b));
    RS_TRY(rs_bench_site_find(&b->site, b->a, &b->world));
    if (rs_world_leads(&b->world) && b->o->json)
        begin_json(b);
    else if (rs_world_leads(&b->world))
        begin_table(b);
    return run_in_folder(b);
}

static rs_status run(const rs_call *call)
{
    io_bench b = {.o = call->opts, .a = call->arena, .io.stop = rs_catch_signals()};
    RS_TRY(parse(&b));
    RS_TRY(rs_world_open(&b.world));
    rs_status st = run_world(&b);
    if (st == RS_PEER) /* no collective ends any more, closing neither */
        rs_comm_abort(b.world.comm, rs_status_exit_code(st), rs_error_message());
    rs_world_close(&b.world);
    return st;
}

const rs_command rs_bench_io = {
    .name = "bench io",
    .summary = "archives, checkpoints and small files in a folder (under mpirun or alone)",
    .args = "[options]",
    .about =
        "Writes what a run writes, into DIR/reshoot-bench-<host>-<pid>, which is removed again:\n"
        "  frames      archive with a clip's frames: deflate, checksums (HDF5)\n"
        "  tensors     archive with fp32 tensors: shuffle, checksums\n"
        "  checkpoint  state file with fp32 tensors and a SHA-256\n"
        "  small       many states of 4 KiB: files per second\n"
        "A write ends when it survives a crash (fsync, rename, fsync of the folder). A read comes\n"
        "after asking this machine's page cache to forget the file, and includes its checks. "
        "Every\n"
        "sample is compared with what was written. total: all ranks, by the slowest.\n",
    .n_min = 0,
    .n_max = 0,
    RS_COMMAND_OPTS(k_opts, io_opts),
    .defaults = &k_defaults,
    .run = run,
};
