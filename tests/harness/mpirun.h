/* Programs with several MPI ranks, in tests of kind dist. */
#ifndef RS_TESTS_MPIRUN_H
#define RS_TESTS_MPIRUN_H

#include "base/status.h"

/* Run build-dev/dist_ranks with these arguments on n ranks of this machine; mpirun's exit status,
 * and what all ranks and mpirun printed (arena-owned, may be NULL). Killed after 90 s: 124. Skips
 * the case where there is no mpirun. */
int t_mpirun(char **output, int n, const char *fmt, ...) RS_PRINTF(3, 4);

#endif
