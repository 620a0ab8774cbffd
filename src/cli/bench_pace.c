/* Benchmarks that take turns with other programs, line by line. */
#include <stdio.h>

#include "cli/bench.h"

static rs_status wait_for_line(void)
{
    char line[64];
    if (!fgets(line, sizeof line, stdin))
        return RS_FAIL(USAGE, "standard input ended before the step that it was to begin");
    return RS_OK;
}

static void tell(double wall, double cpu)
{
    rs_out("step %.9g %.9g\n", wall, cpu);
    fflush(stdout);
}

const rs_pace *rs_bench_pace(bool paced)
{
    static const rs_pace pace = {wait_for_line, tell};
    return paced ? &pace : NULL;
}
