/* reshoot bench: the list of benchmarks. Each is a command of its own (bench_*.c). */
#include <string.h>

#include "base/str.h"
#include "cli/bench.h"

static const rs_command *const k_benches[] = {&rs_bench_info,    &rs_bench_op,     &rs_bench_step,
                                              &rs_bench_tower,   &rs_bench_comm,   &rs_bench_io,
                                              &rs_bench_catalog, &rs_bench_stream, NULL};

static const char *name_of(const rs_command *c)
{
    return strchr(c->name, ' ') + 1;
}

static rs_status run(const rs_call *call)
{
    const char *what = call->positional.items[0];
    rs_strbuf list = rs_strbuf_on(call->arena);
    for (int i = 0; k_benches[i]; i++)
        rs_strbuf_printf(&list, "%s%s", i ? ", " : "", name_of(k_benches[i]));
    return RS_FAIL(USAGE, "bench: unknown benchmark \"%s\"; there is: %s", what, list.data);
}

static void more(void)
{
    rs_out("\nbenchmarks (reshoot bench NAME --help explains one):\n");
    for (int i = 0; k_benches[i]; i++)
        rs_out("  %-8s %s\n", name_of(k_benches[i]), k_benches[i]->summary);
}

const rs_command rs_cmd_bench = {
    .name = "bench",
    .summary = "rates of this machine or cluster, verified before they are timed",
    .args = "NAME [options]",
    .about =
        "Measures what a run depends on. Every result is held against what it must be before its\n"
        "time counts; --json gives the figures with machine, versions and settings\n"
        "(docs/bench.md says what they mean).\n",
    .more = more,
    .n_min = 1,
    .n_max = -1,
    .subs = k_benches,
    .run = run,
};
