/* reshoot bench catalog: videos per hour over rank counts and settings, with equal adapters. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/process.h"
#include "bench/rates.h"
#include "cli/bench_catalog.h"
#include "cli/signals.h"

static const rs_catalog_opts k_defaults = {
    .dir = ".", .ranks = "1,2", .videos = 8, .threads = 1, .repeat = 1, .timeout = 86400};

static const rs_opt k_opts[] = {
    {"--videos", RS_OPT_INT, offsetof(rs_catalog_opts, videos), "N",
     "without an experiment: clips of the small world to make: 8"},
    {"--model", RS_OPT_STRING, offsetof(rs_catalog_opts, model), "DIR",
     "without an experiment: the small world's model, where it is not found"},
    {"--ranks", RS_OPT_STRING, offsetof(rs_catalog_opts, ranks), "N,M", "rank counts: 1,2"},
    {"--gang", RS_OPT_STRING, offsetof(rs_catalog_opts, gang), "N,M",
     "gang sizes: --vary cluster.gang=N,M, without those that do not divide the ranks"},
    {"--vary", RS_OPT_LIST, offsetof(rs_catalog_opts, vary), "KEY=V,W",
     "run with each of these values of a setting"},
    {"--set", RS_OPT_LIST, offsetof(rs_catalog_opts, sets), "KEY=VALUE",
     "override a setting in all runs"},
    {"--threads", RS_OPT_INT, offsetof(rs_catalog_opts, threads), "N",
     "CPU threads per rank, equal in all runs: 1; 0: as the experiment says"},
    {"--launch", RS_OPT_STRING, offsetof(rs_catalog_opts, launch), "WORDS",
     "what starts {ranks} ranks: \"mpirun --bind-to none -n {ranks}\"; in a Slurm job srun"},
    {"--repeat", RS_OPT_INT, offsetof(rs_catalog_opts, repeat), "N",
     "runs of each point, the median counts: 1"},
    {"--dir", RS_OPT_STRING, offsetof(rs_catalog_opts, dir), "DIR",
     "where the runs write; all ranks must see it: ."},
    {"--cold", RS_OPT_FLAG, offsetof(rs_catalog_opts, cold), NULL,
     "no warm-up (ingest only) before the first run"},
    {"--keep", RS_OPT_FLAG, offsetof(rs_catalog_opts, keep), NULL, "leave the runs there"},
    {"--timeout", RS_OPT_FLOAT, offsetof(rs_catalog_opts, timeout), "S",
     "a run that lasts longer is ended: 86400"},
    {"--json", RS_OPT_FLAG, offsetof(rs_catalog_opts, json), NULL,
     "machine-readable, with the machine"},
};

static rs_status check(const rs_catalog_opts *o)
{
    if (rs_comm_launcher())
        return RS_FAIL(USAGE, "bench catalog starts the ranks itself: run it without mpirun or "
                              "srun (--launch says how)");
    if (o->videos < 1 || o->videos > 100000)
        return RS_FAIL(USAGE, "--videos must be 1..100000, got %lld", (long long)o->videos);
    if (o->threads < 0 || o->threads > 4096)
        return RS_FAIL(USAGE, "--threads must be 0..4096, got %lld", (long long)o->threads);
    if (o->repeat < 1 || o->repeat > 1000)
        return RS_FAIL(USAGE, "--repeat must be 1..1000, got %lld", (long long)o->repeat);
    if (!(o->timeout > 0))
        return RS_FAIL(USAGE, "--timeout must be above 0");
    if (!rs_path_is_dir(o->dir))
        return RS_FAIL(USAGE, "--dir %s: no such folder", o->dir);
    return RS_OK;
}

static rs_status parse_launch(rs_catalog_bench *b)
{
    const char *line = b->o->launch;
    bool many = false;
    for (int64_t i = 0; i < b->n_points; i++)
        many = many || b->points[i].ranks > 1;
    if (!line && !many)
        return RS_OK;
    if (!line && getenv("SLURM_JOB_ID"))
        line = "srun --mpi=pmix -n {ranks}";
    else if (!line)
        line = "mpirun --bind-to none -n {ranks}";
    if (!strstr(line, "{ranks}"))
        return RS_FAIL(USAGE, "--launch: \"%s\" has no {ranks}", line);
    rs_status st = rs_split_words(&b->launch, &b->n_launch, b->a, line);
    if (st != RS_OK)
        return RS_FAIL(USAGE, "--launch: %s", rs_error_message());
    return st;
}

static void add_set(rs_catalog_bench *b, const char *set)
{
    b->args[b->n_args++] = "--set";
    b->args[b->n_args++] = set;
}

static void make_args(rs_catalog_bench *b)
{
    enum { OWN = 4 };
    b->args = RS_NEW(b->a, const char *, OWN + 2 * b->o->sets.n);
    add_set(b, "log.level=warn");
    if (b->o->threads > 0)
        add_set(b, rs_arena_printf(b->a, "cluster.threads=%lld", (long long)b->o->threads));
    for (int64_t i = 0; i < b->o->sets.n; i++)
        add_set(b, b->o->sets.items[i]);
}

/* A plain `reshoot run` where one rank is wanted and no launcher was named. */
static rs_catalog_run run_of(const rs_catalog_bench *b, const rs_catalog_point *p,
                             const char *output, const char *only)
{
    int64_t n = 0;
    const char **args = RS_NEW(b->a, const char *, b->n_args + 2 * p->n_sets + 2);
    for (int64_t i = 0; i < b->n_args; i++)
        args[n++] = b->args[i];
    for (int64_t i = 0; i < p->n_sets; i++) {
        args[n++] = "--set";
        args[n++] = p->sets[i];
    }
    if (only) {
        args[n++] = "--only";
        args[n++] = only;
    }
    bool plain = p->ranks == 1 && !b->o->launch;
    return (rs_catalog_run){.launch = (const char *const *)b->launch,
                            .n_launch = plain ? 0 : b->n_launch,
                            .program = b->program,
                            .experiment = b->experiment,
                            .args = args,
                            .n_args = n,
                            .output = rs_path_join(b->a, b->folder, output),
                            .ranks = p->ranks,
                            .timeout_s = b->o->timeout,
                            .stop = b->stop};
}

