#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/bench.h"
#include "cli/version.h"
#include "store/archive.h"

enum { FACTS = 3 }; /* that every rank tells: host, processor, their number */

const char *rs_bench_cpu(rs_arena *a)
{
    const char *name = "unknown";
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " ");
        name = rs_arena_strndup(a, colon, strcspn(colon, "\n"));
        break;
    }
    if (f)
        fclose(f);
    return name;
}

static const char *host_name(rs_arena *a)
{
    char host[256] = {0};
    gethostname(host, sizeof host - 1);
    return rs_arena_strdup(a, host);
}

static rs_bench_host *find_host(rs_bench_host *hosts, int64_t *n, const char *name)
{
    for (int64_t i = 0; i < *n; i++)
        if (strcmp(hosts[i].name, name) == 0)
            return &hosts[i];
    hosts[*n] = (rs_bench_host){.name = name};
    return &hosts[(*n)++];
}

rs_status rs_bench_site_find(rs_bench_site *s, rs_arena *a, const rs_world *w)
{
    const char **all;
    int64_t n_all;
    const char *mine[FACTS] = {host_name(a), rs_bench_cpu(a),
                               rs_arena_printf(a, "%ld", sysconf(_SC_NPROCESSORS_ONLN))};
    rs_bench_host *hosts = RS_NEW(a, rs_bench_host, w->size);
    *s = (rs_bench_site){.world = w, .hosts = hosts};
    RS_TRY(rs_world_gather(&all, &n_all, a, mine, FACTS, w));
    for (int64_t i = 0; i + FACTS <= n_all; i += FACTS) {
        rs_bench_host *h = find_host(hosts, &s->n_hosts, all[i]);
        h->cpu = all[i + 1];
        if (!rs_parse_i64(&h->processors, all[i + 2]))
            h->processors = 0;
        h->ranks++;
    }
    return RS_OK;
}

const char *rs_bench_site_text(rs_arena *a, const rs_bench_site *s)
{
    enum { SHOWN = 4 };
    rs_strbuf t = rs_strbuf_on(a);
    rs_strbuf_printf(&t, "%d rank%s (%s) on", s->world->size, s->world->size == 1 ? "" : "s",
                     rs_comm_backend(s->world->comm));
    for (int64_t i = 0; i < s->n_hosts && i < SHOWN; i++)
        rs_strbuf_printf(&t, "%s %s (%lld of them, %lld processors)", i ? "," : "",
                         s->hosts[i].name, (long long)s->hosts[i].ranks,
                         (long long)s->hosts[i].processors);
    if (s->n_hosts > SHOWN)
        rs_strbuf_printf(&t, " and %lld more hosts", (long long)(s->n_hosts - SHOWN));
    return t.data;
}

static void write_hosts(rs_jsonw *w, const rs_bench_site *s)
{
    rs_jsonw_array(w, "hosts");
    for (int64_t i = 0; i < s->n_hosts; i++) {
        rs_jsonw_object(w, NULL);
        rs_jsonw_string(w, "name", s->hosts[i].name);
        rs_jsonw_string(w, "cpu", s->hosts[i].cpu);
        rs_jsonw_i64(w, "processors", s->hosts[i].processors);
        rs_jsonw_i64(w, "ranks", s->hosts[i].ranks);
        rs_jsonw_end(w);
    }
    rs_jsonw_end(w);
}

void rs_bench_json_head(rs_jsonw *w, rs_arena *a, const char *format, const rs_bench_site *s)
{
    rs_jsonw_object(w, NULL);
    rs_jsonw_string(w, "format", format);
    rs_jsonw_i64(w, "version", 1);
    rs_jsonw_string(w, "program", "reshoot " RS_VERSION);
    rs_jsonw_string(w, "commit", rs_version_commit());
    rs_jsonw_string(w, "compiler", __VERSION__);
    if (!s)
        return;
    rs_jsonw_object(w, "libraries");
    rs_jsonw_string(w, "mpi", rs_comm_mpi_library(a));
    rs_jsonw_string(w, "hdf5", rs_archive_library(a));
    rs_jsonw_end(w);
    rs_jsonw_object(w, "machine");
    rs_jsonw_i64(w, "ranks", s->world->size);
    rs_jsonw_string(w, "backend", rs_comm_backend(s->world->comm));
    write_hosts(w, s);
    rs_jsonw_end(w);
}

rs_status rs_bench_absolute(const char **out, rs_arena *a, const char *path)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return RS_FAIL(IO, "%s: %s", path, strerror(errno));
    *out = rs_arena_strdup(a, real);
    return RS_OK;
}

rs_status rs_bench_program(const char **out, rs_arena *a)
{
    return rs_bench_absolute(out, a, "/proc/self/exe");
}

rs_jsonw *rs_bench_json_results(rs_arena *a, const char *format, int threads)
{
    rs_jsonw *w = rs_jsonw_create(a, true);
    rs_bench_json_head(w, a, format, NULL);
    rs_jsonw_string(w, "cpu", rs_bench_cpu(a));
    rs_jsonw_i64(w, "threads", threads);
    rs_jsonw_array(w, "results");
    return w;
}

void rs_bench_json_print(rs_jsonw *w)
{
    rs_jsonw_end(w);
    rs_jsonw_end(w);
    rs_out("%s\n", rs_jsonw_text(w));
}
