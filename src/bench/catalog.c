#include "bench/catalog.h"

#include <stdio.h>
#include <string.h>

#include "base/fsio.h"
#include "base/log.h"
#include "base/process.h"
#include "base/str.h"

#define RANKS   "{ranks}"
#define GRACE_S 10.0

static char *with_ranks(rs_arena *a, const char *word, int64_t ranks)
{
    rs_strbuf s = rs_strbuf_on(a);
    for (const char *at; (at = strstr(word, RANKS)); word = at + strlen(RANKS))
        rs_strbuf_printf(&s, "%.*s%lld", (int)(at - word), word, (long long)ranks);
    rs_strbuf_printf(&s, "%s", word);
    return s.data;
}

static char **command_of(rs_arena *a, const rs_catalog_run *r)
{
    enum { OWN = 5 };
    char **argv = RS_NEW(a, char *, r->n_launch + OWN + r->n_args + 1);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_launch; i++)
        argv[n++] = with_ranks(a, r->launch[i], r->ranks);
    argv[n++] = rs_arena_strdup(a, r->program);
    argv[n++] = rs_arena_strdup(a, "run");
    argv[n++] = rs_arena_strdup(a, r->experiment);
    argv[n++] = rs_arena_strdup(a, "--set");
    argv[n++] = rs_arena_printf(a, "output=%s", r->output);
    for (int64_t i = 0; i < r->n_args; i++)
        argv[n++] = rs_arena_strdup(a, r->args[i]);
    return argv;
}

/* The line of the program's own error, else the first that says anything (mpirun draws lines). */
static const char *what_it_said(rs_arena *a, const char *text)
{
    static const char mark[] = "reshoot: ";
    const char *first = NULL;
    for (const char *at = text; at && *at; at += strcspn(at, "\n"), at += *at == '\n') {
        size_t n = strcspn(at, "\n");
        if (strncmp(at, mark, sizeof mark - 1) == 0)
            return rs_arena_strndup(a, at + sizeof mark - 1, n - (sizeof mark - 1));
        if (!first && n > 0 && at[0] != '-')
            first = rs_arena_strndup(a, at, n);
    }
    return first ? first : "nothing";
}

static rs_status failed(rs_arena *a, const rs_catalog_run *r, const rs_process_result *p)
{
    const char *said = what_it_said(a, p->err && *p->err ? p->err : p->out);
    if (p->timed_out)
        return RS_FAIL(INTERNAL, "the run on %lld ranks did not end within %.0f s",
                       (long long)r->ranks, r->timeout_s);
    if (p->exit_code == rs_status_exit_code(RS_CONFIG))
        return RS_FAIL(CONFIG, "the run on %lld ranks: %s", (long long)r->ranks, said);
    if (p->exit_code == rs_status_exit_code(RS_JOBS))
        return RS_FAIL(JOBS, "the run on %lld ranks: %s", (long long)r->ranks, said);
    return RS_FAIL(INTERNAL, "the run on %lld ranks ended with exit code %d, signal %d: %s",
                   (long long)r->ranks, p->exit_code, p->signal, said);
}

rs_status rs_catalog_time(double *seconds, rs_arena *a, const rs_catalog_run *r)
{
    rs_process_result p;
    rs_process_opts o = {.timeout_s = r->timeout_s, .stop = r->stop, .grace_s = GRACE_S};
    char **argv = command_of(a, r);
    if (rs_path_exists(r->output))
        return RS_FAIL(USAGE, "%s: exists; a run there would find finished work", r->output);
    double since = rs_now();
    RS_TRY(rs_process_run(&p, a, argv, &o));
    *seconds = rs_now() - since;
    return p.exit_code == 0 && !p.timed_out ? RS_OK : failed(a, r, &p);
}

rs_catalog_rate rs_catalog_rate_of(int64_t videos, int64_t ranks, double seconds, double busy_s,
                                   double sum_s)
{
    return (rs_catalog_rate){.seconds = seconds,
                             .videos_per_hour = (double)videos * 3600 / seconds,
                             .busy = busy_s / ((double)ranks * sum_s)};
}

void rs_catalog_rate_against(rs_catalog_rate *r, int64_t ranks, const rs_catalog_rate *first,
                             int64_t first_ranks)
{
    r->speedup = r->videos_per_hour / first->videos_per_hour;
    r->efficiency = r->speedup * (double)first_ranks / (double)ranks;
}