static rs_status end_of(const rs_catalog_bench *b, const rs_catalog_run *r, rs_status st)
{
    if (b->o->keep)
        return st;
    return st == RS_OK ? rs_remove_tree(r->output) : st;
}

/* Weights and sources into the page cache, so that the first point does not pay for the others. */
static rs_status warm_up(const rs_catalog_bench *b, const rs_catalog_point *p)
{
    double ignored;
    rs_catalog_run r = run_of(b, p, "warm-up", "ingest");
    RS_LOG(INFO, "warm-up: ingest on %lld ranks", (long long)p->ranks);
    RS_TRY(rs_catalog_time(&ignored, b->a, &r));
    return end_of(b, &r, RS_OK);
}

/* One repetition; what it made must be what the first run of all made (*first, filled by it). */
static rs_status run_once(rs_catalog_bench *b, rs_catalog_point *p, int64_t k, rs_content *first)
{
    rs_content mine;
    const char *name =
        rs_arena_printf(b->a, "run-%lld.%lld", (long long)(p - b->points), (long long)k);
    rs_catalog_run r = run_of(b, p, name, NULL);
    RS_LOG(INFO, "run %lld of %lld: %lld ranks", (long long)(p - b->points + 1),
           (long long)b->n_points, (long long)p->ranks);
    RS_TRY(rs_catalog_time(&p->seconds[k], b->a, &r));
    RS_TRY(rs_content_read(&mine, b->a, r.output));
    if (first->n == 0)
        *first = mine;
    rs_status st = rs_content_compare(&p->others, first, &mine);
    if (st != RS_OK)
        rs_error_context("%lld ranks: results differ", (long long)p->ranks);
    p->videos = mine.videos;
    p->edits = mine.edits;
    p->adapters = mine.adapters;
    p->busy_s += mine.busy_s;
    return end_of(b, &r, st);
}

