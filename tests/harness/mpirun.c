#include "harness/mpirun.h"

#include <stdarg.h>
#include <stdio.h>

#include "harness/test.h"

/* More ranks than cores and root (containers) are fine here. Shared memory only: no network is
 * asked for, none is needed. */
#define MPIRUN                                                                                     \
    "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout -k 5 90 mpirun "        \
    "--oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader -n %d " T_BIN               \
    "/dist_ranks %s </dev/null"

int t_mpirun(char **output, int n, const char *fmt, ...)
{
    char tail[2048];
    va_list ap;
    if (t_shell(NULL, "command -v mpirun") != 0)
        rs_test_skip("no mpirun");
    va_start(ap, fmt);
    vsnprintf(tail, sizeof tail, fmt, ap);
    va_end(ap);
    return t_shell(output, MPIRUN, n, tail);
}
