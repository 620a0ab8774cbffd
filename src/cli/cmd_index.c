/* reshoot index: catalog.h5 again. */
#include "base/fsio.h"
#include "cli/cli.h"
#include "job/index.h"

static rs_status index_one(rs_arena *a, const char *output, const char *live, const char *arm)
{
    RS_TRY(rs_index_rebuild(output, live, arm));
    rs_out("%s\n", rs_path_join(a, output, "catalog.h5"));
    return RS_OK;
}

/* The arms of an experiment have an index each. */
static rs_status index_arms(rs_arena *a, const char *run, const char *arms)
{
    char **names;
    int64_t n;
    RS_TRY(rs_list_folders(&names, &n, a, arms));
    for (int64_t i = 0; i < n; i++)
        RS_TRY(index_one(a, rs_path_join(a, arms, names[i]), run, names[i]));
    return RS_OK;
}

static rs_status run(const rs_call *call)
{
    rs_arena *a = call->arena;
    const char *output = call->positional.items[0];
    const char *arms = rs_path_join(a, output, "arms");
    if (!rs_path_is_dir(output))
        return RS_FAIL(INPUT, "%s: there is no such folder", output);
    if (rs_path_is_dir(arms))
        return index_arms(a, output, arms);
    if (!rs_path_is_dir(rs_path_join(a, output, "archive")) &&
        !rs_path_is_dir(rs_path_join(a, output, "live")))
        return RS_FAIL(INPUT, "%s: not the folder of a run: it has neither archive/ nor live/",
                       output);
    return index_one(a, output, output, "");
}

const rs_command rs_cmd_index = {
    .name = "index",
    .summary = "make a run's catalog.h5 again",
    .args = "RUN",
    .about =
        "Writes RUN/catalog.h5 from the archives in RUN/archive and the records in RUN/live,\n"
        "at any time: the one that is there is replaced as a whole, and a run that works does\n"
        "not mind. Of an experiment with arms every arm's. `reshoot show RUN/catalog.h5`\n"
        "prints it.\n",
    .n_min = 1,
    .n_max = 1,
    .run = run,
};