static rs_status run_point(rs_catalog_bench *b, rs_catalog_point *p, rs_content *first)
{
    double sum = 0;
    for (int64_t k = 0; k < b->o->repeat; k++) {
        RS_TRY(run_once(b, p, k, first));
        sum += p->seconds[k];
    }
    p->rate = rs_catalog_rate_of(
        p->videos, p->ranks, rs_spread_of(p->seconds, b->o->repeat, b->a).median, p->busy_s, sum);
    return RS_OK;
}

static rs_status run_points(rs_catalog_bench *b)
{
    rs_content first = {0};
    const rs_catalog_point *base = NULL;
    for (int64_t i = 0; i < b->n_points; i++) {
        rs_catalog_point *p = &b->points[i];
        if (!p->skipped) {
            if (!base && !b->o->cold)
                RS_TRY(warm_up(b, p));
            RS_TRY(run_point(b, p, &first));
            base = base ? base : p;
            rs_catalog_rate_against(&p->rate, p->ranks, &base->rate, base->ranks);
        }
        if (!b->o->json)
            rs_catalog_table_row(b, p);
    }
    if (b->o->json)
        rs_catalog_json(b);
    return RS_OK;
}

static rs_status run_in_folder(rs_catalog_bench *b)
{
    if (!b->experiment)
        RS_TRY(rs_catalog_make_world(b));
    if (!b->o->json)
        rs_catalog_table_head(b);
    return run_points(b);
}

/* With the error of the benchmark, whatever becomes of its folder. */
static rs_status clean_up(const rs_catalog_bench *b, rs_status st)
{
    const char *message = rs_arena_strdup(b->a, rs_error_message());
    if (b->o->keep)
        RS_LOG(INFO, "everything is in %s", b->folder);
    else if (rs_remove_tree(b->folder) != RS_OK)
        RS_LOG(WARN, "%s is left behind: %s", b->folder, rs_error_message());
    return st == RS_OK ? st : rs_fail_at(st, __FILE__, __LINE__, __func__, "%s", message);
}

static rs_status run_all(rs_catalog_bench *b)
{
    const char *dir;
    RS_TRY(rs_bench_program(&b->program, b->a));
    RS_TRY(rs_bench_absolute(&dir, b->a, b->o->dir));
    b->folder = rs_arena_printf(b->a, "%s/reshoot-bench-%s-%ld", dir, b->site.hosts[0].name,
                                (long)getpid());
    RS_TRY(rs_catalog_points(b));
    RS_TRY(parse_launch(b));
    make_args(b);
    RS_TRY(rs_make_dirs(b->folder));
    return clean_up(b, run_in_folder(b));
}

static rs_status run(const rs_call *call)
{
    rs_catalog_bench b = {.o = call->opts, .a = call->arena, .stop = rs_catch_signals()};
    rs_world self;
    RS_TRY(check(b.o));
    if (call->positional.n > 0)
        b.experiment = call->positional.items[0];
    RS_TRY(rs_world_open(&self));
    rs_status st = rs_bench_site_find(&b.site, b.a, &self);
    if (st == RS_OK)
        st = run_all(&b);
    rs_world_close(&self);
    return st;
}

const rs_command rs_bench_catalog = {
    .name = "bench catalog",
    .summary = "videos per hour of whole runs over rank counts and settings (starts them itself)",
    .args = "[EXP.yaml] [options]",
    .about = "Runs an experiment (or some clips of the small world) once per rank count and "
             "setting, each\n"
             "in a fresh folder, and times the whole command. The adapters of every run must be "
             "those of\n"
             "the first, bit for bit, before its time counts; otherwise it ends with exit code 1.\n"
             "efficiency: speed-up against the first run, per rank of its ranks. busy: seconds "
             "that the\n"
             "stages took, of ranks times seconds. The first run is preceded by one of ingest "
             "alone, so\n"
             "that it does not pay for reading the weights.\n",
    .n_min = 0,
    .n_max = 1,
    RS_COMMAND_OPTS(k_opts, rs_catalog_opts),
    .defaults = &k_defaults,
    .run = run,
};
