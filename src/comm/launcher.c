/* Was this process started as one rank of several? Asked of the environment, because asking MPI
 * means to initialise it: 0.3 s, and a library's worth of threads and sockets. */
#include <stdlib.h>

#include "base/str.h"
#include "comm/comm_priv.h"

const char *rs_comm_launcher(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]))
            return names[i];
    return NULL;
}

int rs_comm_local_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                        "SLURM_LOCALID"};
    int64_t rank;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && rs_comm_launcher(); i++) {
        const char *text = getenv(names[i]);
        if (text && rs_parse_i64(&rank, text) && rank >= 0 && rank < INT32_MAX)
            return (int)rank;
    }
    return 0;
}

rs_status rs_comm_launcher_check(bool serial)
{
    /* Set by srun only; the batch script itself has SLURM_PROCID too, so that says nothing. */
    const char *text = getenv("SLURM_STEP_NUM_TASKS");
    int64_t tasks;
    if (!serial && !rs_comm_launcher() && text && rs_parse_i64(&tasks, text) && tasks > 1)
        return RS_FAIL(USAGE,
                       "srun started %lld tasks without PMI, so they cannot find each other: use "
                       "srun --mpi=pmix",
                       (long long)tasks);
    return RS_OK;
}
